"""A study that is small: what people would say of every pair, a judge that errs, systems, and samples of what people say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.steps.choose import choose

KEY = ["query_id", "doc_id"]
Rows = list[tuple[str, str, int]]


@dataclass(frozen=True)
class Study:
    """`people` grade every pair, and so does the `judge`; the systems are `runs`."""

    people: Qrels
    judge: Qrels
    runs: list[Run]

    def graded(self, drawn: pl.DataFrame) -> Qrels:
        """The drawn pairs, with what people say of them."""
        return Qrels.of(drawn.join(self.people.frame.select(*KEY, "grade"), on=KEY, maintain_order="left"), "people")

    def sampled(self, rounds: Sequence[int], measure: str, rule: str = "decision", seed: int = 0) -> Qrels:
        """What people say of so many pairs in each round, drawn by a rule."""
        found: Qrels | None = None
        for n in rounds:
            new = self.graded(choose(self.judge, n, rule=rule, human=found, runs=self.runs, measure=measure, seed=seed))
            found = new if found is None else found.updated(new)
        assert found is not None
        return found


def qrels(rows: Rows, name: str) -> Qrels:
    return Qrels.of(pl.DataFrame(rows, schema=[*KEY, "grade"], orient="row"), name)


def ranked(orders: dict[str, Sequence[int]], tag: str) -> Run:
    """A run from each query's documents, best first."""
    rows = [(query, f"d{d:02d}", -float(place)) for query, order in orders.items() for place, d in enumerate(order)]
    return Run.of(pl.DataFrame(rows, schema=[*KEY, "score"], orient="row"), tag)


def ladder(seed: int = 0, *, queries: int = 12, docs: int = 12) -> Study:
    """Three systems, the more noise in the order the worse (`good`, `fair`, `poor`), grades 0 to 2, and a judge that gives three
    grades of four as people do and any grade otherwise."""
    rng = np.random.default_rng(seed)
    truth: Rows = []
    said: Rows = []
    orders: dict[str, dict[str, Sequence[int]]] = {"good": {}, "fair": {}, "poor": {}}
    for i in range(queries):
        query, grades = f"q{i:02d}", rng.choice(3, size=docs, p=[0.6, 0.25, 0.15])
        guesses = np.where(rng.random(docs) < 0.75, grades, rng.integers(3, size=docs))
        truth += [(query, f"d{d:02d}", int(g)) for d, g in enumerate(grades)]
        said += [(query, f"d{d:02d}", int(g)) for d, g in enumerate(guesses)]
        for noise, order in zip((0.5, 1.2, 6.0), orders.values(), strict=True):
            order[query] = np.argsort(-(grades + noise * rng.normal(size=docs))).tolist()
    return Study(qrels(truth, "people"), qrels(said, "judge"), [ranked(order, tag) for tag, order in orders.items()])


def mirrored(rng: np.random.Generator, *, twins: int = 15, docs: int = 8) -> Study:
    """Two systems that are exactly equal: each query has a twin with the same grades, where they change places. The judge adds a
    grade to what the system `darling` puts into its first three."""
    truth: Rows = []
    said: Rows = []
    orders: dict[str, dict[str, Sequence[int]]] = {"darling": {}, "other": {}}
    for i in range(twins):
        grades, first, second = rng.choice(3, size=docs, p=[0.5, 0.3, 0.2]), rng.permutation(docs), rng.permutation(docs)
        for query, darling, other in ((f"q{i:02d}", first, second), (f"r{i:02d}", second, first)):
            liked = np.isin(np.arange(docs), darling[:3])
            guesses = np.where(rng.random(docs) < 0.8, np.minimum(grades + liked, 2), rng.integers(3, size=docs))
            truth += [(query, f"d{d:02d}", int(g)) for d, g in enumerate(grades)]
            said += [(query, f"d{d:02d}", int(g)) for d, g in enumerate(guesses)]
            orders["darling"][query], orders["other"][query] = darling.tolist(), other.tolist()
    return Study(qrels(truth, "people"), qrels(said, "judge"), [ranked(order, tag) for tag, order in orders.items()])
