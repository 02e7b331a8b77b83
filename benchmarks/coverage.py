"""Corrected estimates on TREC DL 2019: do 95 % intervals hold the truth, and how much do few human grades settle?

    python benchmarks/coverage.py [--resamples 2000] [--shared 500] [--only pair,query,shared] [--processes 2]

The truth is what the full human grades say. Intervals: of the difference of two runs, drawn at random from the 37 for every
resample, in two populations: the whole pool (9,260 pairs, 215 a query), and the two systems' own pool to depth 10 (about 14 a
query; the truth is then that of the grades within it). By pair the labels come in rounds of 20, 20, 20, 40, 100, 200, 400; by
query there are so many whole queries as the labels pay for, two at least. Shared: labels drawn once for the decisions between
all 37 runs; which of their differences they settle, and how well the runs are ranked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from dl19 import data_or_exit, load_runs, truth
from scipy.stats import kendalltau
from simulated import LOOKS, ROUNDS, World, alone_each, by_pairs, by_queries, grown, joined

from qrelkit.formats.trec import read_qrels
from qrelkit.measures.parse import parse_measure
from qrelkit.stats.corrected import Means, quantile, shrunk
from qrelkit.steps.correction import Side

LINEAR = ("P@10", "DCG@10", "RBP", "nDCG@10")
BY_QUERY = ("nDCG@10", "P@10", "AP")
POOLS = ("whole", "own")
Told = dict[Any, list[Any]]


@cache
def material() -> tuple[World, Any, list[tuple[int, int]]]:
    """The whole pool, the runs' true nDCG@10, and the pairs of runs that full human grades call different."""
    folder = data_or_exit()
    human, judge = read_qrels(folder / "qrels.human.txt"), read_qrels(folder / "llm_labels" / "gpt-4o_umbrela.txt")
    runs = load_runs(folder)
    return World.of(judge, human, runs), *truth(runs, human)


def pool_of(name: str, runs: Sequence[int]) -> World:
    world = material()[0]
    ranks = world.ranks[list(runs)]
    pool = world if name == "whole" else world.only(np.flatnonzero(((ranks > 0) & (ranks <= 10)).any(axis=0)))
    return pool.between(runs)


def two(rng: Any) -> tuple[int, int]:
    a, b = rng.choice(len(material()[0].ranks), 2, replace=False)
    return int(a), int(b)


def pairs(task: tuple[str, str, int, int]) -> Told:
    """(rule, pool, measure, labels) → what was told; `task`: rule, pool, first resample, their number."""
    rule, pool, first, count = task
    out: Told = {}
    for k in range(first, first + count):
        runs = two(np.random.default_rng([1, k]))
        world = pool_of(pool, runs)
        for i, name in enumerate(LINEAR):
            measure, rng = parse_measure(name), np.random.default_rng([2, k, i])
            true = world.values(measure, runs).mean(axis=1)
            rounds = [n for n, sum_ in zip(ROUNDS, np.cumsum(ROUNDS), strict=True) if sum_ < len(world)]
            for known in grown(world, rule, runs, measure, rng, rounds=rounds):
                if len(known.labelled) in LOOKS:
                    found = by_pairs(known, runs, measure, true, True)
                    out.setdefault((rule, pool, name, len(known.labelled)), []).append(found)
    return out


def queries(task: tuple[str, str, int, int]) -> Told:
    _, pool, first, count = task
    out: Told = {}
    for k in range(first, first + count):
        rng = np.random.default_rng([3, k])
        runs = two(rng)
        world = pool_of(pool, runs)
        for name in BY_QUERY:
            measure = parse_measure(name)
            true = world.values(measure, runs).mean(axis=1)
            for labels in LOOKS:
                if labels < len(world):
                    found = by_queries(world, runs, measure, labels, true, True, rng)
                    out.setdefault(("query", pool, name, labels), []).append(found)
    return out


