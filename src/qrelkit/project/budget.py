"""How much may still be spent by one call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qrelkit.models.prices import Prices
from qrelkit.project.config import Config

if TYPE_CHECKING:
    from qrelkit.project.project import Project

NONE_LEFT = 1e-9  # dollars: nothing costs less, and 0 would read as no budget


def budget_left_usd(config: Config, prices: Prices, spent: Callable[[float], float], now: datetime) -> float | None:
    """Dollars that this call may spend: the least of `budget_usd` and `budget`; None without either.

    Of a budget per month, what the ledger says was `spent(since)` the first of this month (UTC; since in seconds since 1970) is
    taken off, whichever judge it was for. `NONE_LEFT` where nothing is left: whoever asks then stops before the first request
    that costs something. Raises InputError for a currency without a rate.
    """
    left = [] if config.budget_usd is None else [config.budget_usd]
    if config.budget is not None:
        allowed = prices.usd(config.budget.amount, config.budget.currency)
        left.append(allowed - spent(first_of_month(now)) if config.budget.per == "month" else allowed)
    return max(min(left), NONE_LEFT) if left else None


def left(project: Project) -> Callable[[], float] | None:
    """What says at any time how much of a budget per month is left, whoever spends from it; None where there is no such budget.

    It reckons with everything that is in the ledger, what the asking drive stored included; each answer reads only the replies
    that are new since the last one. `NONE_LEFT` where nothing is left. What one call alone may spend (`budget_usd`, a budget per
    run) is not in it. Raises InputError for a currency without a rate.
    """
    budget, store = project.config.budget, project.store
    if budget is None or budget.per != "month":
        return None
    allowed = project.prices.usd(budget.amount, budget.currency)
    return lambda: max(allowed - store.spent_usd(first_of_month(datetime.now(UTC))), NONE_LEFT)


def first_of_month(now: datetime) -> float:
    """The moment at which this month began, in UTC, in seconds since 1970."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
