"""Two systems on TREC DL 2019: how many labels until it may be said which is better, looking after every ten.

python benchmarks/settle.py [TRIALS]     (2,000; QRELKIT_DATA for the data; a process per core)

Pairs of runs are drawn from those that the full human grades call different (paired t-test over queries, p < .05). A trial
draws 20 labels by their effect on the decision, then 10 at a time, and stops at the verdict or at 400 labels. Beside it: the
same without the judge (people alone, drawn by rank), an eighth of the trials.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np
import polars as pl
from dl19 import NAME, data_or_exit, load_runs, truth

from qrelkit.core.qrels import Qrels
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.choose import choose
from qrelkit.steps.settle import settle

FIRST, BATCH, LAST = 20, 10, 400
KEY = ["query_id", "doc_id"]


@cache
def material() -> tuple[list, Qrels, Qrels, Qrels, np.ndarray, list[tuple[int, int]]]:
    folder = data_or_exit()
    human = read_qrels(folder / "qrels.human.txt")
    judge = read_qrels(folder / "llm_labels" / "gpt-4o_umbrela.txt")
    mute = Qrels(judge.frame.with_columns(grade=pl.lit(1, pl.Int32)), "nobody")
    runs = load_runs(folder)
    means, different = truth(runs, human)
    return runs, human, judge, mute, means, different


def trial(job: tuple[int, bool]) -> tuple[int, bool, int]:
    """Labels until the verdict (0: none within 400), whether it was right, and the labels planned beforehand."""
    seed, with_judge = job
    runs, human, judge, mute, means, different = material()
    rng = np.random.default_rng([7, seed])
    a, b = different[rng.integers(len(different))]
    pair, grader = [runs[a], runs[b]], judge if with_judge else mute
    planned = settle(NAME, pair, grader)[0].more or 9999
    known: pl.DataFrame | None = None
    while known is None or known.height < LAST:
        so_far = None if known is None else Qrels(known, "human")
        drawn = choose(grader, FIRST if known is None else BATCH, human=so_far, runs=pair, measure=NAME, seed=seed)
        graded = drawn.join(human.frame, on=KEY, how="left")
        known = graded if known is None else pl.concat([known, graded])
        verdict = settle(NAME, pair, grader, Qrels(known, "human"))[0]
        if verdict.better:
            return verdict.labels, verdict.better == runs[a if means[a] > means[b] else b].tag, planned
    return 0, True, planned


def told(name: str, found: list[tuple[int, bool, int]]) -> str:
    labels = np.array([one[0] or np.inf for one in found])
    wrong = np.mean([not one[1] for one in found])
    quarters = [np.quantile(labels, q, method="lower") for q in (0.25, 0.5, 0.75)]
    shown = "".join(f"{'> 400' if np.isinf(q) else format(q, '.0f'):>9}" for q in quarters)
    planned = np.median([one[2] for one in found])
    return f"{name:<26}{len(found):>7,}{shown}{np.isfinite(labels).mean():>10.1%}{wrong:>9.2%}{planned:>9.0f}"


def main(trials: int = 2000) -> None:
    started = time.time()
    jobs = [(seed, True) for seed in range(trials)] + [(seed, False) for seed in range(trials // 8)]
    os.environ["POLARS_MAX_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # of each process: the trials are the parallel part
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = list(pool.map(trial, jobs, chunksize=10))
    print(f"{NAME}, {len(material()[5])} pairs of runs that full human grades call different")
    print(f"{'':<26}{'trials':>7}{'quarter':>9}{'median':>9}{'3 qu.':>9}{'settled':>10}{'wrong':>9}{'planned':>9}")
    print(told("judge and people", found[:trials]))
    print(told("people alone", found[trials:]))
    print(f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
