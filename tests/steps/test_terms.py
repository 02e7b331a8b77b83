"""The hours in which models may be asked: all moments by hand."""

from __future__ import annotations

from datetime import datetime

import pytest

from qrelkit.core.errors import InputError
from qrelkit.steps.terms import Terms


def wait(between: str, time: str) -> float:
    now = datetime.fromisoformat(f"2026-03-02T{time}")
    return Terms(between=between, now=lambda: now).wait_s()


@pytest.mark.parametrize(
    ("between", "time", "hours"),
    [
        ("", "12:00", 0),
        ("08:00-18:00", "12:00", 0),
        ("08:00-18:00", "18:00", 14),  # the end is outside; until 8 the next day
        ("08:00-18:00", "07:00", 1),
        ("19:00-07:00", "23:30", 0),  # over midnight
        ("19:00-07:00", "06:59", 0),
        ("19:00-07:00", "07:00", 12),
        ("00:00-24:00", "23:59", 0),
    ],
)
def test_within_the_hours_nothing_is_waited_for_and_outside_until_they_begin(between: str, time: str, hours: float) -> None:
    assert wait(between, time) == hours * 3600


@pytest.mark.parametrize("between", ["19-7", "25:00-07:00", "07:00-07:00", "evening", "22:00-24:30"])
def test_what_is_no_time_of_day_is_refused(between: str) -> None:
    with pytest.raises(InputError, match="between"):
        wait(between, "12:00")
