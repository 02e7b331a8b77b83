"""Budgets: per run and per month, in the user's currency, counted from the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.models.prices import read_prices
from qrelkit.project import budget
from qrelkit.project.budget import NONE_LEFT, budget_left_usd, first_of_month
from qrelkit.project.config import checked
from qrelkit.stores.memory import MemoryStore

NOW = datetime(2026, 11, 14, 9, 30, tzinfo=UTC)
PRICES = read_prices({"rates": {"EUR": 1.08}})


def left(spent: Callable[[float], float] = lambda since: 0.0, **config: object) -> float | None:
    return budget_left_usd(checked(config, "here"), PRICES, spent, NOW)


def test_without_a_budget_there_is_no_bound() -> None:
    assert left() is None


def test_a_budget_of_a_run_is_whole_each_time() -> None:
    assert left(lambda since: 1e6, budget_usd=5) == 5
    assert left(lambda since: 1e6, budget={"amount": 200, "currency": "EUR"}) == pytest.approx(216)  # 200 · 1.08


def test_a_budget_of_a_month_is_what_the_ledger_leaves_of_it() -> None:
    asked: list[float] = []

    def spent(since: float) -> float:
        asked.append(since)
        return 16.0

    assert left(spent, budget={"amount": 200, "currency": "EUR", "per": "month"}) == pytest.approx(200)  # 216 − 16
    assert asked == [datetime(2026, 11, 1, tzinfo=UTC).timestamp()]


def test_the_least_of_both_counts() -> None:
    assert left(budget_usd=5, budget={"amount": 200, "per": "month"}) == 5
    assert left(lambda since: 198.0, budget_usd=5, budget={"amount": 200, "per": "month"}) == pytest.approx(2)


def test_a_month_that_is_used_up_leaves_nothing_and_not_no_budget() -> None:
    assert left(lambda since: 300.0, budget={"amount": 200, "per": "month"}) == NONE_LEFT > 0


def test_a_month_begins_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    # in Tokyo it is the first of December already
    assert first_of_month(datetime(2026, 12, 1, 5, tzinfo=tokyo)) == datetime(2026, 11, 1, tzinfo=UTC).timestamp()


def test_a_currency_without_a_rate_says_the_way_out() -> None:
    with pytest.raises(InputError, match=r"no rate for GBP: .*rates: \{GBP: DOLLARS FOR ONE\}"):
        left(budget={"amount": 1, "currency": "GBP"})


@pytest.mark.parametrize("budget", [{"amount": 0}, {"amount": 1, "per": "week"}, {"currency": "EUR"}, {"amount": 1, "a": 1}])
def test_a_budget_that_is_none_is_refused(budget: dict[str, object]) -> None:
    with pytest.raises(InputError, match="budget"):
        checked({"budget": budget}, "here")


def test_what_is_left_of_a_month_follows_the_ledger() -> None:
    def opened(**config: object) -> SimpleNamespace:
        return SimpleNamespace(config=checked(config, "here"), prices=PRICES, store=store)

    store = MemoryStore()
    assert budget.left(opened(budget_usd=5)) is None
    assert budget.left(opened(budget={"amount": 5})) is None
    now_left = budget.left(opened(budget={"amount": 10, "currency": "EUR", "per": "month"}))
    assert now_left() == pytest.approx(10.8)  # 10 · 1.08
    for n, expected in ((1, 5.8), (2, 0.8), (3, NONE_LEFT)):
        store.add_replies([(Request(model="m:1", messages=(Message("user", (text(str(n)),)),)), Reply(text="", cost_usd=5.0))])
        assert now_left() == pytest.approx(expected)
