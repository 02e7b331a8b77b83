"""How numbers are written."""

from __future__ import annotations

import pytest

from qrelkit.reports import words


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.number(-0.25), "−0.2500"),
        (words.number(-0.00001, 3), "0.000"),
        (words.number(0.5, 2, sign=True), "+0.50"),
        (words.number(None), "n/a"),
        (words.count(1234567), "1,234,567"),
        (words.money(0.0), "$0.00"),
        (words.money(0.00002), "under $0.0001"),
        (words.money(1234.5), "$1,234.50"),
        (words.money(0.0, 3), "unknown"),
        (words.money(2.0, 3), "at least $2.00"),
        (words.duration(0.44), "0.4 s"),
        (words.duration(125), "2 min 05 s"),
        (words.duration(11_520), "3 h 12 min"),
        (words.p_value(0.00005), "<0.001"),
        (words.p_value(0.0344), "0.034"),
        (words.share(1, 1000), "<1\N{NO-BREAK SPACE}%"),
        (words.share(0, 0), "n/a"),
        (words.plural(1, "query", "queries"), "1 query"),
        (words.moment("2026-03-14T09:26:53.123+00:00"), "2026-03-14 09:26 UTC"),
        (words.moment("2026-03-14T09:26:53-05:00"), "2026-03-14 09:26 -05:00"),
        (words.moment("yesterday"), "yesterday"),
    ],
)
def test_numbers_are_written_one_way(shown: str, expected: str) -> None:
    assert shown == expected
