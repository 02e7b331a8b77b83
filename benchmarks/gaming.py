"""A run that is sorted by GPT-4o's own labels, on TREC DL 2019: do a few human grades notice?

python benchmarks/gaming.py [TRIALS]     (2,000; QRELKIT_DATA for the data; a process per core)

The run knows the judge and nothing else: equal labels stand in an order of chance, another one in every trial. A trial draws
labels by their effect on the decision between the run and the best other system by the judge, in rounds, and corrects the judge
by them; how high all 37 systems put a document helps to foresee its grade. Counted: how often the claimed lead is excluded (above
the one-sided 95 % end of the corrected one), how often the run wins (its whole 95 % interval above 0) and how often it loses.
Wanted with 60 labels: excluded 97.6 %, wins 0.8 % at most (aims: 99 %, 0.5 %).
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
from dl19 import NAME, data_or_exit, load_runs

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.choose import choose
from qrelkit.steps.probe import probe, sorted_by

DESIGNS = {(20, 20, 20): 1.0, (60,): 1.0, (20, 20, 40): 0.25, (20, 20, 20, 40): 0.25}  # labels by round → share of the trials
KEY = ["query_id", "doc_id"]


@cache
def material() -> tuple[list[Run], Qrels, Qrels]:
    folder = data_or_exit()
    human = read_qrels(folder / "qrels.human.txt")
    return load_runs(folder), human, read_qrels(folder / "llm_labels" / "gpt-4o_umbrela.txt", duplicates="first")


def drawn(design: tuple[int, ...], runs: list[Run], support: list[Run], judge: Qrels, human: Qrels, seed: int) -> Qrels:
    """People's grades of pairs drawn in rounds of these sizes."""
    graded: Qrels | None = None
    for n in design:
        pairs = choose(judge, n, human=graded, runs=runs, measure=NAME, levels=human.grades, support=support, seed=seed)
        rows = pairs.join(human.frame, on=KEY, how="left", maintain_order="left")
        graded = Qrels(rows if graded is None else pl.concat([graded.frame, rows]), "people")
    assert graded is not None
    return graded


def trial(asked: tuple[tuple[int, ...], str, int]) -> tuple[bool, bool, bool, float]:
    """Whether the claim is excluded, whether the run wins, whether it loses, and the corrected lead."""
    design, best, seed = asked
    runs, human, judge = material()
    other = next(run for run in runs if run.tag == best)
    trick = sorted_by(judge, seed=seed)
    people = drawn(design, [trick, other], [trick, *runs], judge, human, seed)
    found = probe(NAME, runs, judge, people, levels=human.grades, seed=seed)
    assert found.lead is not None
    return bool(found.excluded), bool(found.wins), found.lead.high < 0, found.lead.value


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    runs, human, judge = material()
    found = [probe(NAME, runs, judge, human, seed=seed, levels=human.grades) for seed in range(20)]
    lead = np.mean([one.lead.value for one in found if one.lead is not None])
    values, ranks = zip(*((one.people.value, one.people.rank) for one in found if one.people is not None), strict=True)
    one = found[0]
    print(f"{NAME}: the judge {one.judge}; people {np.mean(values):.3f} (in 20 orders {min(values):.3f} to {max(values):.3f}),")
    print(f"rank {int(np.median(ranks))}; over {one.best} it claims {one.claimed:+.3f}, and has {lead:+.3f}")
    fused = probe(NAME, runs, judge, human, ties="fused", levels=human.grades)
    print(f"with ties by the fused ranks of the systems: people {fused.people}, lead {fused.lead}")
    print("labels      rounds        trials  excluded   wins   loses   mean lead     sd")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as workers:
        for design, part in DESIGNS.items():
            begun, n = time.monotonic(), max(1, round(trials * part))
            rows = []
            for done, row in enumerate(workers.map(trial, [(design, one.best, s) for s in range(n)], chunksize=10), 1):
                rows.append(row)
                if done % 250 == 0:
                    print(f"  {done} of {n}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            share = np.array(rows, dtype=np.float64)
            told = " ".join(f"{100 * part:7.1f} %" for part in share[:, :3].mean(axis=0))
            rounds = "+".join(map(str, design))
            print(f"{sum(design):6}  {rounds:14} {n:8,} {told}  {share[:, 3].mean():+9.3f} {share[:, 3].std():6.3f}", flush=True)


if __name__ == "__main__":
    main()
