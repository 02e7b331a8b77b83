"""compare: do two qrels rank the systems alike, or, under one qrels, which systems differ?

With two qrels the first is the reference: Kendall's tau-b, tau-AP and tau-b among the reference's top k. With one, every two
systems get the difference of their means with its interval by query, and the p of two paired tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.stats import correlation
from qrelkit.stats.resample import draws, estimate, interval
from qrelkit.stats.significance import EXACT_UP_TO, holm, randomisation_test, t_test
from qrelkit.steps.comparison import Differences, Ranking
from qrelkit.steps.evaluate import evaluate

Array = NDArray[np.float64]

FLIPS, FLIPS_OF_MANY = 100_000, 50_000  # p near .3 is then known to ± .003; fewer where time would go into many pairs
MANY = 1_000  # pairs of systems


def compare(
    measure: str,
    runs: Sequence[Run],
    qrels: Sequence[Qrels],
    *,
    tops: Sequence[int] = (10, 20),
    leave_out_empty: bool = False,
    by: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    resamples: int = 2000,
    flips: int | None = None,
    seed: int = 0,
) -> Ranking | Differences:
    """The systems' order under two qrels (`Ranking`), or their differences under one (`Differences`).

    Queries that a run left out count 0 there, as in `evaluate`. Two qrels are compared on the queries that both have; `tops`
    are the k of top-k tau. `by` (query_id → group) adds the same within each group of queries; `weights` (query_id → weight)
    make every mean a weighted one: a query's value counts times its weight over the mean weight. `flips` sign patterns are
    drawn for the randomisation test: 100,000 unless said, 50,000 beyond 1,000 pairs of systems. What `evaluate` warns of
    (missing queries, queries without a relevant document) is warned of here.

    Raises InputError for fewer than two runs, neither one nor two qrels, or no query left; Mismatch where two qrels share
    no query.
    """
    if len(runs) < 2:
        raise InputError(f"comparing needs at least two runs, not {len(runs)}")
    if len(qrels) not in (1, 2):
        raise InputError(f"comparing needs one qrels (differences) or two (rankings), not {len(qrels)}")
    tables: list[pl.DataFrame] = []
    warnings: list[str] = []
    for one in qrels:
        table, told = _scores(measure, runs, one, leave_out_empty)
        tables.append(table)
        warnings += told if len(qrels) == 1 else [f"{one.name}: {text}" for text in told]

    def found(tables: Sequence[pl.DataFrame]) -> Ranking | Differences:
        if weights is not None:
            tables = [weighted(table, weights) for table in tables]
        if len(tables) == 1:
            return _differences(measure, qrels[0].name, tables[0], resamples=resamples, flips=flips, seed=seed)
        names = (qrels[0].name, qrels[1].name)
        return _ranking(measure, names, tables[0], tables[1], tops, resamples=resamples, seed=seed)

    whole = found(tables)
    groups = {name: found([_within(t, by, name) for t in tables]) for name in _groups(tables[0], by)} if by is not None else {}
    return replace(whole, warnings=(*warnings, *whole.warnings), by=groups)


def weighted(table: pl.DataFrame, weights: Mapping[str, float]) -> pl.DataFrame:
    """The table with every query's values times its weight over the mean weight: its plain means are the weighted means."""
    missing = [query for query in table["query_id"] if query not in weights]
    if missing:
        raise InputError(f"{len(missing)} queries have no weight, the first is {missing[0]!r}")
    w = np.array([weights[query] for query in table["query_id"]], dtype=np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise InputError("weights must be numbers that are not negative, and not all 0")
    share = pl.Series(w / w.mean())
    return table.with_columns(pl.exclude("query_id") * share)


def _groups(table: pl.DataFrame, by: Mapping[str, str]) -> list[str]:
    return sorted({by[query] for query in table["query_id"] if query in by})


def _within(table: pl.DataFrame, by: Mapping[str, str], group: str) -> pl.DataFrame:
    return table.filter(pl.col("query_id").is_in([query for query, name in by.items() if name == group]))


def _scores(measure: str, runs: Sequence[Run], qrels: Qrels, leave_out_empty: bool) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """One row per query that counts, sorted by id, and one column per system, in the order given; and the warnings."""
    scores = evaluate([measure], runs, qrels, per_query=True, leave_out_empty=leave_out_empty, resamples=0)
    counted = scores.per_query.drop_nulls("value")  # a query left out is null for every system
    if not counted.height:
        raise InputError(f"no query is left: none has a relevant document in {qrels.name}")
    table = counted.pivot("tag", index="query_id", values="value", maintain_order=True).sort("query_id")
    return table, scores.warnings


def _ranking(
    measure: str,
    names: tuple[str, str],
    first: pl.DataFrame,
    second: pl.DataFrame,
    tops: Sequence[int],
    *,
    resamples: int,
    seed: int,
) -> Ranking:
    tags = first.columns[1:]
    shared = first.select("query_id").join(second, on="query_id", how="semi", maintain_order="left")
    if not shared.height:
        raise Mismatch(f"{names[0]} and {names[1]} share no query, so no system can be ranked under both")
    a, b = (shared.join(t, on="query_id", how="left", maintain_order="left").select(tags).to_numpy() for t in (first, second))
    lost = first.height + second.height - 2 * shared.height
    systems = pl.DataFrame({"tag": tags, "a": a.mean(axis=0), "b": b.mean(axis=0)}).with_columns(
        pl.col("a", "b").round(10).rank("min", descending=True).name.prefix("rank_")
    )
    found = _taus(a, b, tops, resamples, seed)
    return Ranking(
        measure=measure,
        qrels=names,
        queries=len(a),
        tau=found["tau"],
        tau_ap=found["tau_ap"],
        top={k: found[f"top {k}"] for k in tops},
        systems=systems.sort("rank_a", maintain_order=True),
        warnings=(f"{lost} queries that only one of the qrels has are left out",) if lost else (),
    )


def _taus(a: Array, b: Array, tops: Sequence[int], resamples: int, seed: int) -> dict[str, Estimate]:
    """The correlations of two (queries × systems) tables with their intervals; queries are drawn for both tables alike."""
    queries, systems = a.shape

    def formula(w: Array) -> dict[str, Array]:
        x, y = w @ a / queries, w @ b / queries
        found = {"tau": correlation.tau_b(x, y), "tau_ap": correlation.tau_ap(x, y)}
        return found | {f"top {k}": correlation.tau_top(x, y, k) for k in tops}

    value = formula(np.ones((1, queries)))
    blocks = [formula(w) for w in draws(queries, resamples, seed, width=systems**2)] if queries > 1 else []
    out = {}
    for name, tau in value.items():
        n = min(systems, int(name[4:])) if name.startswith("top") else systems
        why = f"there are only {systems} systems" if name.startswith("top") and n < int(name[4:]) else "all systems tie"
        samples = np.concatenate([block[name] for block in blocks]) if blocks else np.empty(0)
        out[name] = replace(estimate(float(tau[0]), samples, queries, why), n=n)
    return out


def _differences(measure: str, name: str, table: pl.DataFrame, *, resamples: int, flips: int | None, seed: int) -> Differences:
    tags = table.columns[1:]
    scores = table.select(tags).to_numpy()
    left, right = (np.array(side) for side in zip(*combinations(range(len(tags)), 2), strict=True))
    differences = scores[:, left] - scores[:, right]
    queries = len(scores)
    low, high = _limits(differences, resamples, seed)
    flips = flips or (FLIPS if differences.shape[1] <= MANY else FLIPS_OF_MANY)
    p_rand = randomisation_test(differences, flips=flips, seed=seed)
    pairs = pl.DataFrame(
        {
            "a": [tags[i] for i in left],
            "b": [tags[i] for i in right],
            "diff": differences.mean(axis=0),
            "low": low,
            "high": high,
            "p_t": t_test(differences),
            "p_rand": p_rand,
            "p_holm": holm(p_rand),
        }
    )
    means = dict(zip(tags, scores.mean(axis=0).tolist(), strict=True))
    smallest = differences.shape[1] / (1 + flips)
    coarse = f"{differences.shape[1]:,} pairs, {flips:,} sign flips: p_holm cannot fall below {smallest:.2f}; compare fewer runs"
    warnings = (coarse,) if smallest > 0.05 and queries > EXACT_UP_TO else ()
    return Differences(measure=measure, qrels=name, queries=queries, means=means, pairs=pairs, warnings=warnings)


def _limits(differences: Array, resamples: int, seed: int) -> tuple[Array, Array]:
    """95 % intervals of the mean differences by query; NaN below two queries."""
    queries, pairs = differences.shape
    if queries < 2 or not resamples:
        return np.full(pairs, math.nan), np.full(pairs, math.nan)
    return interval(np.concatenate([w @ differences / queries for w in draws(queries, resamples, seed, width=pairs)]))
