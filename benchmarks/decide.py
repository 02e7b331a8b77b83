"""Deciding on generated collections of the sizes people have: how long one answer takes.

    python benchmarks/decide.py [--times 5]

40 systems × 54 queries (pool of their top 100, 400 human grades): nDCG@10 corrected, intervals of all 780 differences. Needed:
2 s. 558,653 pairs of 75 queries, 63 systems: the next 20 pairs to grade by their effect on the decision between all of them, and
between two. Needed: 5 s. The same 63 systems leave the pool one team at a time. Needed: 10 s.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.steps.choose import choose
from qrelkit.steps.correction import correct
from qrelkit.steps.leave_out import leave_out


def collection(systems: int, queries: int, per_query: int, depth: int, seed: int = 0) -> tuple[list[Run], Qrels, Qrels]:
    """Runs over a pool of `per_query` documents a query, true grades 0–3, and a judge that is right in two cases of three."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=(queries, per_query))
    cuts = np.array([0.8, 1.5, 2.2])
    truth = np.searchsorted(cuts, quality)
    judged = np.clip(truth + rng.choice([0, 0, 0, 0, 1, -1], size=truth.shape), 0, 3)
    ids = np.char.add("d", np.arange(per_query).astype(str))
    names = np.char.add("q", np.arange(queries).astype(str))
    runs = []
    for s in range(systems):
        scores = quality + rng.normal(scale=0.5 + 1.5 * s / systems, size=quality.shape)
        top = np.argsort(-scores, axis=1)[:, :depth]
        best = np.take_along_axis(scores, top, 1).ravel()
        frame = pl.DataFrame({"query_id": np.repeat(names, depth), "doc_id": ids[top].ravel(), "score": best})
        runs.append(Run.of(frame, f"s{s:02d}"))
    pairs = {"query_id": np.repeat(names, per_query), "doc_id": np.tile(ids, queries)}
    frames = [pl.DataFrame(pairs | {"grade": grades.ravel()}) for grades in (truth, judged)]
    human, judge = (Qrels.of(frame, name) for frame, name in zip(frames, ("human", "judge"), strict=True))
    return runs, human, judge


def timed(name: str, times: int, call: Callable[[], object]) -> None:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    print(f"{name:<62}{statistics.median(seconds):>8.2f} s   {min(seconds):.2f}–{max(seconds):.2f}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=5)
    times = options.parse_args().times
    runs, human, judge = collection(40, 54, 400, 100)
    drawn = choose(judge, 400, runs=runs, seed=1).join(human.frame, on=["query_id", "doc_id"], how="left")
    sample = Qrels(drawn, "human")
    timed("corrected nDCG@10, 40 systems × 54 queries, all differences", times, lambda: correct("nDCG@10", runs, judge, sample))
    runs, human, judge = collection(63, 75, 7449, 1000)
    timed(f"next pairs to grade of {len(judge):,}, between 63 systems", times, lambda: choose(judge, 20, runs=runs))
    timed(f"next pairs to grade of {len(judge):,}, between two", times, lambda: choose(judge, 20, runs=runs[:2]))
    teams = {run.tag: f"team{i // 4}" for i, run in enumerate(runs)}
    timed("63 runs leave the pool of depth 100, one by one", times, lambda: leave_out("nDCG@10", runs, human, depth=100))
    timed("63 runs leave the pool, team by team", times, lambda: leave_out("nDCG@10", runs, human, teams=teams, depth=100))


if __name__ == "__main__":
    main()
