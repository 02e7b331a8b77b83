"""Several runs become one. Every rule is a sum over the runs r that a document d stands in:

    rrf    Σ w_r / (k + rank_r(d))                     Cormack, Clarke, Büttcher 2009 (SIGIR), k = 60
    sum    Σ w_r · s_r(d)                              CombSUM, Fox & Shaw 1994 (TREC-2); weighted, a linear combination
    mnz    |{r : d in r}| · Σ w_r · s_r(d)             CombMNZ, the same

s_r are the scores of a run, per query and normalised:

    minmax    (s − min) / (max − min)                  0 … 1
    sum       (s − min) / Σ (s − min)                  Montague & Aslam 2001 (CIKM)
    zscore    (s − mean) / sd                          sd of the population
    none      as they are

Where all scores of a query are equal they say nothing of its documents but that they were found: minmax makes them 1 (as
OpenSearch does), sum one n-th each, zscore 0. A document that a run does not list counts in `sum` as that run's lowest score for
the query, which is 0 after minmax and sum; or, with `missing="zero"`, as 0 whatever the normalisation. In rrf and mnz it counts
0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import counted
from qrelkit.core.run import Run

Rule = Literal["rrf", "sum", "mnz"]
Normalise = Literal["minmax", "sum", "zscore", "none"]
Missing = Literal["lowest", "zero"]
K = 60.0
PAIR = ["query_id", "doc_id"]


def fuse(
    runs: Sequence[Run],
    rule: Rule = "rrf",
    *,
    weights: Sequence[float] | None = None,
    k: float = K,
    normalise: Normalise = "minmax",
    missing: Missing = "lowest",
    depth: int | None = None,
    tag: str = "",
) -> Run:
    """One run of several; the first `depth` documents of every query, or all.

    A query that only some runs have is fused from those, and listed in `notes["only_in_some"]`. `k` is rrf's alone, `normalise`
    and `missing` are for scores. Raises UnknownName for a rule that is none of the above, InputError for fewer than two runs,
    weights that are not one number from 0 up for each run, infinite scores, and a depth below 1.
    """
    if depth is not None and depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    said = fusion(runs, rule, weights=weights, k=k, normalise=normalise, missing=missing)
    how = None if rule == "rrf" else normalise
    parts = [_parts(run, weight, how, k) for run, weight in zip(runs, said["weights"], strict=True)]
    if rule == "sum" and missing == "lowest" and normalise in ("zscore", "none"):
        fused = _above_lowest(parts)
    else:
        times = pl.len() if rule == "mnz" else 1
        fused = pl.concat(parts).group_by(PAIR, maintain_order=True).agg(score=pl.sum("part") * times)
    having = pl.concat([run.frame["query_id"].unique(maintain_order=True) for run in runs]).to_frame()
    some = having.group_by("query_id", maintain_order=True).len().filter(pl.col("len") < len(runs))["query_id"]
    made = Run.of(fused, tag or rule)
    made = made if depth is None else made.cut(depth)
    return Run(made.frame, made.tag, {"retriever": said, "only_in_some": some.to_list()})


def fusion(
    runs: Sequence[Run], rule: str = "rrf", *, weights: Sequence[float] | None, k: float, normalise: str, missing: str
) -> dict[str, Any]:
    """What was asked for, checked, as JSON: what of it the rule does not use is left out."""
    for what, value, known in (
        ("rule of fusion", rule, get_args(Rule)),
        ("normalisation", normalise, get_args(Normalise)),
        ("score of what a run does not list", missing, get_args(Missing)),
    ):
        if value not in known:
            raise UnknownName(what, value, known)
    if len(runs) < 2:
        raise InputError(f"fusion needs at least two runs, not {len(runs)}")
    own = [1.0] * len(runs) if weights is None else [float(weight) for weight in weights]
    if len(own) != len(runs):
        raise InputError(f"{counted(len(own), 'weight')} for {len(runs)} runs; give one for each, in the order of the runs")
    if not all(math.isfinite(weight) and weight >= 0 for weight in own) or not any(own):
        shown = ", ".join(f"{weight:g}" for weight in own)
        raise InputError(f"weights are numbers from 0 up, and not all are 0; found {shown}")
    if rule == "rrf":
        if not math.isfinite(k) or k < 0:
            raise InputError(f"k is a number from 0 up, not {k}")
        return {"rule": rule, "weights": own, "k": float(k)}
    for run in runs:
        if run.frame["score"].is_infinite().any():
            raise InputError(f"run {run.tag!r} has an infinite score, which cannot be added to others; fuse by rank (rrf)")
    return {"rule": rule, "weights": own, "normalise": normalise} | ({"missing": missing} if rule == "sum" else {})


def _parts(run: Run, weight: float, normalise: Normalise | None, k: float) -> pl.DataFrame:
    """query_id, doc_id, part: what a run adds to the score of each document it lists, by its rank without a normalisation."""
    if normalise is None:
        return run.frame.select(*PAIR, part=weight / (k + pl.col("rank")))
    frame = run.frame.with_columns(query=pl.col("query_id").rle_id())
    return frame.select(*PAIR, part=weight * _normal(normalise, "query"))


def _normal(how: Normalise, query: str) -> pl.Expr:
    """The scores of a run, normalised within each query."""
    score = pl.col("score")
    low, high = score.min().over(query), score.max().over(query)
    above, spread = score - low, high - low
    if how == "minmax":
        return pl.when(spread > 0).then(above / spread).otherwise(1.0)
    if how == "sum":
        total, count = score.sum().over(query), pl.len().over(query)
        return pl.when(spread > 0).then(above / (total - count * low)).otherwise(1 / count)
    if how == "zscore":
        return pl.when(spread > 0).then((score - score.mean().over(query)) / score.std(ddof=0).over(query)).otherwise(0.0)
    return score


def _above_lowest(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The same sums without a row for what a run does not list: Σ (part − lowest) over the runs that list a document, and to each
    document of the query Σ lowest over all runs that have the query."""
    lowest = [part.group_by("query_id", maintain_order=True).agg(lowest=pl.min("part")) for part in parts]
    floors = pl.concat(lowest).group_by("query_id", maintain_order=True).agg(floor=pl.sum("lowest"))
    above = [
        part.join(low, on="query_id", how="left", maintain_order="left").select(*PAIR, part=pl.col("part") - pl.col("lowest"))
        for part, low in zip(parts, lowest, strict=True)
    ]
    sums = pl.concat(above).group_by(PAIR, maintain_order=True).agg(pl.sum("part"))
    summed = sums.join(floors, on="query_id", how="left", maintain_order="left")
    return summed.select(*PAIR, score=pl.col("part") + pl.col("floor"))
