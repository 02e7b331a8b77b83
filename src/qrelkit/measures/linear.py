"""Measures of grades that are known only as chances: their expected value, and how far each grade can move it.

A pair is described by its chances z[i, g] = P(grade ≥ level g); a graded pair has 0s and 1s. Every measure here gives per system
and query a value at these chances, and its slopes ∂value / ∂z[i, g]. A slope has two parts: what a retrieved document brings
where it stands (`own`), and what any document of the query does to the ideal or the recall base (`shared`). Prediction-powered
estimates, and the choice of what people grade, need nothing else.

Counts N_g of a query (documents of level g or more) are sums of chances; the ideal ranking and the recall base are functions of
them that bend. They are averaged over the spread that the counts still have (normal, Gauss–Hermite), their slopes by Stein's
identity E[f'(N)] = E[f(N)·(N − mean)] / variance. With every grade known the values are those of `measures.rank`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from qrelkit.core.errors import InputError
from qrelkit.measures.parse import Measure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
LEAST = 0.3  # of an ideal or a recall base that nobody has found a document for; below it a ratio says nothing


@dataclass(frozen=True, kw_only=True)
class Chances:
    """A population of pairs. `q` is each pair's query (0 … queries − 1), `levels` the grades, lowest first, `at_least` the
    chances (pairs × levels − 1) of each level above the lowest. `loose` (queries) is the variance, on the logit scale, of what
    all pairs of a query may be off together."""

    q: Ints
    queries: int
    levels: tuple[int, ...]
    at_least: Floats
    loose: Floats

    @cached_property
    def counts(self) -> Floats:
        """(queries × levels): the expected number of documents of each level or more; of the lowest it is known."""
        return np.stack(
            [np.bincount(self.q, minlength=self.queries).astype(np.float64), *map(self._sum, self.at_least.T)], axis=1
        )

    @cached_property
    def spread(self) -> Floats:
        """(queries × levels): the standard deviation of the counts: each grade's own chance, and the query's common shift."""
        own = np.stack([self._sum(z * (1 - z)) for z in self.at_least.T], axis=1)
        sd = np.sqrt(own + own**2 * self.loose[:, None])
        return np.concatenate([np.zeros((self.queries, 1)), sd], axis=1)

    def _sum(self, values: Floats) -> Floats:
        return np.bincount(self.q, values, minlength=self.queries).astype(np.float64)

    def averaged(self, of: Callable[[Floats], Floats]) -> tuple[Floats, Floats, Floats]:
        """(queries × levels) each: the mean of a function of the counts, its mean slope, and the sd of what a line leaves
        over."""
        sd = self.spread[..., None]
        at = np.clip(self.counts[..., None] + sd * NODES, 0, self.counts[:, :1, None])
        values = of(at)
        mean = values @ NODE_WEIGHTS
        step = np.maximum(sd[..., 0], 1e-6)
        slope = (values * NODES) @ NODE_WEIGHTS / step
        slope = np.where(sd[..., 0] > 1e-6, slope, of(self.counts + 1) - of(self.counts))
        rest = values - mean[..., None] - slope[..., None] * sd * NODES
        return mean, slope, np.sqrt(np.maximum(rest**2 @ NODE_WEIGHTS, 0))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where systems put the pairs of a population: for each system the pairs' places (`pair`) and their ranks, and how many
    documents each retrieved per query (`retrieved`, systems × queries)."""

    pair: Sequence[Ints]
    rank: Sequence[Ints]
    retrieved: Ints

    def __len__(self) -> int:
        return len(self.pair)


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """∂value / ∂chances of every system. `own[s]` belongs to the pairs `pair[s]` (their number × levels − 1), `shared` (systems ×
    queries × levels − 1) to every pair of a query."""

    pair: Sequence[Ints]
    own: Sequence[Floats]
    shared: Floats
    q: Ints

    def at(self, pairs: Ints) -> Floats:
        """(systems × these pairs × levels − 1)."""
        out = self.shared[:, self.q[pairs]]
        place = np.full(len(self.q), -1)
        place[pairs] = np.arange(len(pairs))
        for s, (pair, own) in enumerate(zip(self.pair, self.own, strict=True)):
            at = place[pair]
            out[s, at[at >= 0]] += own[at >= 0]
        return out


