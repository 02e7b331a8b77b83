"""The lowest and the highest value that a measure could have, over all grades that the unjudged documents could have.

A hole that was retrieved moves what is gained; one that was not moves the best that could be gained: the ideal of nDCG, the
recall base of R and AP. Exact, not a relaxation: equal to trying every assignment (tests/measures/test_bounds.py). Only a
few assignments can be extreme, and these are tried:

P, DCG, Success, RR, ERR, RBP rise with every grade: all holes lowest, all highest
R, SetR, SetF, SetAP          retrieved holes one way, all others the other way
AP                            the first n retrieved holes relevant and no other (highest), the last n and all others (lowest)
nDCG                          see `ndcg_bounds`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.guideline import Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.parse import Measure
from qrelkit.measures.rank import Flags, Floats, Ints, Judged, Ranked, gains, ratio

KEY = ["query_id", "doc_id"]
Span = tuple[Floats, Floats]
Of = Callable[[Ints, Ints], Floats]  # grades of the retrieved holes, and of all others per query → one value per query

RISING = ("P", "DCG", "Success", "RR", "ERR", "SetP", "NumRel", "NumRelRet")
OPPOSED = ("R", "SetR", "SetF", "SetAP")
UNMOVED = ("Judged", "NumRet")  # no grade moves them


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """What a document without a grade might have: any of `levels`. Which documents: those of the `pool`, and what a run itself
    retrieved down to a measure's cut-off; without a pool, all that any of the runs retrieved."""

    levels: Sequence[int]
    pool: Pool | None = None

    def __post_init__(self) -> None:
        if not self.levels or list(self.levels) != sorted(set(self.levels)):
            raise InputError(f"the grades of a scale rise from the lowest to the highest; found {list(self.levels)}")

    @staticmethod
    def over(qrels: Iterable[Qrels], scale: Scale | None = None, pool: Pool | None = None) -> Unjudged:
        """The grades of the scale; without one, 0 and up to the highest in the qrels."""
        highest = max((grade for one in qrels for grade in one.grades[-1:]), default=1)
        return Unjudged(levels=scale.values if scale is not None else tuple(range(max(highest, 1) + 1)), pool=pool)

    def pairs(self, runs: Sequence[Run], qrels: Qrels) -> pl.DataFrame:
        """The pairs without a grade, each once: query_id, doc_id."""
        of = [self.pool.frame] if self.pool is not None else [run.frame for run in runs]
        every = pl.concat([frame.select(KEY) for frame in of]).unique()
        return every.join(qrels.graded, on=KEY, how="anti")


@dataclass(frozen=True)
class Holes:
    """The holes as one run sees them: `q` (the query's place) and `rank` of those that it retrieved, by query and rank;
    `pooled`: whether they are holes whatever the cut-off; `others`: how many a query has that it did not retrieve."""

    q: Ints
    rank: Ints
    pooled: Flags
    others: Ints

    @staticmethod
    def of(run: Run, pairs: pl.DataFrame, qrels: Qrels, judged: Judged) -> Holes:
        """`pairs` (query_id, doc_id) are the holes of the pool; those of the run are found here."""
        places = judged.query_ids.to_frame().with_row_index("q")
        mine = run.frame.select(*KEY, "rank").join(qrels.graded.select(KEY), on=KEY, how="anti", maintain_order="left")
        mine = mine.join(places, on="query_id", how="inner", maintain_order="left")
        mine = mine.join(pairs.with_columns(pooled=True), on=KEY, how="left", maintain_order="left")
        q, rank = (mine[name].to_numpy().astype(np.int64) for name in ("q", "rank"))
        pooled = mine["pooled"].fill_null(False).to_numpy()
        in_pool = pairs.join(places, on="query_id", how="inner")["q"].to_numpy().astype(np.int64)
        others = np.bincount(in_pool, minlength=judged.n) - np.bincount(q[pooled], minlength=judged.n)
        order = np.lexsort((rank, q))
        return Holes(q[order], rank[order], pooled[order], others)

    def within(self, cutoff: int | None) -> Holes:
        """Down to a rank: what lies deeper is among the others where it is of the pool, and no hole where it is not."""
        if cutoff is None:
            return self
        near = self.rank <= cutoff
        deep = np.bincount(self.q[~near & self.pooled], minlength=len(self.others))
        return Holes(self.q[near], self.rank[near], self.pooled[near], self.others + deep)

    @property
    def counts(self) -> Ints:
        """Retrieved holes per query."""
        return np.bincount(self.q, minlength=len(self.others))

    @property
    def place(self) -> Ints:
        """Of each retrieved hole, how many its query has above it."""
        return np.arange(len(self.q)) - np.searchsorted(self.q, self.q)

    def any(self) -> Flags:
        """The queries with a hole."""
        return (self.counts + self.others) > 0


