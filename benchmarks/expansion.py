"""The whole expansion of ImageCLEFmed 2013 in size: 15,028 human judgments to 558,653, with a model that answers at once.

    python benchmarks/expansion.py [--scale 1.0] [--folder FOLDER] [--route text|shown]

Generates a collection in exactly that layout (75,000 articles of 40 kB, 300,000 figures, 35 topics; kept in --folder for the
next time), indexes it, pools as many pairs a topic, and judges all of them into one store. The model is a function in the same
process; the time spent in it is taken off. Needed: cold bookkeeping 120 s, warm rerun 5 s, export 5 s, memory 1.5 GB, 3 kB a
judgment in the store beyond the reply. A second part opens 1,000,000 documents of 1 kB (1 s) and reads 10,000 (300 MB).
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from qrelkit.core.wire import Limits, Reply, Request

PAIRS, ARTICLES, FIGURES, TOPICS, JUDGED, RELEVANT = 558_653, 75_000, 300_000, 35, 15_028, 709
ANSWER = '{"verdict": "not_relevant"}'


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--folder", default="")
    options.add_argument("--route", default="text")
    options.add_argument("--part", default="")
    chosen = options.parse_args()
    if chosen.part:
        {"judge": judging, "open": opening}[chosen.part](Path(chosen.folder), chosen.scale, chosen.route)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(chosen.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        generate(folder, chosen.scale)
        for part in ("judge", "open"):  # each in a process of its own: memory is measured
            command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
            command += ["--scale", str(chosen.scale), "--route", chosen.route]
            subprocess.run(command, check=True, env=os.environ | {"QRELKIT_CACHE": str(folder / "cache")})


def say(what: str, value: str) -> None:
    print(f"{what:64} {value}", flush=True)


def generate(folder: Path, scale: float) -> None:
    from qrelkit.sources.demo.cases import write_cases

    if (folder / "cases" / "qrels").exists():
        return
    started = time.perf_counter()
    size = {"articles": int(ARTICLES * scale), "figures": int(FIGURES * scale), "judged": int(JUDGED * scale)}
    write_cases(folder / "cases", topics=TOPICS, chars=40_000, relevant=int(RELEVANT * scale), traps=False, **size)
    say(f"generate {size['articles']:,} articles, {size['figures']:,} figures", f"{time.perf_counter() - started:.0f} s")


def judging(folder: Path, scale: float, route: str) -> None:
    import polars as pl

    import qrelkit as qk
    from qrelkit.core.guideline import SCALES, Guideline
    from qrelkit.core.pool import Pool
    from qrelkit.core.qrels import Qrels
    from qrelkit.core.wire import Settings
    from qrelkit.formats.trec import write_qrels
    from qrelkit.judges.pointwise import Look, Pointwise
    from qrelkit.stores.sql import SqlStore
    from qrelkit.text.prompt import read_prompt

    started = time.perf_counter()
    collection = qk.load(str(folder / "cases"))
    say("load (index made where there is none)", f"{time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    collection = qk.load(str(folder / "cases"))
    say("open again", f"{time.perf_counter() - started:.2f} s")
    human: Qrels = next(iter(collection.qrels.values()))
    pool = pooled(collection.doc_ids.to_list(), collection.queries["query_id"].to_list(), human, int(PAIRS * scale))
    model = AtOnce()
    guideline = Guideline(scale=SCALES["binary"])

    def judge() -> Pointwise:
        look = Look(route=route, max_document_chars=60_000)
        return Pointwise(model.name, guideline, read_prompt("binary-case"), look=look, sampling=Settings(max_tokens=100))

    store_file = folder / "store.db"
    for file in folder.glob("store.db*"):
        file.unlink()
    with SqlStore(store_file) as store:
        started = time.perf_counter()
        judged = qk.judge(pool, judge(), collection, store=store, models={model.name: model}, at_once=256)
        wall = time.perf_counter() - started
        assert judged.ungraded == 0
        say(f"judge {judged.frame.height:,} pairs cold, 256 at once", f"{wall:.1f} s ({judged.frame.height / wall:,.0f}/s)")
        say("  of which the processor was busy", f"{judged.tally.busy_s:.1f} s")
        started = time.perf_counter()
        again = qk.judge(pool, judge(), collection, store=store, models={model.name: model})
        say("judge again", f"{time.perf_counter() - started:.2f} s, {again.tally.asked} requests")
        started = time.perf_counter()
        expanded = qk.expand(human, again.qrels(), pool=pool, scale=SCALES["binary"])
        write_qrels(Qrels(expanded.qrels.graded, "expanded"), str(folder / "expanded.qrels"))
        say(f"expand to {expanded.qrels.graded.height:,} and export", f"{time.perf_counter() - started:.2f} s")
    size = sum(file.stat().st_size for file in folder.glob("store.db*"))
    beyond = size / judged.frame.height - len(ANSWER)
    say("store", f"{size / 1e6:,.0f} MB, {beyond:,.0f} bytes a judgment beyond the reply")
    say("memory at most", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    assert isinstance(pool, Pool)
    assert isinstance(judged.frame, pl.DataFrame)


class AtOnce:
    """A model that answers everything alike, at once."""

    name, at_most, price, room = "scripted:expansion", 1, "", None
    limits = Limits()
    reply = (Reply(text=ANSWER, finish="stop", tokens_in=12_000, tokens_out=8, served="scripted"),)

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        return self.reply

    def cost_usd(self, reply: Reply) -> None:
        return None

    def tokens_in(self, request: Request) -> int:
        return 12_000

    async def close(self) -> None:
        return None


def pooled(doc_ids: list[str], query_ids: list[str], human: object, pairs: int) -> object:
    """The human-judged pairs and, evenly over the topics, others: as if from runs."""
    import polars as pl

    from qrelkit.core.run import Run
    from qrelkit.steps.pool import pool

    judged = human.graded.select("query_id", "doc_id")  # type: ignore[attr-defined]
    taken = set(judged.iter_rows())
    chance, rows = random.Random(1), [(q, d, 1.0) for q, d in judged.iter_rows()]
    each = -(-pairs // len(query_ids))
    for query_id in query_ids:
        own = [d for d in chance.sample(doc_ids, min(each, len(doc_ids))) if (query_id, d) not in taken]
        have = sum(1 for q, _ in taken if q == query_id)
        rows += [(query_id, d, 0.5) for d in own[: each - have]]
    rows = rows[:pairs] if len(rows) > pairs else rows
    frame = pl.DataFrame(rows, schema={"query_id": pl.String, "doc_id": pl.String, "score": pl.Float64}, orient="row")
    return pool([Run.of(frame, "all")], depth=len(doc_ids))


def opening(folder: Path, scale: float, route: str) -> None:
    import qrelkit as qk

    count = int(1_000_000 * scale)
    where = folder / "million"
    if not where.exists():
        where.mkdir()
        with (where / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as out:
            filler = "a product with a long description that goes on " * 20
            for i in range(count):
                out.write(f'{{"id": "d{i}", "title": "Product {i}", "text": "{filler}"}}\n')
        (where / "queries.tsv").write_text("q1\tproduct\n", encoding="utf-8", newline="\n")
        subprocess.run([sys.executable, "-c", f"import qrelkit as qk; qk.load({str(where)!r})"], check=True)
    started = time.perf_counter()
    collection = qk.load(str(where))
    say(f"open {count:,} documents of 1 kB", f"{time.perf_counter() - started:.2f} s")
    chance = random.Random(2)
    started = time.perf_counter()
    for _ in range(10_000):
        collection.document(f"d{chance.randrange(count)}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    say("read 10,000 of them", f"{time.perf_counter() - started:.2f} s, {memory:.0f} MB at most")


if __name__ == "__main__":
    main()
