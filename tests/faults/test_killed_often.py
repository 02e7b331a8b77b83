"""kill -9 at random moments of 5,000 judgments: what was stored stays, once; what was on its way is listed and asked again."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from cli.calling import call
from faults.many import expected, judged, judging, pair_of, point, verdict, write_many
from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer

AT_ONCE, QUERIES, DOCUMENTS, KILLS, SEED = 32, 10, 500, 6, 20_253
PAIRS = QUERIES * DOCUMENTS
Pair = tuple[str, str]


class Killer:
    """Answers; and ends a process once it has asked so many requests, within 20 ms, wherever it is then."""

    def __init__(self) -> None:
        self.asked: Counter[Pair] = Counter()
        self.process: Popen[str] | None = None
        self.left, self.jitter_s = 0, 0.0

    def __call__(self, body: dict[str, Any]) -> str:
        self.asked[pair_of(body)] += 1
        self.left -= 1
        if self.left == 0 and self.process is not None:
            threading.Timer(self.jitter_s, self.process.kill).start()
        return verdict(body)


def replies(folder: Path) -> list[tuple[int, bytes, bytes]]:
    """Number, digest and text of every stored reply, read beside the store."""
    file = folder / ".qrelkit" / "store.db"
    with sqlite3.connect(file) as connection:
        return connection.execute("SELECT id, digest, text FROM replies ORDER BY id").fetchall()


def asked_about(store: SqlStore, digest: str) -> Pair:
    """The pair of a request that was answered in the end."""
    found = store.conversation(digest)
    assert found is not None
    said = "\n".join(part["text"] for part in found[0]["messages"][-1]["parts"])
    return pair_of({"messages": [{"content": said}]})


def lost(folder: Path) -> Mapping[int, list[str]]:
    """By session, the requests that were sent and never answered."""
    out: dict[int, list[str]] = {}
    with SqlStore(folder / ".qrelkit" / "store.db") as store:
        for digest, session in store.unanswered().select("digest", "session").rows():
            out.setdefault(session, []).append(digest)
    return out


def test_5000_judgments_killed_again_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance, killer = random.Random(SEED), Killer()
    shop = write_many(tmp_path, queries=QUERIES, documents=DOCUMENTS)
    again, kept, listed = [], [], {}
    with ChatServer(answer=killer) as server:
        point(shop, server.url, AT_ONCE)
        for _ in range(KILLS):
            asked = killer.asked.total()
            killer.left, killer.jitter_s = chance.randint(1, (PAIRS - asked) // 2), chance.uniform(0, 0.02)
            with judging(shop) as killer.process:
                assert killer.process.wait(60) != 0
            before, kept = kept, replies(shop)
            assert kept[: len(before)] == before  # nothing that was there is gone, or another
            assert len({digest for _, digest, _ in kept}) == len(kept)
            again.append(killer.asked.total() - asked - (len(kept) - len(before)))
            assert 0 <= again[-1] <= AT_ONCE
            before_this, listed = listed, lost(shop)
            assert {s: listed[s] for s in before_this} == before_this
            (new,) = [digests for session, digests in listed.items() if session not in before_this] or [[]]
            assert len(new) >= again[-1]  # claimed is more than sent
        killer.process = None
        with judging(shop) as last:
            _, words = last.communicate(timeout=60)
        assert last.returncode == 0, words
    assert judged(shop) == expected(QUERIES, DOCUMENTS)
    assert replies(shop)[: len(kept)] == kept
    assert len(replies(shop)) == PAIRS
    twice = {pair for pair, count in killer.asked.items() if count > 1}
    assert killer.asked.total() == PAIRS + sum(again)
    with SqlStore(shop / ".qrelkit" / "store.db") as store:
        assert lost(shop) == listed
        assert twice <= {asked_about(store, digest) for digests in listed.values() for digest in digests}
    counts = f"{sum(map(len, listed.values()))} requests of {len(listed)} sessions that died"
    with contextlib.chdir(shop):
        assert counts in call(capsys, "doctor").out
    print(f"\nasked again after each kill: {again}, of {AT_ONCE} at once")