def bounds(measure: Measure, ranked: Ranked, holes: Holes, levels: Sequence[int]) -> Span:
    """The lowest and the highest value of every query, over every assignment of `levels` to its holes.

    Where `levels` begin at 0 or below, the value itself (holes have no gain) lies between them. A negative grade has no gain.
    Raises InputError for a measure whose range is not known, see `no_range`.
    """
    reason = no_range(measure, ranked.judged, levels)
    if reason:
        raise InputError(f"{measure} has no range over unjudged documents: {reason}")
    if measure.name in UNMOVED:
        value = measure.of(ranked)
        return value, value.copy()
    cutoff = None if measure.cutoff is None else int(measure.cutoff)
    holes, grades = holes.within(cutoff), sorted({max(level, 0) for level in levels})
    given = dict(measure.params)
    if measure.name == "nDCG":
        return ndcg_bounds(ranked, holes, grades, cutoff, str(given.get("dcg", "linear")), str(given.get("gain", "grade")))
    of: Of = partial(supposed, measure, ranked, holes)
    if measure.name == "AP":
        return ap_bounds(of, ranked, holes, grades, cutoff, measure.level)
    if measure.name == "RBP" and given.get("gain") == "graded":
        return graded_bounds(of, holes, grades)
    low, high = (np.full(len(holes.q), end) for end in (grades[0], grades[-1]))
    rest_low, rest_high = (np.full(ranked.n, end) for end in (grades[0], grades[-1]))
    if measure.name in OPPOSED:
        rest_low, rest_high = rest_high, rest_low
    return of(low, rest_low), of(high, rest_high)


def no_range(measure: Measure, judged: Judged, levels: Sequence[int]) -> str:
    """Why a measure has no range; "" where it has one."""
    given = dict(measure.params)
    if measure.name == "ERR":
        top = int(given.get("max", 0)) or judged.top_grade
        if levels[-1] > top:
            return f"ERR takes {top} for the highest grade and a hole could have {levels[-1]}; write ERR(max={levels[-1]})"
    if measure.name in (*RISING, *OPPOSED, *UNMOVED, "AP", "RBP", "nDCG"):
        return ""
    if measure.name == "bpref":
        return "it is made to leave them alone"
    return "none is known that would be exact"


class _Judged(Judged):
    """The judged, had the holes these grades: what measures ask of all documents of a query."""

    def __init__(self, judged: Judged, q: Ints, grade: Ints, times: Ints) -> None:
        self.base, self.hole_q, self.hole_grade, self.times, self.n = judged, q, grade, times, judged.n
        self.name, self.top_grade, self.expected = judged.name, judged.top_grade, judged.expected

    def count(self, low: int, below: int | None = None) -> Ints:
        fits = (self.hole_grade >= low) & (True if below is None else self.hole_grade < below)
        more = np.bincount(self.hole_q[fits], self.times[fits], minlength=self.n)
        return self.base.count(low, below) + more.astype(np.int64)

    def highest(self, least: int) -> Ints:
        out = self.base.highest(least)
        there = self.times > 0
        np.maximum.at(out, self.hole_q[there], self.hole_grade[there])
        return out


class _Ranked(Ranked):
    """The run, had the holes that it retrieved these grades."""

    def __init__(self, ranked: Ranked, judged: Judged, q: Ints, rank: Ints, grade: Ints) -> None:
        every_q, every_rank = np.concatenate([ranked.q, q]), np.concatenate([ranked.rank, rank])
        order = np.lexsort((every_rank, every_q))
        self.judged, self.n, self.retrieved, self.stray = judged, ranked.n, ranked.retrieved, ranked.stray
        self.q, self.rank, self.grade = every_q[order], every_rank[order], np.concatenate([ranked.grade, grade])[order]
        self.expected = None if ranked.expected is None else np.concatenate([ranked.expected, grade])[order]


def supposed(measure: Measure, ranked: Ranked, holes: Holes, grades: Ints, rest: Ints) -> Floats:
    """The measure, had the retrieved holes `grades` and all others of a query its `rest`. (Not for nDCG.)"""
    q = np.concatenate([holes.q, np.arange(ranked.n)])
    times = np.concatenate([np.ones(len(holes.q), np.int64), holes.others])
    judged = _Judged(ranked.judged, q, np.concatenate([grades, rest]), times)
    return measure.of(_Ranked(ranked, judged, holes.q, holes.rank, grades))


