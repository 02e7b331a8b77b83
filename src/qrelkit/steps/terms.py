"""On which terms a drive may ask, beside how many at once and for how much money."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from qrelkit.core.errors import InputError

_HOURS = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """`between` are the hours in which a model may be asked, in local time ("19:00-07:00"; "" is always); outside of them the
    drive waits. With `batch`, what is not known is handed to the provider's batch endpoint instead of being asked. `retries`
    is how often a request that nobody answered is sent again, `seed` draws the waits between. `what` names the drive in the
    ledger. `now` is the clock for `between`. `left_usd` says what is left of a budget from which other drives spend too; it is
    asked every few seconds.
    """

    between: str = ""
    batch: bool = False
    retries: int = 4
    seed: int = 0
    what: str = ""
    now: Callable[[], datetime] = datetime.now
    left_usd: Callable[[], float | None] | None = None

    def wait_s(self) -> float:
        """Seconds until a model may be asked; 0 within the hours."""
        if not self.between:
            return 0.0
        opens, closes = hours(self.between)
        now = self.now()
        begins, ends = (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=m) for m in (opens, closes))
        within = begins <= now < ends if opens < closes else now >= begins or now < ends
        if within:
            return 0.0
        return (begins - now if begins > now else begins + timedelta(days=1) - now).total_seconds()


def hours(between: str) -> tuple[int, int]:
    """Minutes after midnight of both ends of "19:00-07:00"; InputError for anything else, or an empty time."""
    found = _HOURS.fullmatch(between.strip())
    if found is None:
        raise InputError(f'between: {between!r} is no time of day from-to, such as "19:00-07:00"')
    h1, m1, h2, m2 = map(int, found.groups())
    opens, closes = h1 * 60 + m1, h2 * 60 + m2
    if opens == closes or max(opens, closes) > 1440:
        raise InputError(f"between: {between!r} leaves no time, or ends after 24:00")
    return opens, closes
