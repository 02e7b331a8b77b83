"""How sure may we be of a benchmark of permuted problems? Pure functions over one row per problem.

    rows: problem_id, base_id, correct (Boolean, null where there was no answer to be right or wrong), and what splits them

Rows of one base problem share their query and their demonstrations, so the unit of every interval is the base problem; the
i.i.d. interval stands beside it only to show what would be claimed without. A share has t's interval with the clustered standard
error; where every base has one row, or where all bases have the same share, so that they show no variance to go by, it is
Wilson's with the bases as units. A difference that is the same in every base has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.bench.smmile.problems import Problems
from qrelkit.core.errors import InputError
from qrelkit.core.records import Estimate

Z = 1.959963984540054  # of a 95 % interval
FEW = 10  # rows of a stratum below which its accuracy says little
ALIKE = 1e-9  # a standard error below is rounding


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Integer counts, and what follows from them. `micro` counts rows (interval by base problem), `macro` the bases alike, `iid`
    is micro with Wilson's interval as if rows were independent, `completed` is micro over the rows that have an answer; `bases`
    is the number of base problems."""

    correct: int
    n: int
    unanswered: int
    bases: int
    micro: Estimate
    macro: Estimate
    iid: Estimate
    completed: Estimate
    se_iid: float
    se_clustered: float


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two conditions on the same problems: `gained` are wrong in the first and right in the second, `lost` the other way;
    `p` is McNemar's exact test, which takes rows as independent; `difference` (second − first) is clustered by base."""

    n: int
    first: int
    second: int
    gained: int
    lost: int
    p: float
    difference: Estimate


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows that do and do not match: their counts and correct ones, and the mean over bases of (match − no match), with the
    standard error of that mean."""

    match: int
    match_correct: int
    no_match: int
    no_match_correct: int
    paired: Estimate
    paired_se: float


def facts(problems: Problems) -> pl.DataFrame:
    """What is known of each problem before anybody answers it: base_id, demonstrations, whether the first and the last of them
    have the gold answer, whether some have it and some do not, how far back the nearest matching one stands (1 is the last;
    null for none), and its tags."""
    rows = [
        {
            "problem_id": p.problem_id,
            "base_id": p.base_id,
            "demonstrations": len(p.demonstrations),
            "first_matches": p.first_matches,
            "last_matches": p.last_matches,
            "has_both": p.has_both,
            "nearest_match": next((i for i, t in enumerate(reversed(p.demonstrations), 1) if t.answer == p.query.answer), None),
            **{f"tag_{name}": value for name, value in p.query.tags.items()},
        }
        for p in problems.problems
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def accuracy(rows: pl.DataFrame) -> Accuracy:
    """How many are right, with rows that have no answer counted as wrong (and, in `completed`, left out).

    The clustered standard error is √(G/(G−1) · Σ_g (Σ_i (y_i − ȳ))²) / n over G bases, with t of G − 1 degrees of freedom; of a
    single base with several rows there is none. Source: Cameron, Miller 2015, eq. 11 with a mean as the only regressor.
    """
    y = rows["correct"].fill_null(False).cast(pl.Float64).to_numpy()
    group = _codes(rows["base_id"])
    answered = rows["correct"].is_not_null().to_numpy()
    n, right = len(y), int(y.sum())
    if n == 0:
        nothing = Estimate(value=math.nan, reason="there is no row")
        return Accuracy(
            correct=0, n=0, unanswered=0, bases=0, micro=nothing, macro=nothing, iid=nothing, completed=nothing,
            se_iid=math.nan, se_clustered=math.nan,
        )  # fmt: skip
    se = clustered_se(y, group)
    bases = int(group.max()) + 1
    per_base = np.bincount(group, weights=y) / np.bincount(group)
    macro_se = float(per_base.std(ddof=1) / math.sqrt(bases)) if bases > 1 else math.nan
    mean = right / n
    return Accuracy(
        correct=right,
        n=n,
        unanswered=int((~answered).sum()),
        bases=bases,
        micro=share_of(mean, se, n, bases),
        macro=share_of(float(per_base.mean()), macro_se, n, bases),
        iid=wilson(right, n),
        completed=_completed(y[answered], group[answered]),
        se_iid=math.sqrt(mean * (1 - mean) / n),
        se_clustered=se,
    )


def clustered_se(y: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Standard error of the mean of y where rows of a group are not independent; NaN for a single group."""
    groups = int(group.max()) + 1
    if groups < 2:
        return math.nan
    sums = np.bincount(group, weights=y - y.mean())
    return float(math.sqrt(groups / (groups - 1) * (sums**2).sum()) / len(y))