def graded_bounds(of: Of, holes: Holes, grades: Sequence[int]) -> Span:
    """RBP with gain=graded divides by the query's highest grade, which a hole may be: every highest grade is tried.

    Highest: all retrieved holes have it. Lowest: one that was not retrieved has it, or else the last retrieved one alone.
    """
    none = np.full(len(holes.others), grades[0])
    last = holes.place == holes.counts[holes.q] - 1
    high = [of(np.full(len(holes.q), top), none) for top in grades]
    low = [of(np.where(last, top, grades[0]), none) for top in grades]
    low.append(of(np.full(len(holes.q), grades[0]), np.full(len(holes.others), grades[-1])))
    return np.min(low, axis=0), np.max(high, axis=0)


def ap_bounds(of: Of, ranked: Ranked, holes: Holes, grades: Sequence[int], cutoff: int | None, level: int) -> Span:
    """AP · relevant = Σ over pairs (also with itself) of relevant retrieved documents of 1 / the lower one's rank: for each
    number of relevant holes the highest ones give most, the lowest ones least; every number is tried."""
    none, every = grades[0], grades[-1]
    if (none >= level) == (every >= level):
        only = of(np.full(len(holes.q), none), np.full(ranked.n, none))
        return only, only.copy()
    hit = (ranked.grade >= level) & ranked.within(cutoff)
    stride = int(max(ranked.rank.max(initial=0), holes.rank.max(initial=0))) + 1
    hits = ranked.q[hit] * stride + ranked.rank[hit]
    above = np.searchsorted(hits, holes.q * stride + holes.rank)
    first, end = (np.searchsorted(hits, (holes.q + more) * stride) for more in (0, 1))
    sums = np.concatenate([[0.0], np.cumsum(1 / ranked.rank[hit])])
    alone = (above - first + 1) / holes.rank + sums[end] - sums[above]  # what a relevant hole brings with the judged ones
    place, many, weight = holes.place, holes.counts[holes.q], 1 / holes.rank
    base = ranked.total(hit, ranked.running(ranked.grade >= level) / ranked.rank)
    relevant = ranked.judged.count(level)
    from_top = base[holes.q] + _running(holes.q, alone + place * weight)
    best = _best(holes, ratio(from_top, (relevant[holes.q] + place + 1)), place + 1, ratio(base, relevant))
    below = _running(holes.q[::-1], weight[::-1])[::-1] - weight
    from_end = base[holes.q] + _running(holes.q[::-1], (alone + below)[::-1])[::-1]
    all_of = relevant + holes.others
    worst = _best(holes, -ratio(from_end, (all_of[holes.q] + many - place)), many - place, -ratio(base, all_of))
    high = of(np.where(place < best[holes.q], every, none), np.full(ranked.n, none))
    low = of(np.where(place >= many - worst[holes.q], every, none), np.full(ranked.n, every))
    return low, high


def _running(q: Ints, values: Floats) -> Floats:
    """Running sums within each query, whose rows are together."""
    sums = np.cumsum(values)
    first = np.flatnonzero(np.diff(q, prepend=-1))
    before = sums[first] - values[first]
    out: Floats = sums - np.repeat(before, np.diff(first, append=len(q)))
    return out


def _best(holes: Holes, value: Floats, number: Ints, none: Floats) -> Ints:
    """Per query, the number of relevant holes with the highest value; 0 where `none` is at least as good."""
    out, highest = np.zeros(len(none), np.int64), none.copy()
    np.maximum.at(highest, holes.q, value)
    top = (value == highest[holes.q]) & (value > none[holes.q])
    out[holes.q[top]] = number[top]
    return out


