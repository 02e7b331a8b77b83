"""The measures themselves: a run against graded documents gives one number per query, for all queries at once.

A run is joined with the grades once (`Ranked`), and every measure works on the few rows that were judged: unjudged
documents have no gain, and only their number is ever needed. Each measure is one function with the formula in front;
values equal trec_eval's (tests/oracle). A query without a relevant document, or that the run misses, scores 0.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Judged:
    """The graded documents of every query that has any. `query_ids` is sorted; arrays are per query in that order.

    An ungraded pair and one with a negative grade (trec_eval's pooled and unjudged) are as if they were not there, but
    a negative grade keeps its query.
    """

    def __init__(self, qrels: Qrels) -> None:
        graded = qrels.graded
        queries = graded.select(pl.col("query_id").unique().sort()).with_row_index("q")
        self.name = qrels.name
        self.query_ids = queries["query_id"]
        self.n = queries.height
        wanted = [c for c in ("query_id", "doc_id", "grade", "expected") if c in graded.columns]
        self.frame = graded.select(wanted).filter(pl.col("grade") >= 0).join(queries, on="query_id", maintain_order="left")
        self.q: Ints = self.frame["q"].to_numpy().astype(np.int64)
        self.grade: Ints = self.frame["grade"].to_numpy().astype(np.int64)
        self.expected = expected(self.frame)
        self.top_grade = int(self.grade.max(initial=0))
        self.known: dict[Hashable, Floats] = {}

    def count(self, low: int, below: int | None = None) -> Ints:
        """Documents per query with a grade of at least `low` (and less than `below`)."""
        fits = self.grade >= low if below is None else (self.grade >= low) & (self.grade < below)
        return np.bincount(self.q[fits], minlength=self.n)

    def highest(self, least: int) -> Ints:
        """Each query's highest grade, and at least `least`."""
        out = np.full(self.n, least)
        np.maximum.at(out, self.q, self.grade)
        return out

    def once(self, key: Hashable, make: Callable[[], Floats]) -> Floats:
        """What `make` gives; made once for all runs."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]


class Ranked:
    """What a run retrieved among the judged: rows by query and rank, with `q` (the query's place), `rank`, `grade`."""

    def __init__(self, run: Run, judged: Judged) -> None:
        on = ["query_id", "doc_id"]
        rows = run.frame.select(*on, "rank").join(judged.frame, on=on, how="inner", maintain_order="left")
        first = np.flatnonzero(run.frame["rank"].to_numpy() == 1)
        lengths = pl.DataFrame({"query_id": run.frame["query_id"].gather(first), "len": np.diff(first, append=len(run))})
        found = judged.query_ids.to_frame().join(lengths, on="query_id", how="left", maintain_order="left")
        self.judged, self.n = judged, judged.n
        self.retrieved: Ints = found["len"].fill_null(0).to_numpy().astype(np.int64)
        self.q: Ints = rows["q"].to_numpy().astype(np.int64)
        self.rank: Ints = rows["rank"].to_numpy().astype(np.int64)
        self.grade: Ints = rows["grade"].to_numpy().astype(np.int64)
        self.expected = expected(rows)
        self.stray = lengths.join(judged.query_ids.to_frame(), on="query_id", how="anti", maintain_order="left")["query_id"]

    def within(self, cutoff: int | None) -> Flags:
        """The rows down to a rank."""
        return np.ones(len(self.rank), bool) if cutoff is None else self.rank <= cutoff

    def total(self, rows: Flags, weight: npt.NDArray[Any] | None = None) -> Floats:
        """Per query, the number of such rows, or the sum of their weights, added from the top rank down."""
        weights = None if weight is None else weight[rows]
        return np.bincount(self.q[rows], weights, minlength=self.n).astype(np.float64)

    def running(self, rows: Flags) -> Ints:
        """At each row, how many such rows its query has had so far, itself included."""
        so_far: Ints = np.cumsum(rows)
        first = np.flatnonzero(np.diff(self.q, prepend=-1))
        before: Ints = so_far[first] - rows[first]
        return so_far - np.repeat(before, np.diff(first, append=len(self.q)))


def expected(rows: pl.DataFrame) -> Floats | None:
    """The assessor's mean grade where there is one, the grade where not (a human's); None where no row has one."""
    if "expected" not in rows.columns or rows["expected"].null_count() == rows.height:
        return None
    means: Floats = rows["expected"].fill_null(rows["grade"].cast(pl.Float64)).to_numpy().clip(0)
    return means


def ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    """above / below, and 0 where there is nothing below."""
    out = np.zeros(len(above))
    np.divide(above, below, out=out, where=below > 0)
    return out


def precision(r: Ranked, cutoff: int, *, rel: int = 1) -> Floats:
    """P@k = relevant in the top k / k, also where fewer than k were retrieved. trec_eval: P."""
    return r.total((r.grade >= rel) & r.within(cutoff)) / cutoff


def recall(r: Ranked, cutoff: int, *, rel: int = 1) -> Floats:
    """R@k = relevant in the top k / relevant. trec_eval: recall."""
    return ratio(r.total((r.grade >= rel) & r.within(cutoff)), r.judged.count(rel))


def success(r: Ranked, cutoff: int, *, rel: int = 1) -> Floats:
    """Success@k = 1 if any of the top k is relevant. trec_eval: success."""
    return (r.total((r.grade >= rel) & r.within(cutoff)) > 0).astype(np.float64)


def reciprocal_rank(r: Ranked, cutoff: int | None, *, rel: int = 1) -> Floats:
    """RR = 1 / rank of the first relevant document (0 if beyond the cut-off). trec_eval: recip_rank."""
    hit = r.grade >= rel
    return r.total(hit & (r.running(hit) == 1) & r.within(cutoff), 1 / r.rank)


def average_precision(r: Ranked, cutoff: int | None, *, rel: int = 1) -> Floats:
    """AP = Σ over relevant retrieved (relevant so far / rank) / relevant, all of them also under a cut-off. trec_eval: map."""
    hit = r.grade >= rel
    return ratio(r.total(hit & r.within(cutoff), r.running(hit) / r.rank), r.judged.count(rel))


def ndcg(r: Ranked, cutoff: int | None, *, dcg: str = "linear", gain: str = "grade") -> Floats:
    """nDCG = Σ gain / log2(rank + 1), over the same sum for the best possible order (both cut at k).

    In [0, 1]. The gain is the grade, 2^grade - 1 with `dcg="exp"`, or the mean grade under the assessor's probabilities
    with `gain="expected"` (the grade itself where there are none). Järvelin & Kekäläinen 2002; trec_eval: ndcg, ndcg_cut;
    gdeval for `exp`.
    """
    ideal = r.judged.once(("ndcg", cutoff, dcg, gain), lambda: best_dcg(r.judged, cutoff, dcg, gain))
    return ratio(discounted_gain(r, cutoff, dcg=dcg, gain=gain), ideal)


def discounted_gain(r: Ranked, cutoff: int | None, *, dcg: str = "linear", gain: str = "grade") -> Floats:
    """DCG = Σ gain / log2(rank + 1): nDCG before it is divided by the ideal, from 0 up. Gains as in nDCG."""
    return r.total(r.within(cutoff), gains(r.grade, r.expected, dcg, gain) / np.log2(r.rank + 1))


def best_dcg(judged: Judged, cutoff: int | None, dcg: str, gain: str) -> Floats:
    """The DCG of every query's documents in falling order of gain."""
    gained = gains(judged.grade, judged.expected, dcg, gain)
    some = np.flatnonzero(gained)
    order = some[np.lexsort((-gained[some], judged.q[some]))]
    q, gained = judged.q[order], gained[order]
    rank = np.arange(1, len(q) + 1) - np.searchsorted(q, q)
    top = np.ones(len(q), bool) if cutoff is None else rank <= cutoff
    return np.bincount(q[top], (gained / np.log2(rank + 1))[top], minlength=judged.n).astype(np.float64)


def gains(grade: Ints, means: Floats | None, dcg: str, gain: str) -> Floats:
    """What each document brings; grades stand for themselves where there are no `means`."""
    if gain == "expected" and means is not None:
        return means
    return np.exp2(grade) - 1 if dcg == "exp" else grade.astype(np.float64)


def bpref(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """bpref = 1/R Σ over relevant retrieved (1 - min(N so far, R) / min(N, R)); N: judged and not relevant, R: relevant.

    Unjudged documents do not matter. Buckley & Voorhees 2004; trec_eval: bpref.
    """
    hit = r.grade >= rel
    relevant, other = r.judged.count(rel), r.judged.count(0, rel)
    above = np.minimum(r.running(~hit), relevant[r.q])
    return ratio(r.total(hit, 1 - ratio(above, np.minimum(other, relevant)[r.q])), relevant)


def r_precision(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """Rprec = relevant in the top R / R, R the number of relevant documents. trec_eval: Rprec."""
    relevant = r.judged.count(rel)
    return ratio(r.total((r.grade >= rel) & (r.rank <= relevant[r.q])), relevant)


def interpolated_precision(r: Ranked, cutoff: float, *, rel: int = 1) -> Floats:
    """IPrec@x = the highest precision at any rank where at least a share x of the relevant documents has been seen.

    The share is rounded to a whole number of documents. trec_eval 10: iprec_at_recall (version 9 rounds up from .1).
    """
    hit = r.grade >= rel
    so_far = r.running(hit)
    enough = hit & (so_far >= np.floor(cutoff * r.judged.count(rel) + 0.5)[r.q])
    out = np.zeros(r.n)
    np.maximum.at(out, r.q[enough], (so_far / r.rank)[enough])
    return out


def rank_biased_precision(r: Ranked, cutoff: int | None, *, p: float = 0.8, gain: str = "binary", rel: int = 1) -> Floats:
    """RBP = (1 - p) Σ gain · p^(rank - 1): a reader who goes on with probability p. Moffat & Zobel 2008.

    The gain is 1 for a relevant document; with `gain="graded"` grade / the query's highest grade, as in trec_eval's rbp.
    """
    weight = p ** (r.rank - 1.0)
    if gain == "graded":
        weight = weight * r.grade / r.judged.highest(1)[r.q]
    return (1 - p) * r.total((r.grade >= rel) & r.within(cutoff), weight)


def expected_reciprocal_rank(r: Ranked, cutoff: int | None, *, max: int = 0) -> Floats:
    """ERR = Σ 1/rank · R · Π over those above (1 - R), R = (2^grade - 1) / 2^max: where a reader stops satisfied.

    `max` is the highest grade of the scale (0: the highest in the qrels). Chapelle et al. 2009; gdeval has max=4.
    """
    top = max or r.judged.top_grade
    if top < r.judged.top_grade:
        raise InputError(f"ERR(max={max}): qrels {r.judged.name!r} have a grade {r.judged.top_grade}")
    hit = (r.grade > 0) & r.within(cutoff)
    if not hit.any():
        return np.zeros(r.n)
    q, place = r.q[hit], r.running(hit)[hit]
    satisfied = np.zeros((r.n, place.max() + 1))
    satisfied[q, place] = (np.exp2(r.grade[hit]) - 1) / 2.0**top
    reached = np.cumprod(1 - satisfied, axis=1)[q, place - 1]
    return np.bincount(q, reached * satisfied[q, place] / r.rank[hit], minlength=r.n).astype(np.float64)


def judged_share(r: Ranked, cutoff: int | None) -> Floats:
    """Judged@k = judged in the top k / documents there (k, or what was retrieved if less). As ir_measures."""
    there = r.retrieved if cutoff is None else np.minimum(r.retrieved, cutoff)
    return ratio(r.total(r.within(cutoff)), there)


def set_precision(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """SetP = relevant retrieved / retrieved. trec_eval: set_P."""
    return ratio(r.total(r.grade >= rel), r.retrieved)


def set_recall(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """SetR = relevant retrieved / relevant. trec_eval: set_recall."""
    return ratio(r.total(r.grade >= rel), r.judged.count(rel))


def set_f(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """SetF = 2 P R / (P + R) of the whole retrieved set. trec_eval: set_F."""
    p, recalled = set_precision(r, rel=rel), set_recall(r, rel=rel)
    return ratio(2 * p * recalled, p + recalled)


def set_ap(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """SetAP = P R of the whole retrieved set. trec_eval: set_map."""
    return set_precision(r, rel=rel) * set_recall(r, rel=rel)


def number_retrieved(r: Ranked, cutoff: None = None) -> Floats:
    """NumRet: documents retrieved; its total is a sum over queries. trec_eval: num_ret."""
    return r.retrieved.astype(np.float64)


def number_relevant(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """NumRel: relevant documents; summed over queries. trec_eval: num_rel."""
    return r.judged.count(rel).astype(np.float64)


def number_relevant_retrieved(r: Ranked, cutoff: None = None, *, rel: int = 1) -> Floats:
    """NumRelRet: relevant documents retrieved; summed over queries. trec_eval: num_rel_ret."""
    return r.total(r.grade >= rel)
