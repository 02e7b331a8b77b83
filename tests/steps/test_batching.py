"""Batches through the driver: handed over once, collected by any later drive, whatever happened between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.doors import Store
from qrelkit.core.errors import InputError, Unreachable
from qrelkit.core.wire import Batch, Flow, Limits, Message, Reply, Request, Room, text
from qrelkit.steps.batching import portions
from qrelkit.steps.drive import drive
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms
from qrelkit.stores.memory import MemoryStore
from qrelkit.stores.sql import SqlStore


class Provider:
    """A provider with a batch endpoint; online it answers nobody. A reply costs a dollar, in a batch half."""

    name, at_most, limits, price, batch_at_most, batch_mb = "test:model", 1, Limits(), '{"input":1}', 3, 10.0
    room: Room | None = None

    def __init__(self) -> None:
        self.batches: dict[str, tuple[str, list[Request]]] = {}
        self.online: list[Request] = []
        self.ended = False
        self.answer: Callable[[Request], Reply | None] = lambda request: Reply(text=words(request).upper(), batch=True)
        self.crash = ""

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.online += requests
        return [Reply(text="online") for _ in requests]

    def cost_usd(self, reply: Reply) -> float | None:
        return 0.5 if reply.batch else 1.0

    def tokens_in(self, request: Request) -> int:
        return 10

    async def close(self) -> None:
        return None

    async def submit(self, requests: Sequence[Request], tag: str) -> str:
        if self.crash == "before":
            raise KeyboardInterrupt
        ticket = f"b{len(self.batches)}"
        self.batches[ticket] = (tag, list(requests))
        if self.crash == "after":
            raise KeyboardInterrupt
        return ticket

    async def find(self, tag: str) -> str | None:
        return next((ticket for ticket, (own, _) in self.batches.items() if own == tag), None)

    async def collect(self, ticket: str) -> Batch:
        if not self.ended:
            return Batch(ended=False, counts={"running": len(self.batches[ticket][1])})
        replies = {r.digest: reply for r in reversed(self.batches[ticket][1]) if (reply := self.answer(r)) is not None}
        return Batch(ended=True, replies=replies)


def words(request: Request) -> str:
    (part,) = request.messages[0].parts
    return part.text  # type: ignore[union-attr]


def one(said: str) -> Flow[str]:
    (reply,) = yield [Request(model="test:model", messages=(Message("user", (text(said),)),))]
    return reply.text or reply.outcome


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Any = MemoryStore() if request.param == "memory" else SqlStore(tmp_path / "store.db")
    with made as one:
        yield one


def run(store: Store, model: Any, count: int = 7, *, batch: bool = True, **dials: Any) -> tuple[list[str], Tally]:
    out: list[str] = []
    flows = (one(f"w{i}") for i in range(count))
    tally = drive(flows, models={model.name: model}, store=store, done=out.append, terms=Terms(batch=batch), **dials)
    return sorted(out), tally


def test_handed_over_in_portions_then_collected_at_half_the_price(store: Store) -> None:
    model = Provider()
    done, tally = run(store, model)
    assert (done, tally.waiting) == ([], 7)
    assert [len(requests) for _, requests in model.batches.values()] == [3, 3, 1]
    done, tally = run(store, model)  # still on its way: nothing is handed over again, and nothing is asked
    assert (done, tally.waiting, len(model.batches), model.online) == ([], 7, 3, [])
    assert "on its way" in tally.batches[0]
    model.ended = True
    done, tally = run(store, model, batch=False)
    assert done == [f"W{i}" for i in range(7)]
    assert tally.cost_usd == store.spent_usd() == 3.5
    assert (tally.known, tally.saved_usd, model.online) == (0, 0.0, [])  # brought and paid for by this drive: nothing was saved
    assert all(row.ended for row in store.batches())


def test_what_expired_or_is_missing_is_asked_again(store: Store) -> None:
    model = Provider()
    run(store, model)
    model.ended = True
    unlucky = {"w1": Reply(text="", outcome="failed", error="expired"), "w2": None}
    model.answer = lambda r: unlucky.get(words(r), Reply(text="ok", batch=True))
    done, tally = run(store, model, batch=False)
    assert sorted(done) == ["ok"] * 5 + ["online"] * 2
    assert sorted(words(r) for r in model.online) == ["w1", "w2"]
    assert tally.errors == {"expired": 1}


@pytest.mark.parametrize("crash", ["before", "after"])
def test_a_crash_around_the_submission_pays_nothing_twice(crash: str) -> None:
    store = MemoryStore(now=lambda: time.time() - 3_600)  # an hour ago: nobody is still at handing it over
    model = Provider()
    model.crash = crash
    with pytest.raises(KeyboardInterrupt):
        run(store, model, 3)
    model.crash = ""
    assert [row.ticket for row in store.batches()] == [""]
    run(store, model, 3)  # the list is searched for the tag: found, or never submitted and so handed over now
    assert len(model.batches) == 1
    model.ended = True
    done, _ = run(store, model, 3, batch=False)
    assert (done, model.online) == (["W0", "W1", "W2"], [])


@pytest.mark.parametrize("crash", [KeyboardInterrupt, asyncio.CancelledError, MemoryError])
def test_batches_that_have_not_left_when_the_drive_is_broken_off_are_free_again(store: Store, crash: type[BaseException]) -> None:
    class Broken(Provider):
        async def submit(self, requests: Sequence[Request], tag: str) -> str:
            if self.batches:
                raise crash
            return await super().submit(requests, tag)

    def round_of_five() -> Flow[str]:
        replies = yield [Request(model="test:model", messages=(Message("user", (text(f"w{i}"),)),)) for i in range(5)]
        return replies[0].text

    model = Broken()
    model.batch_at_most = 1
    with pytest.raises(crash):
        drive([round_of_five()], models={model.name: model}, store=store, done=print, terms=Terms(batch=True))
    # the first is on its way, of the second nobody knows, and the other three never left
    states = sorted((row.ticket, row.ended) for row in store.batches())
    assert states == [("", False), ("", True), ("", True), ("", True), ("b0", False)]


def test_a_batch_that_another_process_may_be_handing_over_is_left_to_it(store: Store) -> None:
    model = Provider()
    model.crash = "before"
    with pytest.raises(KeyboardInterrupt):
        run(store, model, 3)
    model.crash = ""
    _, tally = run(store, model, 3)
    assert (tally.waiting, model.batches, model.online) == (3, {}, [])
    assert "may be on its way" in tally.batches[0]


def test_a_budget_bounds_the_batch_and_the_next_run_goes_on(store: Store) -> None:
    model = Provider()
    _, tally = run(store, model, budget_usd=2.0)
    assert tally.stopped == "budget"
    assert sum(len(requests) for _, requests in model.batches.values()) == 4  # half a dollar each


def test_a_provider_that_cannot_be_asked_about_a_batch_stops_nothing(store: Store) -> None:
    class Down(Provider):
        async def collect(self, ticket: str) -> Batch:
            raise Unreachable("down")

    model = Down()
    run(store, model, 2)
    done, tally = run(store, model, 3, batch=False)
    assert (done, tally.waiting) == (["online"], 2)
    assert "could not be asked" in tally.batches[0]


def test_a_model_without_batches_is_refused_by_name(store: Store) -> None:
    from qrelkit.models.scripted import Scripted

    with pytest.raises(InputError, match="takes no batches"):
        run(store, Scripted("scripted:x", "y"))


def test_portions_respect_both_bounds() -> None:
    requests = [Request(model="m", messages=(Message("user", (text("x" * 4_000_000),)),), sample=i) for i in range(5)]
    assert [len(p) for p in portions(requests, Provider())] == [2, 2, 1]  # 4.4 MB each, 10 MB at most
