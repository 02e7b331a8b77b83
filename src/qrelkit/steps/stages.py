"""The stages of a plan: how many requests of each model, and what they take in tokens, money and hours.

Nothing is asked. The first round of some conversations is made up and thrown away; what the ledger knows already is free, and
after twenty replies its own tokens and latencies are believed instead of the guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import polars as pl

from qrelkit.core.doors import Model, Store
from qrelkit.core.errors import InputError
from qrelkit.core.wire import Reply, Request, Round
from qrelkit.judges.several import models_of
from qrelkit.models.estimates import AT_LEAST, ROUNDS, Range, Use, guess, hours_of_work, money, refit, share_of
from qrelkit.models.price import Price, read_price
from qrelkit.models.prices import Size, tokens_of_asked, tokens_of_request
from qrelkit.steps.pace import FIRST_AT_ONCE
from qrelkit.steps.terms import hours

SAMPLED = 20  # conversations from which the tokens of those to come are estimated
SEEN = 60  # conversations held before, from which the estimate is fitted
LARGEST = 20_000  # requests of another judge that are looked through for those of the same model
NOTHING: Range = (0.0, 0.0)
NO_RULE = "pictures are counted as width × height / 750 tokens: the price of {} has no rule for its images"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one model is asked in a stage. `requests` are those that leave; None for money and time that cannot be known."""

    model: str
    requests: Range
    use: Use | None = None
    usd: Range | None = None
    batch_usd: Range | None = None  # None too where it is no other than online
    seconds: Range | None = None
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        tokens_in, tokens_out = (None, None) if self.use is None else self.use.times(self.requests)
        return {
            "model": self.model,
            "requests": self.requests,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "usd": self.usd,
            "batch_usd": self.batch_usd,
            "seconds": self.seconds,
            "fitted_to": 0 if self.use is None else self.use.replies,
            "notes": self.notes,
        }


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the plan; `parts` has a row per model that is asked, none where none is."""

    name: str
    by: str
    items: int
    todo: int
    parts: tuple[Part, ...] = ()

    @property
    def known(self) -> int:
        return self.items - self.todo

    @property
    def asks(self) -> bool:
        """Whether a model is to be asked: also where it costs nothing."""
        return bool(self.parts)

    @property
    def usd(self) -> Range | None:
        """(low, high); None where a price is unknown, which is not 0."""
        return _sum(part.usd for part in self.parts)

    @property
    def batch_usd(self) -> Range | None:
        """The same by the providers' batch endpoints; None where that is no cheaper, or not known."""
        if not any(part.batch_usd for part in self.parts):
            return None
        return _sum(part.batch_usd or part.usd for part in self.parts)

    @property
    def seconds(self) -> Range | None:
        """(low, high); None before any call was made."""
        return _sum(part.seconds for part in self.parts)

    def json(self) -> dict[str, Any]:
        """The stable form scripts rely on."""
        named = {"stage": self.name, "by": self.by, "items": self.items, "known": self.known, "todo": self.todo}
        money_and_time = {"usd": self.usd, "seconds": self.seconds, "batch_usd": self.batch_usd}
        return named | money_and_time | {"models": [part.json() for part in self.parts]}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Some of a stage's conversations, by their first rounds: `rounds` of `items` things still to do, `before` of known ones;
    `todo` is how many things there are to do in all, and `model` who is asked."""

    model: Model
    rounds: Sequence[Round]
    items: int
    todo: Range
    before: Sequence[Round] = ()


@dataclass(frozen=True, kw_only=True)
class Means:
    """What estimates are made with: `size` says how large a picture is when it leaves, `latency_s` how long a call takes, once
    one was made."""

    store: Store
    at_once: int | None
    size: Size
    latency_s: float | None = None


def part(asked: Asked, means: Means) -> Part:
    """What a model will be asked. Unknown, not 0, where no question could be made up yet."""
    model, requests = asked.model, [request for together in asked.rounds for request in together]
    if not requests:
        return Part(model=model.name, requests=asked.todo)
    price = read_price(model.price) if model.price else None
    new = _new_share(requests, means.store, covers=asked.items >= asked.todo[1])
    each = len(requests) / asked.items
    count = (ROUNDS[0] * each * asked.todo[0] * new[0], ROUNDS[1] * each * asked.todo[1] * new[1])
    seen = seen_of(asked, price, means) or seen_of_model(model.name, price, means.store)
    use = refit(guess(requests, price, means.size, means.latency_s), seen)
    cost = _cost(model, price, use)
    usd, batch_usd = money(use, count, cost), money(use, count, cost, batch=True)
    unruled = bool(use.pictures and price is not None and price.images is None and not use.replies)
    return Part(
        model=model.name,
        requests=count,
        use=use,
        usd=usd,
        batch_usd=None if batch_usd == usd else batch_usd,
        seconds=hours_of_work(use, count, means.at_once or FIRST_AT_ONCE, model.limits),
        notes=(NO_RULE.format(model.name),) if unruled else (),
    )


def refuse_unpriced(stages: Iterable[Stage], models: Mapping[str, Model], budget_usd: float | None) -> None:
    """Raises InputError where a budget was set and a model that will be asked has no price: it could not be kept."""
    if budget_usd is None:
        return
    one = Reply(text="", tokens_in=1, tokens_out=1, tokens_image=0)
    for name in dict.fromkeys(part.model for stage in stages for part in stage.parts):
        if models[name].cost_usd(one) is None:
            raise InputError(f"a budget needs prices and none is known for {name}: add it under `prices:`")


def sittings(seconds: Range, between: str) -> tuple[int, int]:
    """In how many openings of the hours `between` so much work is done, at least and at most; one where they are not limited."""
    opens, closes = hours(between) if between else (0, 1440)
    open_s = ((closes - opens) % 1440 or 1440) * 60
    return max(1, math.ceil(seconds[0] / open_s)), max(1, math.ceil(seconds[1] / open_s))


def first_rounds(flows: Iterable[Any]) -> list[Round]:
    """The first round of each conversation; those that ask nothing give none."""
    out = []
    for flow in flows:
        if first := next(flow, None):
            out.append(first)
        flow.close()
    return out


def seen_of(asked: Asked, price: Price | None, means: Means) -> list[tuple[float, Reply]]:
    """Our count of the tokens of what this one was asked before, and the replies; none where they are too few to say much."""
    requests = {request.digest: request for together in asked.before for request in together}
    replies = means.store.replies(list(requests))
    seen = [(float(tokens_of_request(requests[digest], price, means.size)), reply) for digest, reply in replies.items()]
    return seen if len(seen) >= AT_LEAST else []


def seen_of_model(model: str, price: Price | None, store: Store) -> list[tuple[float, Reply]]:
    """The same of the model's last replies to other judges, where their requests were kept; a judge that asked very much is
    passed over, for its judgments take long to read."""
    if store.keep != "full":
        return []
    spent = store.spending().filter(pl.col("stage") == "judge", pl.col("asked").is_between(1, LARGEST))
    seen: list[tuple[float, Reply]] = []
    for key, settings in store.judges().select("judge_key", "settings").reverse().iter_rows():
        if key in spent["key"] and models_of(orjson.loads(settings)) == [model]:
            digests = store.judgments(key)["request"].unique(maintain_order=True).tail(SEEN - len(seen)).to_list()
            said = [found for digest in store.replies(digests) if (found := store.conversation(digest))]
            counted = [(tokens_of_asked(asked, price), reply) for asked, reply in said]
            seen += [(float(ours), reply) for ours, reply in counted if ours is not None]
        if len(seen) >= SEEN:
            break
    return seen if len(seen) >= AT_LEAST else []


def _new_share(requests: Sequence[Request], store: Store, *, covers: bool) -> Range:
    """Of requests like these, the share that the ledger has no reply to: ± two standard errors, unless they are all there are."""
    digests = [request.digest for request in requests]
    known = store.replies(list(dict.fromkeys(digests)))
    n, new = len(digests), sum(digest not in known for digest in digests)
    return (new / n, new / n) if covers or new == n else share_of(new, n)


def _cost(model: Model, price: Price | None, use: Use) -> Callable[[Reply], float | None]:
    return model.cost_usd if price is None else partial(price.cost, images=round(use.pictures))


def _sum(ranges: Iterable[Range | None]) -> Range | None:
    low = high = 0.0
    for one in ranges:
        if one is None:
            return None
        low, high = low + one[0], high + one[1]
    return low, high