@dataclass(frozen=True, kw_only=True)
class Expected:
    """`value` (systems × queries), its `slopes`, and `bent` (systems × queries): the standard deviation that a straight line
    through the value leaves over, because the ideal and the recall base bend. 0 for linear measures."""

    value: Floats
    slopes: Slopes
    bent: Floats


BY_PAIR = ("nDCG", "DCG", "P", "R", "AP", "RBP", "Judged")


def expected(measure: Measure, placed: Placed, chances: Chances) -> Expected:
    """A measure's expected values and slopes. Raises InputError for a measure that no sample of pairs can estimate."""
    params = dict(measure.params)
    plain = params.get("gain", "grade" if measure.name != "RBP" else "binary") in ("grade", "binary")
    if measure.name not in BY_PAIR or not plain:
        raise InputError(
            f"{measure} cannot be estimated from sampled pairs, only {', '.join(BY_PAIR)} with plain gains can; "
            "grade whole queries for it"
        )
    if measure.name in ("nDCG", "DCG"):
        return _dcg(measure, placed, chances, str(params.get("dcg", "linear")))
    if measure.name == "AP":
        return _average_precision(measure, placed, chances)
    if measure.name == "Judged":
        return _judged(measure, placed, chances)
    return _counting(measure, placed, chances)


def column_of(level: int, levels: Sequence[int]) -> int | None:
    """Which column of the chances says “relevant”: that of the lowest level from `level` up; None where no level is."""
    return next((g for g, grade in enumerate(levels) if grade >= level), None)


def within(measure: Measure, ranks: Ints) -> npt.NDArray[np.bool_]:
    return np.ones(len(ranks), bool) if measure.cutoff is None else ranks <= measure.cutoff


def _relevant(chances: Chances, measure: Measure) -> tuple[Floats, int | None]:
    """Each pair's chance of being relevant, and the column of `at_least` that it stands in (None: it is certain)."""
    column = column_of(measure.level, chances.levels)
    if column is None:
        return np.zeros(len(chances.q)), None
    return (np.ones(len(chances.q)), None) if column == 0 else (chances.at_least[:, column - 1], column - 1)


def _counting(measure: Measure, placed: Placed, chances: Chances) -> Expected:
    """P, R and RBP: Σ weight(rank) · relevant, for R over the number of relevant documents."""
    z, column = _relevant(chances, measure)
    p = float(dict(measure.params).get("p", 0.8))
    base, slope, rest = _per_relevant(chances, measure) if measure.name == "R" else (np.ones(chances.queries), None, None)
    value, own, shared, bent = _empty(placed, chances)
    for s, (pair, rank) in enumerate(zip(placed.pair, placed.rank, strict=True)):
        weight = {"P": 1 / (measure.cutoff or 1), "R": 1.0}.get(measure.name, (1 - p) * p ** (rank - 1.0)) * within(measure, rank)
        q = chances.q[pair]
        found = np.bincount(q, weight * z[pair], minlength=chances.queries)
        value[s] = found * base
        if column is not None:
            own[s][:, column] = weight * base[q]
            if slope is not None and rest is not None:
                shared[s, :, column] = found * slope
                bent[s] = found * rest
    return Expected(value=value, slopes=Slopes(pair=placed.pair, own=own, shared=shared, q=chances.q), bent=bent)


def _per_relevant(chances: Chances, measure: Measure) -> tuple[Floats, Floats, Floats]:
    """1 / number of relevant documents per query: mean, slope, and what a line leaves over. 0 where there surely are none."""
    mean, slope, rest = chances.averaged(lambda n: np.where(n > 0, 1 / np.maximum(n, 1), 0.0))
    column = column_of(measure.level, chances.levels)
    if column is None:
        return (np.zeros(chances.queries),) * 3
    return mean[:, column], slope[:, column], rest[:, column]


