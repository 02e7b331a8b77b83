"""The axis of the interval plot by hand, and what a row draws."""

from __future__ import annotations

import pytest

from qrelkit.reports.plots import Axis, intervals
from qrelkit.reports.tables import Plot


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.49, 0.77), (0.4, 0.5, 0.6, 0.7, 0.8)),  # 0.28 / 5 = 0.056 → steps of 0.1
        ((-0.19, 0.0), (-0.2, -0.15, -0.1, -0.05, 0.0)),  # 0.038 → 0.05
        ((0.0, 1.0), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),  # 0.2 is round already
        ((3.0, 47.0), (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)),  # 8.8 → 10
    ],
)
def test_ticks_are_round_and_hold_all_values(values: tuple[float, ...], ticks: tuple[float, ...]) -> None:
    assert Axis.around(values).ticks == pytest.approx(ticks)


def test_a_single_value_still_has_an_axis() -> None:
    axis = Axis.around([0.5])
    assert axis.low < 0.5 < axis.high


def test_places_are_percent_between_1_and_99() -> None:
    axis = Axis.around([0.0, 1.0])
    assert [axis.at(v) for v in (0.0, 0.5, 1.0)] == pytest.approx([1, 50, 99])


def test_a_row_draws_a_dot_and_a_whisker_and_says_them() -> None:
    stat = {"value": 0.5, "low": 0.0, "high": 1.0, "n": 3}
    drawn = intervals(Plot("P@5", ("human",), (("<a>", (stat,)),)))
    assert 'x1="1.00%" x2="99.00%"' in drawn
    assert '<svg class="dot" x="50.00%"' in drawn
    assert 'aria-label="&lt;a&gt;: 0.5000 [0.000,\N{NO-BREAK SPACE}1.000]"' in drawn
    assert "<a>" not in drawn


def test_lanes_differ_by_form_and_have_a_legend() -> None:
    stat = {"value": 0.5, "low": 0.4, "high": 0.6}
    drawn = intervals(Plot("P@5", ("human", "model"), (("a", (stat, stat)),)))
    assert drawn.count('<circle r="4.5"/>') == drawn.count('class="open"') == 2  # in the row and in the legend
    assert "The axis begins at 0.4" in drawn


def test_a_missing_number_is_no_dot_but_is_said() -> None:
    plot = Plot("P@5", ("human", "model"), (("a", ({"value": 0.5}, None)),))
    drawn = intervals(plot)
    assert "model n/a" in drawn
    assert "whisker" not in drawn.replace("whiskers", "")
    assert intervals(Plot("P@5", ("human",), (("a", (None,)),))) == ""
