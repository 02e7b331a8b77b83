"""In which order the pairs of some runs are judged. Every way of pooling at a budget is an order; n labels go to its first n.

`depth` and `fused` look at ranks alone. `mtf` (move-to-front) and `bandit` are told, pair by pair, what was relevant; all
queries play one round together, so that each gets its next pair in every round, as long as it has one, and the labels are
shared out evenly. `random` is the control.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.run import Run

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Answer = Callable[[Ints], Floats]  # pairs → 1 relevant, 0 not, NaN where nobody says

METHODS = ("depth", "fused", "mtf", "bandit", "random")
TOLD = ("mtf", "bandit")  # these need feedback
DRAWN = ("mtf", "bandit", "random")  # these draw by seed
FUSION = 60  # the constant of reciprocal rank fusion


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """What the runs offer to be judged. `frame`: the pairs as in a Pool; `hits`: pair, run, rank of every place in a run,
    by run and rank; `query`: each pair's query, counted from 0; `runs`: how many there are."""

    frame: pl.DataFrame
    hits: pl.DataFrame
    query: Ints
    runs: int

    @staticmethod
    def of(runs: Sequence[Run], *, within: pl.DataFrame | None = None, without: pl.DataFrame | None = None) -> Offered:
        """The pairs of the runs, only those `within` and not those `without` (query_id, doc_id); ranks stay the runs' own."""
        if not runs:
            raise InputError("a pool needs at least one run")
        on = ["query_id", "doc_id"]
        listed = pl.concat(
            run.frame.select(*on, "rank", run=pl.lit(i, pl.Int64), tag=pl.lit(run.tag)) for i, run in enumerate(runs)
        )
        if within is not None:
            listed = listed.join(within, on=on, how="semi", maintain_order="left")
        if without is not None:
            listed = listed.join(without, on=on, how="anti", maintain_order="left")
        frame = (
            listed.group_by(on)
            .agg(tags=pl.col("tag").unique().sort(), best_rank=pl.col("rank").min())
            .sort("query_id", "best_rank", "doc_id")
        )
        pairs = frame.select(*on).with_row_index("pair")
        hits = listed.join(pairs, on=on, maintain_order="left").select("pair", "run", "rank")
        query = frame["query_id"].rle_id().to_numpy().astype(np.int64)
        return Offered(frame=frame, hits=hits, query=query, runs=len(runs))

    def fused(self) -> Floats:
        """Reciprocal rank fusion, per pair: Σ over runs 1 / (60 + rank). Cormack, Clarke & Büttcher 2009."""
        weights = 1 / (FUSION + self.hits["rank"].to_numpy())
        sums = np.bincount(self.hits["pair"].to_numpy(), weights, minlength=self.frame.height)
        return sums.astype(np.float64).round(12)

    def lists(self) -> tuple[Ints, Flags]:
        """(queries, runs, longest): the pairs of each run's ranking, -1 past its end. (pairs, runs): who has which."""
        pair, run = (self.hits[name].to_numpy().astype(np.int64) for name in ("pair", "run"))
        row = self.query[pair] * self.runs + run
        order = np.lexsort((self.hits["rank"].to_numpy(), row))
        row, pair, run = row[order], pair[order], run[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        queries = int(self.query.max(initial=-1)) + 1
        out = np.full((queries * self.runs, int(place.max(initial=0)) + 1), -1, dtype=np.int64)
        out[row, place] = pair
        has = np.zeros((self.frame.height, self.runs), bool)
        has[pair, run] = True
        return out.reshape(queries, self.runs, -1), has


def ordered(offered: Offered, n: int, method: str, answer: Answer | None = None, *, seed: int = 0) -> Ints:
    """The first n pairs (rows of `offered.frame`) in the order in which a method has them judged; all of them where they are
    fewer. A larger n goes on where a smaller one ended. Raises UnknownName, and InputError where the feedback is missing."""
    if method not in METHODS:
        raise UnknownName("way of pooling", method, METHODS)
    if n < 1:
        raise InputError(f"the number of labels must be at least 1, not {n}")
    rng = np.random.default_rng(seed)
    if method == "depth":
        return by_depth(offered)[:n]
    if method == "fused":
        return by_fusion(offered)[:n]
    if method == "random":
        return rng.permutation(offered.frame.height)[:n]
    if answer is None:
        raise InputError(
            f"{method} learns from grades while it chooses: give it feedback (--feedback FILE.qrels), the grades of people "
            "so far or a judge's of the whole pool; depth and fused need none"
        )
    queries = int(offered.query.max(initial=-1)) + 1
    policy = MoveToFront if method == "mtf" else MaxMean
    return in_rounds(offered, n, policy(queries, offered.runs, rng), answer)


def by_depth(offered: Offered) -> Ints:
    """Depth-k: by the best rank in any run; among equal ranks, what more runs have higher comes first (fusion)."""
    return np.lexsort((-offered.fused(), offered.frame["best_rank"].to_numpy()))


def by_fusion(offered: Offered) -> Ints:
    """Fused depth: each query's pairs by reciprocal rank fusion, and the same number of every query."""
    order = np.lexsort((-offered.fused(), offered.query))
    query = offered.query[order]
    place = np.arange(len(query)) - np.searchsorted(query, query)
    return order[np.lexsort((query, place))]


class Policy(Protocol):
    """Which run each query's next pair comes from. Arrays are (queries, runs)."""

    def pick(self, ready: Flags) -> Ints:
        """A run for every query; `ready`: which runs have a pair left. (Of a query where none is ready it says anything.)"""

    def learn(self, queries: Ints, runs: Ints, has: Flags, relevant: Floats) -> None:
        """For some queries: the run that was picked, which runs have that pair, and whether it is relevant (NaN: unsaid)."""


def in_rounds(offered: Offered, n: int, policy: Policy, answer: Answer) -> Ints:
    """The order of a policy: in each round every query with pairs left gets the best-ranked unjudged pair of the run picked."""
    lists, has = offered.lists()
    seen = np.zeros(offered.frame.height, bool)
    left = (lists >= 0).sum(axis=2)
    n, order = min(n, offered.frame.height), np.empty(0, np.int64)
    while len(order) < n:
        queries = np.flatnonzero(left.any(axis=1))[: n - len(order)]
        runs = policy.pick(left > 0)[queries]
        ranking = lists[queries, runs]
        first = ((ranking >= 0) & ~seen[ranking]).argmax(axis=1)
        pairs = ranking[np.arange(len(queries)), first]
        seen[pairs] = True
        left[queries] -= has[pairs]
        order = np.append(order, pairs)
        policy.learn(queries, runs, has[pairs], answer(pairs))
    return order


class MoveToFront:
    """A run is read on while its documents are relevant; one that is not costs it a point, and one with most points is next.

    Among equal points chance decides. A pair that nobody says anything of costs nothing, but the turn ends. Cormack, Palmer &
    Clarke 1998 (their local variant: points are kept per query).
    """

    def __init__(self, queries: int, runs: int, rng: np.random.Generator) -> None:
        self.rng, self.rows = rng, np.arange(queries)
        self.points, self.now = np.zeros((queries, runs)), np.full(queries, -1)

    def pick(self, ready: Flags) -> Ints:
        front = np.where(ready, self.points + self.rng.random(self.points.shape), -np.inf).argmax(axis=1)
        self.now = np.where((self.now >= 0) & ready[self.rows, self.now], self.now, front)
        return self.now

    def learn(self, queries: Ints, runs: Ints, has: Flags, relevant: Floats) -> None:
        self.points[queries, runs] -= relevant == 0
        self.now[queries] = np.where(relevant == 1, runs, -1)


class MaxMean:
    """A bandit over systems: the next pair is of the run with the highest mean of its beta posterior, (1 + hits) / (2 + plays).

    Non-stationary: at each new pair that a run has, the earlier ones are forgotten (rate 0), so that it stands at 2/3, 1/3 or,
    before its first, 1/2. A judged pair counts for every run that has it; a pair that nobody says anything of for none. Among
    equal means chance decides. Losada, Parapar & Barreiro 2016 (MM-NS).
    """

    def __init__(self, queries: int, runs: int, rng: np.random.Generator, *, rate: float = 0.0) -> None:
        self.rng, self.rate = rng, rate
        self.hits, self.plays = np.zeros((queries, runs)), np.zeros((queries, runs))

    def pick(self, ready: Flags) -> Ints:
        mean = ((1 + self.hits) / (2 + self.plays)).round(9)
        best = mean == np.where(ready, mean, -np.inf).max(axis=1, keepdims=True)
        drawn: Ints = np.where(ready & best, self.rng.random(mean.shape), -1.0).argmax(axis=1)
        return drawn

    def learn(self, queries: Ints, runs: Ints, has: Flags, relevant: Floats) -> None:
        told = has & ~np.isnan(relevant)[:, None]
        for array, new in ((self.hits, np.nan_to_num(relevant)), (self.plays, np.ones(len(relevant)))):
            array[queries] = np.where(told, self.rate * array[queries] + new[:, None], array[queries])
