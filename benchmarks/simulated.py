"""Do 95 % intervals of corrected estimates hold the truth 95 times in 100? Generated collections, where the truth is known.

    python benchmarks/simulated.py [--resamples 2000] [--processes 2]

Two systems, 40 queries of 40 documents, grades 0–3, and a judge that is lenient by a different amount with every query and
inflates what system A ranks high. People grade by pair (evenly, or by the rule `decision`, in rounds) or whole queries; intervals
are for the mean over these queries, or over queries like these (every resample then has new queries).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.measures.linear import Chances, Placed, expected
from qrelkit.measures.parse import Measure, parse_measure
from qrelkit.stats.corrected import Means, by_query, quantile
from qrelkit.stats.sampling import FLOOR, draw, probabilities
from qrelkit.steps.choose import sizes
from qrelkit.steps.corrected import LIKE, THESE
from qrelkit.steps.correction import Side
from qrelkit.steps.figures import figures
from qrelkit.steps.population import FADING, Population, population

MEASURES = ("DCG@10", "P@10", "RBP", "nDCG@10", "R@20", "AP")
LOOKS = (60, 100, 200, 400, 800)
ROUNDS = (20, 20, 20, 40, 100, 200, 400)  # the sample grows in these steps and is looked at where it reaches LOOKS
QUERIES, DOCUMENTS = 40, 40
SUPER = 2000  # queries that “queries like these” are drawn from
Told = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class World(Population):
    """A population of which everything is known. `said` (pairs) is what people would say of each pair, `ranks` (systems × pairs)
    where each system has it, 0 for not retrieved. A run is named by its place among the systems."""

    said: Any
    ranks: Any

    @staticmethod
    def of(judge: Qrels, human: Qrels, runs: Sequence[Run]) -> World:
        whole = population(judge, human)
        ranks = np.zeros((len(runs), len(whole)), np.int64)
        placed = whole.placed(runs)
        for row, pair, rank in zip(ranks, placed.pair, placed.rank, strict=True):
            row[pair] = rank
        given = {field.name: getattr(whole, field.name) for field in fields(whole)}
        return World(**given, said=whole.grade, ranks=ranks)

    def placed(self, runs: Sequence[Any], measures: Sequence[Measure] = ()) -> Placed:
        deep = max(measure.cutoff or 10**9 for measure in measures) if measures else 10**9
        ranks = [np.where(self.ranks[run] <= deep, self.ranks[run], 0) for run in runs]
        at = [np.flatnonzero(rank) for rank in ranks]
        retrieved = np.stack([np.bincount(self.q[pair], minlength=self.queries) for pair in at])
        return Placed(pair=at, rank=[rank[pair] for rank, pair in zip(ranks, at, strict=True)], retrieved=retrieved)

    def between(self, runs: Sequence[int]) -> World:
        """The population in the eyes of these runs: what they rank high is likelier to be relevant (`population(runs=…)`)."""
        ranks = self.ranks[list(runs)]
        share = np.where(ranks > 0, (1 + FADING) / (ranks + FADING), 0.0).mean(axis=0)
        grid = np.round(share * 50) / 50
        return replace(self, support=grid - grid.mean())

    def asked(self, at: Any, probability: Any, round_: Any) -> World:
        """The population as it is known once people graded the pairs `at`."""
        order = np.argsort(at)
        drawn = {"probability": probability[order], "round": round_[order]}
        return replace(self, labelled=at[order], grade=self.said[at[order]], **drawn)

    def values(self, measure: Measure, runs: Sequence[int], grades: Any = None) -> Any:
        """(systems × queries): the measure's values where `grades` (places on the levels) are certain; people's by default."""
        sure = (self.said if grades is None else grades)[:, None] >= np.arange(1, len(self.levels))
        none = np.zeros(self.queries)
        known = Chances(q=self.q, queries=self.queries, levels=self.levels, at_least=sure.astype(float), loose=none)
        return expected(measure, self.placed(runs, [measure]), known).value

    def judged(self, measure: Measure, runs: Sequence[int]) -> Any:
        return self.values(measure, runs, self.place[self.stratum])

    def figured(self, names: Sequence[str], estimand: Any) -> list[tuple[Estimate, Estimate]]:
        """Figures of the pool, by both sides and by people alone; the true ones where nothing was drawn yet."""
        at = self.labelled if len(self.labelled) else np.arange(len(self))
        p, round_ = (self.probability, self.round) if len(self.labelled) else (np.ones(len(at)), np.ones(len(at), np.int64))
        drawn = {"probability": pl.Series(p), "round": pl.Series(round_)}
        human = self.pairs[at].with_columns(grade=pl.Series(self.said[at]), **drawn)
        judge = self.pairs.with_columns(grade=pl.Series(self.place[self.stratum].astype(np.int64)))
        found = figures(names, Qrels.of(judge, "judge"), Qrels.of(human, "people"), estimand=estimand, levels=self.levels)
        return [(figure.corrected, figure.human) for figure in found]

    def only(self, pairs: Any) -> World:
        """These pairs alone, whose queries are numbered anew; `pairs` are places in the order of their queries."""
        kept, q = np.unique(self.q[pairs], return_inverse=True)
        return self._taken(pairs, q, kept)

    def resampled(self, queries: Any) -> World:
        """These queries with all their pairs, the same query as often as it is named."""
        first = np.searchsorted(self.q, np.arange(self.queries + 1))
        lengths = first[queries + 1] - first[queries]
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._taken(np.repeat(first[queries], lengths) + inside, np.repeat(np.arange(len(queries)), lengths), queries)

    def _taken(self, pairs: Any, q: Any, queries: Any) -> World:
        none = np.empty(0, np.int64)
        taken = {name: getattr(self, name)[pairs] for name in ("stratum", "support", "said")}
        bare = replace(self, labelled=none, grade=none, probability=np.empty(0), round=none)
        return replace(bare, pairs=self.pairs[pairs], query_ids=self.query_ids[queries], q=q, ranks=self.ranks[:, pairs], **taken)


def grown(
    world: World, rule: str, runs: Sequence[int], measure: Measure, rng: Any, *, rounds: Sequence[int] = ROUNDS
) -> Iterator[World]:
    """A sample by pair that grows as `steps.choose` lets it grow; what is known after every round."""
    at, chance, round_ = np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
    for number, n in enumerate(rounds, 1):
        known = world.asked(at, chance, round_)
        open_ = np.setdiff1d(np.arange(len(world)), at)
        p = probabilities(sizes(known, rule, runs, measure)[open_], n, floor=1.0 if rule == "uniform" else FLOOR)
        drawn = draw(p, rng)
        at, chance = np.concatenate([at, open_[drawn]]), np.concatenate([chance, p[drawn]])
        round_ = np.concatenate([round_, np.full(len(drawn), number)])
        yield world.asked(at, chance, round_)


def told(means: Means, truth: Any) -> Told:
    """Of the first system less the second: does the interval hold the truth, is it settled, wrongly, error and half width; and
    does the first system's own interval hold its truth."""
    value, sd = means.differences(np.array([0]), np.array([1]))
    half = quantile(means.df) * sd[0] if sd[0] > 0 else 0.0
    own = quantile(means.df) * means.sd[0] if means.sd[0] > 0 else 0.0
    off = value[0] - (truth[0] - truth[1])
    settled = abs(value[0]) > half
    wrong = settled and value[0] * (truth[0] - truth[1]) < 0
    return abs(off) <= half + 1e-12, settled, wrong, off, half, abs(means.value[0] - truth[0]) <= own + 1e-12


