"""Do hypothetical documents help words? BM25 with recorded generations: AutoMIR's four tasks at hand, and HyDE on TREC DL 2019.

    python benchmarks/hypothetical.py [--data FOLDER] [--pool own|merged]

AutoMIR: the gold passages of each task are its corpus (or of all tasks: `merged`), Han characters alone and in pairs; the query,
the generation, both, and both with the query five times; generations of the untuned writer (HyDE) and of the tuned one (SL-HyDE),
which are compared with each other by the paired randomisation test. These pools are small and easy: never to be compared with
the published tables. DL 2019: 9,139 judged passages, GPT-3's generations, term weights.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

WRITERS = {"HyDE": "qwen/query-rewrite.jsonl", "SL-HyDE": "qwen/query-rewrite-sft.jsonl"}
RULES = ("rewrite", "query+rewrite", "5*query+rewrite")
NOTED = {  # data/INDEX.md: query, query + HyDE, 5 × query + HyDE on pairs of Han characters, own pools
    "query": {"MedExam": 85.5, "DuBaike": 73.6, "CSLCite": 77.7, "CSLRel": 86.2},
    "HyDE query+rewrite": {"MedExam": 90.7, "DuBaike": 84.0, "CSLCite": 77.3, "CSLRel": 79.4},
    "HyDE 5*query+rewrite": {"MedExam": 90.4, "DuBaike": 85.6, "CSLCite": 79.0, "CSLRel": 85.1},
}
NOTED_DL19 = {0: 0.465, 1: 0.559, 8: 0.695}


def main() -> None:
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=os.environ.get("QRELKIT_DATA", str(here)))
    options.add_argument("--pool", default="own", choices=("own", "merged"))
    chosen = options.parse_args()
    data = Path(chosen.data)
    if not (data / "automir").is_dir():
        print(f"skipped: there is no {data / 'automir'}")
        return
    with tempfile.TemporaryDirectory() as folder:
        automir(data / "automir", chosen.pool, Path(folder))
        dl19(data)


def automir(folder: Path, pool: str, out: Path) -> None:
    import numpy as np

    from qrelkit.bench.generations import Generations
    from qrelkit.bench.protocol import Protocol
    from qrelkit.bench.retrievers import bm25
    from qrelkit.bench.run import Bench, bench
    from qrelkit.stats.significance import randomisation_test

    def measured(analyzer: str, writer: str, rule: str):
        rewrites = Generations(files=(WRITERS[writer],), combine=rule, name=writer) if writer else None
        where = out / "-".join(filter(None, (analyzer, writer, rule.replace("*", "x"))))
        protocol = Protocol(pool="" if pool == "own" else pool)
        return bench(
            "cmirb", folder, Bench(retriever=bm25("cmirb", analyzer=analyzer), out=where, rewrites=rewrites, protocol=protocol)
        )

    print(f"nDCG@10, {pool} gold pools, 95 % intervals by query; in brackets what data/INDEX.md notes\n")
    shown = False
    for analyzer in ("standard", "cjk"):
        rows = {"query": measured(analyzer, "", "")}
        rows |= {f"{writer} {rule}": measured(analyzer, writer, rule) for rule in RULES for writer in WRITERS}
        for name, found in rows.items():
            cells = []
            for result in found.results:
                estimate = result.estimates["nDCG@10"]
                noted = NOTED.get(name, {}).get(result.dataset.name) if analyzer == "cjk" and pool == "own" else None
                beside = "" if noted is None else f" ({noted})"
                cells.append(f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]{beside}")
            overall = found.mean.macro[found.mean.measures.index("nDCG@10")]
            if not shown:
                print("| terms | asked | " + " | ".join(result.dataset.name for result in found.results) + " | mean of 4 |")
                print("|---|---|" + "---|" * (len(found.results) + 1))
                shown = True
            cells.append(f"{100 * overall.value:.1f} [{100 * overall.low:.1f}, {100 * overall.high:.1f}]")
            print(f"| {analyzer} | {name} | " + " | ".join(cells) + " |", flush=True)
        for rule in RULES:
            first, second = (rows[f"{writer} {rule}"] for writer in WRITERS)
            parts = []
            for a, b in zip(first.results, second.results, strict=True):
                at = found.mean.measures.index("nDCG@10")
                difference = b.values[1][:, [at]] - a.values[1][:, [at]]
                p = float(randomisation_test(difference, flips=20_000)[0])
                parts.append(f"{a.dataset.name} {100 * float(np.mean(difference)):+.1f} (p {p:.3f})")
            print(f"SL-HyDE − HyDE, {analyzer}, {rule}: " + ", ".join(parts), flush=True)


def dl19(data: Path) -> None:
    import qrelkit as qk
    from qrelkit.core.rewriting import Rewrite
    from qrelkit.formats.rewrites import read_rewrites

    written = read_rewrites(data / "hyde_dl19" / "hyde_gpt3_generations.jsonl", method="hyde")
    shop = qk.load(documents=data / "trec_dl19" / "passages.jsonl", queries=data / "trec_dl19" / "topics.tsv")
    human = qk.read_qrels(data / "trec_dl19" / "qrels.human.txt", name="people")
    runs = []
    for count in NOTED_DL19:
        first = {i: Rewrite(query_id=i, texts=r.texts[:count], method="hyde") for i, r in written.items()} if count else None
        run = qk.retrieve(shop, qk.Bm25(shop, analyzer="english-ascii"), 1000, rewrites=first, combine="weights:2")
        runs.append(qk.Run(run.frame, f"{count} generations"))
    print("\nTREC DL 2019, judged passages, english-ascii, weights:2\n")
    scores = qk.evaluate(["nDCG@10"], runs, human)
    for cell, noted in zip(scores.cells, NOTED_DL19.values(), strict=True):
        print(f"{cell.tag}: nDCG@10 {cell.estimate} ({noted} noted)")


if __name__ == "__main__":
    main()
