"""Which pairs should be judged when only n labels can be paid? The ways of pooling at equal numbers of labels, on TREC DL 2019.

    python benchmarks/pooling.py [--data FOLDER] [--measure nDCG@10] [--labels 215,430,860,1290,1720,2150]

37 runs to rank 20, 43 queries, and of their pairs the 3,126 that people graded (relevant from 2). Move-to-front and the
bandit are told the people's grades as they go, or GPT-4o's. Without the data (../shared/data, or QRELKIT_DATA) it says so.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path


def main() -> None:
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=os.environ.get("QRELKIT_DATA", str(here)))
    options.add_argument("--measure", default="nDCG@10")
    options.add_argument("--labels", default="215,430,860,1290,1720,2150")
    options.add_argument("--repeats", type=int, default=20)
    chosen = options.parse_args()
    folder = Path(chosen.data) / "trec_dl19"
    if not folder.is_dir():
        print(f"skipped: there is no {folder}")
        return
    import qrelkit as qk
    from qrelkit.steps.adjudicate import METHODS, TOLD, Offered
    from qrelkit.steps.pooling import choose, compare

    runs = qk.read_runs(folder / "runs_top20.tsv.gz")
    human = qk.read_qrels(folder / "qrels.human.txt", name="people")
    gpt4o = qk.read_qrels(folder / "llm_labels" / "gpt-4o_umbrela.txt", name="GPT-4o")
    budgets = [int(n) for n in chosen.labels.split(",")]
    for feedback, methods in ((human, METHODS), (gpt4o, TOLD)):
        started = time.perf_counter()
        found = compare(chosen.measure, runs, human, budgets, methods, feedback=feedback, relevant_from=2, repeats=chosen.repeats)
        print(found.text(), f"\n{time.perf_counter() - started:.1f} s, {chosen.repeats} repeats\n", sep="\n", flush=True)
    offered = Offered.of(runs).frame.height
    for method in METHODS:
        started = time.perf_counter()
        choose(runs, 4_000, method, feedback=gpt4o if method in TOLD else None, relevant_from=2)
        print(f"choose 4,000 of {offered:,} pairs, {method:<8} {time.perf_counter() - started:.3f} s")


if __name__ == "__main__":
    main()
