"""Two processes judge the same pool in one store: no pair is paid twice, and one that dies is followed at once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import pytest
from aiohttp import web

from faults.many import expected, fine, judging, pair_of, point, verdict, wait_for, write_many
from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer

AT_ONCE, QUERIES, DOCUMENTS = 8, 4, 75
PAIRS = QUERIES * DOCUMENTS
SPARE = AT_ONCE // 2  # requests that a process may have ready beside those it has sent


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'store.db'}"


class Waiting(ChatServer):
    """Answers its first `most` requests once `opened` is set, and the others once `then` is, at the latest when it ends."""

    def __init__(self, opened: Event, most: int = 10**9, then: Event | None = None) -> None:
        super().__init__(answer=verdict)
        self.opened, self.most, self.then = opened, most, then or Event()
        self.times: dict[tuple[str, str], list[float]] = {}
        self.next(*[self.held] * 10_000)

    async def held(self, request: web.Request) -> web.StreamResponse:
        self.times.setdefault(pair_of(orjson.loads(await request.read())), []).append(time.monotonic())
        gate = self.opened if len(self.bodies) <= self.most else self.then
        await asyncio.to_thread(gate.wait)
        return await fine(self)(request)

    def __exit__(self, *error: object) -> None:
        self.then.set()
        super().__exit__(*error)

    @property
    def asked(self) -> Counter[tuple[str, str]]:
        return Counter({pair: len(times) for pair, times in self.times.items()})


def sessions(store: SqlStore) -> int:
    with store._database.reading():
        ((count,),) = store._database.rows("SELECT count(*) FROM sessions")
    return int(count)


def table(store: SqlStore) -> dict[tuple[str, str], Any]:
    (judge,) = store.judges()["judge_key"]
    rows = store.known(judge).select("query_id", "doc_id", "grade").rows()
    return {(query, document): grade for query, document, grade in rows}


def test_two_at_once_pay_for_every_pair_once(tmp_path: Path, where: str) -> None:
    shop, both = write_many(tmp_path, queries=QUERIES, documents=DOCUMENTS), Event()
    with Waiting(both) as server, SqlStore(where) as store:
        point(shop, server.url, AT_ONCE, store=where)
        with judging(shop) as first, judging(shop) as second:
            wait_for(lambda: sessions(store) == 2)
            both.set()
            for process in (first, second):
                out, words = process.communicate(timeout=60)
                assert process.returncode == 0, words
                assert f"graded\t{PAIRS}" in out
        assert server.asked == dict.fromkeys(expected(QUERIES, DOCUMENTS), 1)
        assert table(store) == expected(QUERIES, DOCUMENTS)
        assert store.unanswered().height == 0
        assert store.verify() == []


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be asked there whether it is alive without ending it")
def test_one_is_killed_and_the_other_takes_over(tmp_path: Path, where: str) -> None:
    shop, both, stuck = write_many(tmp_path, queries=QUERIES, documents=DOCUMENTS), Event(), Event()
    with Waiting(both, 80) as one, Waiting(both, 60, stuck) as other, SqlStore(where) as store:
        point(shop, None, AT_ONCE, store=where)
        with judging(shop, OPENAI_BASE_URL=one.url) as dies, judging(shop, OPENAI_BASE_URL=other.url) as lives:
            wait_for(lambda: sessions(store) == 2)
            both.set()
            wait_for(lambda: len(one.bodies) == 80 + AT_ONCE)  # the first gets no more answers
            stuck.set()  # and the second all that are left
            wait_for(lambda: len(one.bodies) + len(other.bodies) >= PAIRS - SPARE)
            dies.kill()
            killed = time.monotonic()
            out, words = lives.communicate(timeout=60)
        assert lives.returncode == 0, words
        assert f"graded\t{PAIRS}" in out
        again = one.asked.keys() & other.asked.keys()
        assert len(again) == AT_ONCE  # those that the first was still waiting for, and no other
        assert one.asked + other.asked == dict.fromkeys(expected(QUERIES, DOCUMENTS), 1) | dict.fromkeys(again, 2)
        took_s = max(other.times[pair][0] for pair in again) - killed
        assert took_s < 15  # and not the 45 s of a session that may be on another machine
        assert table(store) == expected(QUERIES, DOCUMENTS)
        assert store.unanswered().height >= AT_ONCE
    print(f"\ntaken over after {took_s:.2f} s")
