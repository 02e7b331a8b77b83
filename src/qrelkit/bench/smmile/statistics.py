"""How sure may we be of a benchmark of permuted problems? Pure functions over one row per problem.

    rows: problem_id, base_id, correct (Boolean, null where there was no answer to be right or wrong), and what splits them

Rows of one base problem share their query and their demonstrations, so the unit of every interval is the base problem; the
i.i.d. interval stands beside it only to show what would be claimed without.
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


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Integer counts, and what follows from them. `micro` counts rows (interval clustered by base problem), `macro` the bases
    alike, `iid` is micro with Wilson's interval as if rows were independent, `completed` is micro over the rows that have an
    answer; `bases` is the number of base problems."""

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
    single base there is none. Source: Cameron, Miller 2015, eq. 11 with a mean as the only regressor.
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
        micro=_by_t(mean, se, bases),
        macro=_by_t(float(per_base.mean()), macro_se, bases),
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


def wilson(right: int, n: int) -> Estimate:
    """A share with Wilson's 95 % interval. Source: Wilson 1927."""
    if n == 0:
        return Estimate(value=math.nan, reason="there is no row")
    share, square = right / n, Z * Z / n
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return Estimate(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half), n=n)


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
        difference=_by_t(float(difference.mean()), clustered_se(difference, group), bases, least=-1.0),
    )


def mcnemar(gained: int, lost: int) -> float:
    """p of the exact two-sided test that gains and losses are as likely; 1 where nothing changed. Source: McNemar 1947."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


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
        paired=_by_t(value, se, len(differences), least=-1.0),
        paired_se=se,
    )


def recency(rows: pl.DataFrame) -> dict[str, Split]:
    """What it does when the first, and when the last, demonstration has the gold answer, over the problems that have both
    matching and other demonstrations (`has_both`)."""
    both = rows.filter(pl.col("has_both"))
    return {"first": split(both, "first_matches"), "last": split(both, "last_matches")}


def by_nearest(rows: pl.DataFrame) -> pl.DataFrame:
    """Accuracy by how far back the nearest matching demonstration stands: nearest_match (null: none), n, correct, accuracy, low,
    high (Wilson)."""
    return strata(rows, "nearest_match")


def strata(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Accuracy by a column: its value, n, bases, correct, accuracy, low, high (clustered by base; Wilson's where there is one row
    per base), few (fewer than 10 rows). Sorted by n, the most first."""
    found = []
    for (value,), part in rows.group_by(by, maintain_order=True):
        counted = accuracy(part)
        shown = counted.iid if counted.bases == counted.n else counted.micro
        found.append((value, counted.n, counted.bases, counted.correct, shown.value, shown.low, shown.high, counted.n < FEW))
    names = [by, "n", "bases", "correct", "accuracy", "low", "high", "few"]
    return pl.DataFrame(found, schema=names, orient="row").sort("n", by, descending=[True, False], nulls_last=True)


def spread(rows: pl.DataFrame) -> dict[str, float]:
    """How much the order of demonstrations matters: of the bases with several variants, the share with mixed answers, and the
    mean standard deviation of correctness inside a base (0 where order never matters, at most ½)."""
    per_base = (
        rows.with_columns(pl.col("correct").fill_null(False).cast(pl.Float64))
        .group_by("base_id")
        .agg(n=pl.len(), mean=pl.col("correct").mean())
        .filter(pl.col("n") > 1)
    )
    mean = per_base["mean"].to_numpy()
    if not len(mean):
        return {"bases": 0, "mixed": math.nan, "sd": math.nan}
    return {
        "bases": len(mean),
        "mixed": float(((mean > 0) & (mean < 1)).mean()),
        "sd": float(np.sqrt(mean * (1 - mean)).mean()),
    }


def order_free(rows: pl.DataFrame, draws: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """The control: the paired difference by `last_matches` when the answers of each base are dealt anew among its rows."""
    both = rows.filter(pl.col("has_both")).sort("base_id", "problem_id")
    y = both["correct"].fill_null(False).cast(pl.Float64).to_numpy()
    match = both["last_matches"].to_numpy()
    group, rng = _codes(both["base_id"]), np.random.default_rng(seed)
    yes, no = np.bincount(group, weights=match), np.bincount(group, weights=~match)
    usable = (yes > 0) & (no > 0)
    out = np.empty(draws)
    for i in range(draws):
        dealt = y[np.lexsort((rng.random(len(y)), group))]
        hits = np.bincount(group, weights=dealt * match)
        rest = np.bincount(group, weights=dealt * ~match)
        out[i] = float((hits[usable] / yes[usable] - rest[usable] / no[usable]).mean()) if usable.any() else math.nan
    return out


def _completed(y: NDArray[np.float64], group: NDArray[np.int64]) -> Estimate:
    if not len(y):
        return Estimate(value=math.nan, reason="no row has an answer")
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return _by_t(float(y.mean()), clustered_se(y, group), int(group.max()) + 1)


def _by_t(value: float, se: float, units: int, *, least: float = 0.0) -> Estimate:
    """An estimate with t's interval over `units`, cut at what is possible (`least` to 1)."""
    if math.isnan(value):
        return Estimate(value=value, reason="there is nothing to compare")
    if units < 2 or math.isnan(se):
        return Estimate(value=value, n=units, reason="one base problem has no interval")
    from scipy.special import stdtrit

    half = float(stdtrit(units - 1, 0.975)) * se
    return Estimate(value=value, low=max(least, value - half), high=min(1.0, value + half), n=units)


def _codes(values: pl.Series) -> NDArray[np.int64]:
    return np.unique(values.to_numpy(), return_inverse=True)[1].astype(np.int64)


def means_over_models(gains: Sequence[tuple[int, int, int]]) -> tuple[float, float]:
    """Mean absolute gain (points) and mean relative gain (%) of models given as (before, after, n): what headlines average."""
    absolute = [100 * (after - before) / n for before, after, n in gains]
    relative = [100 * (after / before - 1) for before, after, n in gains if before]
    return float(np.mean(absolute)), float(np.mean(relative))