def by_pairs(known: World, runs: Sequence[int], measure: Measure, truth: Any, these: bool) -> list[Told]:
    """What both sides, and what people alone tell."""
    placed, share = known.placed(runs, [measure]), np.full(known.queries, 1 / known.queries)
    return [told(Side(measure, side, placed).means(share, these), truth) for side in (known, known.without_judge())]


def by_queries(world: World, runs: Sequence[int], measure: Measure, labels: int, truth: Any, these: bool, rng: Any) -> list[Told]:
    """The same where so many queries are wholly graded as the labels pay for on average, two at least."""
    m = int(np.clip(round(labels / len(world) * world.queries), 2, world.queries))
    sampled = np.sort(rng.choice(world.queries, m, replace=False))
    human, judge = world.values(measure, runs), world.judged(measure, runs)
    return [told(by_query(human[:, sampled], judge, sampled, these=these, weight=w), truth) for w in (None, 0.0)]


def generated(queries: int, seed: int, *, biased: float = 0.7, lenient: float = 0.5) -> World:
    """Queries whose documents have a latent relevance; A ranks by it a little better than B, and the judge is biased to A."""
    rng = np.random.default_rng(seed)
    shape = (queries, DOCUMENTS)
    relevance = rng.normal(size=shape) + rng.normal(0, 0.6, (queries, 1))
    a, b = relevance + rng.normal(0, 1.0, shape), relevance + rng.normal(0, 1.15, shape)
    people = relevance + rng.normal(0, 0.3, shape)
    judge = relevance + rng.normal(0, 0.6, shape) + rng.normal(0.3, lenient, (queries, 1)) + biased * (a - relevance)
    ids = pl.DataFrame({"query_id": np.repeat([f"q{i:05}" for i in range(queries)], DOCUMENTS)})
    ids = ids.with_columns(doc_id=pl.Series(np.tile([f"d{i:02}" for i in range(DOCUMENTS)], queries)))

    def graded(latent: Any, name: str) -> Qrels:
        return Qrels.of(ids.with_columns(grade=pl.Series(np.digitize(latent.ravel(), [0.6, 1.3, 2.0]))), name)

    def run(score: Any, tag: str) -> Run:
        top = (-score).argsort(axis=1).argsort(axis=1).ravel() < 20
        return Run.of(ids.with_columns(score=pl.Series(score.ravel())).filter(top), tag)

    return World.of(graded(judge, "judge"), graded(people, "people"), [run(a, "A"), run(b, "B")])


