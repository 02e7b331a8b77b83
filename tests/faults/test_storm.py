"""A storm: half of all requests turned away, connections lost in the middle, drips, half a JSON, errors that call themselves 200.

The server keeps the books: what it answered whole is paid, and must never be asked again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from faults.many import expected, fine, judged, pair_of, point, verdict, write_many
from qrelkit.project.project import Project
from qrelkit.steps.judge import Judged, judge
from qrelkit.steps.pool import pool
from qrelkit.steps.terms import Terms
from servers.chat import ChatServer, Fault, answering, cut_off, dripping, dropped, failing, rate_limited

AT_ONCE, QUERIES, DOCUMENTS = 16, 4, 40
PAIRS = QUERIES * DOCUMENTS


async def lost(request: web.Request) -> web.StreamResponse:
    """Hangs up, later than on a connection that was idle (such a request is sent again at once, for nobody has read it)."""
    await asyncio.sleep(0.15)
    return await dropped(request)


BROKEN: list[Fault] = [
    lost,
    cut_off,
    answering(b'{"choices": [{"message": {"content": "{\\"verdict\\": \\"irre'),
    answering(b"<html><body>Welcome to the network</body></html>", content_type="text/html"),
    answering(b'{"error": {"message": "upstream is overloaded", "code": 502}}'),
    answering(b'{"error": "out of memory"}'),
    answering(b"", content_type="application/json"),
    dripping(0.1),
    dripping(0.1, headers=True),
    failing(500, "Internal error"),
]


class Storm(ChatServer):
    """`meets` says what the n-th request, about a pair, meets; None is a whole answer."""

    def __init__(self, meets: Callable[[int, tuple[str, str]], Fault | None]) -> None:
        super().__init__(answer=verdict)
        self.meets = meets
        self.answered: Counter[tuple[str, str]] = Counter()
        self.again: list[tuple[str, str]] = []  # asked although it had been answered whole
        self.open: list[asyncio.Transport] = []
        self.most_open = 0
        self.next(*[self.weather] * 100_000)

    async def weather(self, request: web.Request) -> web.StreamResponse:
        pair = pair_of(orjson.loads(await request.read()))
        if pair in self.answered:
            self.again.append(pair)
        assert isinstance(request.transport, asyncio.Transport)
        self.open = [t for t in self.open if not t.is_closing()] + [request.transport]
        self.most_open = max(self.most_open, len(self.open))
        try:
            await asyncio.sleep(0.002)
            fault = self.meets(len(self.bodies), pair)
            if fault is not None:
                return await fault(request)
            self.answered[pair] += 1
            return await fine(self)(request)
        finally:
            self.open = [t for t in self.open if t is not request.transport]


def run(shop: Path, server: ChatServer, retries: int) -> Judged:
    """`judge` with other retries than the command line's."""
    point(shop, server.url, AT_ONCE, timeout_s=0.5)
    with Project.open(shop) as project:
        pairs = pool(project.runs(), project.config.depth)
        dials = {"store": project.store, "models": project.judge_models(), "terms": Terms(retries=retries)}
        return judge(pairs, project.judge(pairs), project.collection, at_once=AT_ONCE, **dials)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_many(tmp_path, queries=QUERIES, documents=DOCUMENTS)


def test_a_storm_costs_nothing_but_time(shop: Path) -> None:
    chance, broken = random.Random(7), Counter[tuple[str, str]]()

    def meets(number: int, pair: tuple[str, str]) -> Fault | None:
        draw = chance.random()
        if draw < 0.5 or 100 <= number < 130 or 250 <= number < 265:  # half of them, and at times all
            return rate_limited("0.008")
        if draw < 0.6 and broken[pair] < 1:
            broken[pair] += 1
            return chance.choice(BROKEN)
        return None

    with Storm(meets) as server:
        done = run(shop, server, retries=4)
        assert done.outcomes == {"graded": PAIRS}
        assert server.again == []
        assert server.answered == dict.fromkeys(expected(QUERIES, DOCUMENTS), 1)
        assert server.most_open <= AT_ONCE
        assert len(server.bodies) == done.tally.asked > 2 * PAIRS
        assert broken.total() >= len(BROKEN)
    assert judged(shop) == expected(QUERIES, DOCUMENTS)


def test_pairs_that_never_get_through_fail_by_name_and_are_no_zeros(shop: Path) -> None:
    doomed = dict(zip([("q0", "d003"), *(("q1", f"d{n:03}") for n in range(10, 19))], BROKEN, strict=True))

    with Storm(lambda number, pair: doomed.get(pair)) as server:
        done = run(shop, server, retries=1)
        assert done.outcomes == {"failed": len(doomed), "graded": PAIRS - len(doomed)}
        assert (server.again, server.most_open <= AT_ONCE) == ([], True)
        assert len(server.bodies) == PAIRS + len(doomed)  # each of them was tried twice
        assert done.frame.filter(outcome="failed")["grade"].to_list() == [None] * len(doomed)
        reasons = " · ".join(done.tally.errors)
        for words in ("no whole answer within 0.5 s", "no whole JSON object", "upstream is overloaded", "out of memory", "500"):
            assert words in reasons
        assert judged(shop) == {pair: grade for pair, grade in expected(QUERIES, DOCUMENTS).items() if pair not in doomed}
        with Project.open(shop) as project:
            attempts = project.store.attempts()
        assert (attempts.height, attempts["digest"].n_unique()) == (2 * len(doomed), len(doomed))
        before, server.meets = len(server.bodies), lambda number, pair: None
        assert run(shop, server, retries=1).outcomes == {"graded": PAIRS}
        assert len(server.bodies) == before + len(doomed)
    assert judged(shop) == expected(QUERIES, DOCUMENTS)