def _average_precision(measure: Measure, placed: Placed, chances: Chances) -> Expected:
    """AP = Σ_i z_i (1 + Σ_{j above i} z_j) / rank_i / R; its slope at i is (1 + Σ_above z) / rank_i + Σ_{j below} z_j /
    rank_j."""
    z, column = _relevant(chances, measure)
    base, slope, rest = _per_relevant(chances, measure)
    value, own, shared, bent = _empty(placed, chances)
    for s, (pair, rank) in enumerate(zip(placed.pair, placed.rank, strict=True)):
        order = np.lexsort((rank, chances.q[pair]))
        pair_, rank_ = pair[order], rank[order]
        q, seen = chances.q[pair_], z[pair_] * within(measure, rank_)
        above = _running(seen, q) - seen
        share = seen / rank_
        total = np.bincount(q, share * (1 + above), minlength=chances.queries)
        value[s] = total * base
        if column is not None:
            below = np.bincount(q, share, minlength=chances.queries)[q] - _running(share, q)
            own[s][order, column] = ((1 + above) / rank_ + below) * within(measure, rank_) * base[q]
            shared[s, :, column] = total * slope
            bent[s] = total * rest
    return Expected(value=value, slopes=Slopes(pair=placed.pair, own=own, shared=shared, q=chances.q), bent=bent)


def _running(values: Floats, q: Ints) -> Floats:
    """Cumulative sums that start anew with every query; `q` is sorted."""
    total = np.cumsum(values)
    first = np.flatnonzero(np.diff(q, prepend=-1))
    before = total[first] - values[first]
    return np.asarray(total - np.repeat(before, np.diff(first, append=len(q))))


def _judged(measure: Measure, placed: Placed, chances: Chances) -> Expected:
    """Judged@k: the population is what is judged, so that nothing is uncertain."""
    value, own, shared, bent = _empty(placed, chances)
    there = placed.retrieved if measure.cutoff is None else np.minimum(placed.retrieved, int(measure.cutoff))
    for s, (pair, rank) in enumerate(zip(placed.pair, placed.rank, strict=True)):
        found = np.bincount(chances.q[pair], within(measure, rank), minlength=chances.queries)
        value[s] = found / np.maximum(there[s], 1)
    return Expected(value=value, slopes=Slopes(pair=placed.pair, own=own, shared=shared, q=chances.q), bent=bent)


def _dcg(measure: Measure, placed: Placed, chances: Chances, gain: str) -> Expected:
    """DCG = Σ gain / log2(rank + 1); nDCG divides by the ideal, Σ_g (gain_g − gain_{g−1}) · D(N_g), D(n) = Σ_{r ≤ min(n, k)} 1
    / log2(r + 1)."""
    gains = np.array([2.0**level - 1 if gain == "exp" else float(level) for level in chances.levels])
    steps = np.diff(gains)
    value, own, shared, bent = _empty(placed, chances)
    bring = gains[0] + chances.at_least @ steps
    ideal, slope, rest = np.ones(chances.queries), np.zeros((chances.queries, len(steps))), np.zeros(chances.queries)
    if measure.name == "nDCG":
        best, sloped, left = chances.averaged(discounts(int(chances.counts[:, 0].max()), measure.cutoff))
        weights = np.concatenate([gains[:1], steps])
        ideal = best @ weights
        slope, rest = sloped[:, 1:] * steps, left @ np.abs(weights)  # the levels of a query err together, so their sds add
    sure = ideal > 0
    per = np.where(sure, 1 / np.maximum(ideal, LEAST * (gains[-1] if chances.spread.any() else 1e-9)), 0.0)
    for s, (pair, rank) in enumerate(zip(placed.pair, placed.rank, strict=True)):
        q, weight = chances.q[pair], within(measure, rank) / np.log2(rank + 1.0)
        value[s] = np.bincount(q, weight * bring[pair], minlength=chances.queries) * per
        own[s][:] = (weight * per[q])[:, None] * steps
        if measure.name == "nDCG":
            shared[s] = -(value[s] * per)[:, None] * slope
            bent[s] = value[s] * per * rest
    return Expected(value=value, slopes=Slopes(pair=placed.pair, own=own, shared=shared, q=chances.q), bent=bent)


def discounts(most: int, cutoff: int | float | None) -> Callable[[Floats], Floats]:
    """D(n): the discounts of the first n ranks, no more than the cut-off; straight between whole numbers."""
    deep = most if cutoff is None else min(int(cutoff), most)
    table = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, deep + 1) + 1.0))])
    return lambda n: np.asarray(np.interp(n, np.arange(deep + 1), table))


def _empty(placed: Placed, chances: Chances) -> tuple[Floats, list[Floats], Floats, Floats]:
    systems, above = len(placed), chances.at_least.shape[1]
    own = [np.zeros((len(pair), above)) for pair in placed.pair]
    shape = (systems, chances.queries)
    return np.zeros(shape), own, np.zeros((*shape, above)), np.zeros(shape)
