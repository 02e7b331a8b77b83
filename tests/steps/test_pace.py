"""How fast a model may be asked, over endpoints that are simulated with a clock of their own: no waiting in these tests."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

import pytest

from qrelkit.core.wire import Limits, Room
from qrelkit.steps.pace import FIRST_AT_ONCE, Pace


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time goes on to the next timer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.ahead += max(0.0, heapq.nsmallest(1, self._scheduled)[0].when() - self.time())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class Server:
    """Answers after `latency_s`; more than `slots` at a time are turned away (or wait in line)."""

    def __init__(self, slots: int, latency_s: float, *, queues: bool = False, retry_s: float = 0.1) -> None:
        self.slots, self.latency_s, self.queues, self.retry_s = slots, latency_s, queues, retry_s
        self.line = asyncio.Semaphore(slots)
        self.inside = self.answered = self.refused = self.most = 0

    async def call(self) -> bool:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if not self.queues and self.inside > self.slots:
                self.refused += 1
                return False
            async with self.line:
                await asyncio.sleep(self.latency_s)
            self.answered += 1
            return True
        finally:
            self.inside -= 1


def load(at_once: int | None, seconds: float, make: Callable[[], Server], limits: Limits = Limits()) -> tuple[Server, Pace]:
    """A server that is asked for so long by as many callers as could be of use."""

    async def work() -> tuple[Server, Pace]:
        loop, server = asyncio.get_running_loop(), make()
        pace = Pace(loop, asyncio.Event(), at_once, limits)
        until = loop.time() + seconds

        async def caller() -> None:
            while loop.time() < until:
                if not pace.begins(100):
                    await pace.turn(100)
                started = loop.time()
                answered = await server.call()
                if not answered:
                    pace.slow_down(server.retry_s)
                pace.over(answered, loop.time() - started)
                if not answered:
                    await pace.rest(server.retry_s)

        await asyncio.gather(*(caller() for _ in range(at_once or 150)))
        return server, pace

    with asyncio.Runner(loop_factory=Clock) as runner:
        return runner.run(work())


def test_a_number_that_is_given_is_kept() -> None:
    server, _ = load(20, 10, lambda: Server(100, 0.1))
    assert server.most == 20
    assert server.answered >= 0.95 * 20 * 10 / 0.1


def test_the_limit_of_a_server_that_turns_calls_away_is_found() -> None:
    server, pace = load(None, 60, lambda: Server(100, 0.5))
    ideal = 100 / 0.5 * 60
    assert server.answered >= 0.85 * ideal
    assert server.refused < 0.02 * server.answered
    assert 90 <= pace.allowed <= 101


def test_the_limit_of_a_server_that_lets_calls_wait_is_found() -> None:
    server, pace = load(None, 60, lambda: Server(40, 0.5, queues=True))
    assert server.answered >= 0.85 * 40 / 0.5 * 60
    assert pace.allowed <= 2 * 40  # and not all that could be held


def test_where_all_are_turned_away_one_is_asked_at_a_time_and_everybody_waits_as_told() -> None:
    server, pace = load(64, 10, lambda: Server(0, 0.1, retry_s=1.0))
    assert pace.allowed == 1
    assert server.refused <= 64 + 10 * 1.2  # the first of all, then about one a second


def test_requests_a_minute_are_spread() -> None:
    server, _ = load(16, 60, lambda: Server(100, 0.01), Limits(requests_per_minute=120))
    assert 118 <= server.answered <= 123 + 16  # 2 a second, 1 s ahead; those that wait at the end still go


def test_tokens_a_minute_are_spread() -> None:
    server, _ = load(4, 60, lambda: Server(100, 0.01), Limits(tokens_per_minute=30_000))  # 100 tokens each: 5 a second
    assert 295 <= server.answered <= 310


def test_an_endpoint_with_nothing_left_is_not_asked_before_it_begins_anew() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        pace = Pace(loop, asyncio.Event(), 4, Limits())
        started = loop.time()
        pace.told(Room(requests=0, requests_reset_s=7.0, tokens=100, tokens_reset_s=50.0))
        assert not pace.begins()
        await pace.turn()
        return loop.time() - started

    with asyncio.Runner(loop_factory=Clock) as runner:
        assert runner.run(work()) == pytest.approx(7.0, abs=0.1)


def test_the_first_number_is_moderate() -> None:
    assert FIRST_AT_ONCE <= 64