def share_of(share: float, se: float, n: int, bases: int) -> Estimate:
    """A share of n rows of so many bases, with the interval that stands above."""
    if bases < 2 <= n:
        return Estimate(value=share, n=bases, reason="one base problem has no interval")
    low, high = _limits(np.array([share]), np.array([se]), np.array([n]), np.array([bases]))
    return Estimate(value=share, low=float(low[0]), high=float(high[0]), n=bases)


def wilson(right: int, n: int) -> Estimate:
    """A share with Wilson's 95 % interval. Source: Wilson 1927."""
    if n == 0:
        return Estimate(value=math.nan, reason="there is no row")
    low, high = _wilson(np.array([right / n]), np.array([n]))
    return Estimate(value=right / n, low=float(low[0]), high=float(high[0]), n=n)


def paired(first: pl.DataFrame, second: pl.DataFrame, *, completed: bool = True) -> Paired:
    """Two conditions on the problems that have an answer in both; or, not only the `completed` ones, on all that both were asked,
    no answer being wrong. Raises InputError where they share none."""
    columns = ["problem_id", "base_id", "correct"]
    both = first.select(columns).join(second.select("problem_id", pl.col("correct").alias("then")), on="problem_id")
    both = both.drop_nulls(["correct", "then"]) if completed else both.with_columns(pl.col("correct", "then").fill_null(False))
    if not both.height:
        raise InputError("the two conditions have no problem in common that was answered in both")
    a, b = both["correct"].to_numpy(), both["then"].to_numpy()
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    difference = b.astype(np.float64) - a
    group = _codes(both["base_id"])
    bases = int(group.max()) + 1
    return Paired(
        n=both.height,
        first=int(a.sum()),
        second=int(b.sum()),
        gained=gained,
        lost=lost,
        p=mcnemar(gained, lost),
        difference=difference_of(float(difference.mean()), clustered_se(difference, group), bases),
    )


def mcnemar(gained: int, lost: int) -> float:
    """p of the exact two-sided test that gains and losses are as likely: min(1, 2 · P(X ≤ the fewer)) with X of the binomial
    distribution of all changes and ½; 1 where nothing changed. Source: McNemar 1947."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def split(rows: pl.DataFrame, by: str) -> Split:
    """Accuracy where the Boolean column `by` is true and where it is not, and their paired difference within base problems.

    Bases that have only one kind do not enter the difference. Rows without an answer count as wrong.
    """
    rows = rows.with_columns(pl.col("correct").fill_null(False).cast(pl.Float64))
    kinds = {
        bool(kind): (n, int(right))
        for kind, n, right in rows.group_by(by).agg(n=pl.len(), right=pl.col("correct").sum()).iter_rows()
    }
    (match, right), (other, other_right) = kinds.get(True, (0, 0)), kinds.get(False, (0, 0))
    means = rows.group_by("base_id", by).agg(mean=pl.col("correct").mean())
    yes = means.filter(pl.col(by)).select("base_id", yes="mean")
    no = means.filter(~pl.col(by)).select("base_id", no="mean")
    differences = yes.join(no, on="base_id").sort("base_id").select(d=pl.col("yes") - pl.col("no"))["d"].to_numpy()
    se = float(differences.std(ddof=1) / math.sqrt(len(differences))) if len(differences) > 1 else math.nan
    value = float(differences.mean()) if len(differences) else math.nan
    return Split(
        match=match,
        match_correct=right,
        no_match=other,
        no_match_correct=other_right,
        paired=difference_of(value, se, len(differences)),
        paired_se=se,
    )


def recency(rows: pl.DataFrame) -> dict[str, Split]:
    """What it does when the first, and when the last, demonstration has the gold answer, over the problems that have both
    matching and other demonstrations (`has_both`)."""
    both = rows.filter(pl.col("has_both"))
    return {"first": split(both, "first_matches"), "last": split(both, "last_matches")}


def strata(rows: pl.DataFrame, by: str, within: Sequence[str] = ()) -> pl.DataFrame:
    """Accuracy by a column, `within` each of others: these, its value, n, bases, correct, accuracy, low, high (NaN for several
    rows of one base), few (fewer than 10 rows). Sorted by n, the most first."""
    keys = [*within, by]
    right = pl.col("correct").fill_null(False).sum()
    per_base = rows.group_by(*keys, "base_id", maintain_order=True).agg(n=pl.len(), right=right)
    mean = pl.col("right").sum() / pl.col("n").sum()
    found = per_base.group_by(keys, maintain_order=True).agg(
        n=pl.col("n").sum().cast(pl.Int64),
        bases=pl.len().cast(pl.Int64),
        correct=pl.col("right").sum().cast(pl.Int64),
        accuracy=mean,
        squares=(pl.col("right") - mean * pl.col("n")).pow(2).sum(),
    )
    n, bases = found["n"].to_numpy(), found["bases"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(bases / (bases - 1) * found["squares"].to_numpy()) / n
    low, high = _limits(found["accuracy"].to_numpy(), se, n, bases)
    columns = [pl.Series("low", low), pl.Series("high", high)]
    told = found.drop("squares").with_columns(*columns, few=pl.col("n") < FEW)
    return told.sort("n", by, descending=[True, False], nulls_last=True, maintain_order=True)


def spread(rows: pl.DataFrame) -> dict[str, Estimate]:
    """How much the order of demonstrations matters: of the bases with several variants, `mixed`, the share with right and wrong
    answers, and `sd`, the mean standard deviation of correctness inside a base (0 where order never matters, at most ½).

    Of zero-shot rows, which show a base's variants the same, it is what the model does by itself."""
    per_base = (
        rows.group_by("base_id")
        .agg(n=pl.len(), mean=pl.col("correct").fill_null(False).cast(pl.Float64).mean())
        .filter(pl.col("n") > 1)
        .sort("base_id")
    )
    mean = per_base["mean"].to_numpy()
    sd = np.sqrt(mean * (1 - mean))
    se = float(sd.std(ddof=1) / math.sqrt(len(sd))) if len(sd) > 1 else math.nan
    return {
        "mixed": wilson(int(((mean > 0) & (mean < 1)).sum()), len(mean)),
        "sd": difference_of(float(sd.mean()) if len(sd) else math.nan, se, len(sd), least=0.0),
    }