def ndcg_bounds(ranked: Ranked, holes: Holes, grades: Sequence[int], cutoff: int | None, dcg: str, gain: str) -> Span:
    """nDCG = DCG / ideal, where both move. With S_s the holes of gain s or more, and F(n) the DCG of n ones on top,

        DCG = judged + ∫ Σ over retrieved holes in S_s of 1/log2(rank + 1) ds,    ideal = ∫ F(judged of gain s or more + |S_s|) ds

    Lowest: the holes that were not retrieved have the highest grade. In the others the ratio is quasi-concave (linear over
    convex), so each is lowest or highest, and of a number of highest ones the last give least: every number is tried.
    Highest: the holes that were not retrieved have the lowest grade; the others never rise with rank, so S_s is the first n_s
    of them. DCG − t · ideal falls apart into one choice of n for each step of the scale (they nest by themselves, since the
    price of one more rises as s falls), and t is raised to the ratio reached until it stays: Dinkelbach 1967.
    """
    v = gains(np.array(grades, dtype=np.int64), None, dcg, gain)
    judged, counts, others = ranked.judged, holes.counts, holes.others
    width, step, queries = int(counts.max(initial=0)) + 1, np.diff(v), np.arange(ranked.n)
    key = ("steps", dcg, gain, tuple(grades))
    rise, above, stair = judged.once(key, lambda: _steps(judged, v, dcg, gain))
    seen = above.astype(np.int64)
    discount = _discounts(int(seen.max(initial=0) + others.max(initial=0)) + width, cutoff)

    def ideal(stairs: Flags, more: Ints) -> Floats:
        """The part of the ideal at these steps of the scale, with so many (queries × n) holes in it."""
        out = np.zeros(more.shape)
        for b in np.flatnonzero((stairs & (rise > 0)).any(axis=0)):
            out += np.where(stairs[:, b], rise[:, b], 0.0)[:, None] * discount[seen[:, b, None] + more]
        return out

    n = np.arange(width)[None, :]
    weight = np.zeros((ranked.n, width))
    weight[holes.q, holes.place + 1] = 1 / np.log2(holes.rank + 1)
    first = np.cumsum(weight, axis=1)  # Σ of the first n discounts; stays when the holes end
    whole = first[:, -1]
    got = gains(ranked.grade, ranked.expected, dcg, gain) / np.log2(ranked.rank + 1)
    base = ranked.total(ranked.within(cutoff), got) + v[0] * whole
    fixed = ideal(stair == 0, (counts + others)[:, None]) + ideal(stair == len(v), np.zeros((ranked.n, 1), np.int64))

    last = whole[:, None] - np.take_along_axis(first, np.maximum(counts[:, None] - n, 0), axis=1)
    below = fixed + ideal((stair > 0) & (stair < len(v)), others[:, None] + np.minimum(n, counts[:, None]))
    low = ratio((base[:, None] + (v[-1] - v[0]) * last).ravel(), below.ravel()).reshape(below.shape).min(axis=1)

    gained = [size * first for size in step]
    cost = [ideal(stair == j + 1, np.minimum(n, counts[:, None])) for j in range(len(step))]
    high = np.zeros(ranked.n)
    while True:
        above_it, under_it = base.copy(), fixed[:, 0].copy()
        for more, price in zip(gained, cost, strict=True):
            best = np.argmax(more - high[:, None] * price, axis=1)
            above_it += more[queries, best]
            under_it += price[queries, best]
        reached = ratio(above_it, under_it)
        if not (reached > high).any():
            return low, high
        high = np.maximum(high, reached)


def _discounts(most: int, cutoff: int | None) -> Floats:
    """F(n) = Σ of 1/log2(rank + 1) over the first n ranks, n from 0 on; nothing is added below the cut-off."""
    rank = np.arange(1, most + 1)
    out: Floats = np.concatenate([[0.0], np.cumsum(np.where(rank <= (cutoff or most), 1 / np.log2(rank + 1), 0.0))])
    return out


def _steps(judged: Judged, v: Floats, dcg: str, gain: str) -> Floats:
    """The gains that occur in each query, and the scale's, as steps upwards from 0 (3 × queries × steps): how high each is, how
    many judged documents reach it, and which gain of the scale is the first to reach it (len(v): none does)."""
    q = np.concatenate([judged.q, np.repeat(np.arange(judged.n), len(v))])
    height = np.concatenate([gains(judged.grade, judged.expected, dcg, gain), np.tile(v, judged.n)])
    order = np.lexsort((height, q))
    q, height, real = q[order], height[order], order < len(judged.q)
    new = (np.diff(q, prepend=-1) != 0) | (np.diff(height, prepend=-1.0) != 0)
    here: Floats = np.bincount(np.cumsum(new) - 1, real).astype(np.float64)
    q, height = q[new], height[new]
    reaching = _running(q[::-1], here[::-1])[::-1]
    rises = height > 0
    q, height, reaching = q[rises], height[rises], reaching[rises]
    place = np.arange(len(q)) - np.searchsorted(q, q)
    out = np.zeros((3, judged.n, int(place.max(initial=-1)) + 1))
    out[0, q, place] = height - np.where(place > 0, np.roll(height, 1), 0.0)
    out[1, q, place] = reaching
    out[2, q, place] = np.searchsorted(v, height)
    return out
