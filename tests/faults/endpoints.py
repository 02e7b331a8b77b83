"""Models that do what a test says, and drives that cannot hang the tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from qrelkit.core.doors import Store
from qrelkit.core.wire import Batch, Flow, Limits, Message, Reply, Request, Room, text
from qrelkit.steps.drive import drive
from qrelkit.steps.tally import Tally

NAME = "test:model"


class Endpoint:
    """Answers each request with a reply or by raising; `asked` is every request so far."""

    name, limits, price = NAME, Limits(), ""
    room: Room | None = None

    def __init__(self, answer: Callable[[Request], Reply | BaseException], *, at_most: int = 1, delay_s: float = 0.0) -> None:
        self.answer, self.at_most, self.delay_s = answer, at_most, delay_s
        self.asked: list[Request] = []
        self.closed = False

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.asked += requests
        await asyncio.sleep(self.delay_s)
        answers = [self.answer(request) for request in requests]
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, Reply)]

    def cost_usd(self, reply: Reply) -> float | None:
        return 0.0

    def tokens_in(self, request: Request) -> int:
        return 10

    async def close(self) -> None:
        self.closed = True


class Provider(Endpoint):
    """Has a batch endpoint: half a dollar a reply, online a dollar. Each `at_…` is awaited where its name says."""

    batch_at_most, batch_mb = 3, 10.0

    def __init__(self) -> None:
        super().__init__(echo)
        self.batches: dict[str, tuple[str, list[Request]]] = {}
        self.ended = False
        self.at_submit = self.at_collect = self.at_submitted = nothing

    async def submit(self, requests: Sequence[Request], tag: str) -> str:
        await self.at_submit()
        ticket = f"b{len(self.batches)}"
        self.batches[ticket] = (tag, list(requests))
        await self.at_submitted()
        return ticket

    async def find(self, tag: str) -> str | None:
        return next((ticket for ticket, (own, _) in self.batches.items() if own == tag), None)

    async def collect(self, ticket: str) -> Batch:
        await self.at_collect()
        replies = {r.digest: echo(r, batch=True) for r in self.batches[ticket][1]}
        return Batch(ended=self.ended, replies=replies if self.ended else {})

    def cost_usd(self, reply: Reply) -> float | None:
        return 0.5 if reply.batch else 1.0


async def nothing() -> None:
    return None


def ask(words: str, sample: int = 0) -> Request:
    return Request(model=NAME, messages=(Message("user", (text(words),)),), sample=sample)


def said(request: Request) -> str:
    (part,) = request.messages[0].parts
    return part.text  # type: ignore[union-attr]


def echo(request: Request, *, batch: bool = False) -> Reply:
    return Reply(text=said(request).upper(), batch=batch)


def one(words: str) -> Flow[str]:
    (reply,) = yield [ask(words)]
    return reply.text or reply.outcome


def many(count: int) -> Iterator[Flow[str]]:
    return (one(f"w{n}") for n in range(count))


def digests(count: int) -> list[str]:
    return [ask(f"w{n}").digest for n in range(count)]


def run(flows: Iterable[Flow[Any]], model: Endpoint, store: Store, **dials: Any) -> tuple[list[Any], Tally]:
    out: list[Any] = []
    dials = {"done": out.append} | dials
    return out, drive(flows, models={NAME: model}, store=store, **dials)


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """What the work returns or raises; a drive that takes longer gets Ctrl-C, twice, and that is an AssertionError."""
    started = time.monotonic()
    with ctrl_c(seconds, seconds + 0.2, seconds + 0.4):
        value = work()
    assert time.monotonic() - started < seconds, "it hung until Ctrl-C"
    return value


@contextlib.contextmanager
def ctrl_c(*after_s: float) -> Iterator[None]:
    """Ctrl-C at these seconds from now, as long as the block lasts."""
    timers = [threading.Timer(s, os.kill, (os.getpid(), signal.SIGINT)) for s in after_s]
    for timer in timers:
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


Step = Callable[[], Awaitable[None]]
