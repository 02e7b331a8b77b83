"""The second run of `judge`: 500,000 known pairs, no request. Required: at most 5 s.

    python benchmarks/second_run.py [--pairs 500000] [--rounds 3]

A collection of 50,000 documents and 500 queries on disk, a store on disk with a judgment for every pair of the pool. Timed is
what a user waits for: opening the store, the join, and the result, with the pool in hand.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import orjson
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.guideline import SCALES, Guideline
from qrelkit.core.pool import Pool
from qrelkit.core.records import Judgment
from qrelkit.judges.pointwise import Pointwise
from qrelkit.models.scripted import Scripted
from qrelkit.steps.judge import judge, with_keys
from qrelkit.steps.load import load
from qrelkit.stores.sql import SqlStore
from qrelkit.text.prompt import read_prompt

QUERIES, DOCUMENTS = 500, 50_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=500_000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collection = the_collection(folder)
        pool = the_pool(chosen.pairs)
        model = Scripted("scripted:none", [])  # a request would be an error: nothing is written for it
        assessor = Pointwise(model.name, Guideline(scale=SCALES["product-3"]), read_prompt("pointwise@1"))
        fill(folder / "store.db", pool, assessor, collection)
        times = []
        for _ in range(chosen.rounds):
            started = time.perf_counter()
            with SqlStore(str(folder / "store.db")) as store:
                found = judge(pool, assessor, collection, store=store, models={model.name: model})
            times.append(time.perf_counter() - started)
            assert (found.known, found.tally.asked, found.ungraded) == (len(pool), 0, 0)
        size = (folder / "store.db").stat().st_size / 1e6
    median = statistics.median(times)
    print(f"{len(pool):,} known pairs, store of {size:,.0f} MB: {median:.2f} s (median of {len(times)}), 0 requests; needed: 5 s")


def the_collection(folder: Path) -> Collection:
    documents = ({"id": f"d{i}", "text": f"document number {i} with some words"} for i in range(DOCUMENTS))
    (folder / "corpus.jsonl").write_bytes(b"".join(orjson.dumps(d) + b"\n" for d in documents))
    queries = "".join(f"q{i}\tquery number {i}\n" for i in range(QUERIES))
    (folder / "topics.tsv").write_text(queries, encoding="utf-8", newline="\n")
    return load(str(folder))


def the_pool(pairs: int) -> Pool:
    each = pairs // QUERIES
    place = pl.int_range(0, each * QUERIES, eager=True)
    query, offset = place // each, place % each
    doc = (query * 97 + offset * 31) % DOCUMENTS
    frame = pl.DataFrame({"query_id": "q" + query.cast(pl.String), "doc_id": "d" + doc.cast(pl.String)})
    return Pool(frame.with_columns(tags=pl.lit(["run"]), best_rank=pl.lit(1, dtype=pl.UInt32)), 1000, 1)


def fill(path: Path, pool: Pool, assessor: Pointwise, collection: Collection) -> None:
    """A judgment of every pair, as a first run would have left it."""
    keyed = with_keys(pool.frame.select("query_id", "doc_id"), assessor, collection)
    with SqlStore(str(path)) as store:
        store.add_judge(assessor.key, assessor.name, assessor.settings)
        rows = keyed.select("query_id", "doc_id", "query_key", "doc_key").rows()
        for start in range(0, len(rows), 20_000):
            batch = rows[start : start + 20_000]
            store.add_judgments(
                assessor.key,
                [
                    Judgment(query_id=q, doc_id=d, query_key=qk, doc_key=dk, grade=i % 3, outcome="graded", reason="because")
                    for i, (q, d, qk, dk) in enumerate(batch)
                ],
            )


if __name__ == "__main__":
    main()
