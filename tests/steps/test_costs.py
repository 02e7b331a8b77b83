"""What stages took: each, per thousand, saved, by batch; and unknown wherever a price is. Numbers by hand."""

from __future__ import annotations

from typing import Any

import pytest

from qrelkit.core.wire import Limits, Reply
from qrelkit.models.price import read_price
from qrelkit.steps.costs import by_batch_usd, cost_row
from qrelkit.steps.tally import Tally


class Priced:
    """As much of a model as is looked at here."""

    limits = Limits()

    def __init__(self, **price: Any) -> None:
        self.price = read_price(price)

    def cost_usd(self, reply: Reply) -> float | None:
        return self.price.cost(reply)


def row(made: int | None = None, batch_usd: float | None = None, **numbers: Any) -> dict[str, Any]:
    return cost_row("judge", Tally(**numbers).numbers(), made, batch_usd)


def test_money_is_divided_by_what_came_of_it() -> None:
    found = row(made=200, batch_usd=0.3, asked=210, cost_usd=0.5, saved_usd=0.1)
    assert (found["each_usd"], found["per_1000_usd"]) == pytest.approx((0.0025, 2.5))
    assert (found["saved_usd"], found["batch_saves_usd"]) == pytest.approx((0.1, 0.2))
    assert (found["stage"], found["asked"], found["made"]) == ("judge", 210, 200)


def test_an_unknown_price_makes_all_of_it_unknown() -> None:
    found = row(made=2, batch_usd=0.1, asked=2, unpriced=2)
    assert [found[key] for key in ("cost_usd", "each_usd", "per_1000_usd", "saved_usd", "batch_saves_usd")] == [None] * 5
    part = row(made=2, batch_usd=0.1, asked=2, unpriced=1, cost_usd=0.2)
    assert part["cost_usd"] == 0.2  # a lower bound
    assert [part[key] for key in ("each_usd", "per_1000_usd", "batch_saves_usd")] == [None] * 3


def test_nothing_made_or_asked_has_no_mean() -> None:
    assert row(made=0)["each_usd"] is None
    assert row()["each_usd"] is None
    assert row()["cost_usd"] == 0


def test_batch_that_was_used_saves_nothing_more() -> None:
    assert row(batch_usd=0.5, cost_usd=0.5)["batch_saves_usd"] == 0


def test_the_same_tokens_by_batch() -> None:
    spent = Tally(tokens_in=1000, tokens_out=200, tokens_cached=400, tokens_reasoning=50).numbers()
    model = Priced(input=1.0, output=4.0, cached_input=0.5, batch=0.5)
    # online 600 · 1 + 400 · 0.5 + 200 · 4 = 1600 millionths
    assert by_batch_usd(model, spent) == pytest.approx(800e-6)  # type: ignore[arg-type]
    assert by_batch_usd(Priced(input=1.0, output=4.0), spent) is None  # type: ignore[arg-type]
    assert by_batch_usd(Priced(input=1.0, output=4.0, batch={"input": 1.0, "output": 4.0}), spent) is None  # type: ignore[arg-type]