def order_free(rows: pl.DataFrame, by: str = "last_matches", draws: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """The control: the paired difference of `split` when the answers of each base are dealt anew among its rows, so that the
    right ones among those that match are hypergeometric. NaN where no base has rows of both kinds."""
    counts = (
        rows.filter(pl.col("has_both"))
        .group_by("base_id")
        .agg(n=pl.len(), yes=pl.col(by).sum(), right=pl.col("correct").fill_null(False).sum())
        .filter((pl.col("yes") > 0) & (pl.col("yes") < pl.col("n")))
        .sort("base_id")
    )
    if not counts.height:
        return np.full(draws, math.nan)
    n, yes, right = (counts[name].cast(pl.Int64).to_numpy() for name in ("n", "yes", "right"))
    hits = np.random.default_rng(seed).hypergeometric(right, n - right, yes, size=(draws, len(n)))
    dealt: NDArray[np.float64] = (hits / yes - (right - hits) / (n - yes)).mean(axis=1)
    return dealt


def difference_of(value: float, se: float, units: int, *, least: float = -1.0) -> Estimate:
    """A mean of differences with t's interval over so many units, cut at what is possible (`least` to 1)."""
    if math.isnan(value):
        return Estimate(value=value, reason="there is nothing to compare")
    if units < 2 or math.isnan(se):
        return Estimate(value=value, n=units, reason="one base problem has no interval")
    if se < ALIKE:
        return Estimate(value=value, n=units, reason="it is the same in every base problem")
    from scipy.special import stdtrit

    half = float(stdtrit(units - 1, 0.975)) * se
    return Estimate(value=value, low=max(least, value - half), high=min(1.0, value + half), n=units)


def _completed(y: NDArray[np.float64], group: NDArray[np.int64]) -> Estimate:
    if not len(y):
        return Estimate(value=math.nan, reason="no row has an answer")
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return share_of(float(y.mean()), clustered_se(y, group), len(y), int(group.max()) + 1)


Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


def _limits(share: NDArray[np.float64], se: NDArray[np.float64], n: NDArray[np.int64], bases: NDArray[np.int64]) -> Ends:
    """Both ends of the intervals of shares: t's, or Wilson's over the bases; NaN for several rows of one base."""
    from scipy.special import stdtrit

    with np.errstate(invalid="ignore"):
        half = stdtrit(bases - 1, 0.975) * se
    by_base = (bases == n) | ((se < ALIKE) & (bases > 1))
    low, high = _wilson(share, bases)
    return np.where(by_base, low, np.maximum(0.0, share - half)), np.where(by_base, high, np.minimum(1.0, share + half))


def _wilson(share: NDArray[np.float64], n: NDArray[np.int64]) -> Ends:
    square = Z * Z / n
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * np.sqrt(share * (1 - share) / n + square / (4 * n))
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def _codes(values: pl.Series) -> NDArray[np.int64]:
    return np.unique(values.to_numpy(), return_inverse=True)[1].astype(np.int64)