def resample(task: tuple[str, bool, Sequence[str], int, int, Sequence[int]]) -> dict[Any, list[list[Told]]]:
    """Some resamples of one design and estimand: (measure, design, labels) → what both sides and people alone told each time."""
    design, these, names, first, count, looks = task
    rounds = rounds_to(max(looks))
    out: dict[Any, list[list[Told]]] = {}
    big = generated(SUPER, 0)
    measures = [parse_measure(name) for name in names]
    truths = {measure: big.values(measure, (0, 1)).mean(axis=1) for measure in measures}
    for k in range(first, first + count):
        rng = np.random.default_rng([k, these])
        world = big.resampled(rng.integers(0, SUPER, QUERIES)).between((0, 1))
        for i, measure in enumerate(measures):
            truth = world.values(measure, (0, 1)).mean(axis=1) if these else truths[measure]
            if design == "query":
                for labels in looks:
                    found = by_queries(world, (0, 1), measure, labels, truth, these, rng)
                    out.setdefault((names[i], design, labels), []).append(found)
                continue
            for known in grown(world, design, (0, 1), measure, np.random.default_rng([k, i]), rounds=rounds):
                if len(known.labelled) in looks:
                    found = by_pairs(known, (0, 1), measure, truth, these)
                    out.setdefault((names[i], design, len(known.labelled)), []).append(found)
    return out


def pool(task: tuple[bool, int, int, Sequence[int]]) -> dict[Any, list[list[Told]]]:
    """The figures of a pool (prevalence, kappa) with even labels, as `resample` has it of measures."""
    these, first, count, looks = task
    out: dict[Any, list[list[Told]]] = {}
    big, names = generated(SUPER, 0), ("prevalence", "prevalence(rel=2)", "kappa")
    whole = big.figured(names, THESE)
    for k in range(first, first + count):
        rng = np.random.default_rng([5, k])
        world = big.resampled(np.sort(rng.choice(SUPER, QUERIES, replace=False)))
        truth = world.figured(names, THESE) if these else whole
        for known in grown(world, "uniform", (0, 1), parse_measure("P@10"), rng, rounds=rounds_to(max(looks))):
            if len(known.labelled) not in looks:
                continue
            found = known.figured(names, THESE if these else LIKE)
            for name, true, sides in zip(names, truth, found, strict=True):
                told = [_figure_told(side, true[0].value) for side in sides]
                out.setdefault((name, "uniform", len(known.labelled)), []).append(told)
    return out


def _figure_told(side: Estimate, true: float) -> Told:
    held = side.low <= true + 1e-12 and true - 1e-12 <= side.high
    return held, False, False, side.value - true, (side.high - side.low) / 2, held


def rounds_to(most: int) -> Sequence[int]:
    return [n for n, reached in zip(ROUNDS, np.cumsum(ROUNDS), strict=True) if reached <= most]


def table(found: dict[Any, list[list[Told]]], looks: Sequence[int]) -> list[str]:
    """One line per measure and design: at each number of labels, how often the intervals hold the truth."""
    lines = []
    for name, design in dict.fromkeys(key[:2] for key in found):
        cells = []
        for labels in looks:
            a = np.array(found[name, design, labels], dtype=float)
            cells.append(f"{a[:, 0, 0].mean():6.1%}{a[:, 0, 5].mean():6.1%}{a[:, 1, 0].mean():6.1%}")
        last = np.array(found[name, design, looks[-1]], dtype=float)[:, 0, 3]
        lines.append(f"{name:18}{design:9}" + " |".join(cells) + f" | {last.mean():+.4f} of {last.std():.4f}")
    return lines


def alone_each(processes: int) -> ProcessPoolExecutor:
    """Processes of one thread each: the resamples are the parallel part."""
    os.environ |= dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


def joined(parts: Sequence[dict[Any, list[Any]]]) -> dict[Any, list[Any]]:
    out: dict[Any, list[Any]] = {}
    for part in parts:
        for key, rows in part.items():
            out.setdefault(key, []).extend(rows)
    return out


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--resamples", type=int, default=2000)
    options.add_argument("--measures", default=",".join(MEASURES))
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--designs", default="uniform,decision,query")
    chosen = options.parse_args()
    names = chosen.measures.split(",")
    for these in (True, False):
        print(
            f"\nmean over {'these queries' if these else 'queries like these'}, {chosen.resamples} resamples: coverage of A − B,"
        )
        print("of A, and of A − B by people alone, at " + ", ".join(map(str, LOOKS)) + " labels; error at the last: mean of sd")
        part = max(1, chosen.resamples // 8)
        starts = range(0, chosen.resamples, part)
        jobs: list[tuple[Any, list[Any]]] = []
        for design in chosen.designs.split(","):
            jobs.append((resample, [(design, these, names, k, part, LOOKS) for k in starts]))
        jobs.append((pool, [(these, k, part, LOOKS) for k in starts]))
        for call, tasks in jobs:
            started = time.perf_counter()
            with alone_each(chosen.processes) as processes:
                found = joined(list(processes.map(call, tasks)))
            print("\n".join(table(found, LOOKS)), f"{time.perf_counter() - started:.0f} s", sep="\n", flush=True)


if __name__ == "__main__":
    main()
