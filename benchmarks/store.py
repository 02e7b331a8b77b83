"""What the store costs: writing replies, finding them, and reading back what is known. Medians; microseconds per row.

    python benchmarks/store.py [--rows 500000]

Replies have 300 characters and each brings one new part of 1.5 kB; batches are of 32 (`add_replies`) and of 32 and 64
(`exchange`: so many replies and so many new claims in one transaction), as they arise at 64 in flight. Both ways to store are
shown: `sync: full` is safe against power loss, `normal` against everything else.
The driver may spend about 70 µs per reply beyond a bare aiohttp loop at 17,000/s if it is to keep 45 % of that loop.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from qrelkit.core.records import Judgment
from qrelkit.core.wire import Message, Reply, Request, Schema, text
from qrelkit.stores.dialect import Sync
from qrelkit.stores.sql import SqlStore

BATCH = 32
SYNC: tuple[Sync, ...] = ("full", "normal")
WORDS = Path(__file__).read_text(encoding="utf-8").split()
SCHEMA = Schema.of("verdict", {"type": "object", "properties": {"grade": {"type": "integer"}}})


def asked(first: int, count: int, seed: int) -> list[tuple[Request, Reply]]:
    """Requests with a shared system text, a query's text shared by 100, and a document's text of their own."""
    chance = random.Random(seed + first)
    system, rows = text("You judge how relevant a document is. " * 20), []
    for number in range(first, first + count):
        body = " ".join(chance.choices(WORDS, k=210))[:1480] + f" {number} {seed}"
        user = (text(f"query {number // 100}"), text(body), text("Answer in JSON."))
        messages = (Message("system", (system,)), Message("user", user))
        request = Request(model="openai:m-1", messages=messages, schema=SCHEMA)
        rows.append((request, Reply(text="r" * 300, served="m-1", finish="stop", tokens_in=900, tokens_out=80, cost_usd=1e-4)))
    return rows


def written(store: SqlStore, rows: int) -> Iterator[tuple[int, float]]:
    """The time per row of `add_replies`, at every tenth of the way."""
    times: list[float] = []
    for first in range(0, rows, BATCH):
        batch = asked(first, BATCH, 1)
        start = time.perf_counter()
        store.add_replies(batch)
        times.append((time.perf_counter() - start) / BATCH)
        if len(times) == max(1, rows // BATCH // 10):
            yield first + BATCH, sum(times) / len(times) * 1e6
            times.clear()


def exchanged(store: SqlStore, rows: int, size: int, seed: int) -> float:
    """The time per row of `exchange`, each of which stores `size` replies and claims as many requests."""
    session, flying, times = store.open_session("benchmark"), [], []
    for first in range(0, rows, size):
        batch = asked(first, size, seed)
        asking = [request.digest for request, _ in batch]
        start = time.perf_counter()
        store.exchange(session, asking, flying)
        times.append((time.perf_counter() - start) / size)
        flying = batch
    store.end_session(session)
    return sum(times) / len(times) * 1e6


def median_s(what: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        what()
        taken.append(time.perf_counter() - start)
    return median(taken)


def judged(store: SqlStore, rows: int, documents: int) -> None:
    """Judgments of pairs of `documents` documents, 500 per query."""
    store.add_judge("k", "judge", {})
    keys = [f"{random.Random(d).getrandbits(128):032x}" for d in range(documents)]
    for first in range(0, rows, 5_000):
        store.add_judgments(
            "k",
            [
                Judgment(
                    query_id=f"q{n // 500}",
                    doc_id=f"doc-{n % documents}",
                    grade=n % 4,
                    outcome="graded",
                    reason="because " * 40,
                    query_key=keys[n // 500],
                    doc_key=keys[n % documents],
                    request=f"r1:{keys[n % documents]}",
                )
                for n in range(first, first + 5_000)
            ],
        )


def writing(folder: Path, rows: int) -> Path:
    """Both ways to store; returns the file that is looked into afterwards."""
    for sync in SYNC:
        with SqlStore(folder / f"exchange-{sync}.db", sync=sync) as store:
            for size in (BATCH, 2 * BATCH):
                cost = exchanged(store, rows // 4, size, size)
                print(f"exchange of {size}, sync: {sync:<6}       {cost:8.1f} µs/row = {1e6 / cost:,.0f} replies/s")
    for sync in SYNC:
        path = folder / f"replies-{sync}.db"
        with SqlStore(path, sync=sync) as store:
            for count, cost in written(store, rows):
                print(f"add_replies up to {count:>9,}, sync: {sync:<6} {cost:8.1f} µs/row")
    return path


def reading(path: Path, rows: int) -> None:
    """Finding replies, and what is read of all of them."""
    with SqlStore(path) as store:
        print(f"spent_usd, first call              {median_s(store.spent_usd, 1):8.3f} s")
        known = [r.digest for first in range(0, rows, rows // 10) for r, _ in asked(first, 500, 1)][:5000]
        other = [r.digest for r, _ in asked(0, 5000, 2)]
        print(f"first look-up after opening        {median_s(lambda: store.replies(other[:1]), 1):8.3f} s")
        for name, digests in (("known", known), ("unknown", other)):
            each = median([median_s(lambda d=digests[i : i + 500]: store.replies(d)) for i in range(0, 5000, 500)])  # type: ignore[misc]
            print(f"replies, 500 {name:>7} digests       {each / 500 * 1e6:8.1f} µs/digest")
        one = [[d] for d in known[:200]]
        print(f"replies, one known digest          {median_s(lambda: [store.replies(d) for d in one]) / 200 * 1e6:8.1f} µs")
        print(f"conversation                       {median_s(lambda: store.conversation(known[7]), 50) * 1e6:8.1f} µs")
        print(f"verify                             {median_s(store.verify, 1):8.2f} s")
    print(f"file                               {path.stat().st_size / rows:8.0f} bytes/row")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    rows: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        reading(writing(Path(folder), rows), rows)
        for documents in (min(50_000, rows), rows):
            with SqlStore(Path(folder) / f"judgments-{documents}.db") as store:
                took = median_s(lambda s=store, d=documents: judged(s, rows, d), 1)  # type: ignore[misc]
                print(f"add_judgments, {documents:>7,} documents   {took / rows * 1e6:8.1f} µs/row")
                print(f"known(), {rows:,} rows            {median_s(lambda s=store: s.known('k')):8.2f} s")  # type: ignore[misc]
                print(f"judgments(), {rows:,} rows        {median_s(store.judgments, 1):8.2f} s")


if __name__ == "__main__":
    main()
