"""What a label costs: amounts, currencies, a model's tokens, a person's time; what is unknown is never 0."""

from __future__ import annotations

import pytest

from qrelkit.core.errors import InputError
from qrelkit.models.prices import Prices, read_prices
from qrelkit.steps.label_price import UNPRICED, LabelPrice, dollars, label_price, of_people

TABLE = read_prices({"rates": {"EUR": 1.1}, "models": {"gpt-4o": {"input": 2.5, "output": 10.0}}})


def test_an_amount_a_currency_and_a_model() -> None:
    assert label_price("0.002", Prices()) == LabelPrice(0.002)
    assert label_price(" .01 EUR", TABLE).usd == pytest.approx(0.011)
    # 900 · 2.5 + 60 · 10 = 2,850 millionths
    assert label_price("gpt-4o:900+60", TABLE).usd == pytest.approx(0.00285)
    assert label_price("openai:gpt-4o:900+60", TABLE).usd == pytest.approx(0.00285)
    assert dollars("40", TABLE) == 40


def test_people_are_paid_by_the_hour() -> None:
    price = of_people(18, 40)  # 200 labels an hour
    assert (price.usd, price.paid(100), price.hours(100)) == pytest.approx((0.2, 20, 0.5))
    assert of_people(18, None) == LabelPrice(None, 18)


def test_what_is_unknown_is_none_and_nothing_costs_nothing() -> None:
    assert (UNPRICED.paid(3), UNPRICED.hours(3)) == (None, None)
    assert (UNPRICED.paid(0), UNPRICED.hours(0)) == (0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cheap", "MODEL:TOKENS_IN"),
        ("1GBP", "no rate for GBP"),
        ("gpt-5:900+60", "no price is known for 'gpt-5'"),
        ("-1", "an amount"),
    ],
)
def test_what_is_no_price_says_the_way_out(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        label_price(text, TABLE)


def test_amounts_and_times_below_0_are_refused() -> None:
    with pytest.raises(InputError, match="such as 40 or 40EUR"):
        dollars("-40", TABLE)
    with pytest.raises(InputError, match="not below 0"):
        of_people(-1, 40)
