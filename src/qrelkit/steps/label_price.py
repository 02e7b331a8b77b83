"""What one label costs: a model's price for so many tokens, a price per label, or a person's time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qrelkit.core.errors import InputError
from qrelkit.core.wire import Reply
from qrelkit.models.prices import Prices

AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Z]{3})?")
TOKENS = re.compile(r"(.+):(\d+)\+(\d+)")


@dataclass(frozen=True, slots=True)
class LabelPrice:
    """Dollars and seconds of work for one label; None is unknown, and never 0."""

    usd: float | None = None
    seconds: float | None = None

    def paid(self, labels: int) -> float | None:
        """Dollars for so many labels; None where the price is unknown."""
        return 0.0 if not labels else None if self.usd is None else self.usd * labels

    def hours(self, labels: int) -> float | None:
        """Hours of work for so many labels; None where nobody said how long one takes."""
        return 0.0 if not labels else None if self.seconds is None else self.seconds * labels / 3600


UNPRICED = LabelPrice()


def label_price(text: str, prices: Prices) -> LabelPrice:
    """A price from `0.002` (dollars per label), `0.002EUR` (with a rate in `prices`), or `MODEL:IN+OUT`: the tokens that a label
    takes in and out, at the model's price in the table.

    Raises InputError for anything else, for a currency without a rate, and for a model without a price.
    """
    if found := TOKENS.fullmatch(text.strip()):
        return of_model(prices, found[1], int(found[2]), int(found[3]))
    if AMOUNT.fullmatch(text.strip()):
        return LabelPrice(dollars(text, prices))
    raise InputError(
        f"a label's price is an amount such as 0.002 or 0.002EUR, or MODEL:TOKENS_IN+TOKENS_OUT, gpt-4o:900+60; found {text!r}"
    )


def dollars(text: str, prices: Prices) -> float:
    """An amount such as `40` or `40EUR` in dollars. Raises InputError for what is none, and for a currency without a rate."""
    amount = AMOUNT.fullmatch(text.strip())
    if amount is None:
        raise InputError(f"an amount is a number with or without its currency, such as 40 or 40EUR; found {text!r}")
    return prices.usd(float(amount[1]), amount[2] or "USD")


def of_model(prices: Prices, model: str, tokens_in: int, tokens_out: int) -> LabelPrice:
    """A model's price for labels that take so many tokens in and out."""
    price = prices.of(model)
    if price is None:
        raise InputError(
            f"no price is known for {model!r}; add it to the price file: models: {{{model}: {{input: …, output: …}}}}"
        )
    return LabelPrice(price.cost(Reply(text="", tokens_in=tokens_in, tokens_out=tokens_out, tokens_image=0)))


def of_people(seconds: float | None, usd_per_hour: float | None) -> LabelPrice:
    """People's labels: so many seconds each, paid by the hour. Raises InputError for what is below 0."""
    if min(seconds or 0, usd_per_hour or 0) < 0:
        raise InputError(f"seconds per label and money per hour are not below 0, as are {seconds} and {usd_per_hour}")
    usd = None if seconds is None or usd_per_hour is None else seconds / 3600 * usd_per_hour
    return LabelPrice(usd, seconds)
