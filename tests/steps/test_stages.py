"""The stages of a plan: what a model will be asked, fitted to what it answered before. Numbers by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Limits, Message, Reply, Request, Room, Settings, text
from qrelkit.models.price import read_price
from qrelkit.models.prices import longest
from qrelkit.steps.plan import _members
from qrelkit.steps.stages import Asked, Means, Stage, first_rounds, part, refuse_unpriced, seen_of_model, sittings
from qrelkit.stores.memory import MemoryStore

PRICE = {"input": 1.0, "output": 2.0}


class Paid:
    """A model with a price (none for None), which is never asked here."""

    at_most, limits = 1, Limits()

    def __init__(self, name: str = "openai:m", price: dict[str, Any] | None = PRICE) -> None:
        self.name, self._price = name, None if price is None else read_price(price)
        self.price = "" if self._price is None else self._price.json

    @property
    def room(self) -> Room | None:
        return None

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        raise AssertionError("a plan asks nothing")

    def cost_usd(self, reply: Reply) -> float | None:
        return None if self._price is None else self._price.cost(reply)

    def tokens_in(self, request: Request) -> int:
        return 0

    async def close(self) -> None: ...


def about(number: int, chars: int = 384) -> Request:
    """A request of chars / 4 + 4 tokens by our count."""
    message = Message("user", (text(f"{number:04d}" + "x" * (chars - 4)),))
    return Request(model="openai:m", messages=(message,), settings=Settings(max_tokens=40))


def means(store: MemoryStore, **more: Any) -> Means:
    return Means(store=store, at_once=10, size=longest, **more)


def rounds(first: int, count: int) -> list[list[Request]]:
    return [[about(number)] for number in range(first, first + count)]


def asking(model: Paid, count: int, todo: int = 2) -> Asked:
    return Asked(model=model, rounds=rounds(0, count), items=count or todo, todo=(todo, todo))


def answered(store: MemoryStore, first: int, count: int, tokens_in: int = 150) -> None:
    reply = Reply(text="a", tokens_in=tokens_in, tokens_out=30, latency_s=2.0)
    store.add_replies([(about(number), reply) for number in range(first, first + count)])


def test_a_guess_before_any_reply() -> None:
    found = part(Asked(model=Paid(), rounds=rounds(0, 20), items=20, todo=(100, 100)), means(MemoryStore()))
    assert found.requests == (100, 120)  # what cannot be read is asked once more
    assert found.use is not None
    assert found.use.replies == 0
    # 96 tokens and 4 of the message: 0.65 · 96 + 4 and 1.25 · 96 + 4; out 40 at the most
    low, high = 100 * (66.4 * 1 + 40 * 2) / 1e6, 120 * (124 * 1 + 40 * 2) / 1e6
    assert found.usd == pytest.approx((low, high), rel=0.01)
    assert (found.seconds, found.batch_usd) == (None, None)


def test_after_twenty_replies_it_is_fitted_to_them() -> None:
    store = MemoryStore()
    answered(store, 0, 25)
    asked = Asked(model=Paid(), rounds=rounds(100, 20), items=20, todo=(100, 100), before=rounds(0, 25))
    found = part(asked, means(store))
    assert found.use is not None
    assert found.use.replies == 25
    # they were counted as 150 each where we count 100: ± 3 %; 30 tokens out instead of at most 40
    assert found.use.tokens_in == pytest.approx((145.5, 154.5))
    assert found.usd == pytest.approx((100 * (145.5 + 58.2) / 1e6, 120 * (154.5 + 61.8) / 1e6), rel=0.01)
    assert found.seconds == pytest.approx((100 / 10 * 2 * 0.97 * 0.9, 120 / 10 * 2 * 1.03 * 1.5))
    few = Asked(model=Paid(), rounds=rounds(100, 20), items=20, todo=(100, 100), before=rounds(0, 19))
    assert part(few, means(store)).use.replies == 0  # type: ignore[union-attr]


def test_what_the_ledger_knows_is_not_asked_again() -> None:
    store = MemoryStore()
    answered(store, 0, 20)
    every = part(Asked(model=Paid(), rounds=rounds(0, 20), items=20, todo=(20, 20)), means(store))
    assert (every.requests, every.usd) == ((0, 0), (0, 0))
    half = part(Asked(model=Paid(), rounds=rounds(10, 20), items=20, todo=(20, 20)), means(store))
    assert half.requests == pytest.approx((10, 12))
    # a sample that is all known leaves room for three of n: nobody saw the other 80
    some = part(Asked(model=Paid(), rounds=rounds(0, 20), items=20, todo=(100, 100)), means(store))
    assert some.requests == pytest.approx((0, 1.2 * 100 * 3 / 20))


def test_another_judge_of_the_same_model_is_better_than_a_guess() -> None:
    store = MemoryStore()
    answered(store, 0, 25)
    store.add_judge("other", "m", {"model": "openai:m"})
    store.add_judgments("other", [judgment(i, about(i).digest) for i in range(25)])
    assert seen_of_model("openai:m", None, store) == []  # nothing says how often it was asked
    store.add_spending("judge", "other", {"asked": 25})
    assert [ours for ours, _ in seen_of_model("openai:m", None, store)] == [100.0] * 25
    assert seen_of_model("openai:other", None, store) == []
    found = part(Asked(model=Paid(), rounds=rounds(100, 20), items=20, todo=(100, 100)), means(store))
    assert found.use is not None
    assert found.use.tokens_in == pytest.approx((145.5, 154.5))


def test_batch_stands_beside_online_where_it_is_cheaper() -> None:
    asked = Asked(model=Paid(price={**PRICE, "batch": 0.5}), rounds=rounds(0, 20), items=20, todo=(100, 100))
    found = part(asked, means(MemoryStore()))
    assert found.usd is not None
    assert found.batch_usd == pytest.approx((found.usd[0] / 2, found.usd[1] / 2))


def test_nothing_made_up_yet_and_no_price_are_unknown_and_not_0() -> None:
    nothing = Stage(name="judge", by="m", items=9, todo=9, parts=(part(asking(Paid(), 0, 9), means(MemoryStore())),))
    assert (nothing.usd, nothing.seconds, nothing.asks) == (None, None, True)
    unpriced = part(asking(Paid(price=None), 2), means(MemoryStore()))
    assert unpriced.usd is None
    free = part(asking(Paid(price={"input": 0, "output": 0}), 2), means(MemoryStore()))
    assert (free.usd, Stage(name="judge", by="m", items=2, todo=2, parts=(free,)).asks) == ((0, 0), True)
    none = Stage(name="judge", by="lexical", items=2, todo=2)
    assert (none.usd, none.asks) == ((0, 0), False)


def test_a_budget_without_a_price_is_refused() -> None:
    asked = asking(Paid(price=None), 2)
    stages = [Stage(name="judge", by="m", items=2, todo=2, parts=(part(asked, means(MemoryStore())),))]
    refuse_unpriced(stages, {"openai:m": Paid(price=None)}, None)
    with pytest.raises(InputError, match="a budget needs prices and none is known for openai:m"):
        refuse_unpriced(stages, {"openai:m": Paid(price=None)}, 5.0)
    refuse_unpriced(stages, {"openai:m": Paid()}, 5.0)


def test_hours_of_work_take_several_sittings() -> None:
    hour = 3600.0
    assert sittings((1 * hour, 40 * hour), "") == (1, 2)  # without hours, days
    assert sittings((1 * hour, 40 * hour), "19:00-07:00") == (1, 4)  # 40 hours, twelve at a time
    assert sittings((13 * hour, 13 * hour), "22:00-23:30") == (9, 9)  # 1.5 h at a time: 8.67


# cascades and panels


class Member:
    def __init__(self, name: str, *judges: Member, kind: str = "pointwise") -> None:
        self.name, self.key, self.judges = name, name, judges
        self.settings = {"kind": kind}


def judgment(number: int, request: str = "", **details: Any) -> Judgment:
    return Judgment(query_id="q", doc_id=f"d{number}", grade=1, outcome="graded", request=request, details=details or None)


def shares(judge: Member, store: MemoryStore) -> dict[str, tuple[float, float]]:
    return {member.name: share for member, share in _members(judge, store)}  # type: ignore[arg-type]


def test_the_second_stage_of_a_cascade_is_asked_about_none_to_all() -> None:
    cascade = Member("both", Member("cheap"), Member("dear"), kind="cascade")
    assert shares(cascade, MemoryStore()) == {"cheap": (1, 1), "dear": (0, 1)}
    assert shares(Member("alone"), MemoryStore()) == {"alone": (1, 1)}
    panel = Member("all", Member("a"), cascade, kind="panel")
    assert shares(panel, MemoryStore()) == {"a": (1, 1), "cheap": (1, 1), "dear": (0, 1)}


def test_the_ledger_knows_the_share_that_went_on() -> None:
    store = MemoryStore()
    store.add_judge("both", "both", {})
    store.add_judgments("both", [judgment(i, stage="dear" if i % 4 == 0 else "cheap") for i in range(40)])
    found = shares(Member("both", Member("cheap"), Member("dear"), kind="cascade"), store)
    # 10 of 40: 0.25 ± 2 · √(0.25 · 0.75 / 40)
    assert found == {"cheap": (1, 1), "dear": pytest.approx((0.25 - 0.1369, 0.25 + 0.1369), abs=1e-4)}


def test_the_first_round_of_each_conversation() -> None:
    ended = []

    def flow(*first: Request) -> Iterator[Sequence[Request]]:
        try:
            if first:
                yield first
        finally:
            ended.append(len(first))

    assert [len(found) for found in first_rounds([flow(about(1)), flow(), flow(about(2), about(3))])] == [1, 2]
    assert ended == [1, 0, 2]  # none is left open