def shared(task: tuple[str, str, int, int]) -> Told:
    """Labels for all 37 runs: settled pairs of runs and rank correlations. `task`: rule, rounds by name, first, number."""
    rule, steps, first, count = task
    world, true, different = material()
    measure, runs = parse_measure("nDCG@10"), tuple(range(len(world.ranks)))
    world = world.between(runs)
    placed, share = world.placed(runs, [measure]), np.full(world.queries, 1 / world.queries)
    judged = world.judged(measure, runs).mean(axis=1)
    out: Told = {}
    for k in range(first, first + count):
        rounds = ROUNDS if steps == "growing" else (100,) * 4
        for known in grown(world, rule, runs, measure, np.random.default_rng([4, k]), rounds=rounds):
            if len(known.labelled) not in LOOKS or (steps != "growing" and len(known.labelled) < 400):
                continue
            both, alone = (Side(measure, side, placed).means(share, True) for side in (known, known.without_judge()))
            ranked = (judged, both.value, shrunk(judged, both)[0], alone.value)
            told = [*settled(both, true, different), *settled(alone, true, different)]
            out.setdefault((rule, steps, len(known.labelled)), []).append(told + [kendalltau(v, true)[0] for v in ranked])
    return out


def settled(means: Means, true: Any, different: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Of the pairs of runs that are different: the share settled; of all settled: the share with the wrong sign; and coverage."""
    a, b = np.triu_indices(len(true), 1)
    value, sd = means.differences(a, b)
    half, d = quantile(means.df) * sd, true[a] - true[b]
    sure = np.abs(value) > half
    flags = np.zeros((len(true),) * 2, bool)
    flags[tuple(np.array(different).T)] = True
    return sure[flags[a, b]].mean(), (sure & (value * d < 0)).sum() / max(sure.sum(), 1), (np.abs(value - d) <= half).mean()


def spread(call: Any, tasks: Sequence[tuple[str, str]], resamples: int, processes: int) -> Told:
    part = max(1, resamples // (4 * processes))
    jobs = [(*task, k, min(part, resamples - k)) for task in tasks for k in range(0, resamples, part)]
    with alone_each(processes) as pool:
        return joined(list(pool.map(call, jobs)))


def covered(found: Told) -> Iterator[str]:
    """A line per design, pool and measure: coverage by both and by people alone, settled, and wrong of the settled."""
    yield f"{'':10}{'':7}{'':9}" + "".join(f"| {labels:>4} labels: both people settled  wrong " for labels in LOOKS)
    for key in dict.fromkeys(key[:3] for key in found):
        cells = []
        for labels in LOOKS:
            if (*key, labels) not in found:
                cells.append("|" + " " * 39)
                continue
            a = np.array(found[(*key, labels)], dtype=float)
            both, people = a[:, 0], a[:, 1]
            wrong = both[:, 2].sum() / max(both[:, 1].sum(), 1)
            cells.append(f"|{both[:, 0].mean():17.1%}{people[:, 0].mean():7.1%}{both[:, 1].mean():8.1%}{wrong:7.2%}")
        yield f"{key[0]:10}{key[1]:7}{key[2]:9}" + "".join(cells)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--resamples", type=int, default=2000)
    options.add_argument("--shared", type=int, default=500)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--only", default="pair,query,shared")
    chosen = options.parse_args()
    for name in chosen.only.split(","):
        started = time.perf_counter()
        if name == "pair":
            tasks = [(rule, pool) for pool in POOLS for rule in ("uniform", "decision")]
            print(*covered(spread(pairs, tasks, chosen.resamples, chosen.processes)), sep="\n")
        elif name == "query":
            print(*covered(spread(queries, [("query", pool) for pool in POOLS], chosen.resamples, chosen.processes)), sep="\n")
        else:
            tasks = [("decision", "4 × 100"), ("uniform", "4 × 100"), ("decision", "growing")]
            found = spread(shared, tasks, chosen.shared, chosen.processes)
            print(f"{'37 runs, shared labels':32}settled  wrong  coverage | people: settled wrong coverage | ", end="")
            print("tau: judge corrected shrunk people")
            for (rule, steps, labels), rows in found.items():
                m = np.array(rows).mean(axis=0)
                shown = "".join(f"{x:9.2%}" for x in m[:6]) + " |" + "".join(f"{x:8.3f}" for x in m[6:])
                print(f"{rule:10}{steps:10}{labels:>5} labels {shown}")
        print(f"{time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
