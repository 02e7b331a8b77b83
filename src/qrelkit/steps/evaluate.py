"""evaluate: runs and qrels in, systems × measures with intervals out.

Every query that the qrels grade counts: one that a run misses scores 0 for it, and this is said. Queries of a run that
the qrels do not know are left out, and this is said too; so are those that a search engine failed on, for all runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate, counted
from qrelkit.core.run import Run
from qrelkit.measures.aggregate import Cell, Scores, listed, means, weighted
from qrelkit.measures.bounds import UNMOVED, Holes, Unjudged, bounds, no_range
from qrelkit.measures.parse import Measure, grades_for_means, parse_measures
from qrelkit.measures.rank import Floats, Judged, Ranked


def evaluate(
    measures: Iterable[str | Measure],
    runs: Sequence[Run],
    qrels: Qrels | Mapping[str, Qrels],
    *,
    by: pl.DataFrame | None = None,
    weights: Mapping[str, float] | None = None,
    per_query: bool = False,
    leave_out_empty: bool = False,
    resamples: int = 2000,
    seed: int = 0,
    ranges: Unjudged | None = None,
) -> Scores:
    """Scores of every run under every measure, with 95 % bootstrap intervals by query.

    Several `qrels` (human, model, mixed) stand side by side under their names, each over the queries that it grades. `by`
    (query_id and one more column) adds a block per value; `weights` (query_id → weight) makes the means weighted ones.
    `leave_out_empty` leaves out, per measure, the queries without a relevant document. `ranges` adds to every number how far it
    could move if the documents without a grade got one. Raises Mismatch where a run and the
    qrels share no query, InputError for tags that clash and for weights that are missing or negative.
    """
    wanted = parse_measures(measures)
    named = {qrels.name: qrels} if isinstance(qrels, Qrels) else dict(qrels)
    different(runs)
    cells: list[Cell] = []
    frames: list[pl.DataFrame] = []
    named, warnings = answered(named, runs)
    for name, one in named.items():
        judged = Judged(one)
        prefix = f"{name}: " if len(named) > 1 else ""
        warnings += [prefix + text for text in about_qrels(one, judged, wanted, leave_out_empty)]
        values, texts = scored(wanted, runs, judged)
        warnings += [prefix + text for text in texts]
        counted = np.stack([kept(judged, measure, leave_out_empty) for measure in wanted], axis=1)
        weight = counted * weights_of(judged, weights)[:, None]
        limits = None
        if ranges is not None:
            limits, texts = spans(wanted, runs, one, judged, ranges)
            warnings += [prefix + text for text in texts]
        for group, inside in groups(judged, by).items():
            block = summarised(name, group, wanted, runs, values[:, :, inside], weight[inside], resamples, seed)
            cells += block if limits is None else ranged(block, wanted, limits[..., inside], weight[inside])
        frames.append(long_frame(name, wanted, runs, judged, np.where(counted.T > 0, values, np.nan)))
    column = "" if by is None else next(c for c in by.columns if c != "query_id")
    return Scores(
        cells=tuple(cells),
        per_query=pl.concat(frames),
        warnings=tuple(dict.fromkeys(warnings)),
        by=column,
        show_per_query=per_query,
        levels=() if ranges is None else tuple(ranges.levels),
    )


def answered(named: Mapping[str, Qrels], runs: Sequence[Run]) -> tuple[dict[str, Qrels], list[str]]:
    """The qrels without the queries that some engine gave no answer to (`notes["failed"]`): a failure is no empty result, and
    every system is measured on the same queries. Raises Mismatch where none is left."""
    failed = {run.tag: list(run.notes["failed"]) for run in runs if run.notes.get("failed")}
    if not failed:
        return dict(named), []
    gone = pl.Series(sorted({query_id for queries in failed.values() for query_id in queries}), dtype=pl.String)
    out = {name: Qrels(one.frame.filter(~pl.col("query_id").is_in(gone.implode())), one.name) for name, one in named.items()}
    if empty := next((name for name, one in out.items() if not one.frame.height), None):
        raise Mismatch(f"{empty}: of every query that it grades, some run got no answer; make the runs again, they go on")
    each = ", ".join(f"{tag!r} ({counted(len(queries), 'query')})" for tag, queries in failed.items())
    text = f"queries left out for all systems, as no answer came for them in {each}: {listed(gone.to_list())}"
    return out, [f"{counted(len(gone), 'query').split()[0]} {text}"]


def different(runs: Sequence[Run]) -> None:
    """Raises InputError for no run, or for two of one tag."""
    if not runs:
        raise InputError("no run was given")
    tags = [run.tag for run in runs]
    again = next((tag for tag in tags if tags.count(tag) > 1), None)
    if again is not None:
        raise InputError(f"two runs have the tag {again!r}; give each its own (formats.trec.distinct_tags names them by file)")


def scored(measures: Sequence[Measure], runs: Sequence[Run], judged: Judged) -> tuple[Floats, list[str]]:
    """Values (runs × measures × queries) and what must be said about each run."""
    values = np.empty((len(runs), len(measures), judged.n))
    warnings = []
    for i, run in enumerate(runs):
        ranked = Ranked(run, judged)
        missing = judged.query_ids.filter(pl.Series(ranked.retrieved == 0)).to_list()
        if len(missing) == judged.n:
            raise Mismatch(
                f"run {run.tag!r} and qrels {judged.name!r} share no query: the run has {listed(ranked.stray.to_list(), 3)}, "
                f"the qrels {listed(judged.query_ids.to_list(), 3)}; are they of the same collection?"
            )
        if missing:
            count = f"{len(missing)} of {judged.n} queries"
            warnings.append(f"run {run.tag!r} has no document for {count}, which count 0: {listed(missing)}")
        if ranked.stray.len():
            stray = ranked.stray.to_list()
            warnings.append(f"run {run.tag!r} has {len(stray)} queries without qrels, which are left out: {listed(stray)}")
        for j, measure in enumerate(measures):
            values[i, j] = measure.of(ranked)
    return values, warnings


def spans(
    measures: Sequence[Measure], runs: Sequence[Run], qrels: Qrels, judged: Judged, asked: Unjudged
) -> tuple[Floats, list[str]]:
    """Lowest and highest values (2 × runs × measures × queries) over the grades that holes could have, and what must be said.

    NaN where a run has no hole under a measure, and for a measure without a range.
    """
    out = np.full((2, len(runs), len(measures), judged.n), math.nan)
    reasons = {measure: no_range(measure, judged, asked.levels) for measure in measures}
    pairs = asked.pairs(runs, qrels)
    for i, run in enumerate(runs):
        ranked, holes = Ranked(run, judged), Holes.of(run, pairs, qrels, judged)
        for j, measure in enumerate(measures):
            cutoff = None if measure.cutoff is None else int(measure.cutoff)
            if not reasons[measure] and measure.name not in UNMOVED and holes.within(cutoff).any().any():
                out[:, i, j] = bounds(measure, ranked, holes, asked.levels)
    return out, [f"{measure} has no range over unjudged documents: {reason}" for measure, reason in reasons.items() if reason]


def ranged(cells: Sequence[Cell], measures: Sequence[Measure], limits: Floats, weights: Floats) -> list[Cell]:
    """The cells of a block with their ranges: means (or sums) of each query's lowest and highest value."""
    queries = limits.shape[-1]
    columns, weight = limits.reshape(2, -1, queries), np.tile(weights, len(cells) // len(measures))
    low, high = (weighted(np.ones((1, queries)), end.T, weight)[0] for end in columns)
    out = []
    for i, cell in enumerate(cells):
        times = cell.estimate.n if measures[i % len(measures)].total else 1
        known = not math.isnan(low[i])
        out.append(replace(cell, range=(float(low[i] * times), float(high[i] * times))) if known else cell)
    return out


def kept(judged: Judged, measure: Measure, leave_out_empty: bool) -> Floats:
    """1 for the queries that count under a measure, 0 for those left out."""
    return (judged.count(measure.level) > 0).astype(np.float64) if leave_out_empty else np.ones(judged.n)


def about_qrels(qrels: Qrels, judged: Judged, measures: Sequence[Measure], leave_out_empty: bool) -> list[str]:
    """What must be said about the qrels themselves. Raises InputError where nothing is graded."""
    if not judged.n:
        raise InputError(f"qrels {qrels.name!r} have no graded pair")
    out = []
    ungraded = qrels.frame.filter(~pl.col("query_id").is_in(judged.query_ids.implode()))["query_id"].unique().sort().to_list()
    if ungraded:
        out.append(f"{counted(len(ungraded), 'query')} without any graded pair, left out: {listed(ungraded)}")
    for level in sorted({measure.level for measure in measures}):
        empty = judged.query_ids.filter(pl.Series(judged.count(level) == 0)).to_list()
        if empty:
            done = "left out" if leave_out_empty else "scored 0 for every run (--leave-out-empty leaves such out)"
            out.append(f"{counted(len(empty), 'query')} without a document of grade {level} or more, {done}: {listed(empty)}")
    if any(measure.name == "ERR" and not measure.params for measure in measures):
        out.append(f"ERR takes {judged.top_grade}, the highest grade in these qrels, for that of the scale; ERR(max=…) sets it")
    return out + grades_for_means(judged, measures)


def weights_of(judged: Judged, weights: Mapping[str, float] | None) -> Floats:
    """Each query's weight, 1 where none are given."""
    if weights is None:
        return np.ones(judged.n)
    missing = [query for query in judged.query_ids if query not in weights]
    if missing:
        raise InputError(f"{len(missing)} queries have no weight: {listed(missing)}; give every query one (0 leaves it out)")
    wrong = [query for query in judged.query_ids if not 0 <= weights[query] < math.inf]
    if wrong:
        raise InputError(f"query {wrong[0]!r} has the weight {weights[wrong[0]]!r}; weights are numbers from 0 up")
    return np.array([weights[query] for query in judged.query_ids], dtype=np.float64)


def groups(judged: Judged, by: pl.DataFrame | None) -> dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The queries of every group: all of them under "", and those of each value of the `by` column, sorted."""
    out = {"": np.ones(judged.n, bool)}
    if by is None:
        return out
    if "query_id" not in by.columns or len(by.columns) != 2:
        raise InputError(f"a split needs query_id and one more column; there are {', '.join(by.columns)}")
    column = next(c for c in by.columns if c != "query_id")
    known = by.select(pl.col("query_id").cast(pl.String), pl.col(column).cast(pl.String)).unique("query_id", keep="first")
    value = judged.query_ids.to_frame().join(known, on="query_id", how="left", maintain_order="left")[column].fill_null("(none)")
    return out | {name: (value == name).to_numpy() for name in value.unique().sort()}


def summarised(
    qrels: str,
    group: str,
    measures: Sequence[Measure],
    runs: Sequence[Run],
    values: Floats,
    weights: Floats,
    resamples: int,
    seed: int,
) -> list[Cell]:
    """The cells of one block; `values` runs × measures × queries, `weights` queries × measures."""
    columns = values.reshape(-1, values.shape[2]).T
    estimates = iter(means(columns, np.tile(weights, len(runs)), resamples=resamples, seed=seed))
    return [
        Cell(qrels=qrels, group=group, tag=run.tag, measure=str(measure), estimate=summed(next(estimates), measure))
        for run in runs
        for measure in measures
    ]


def summed(mean: Estimate, measure: Measure) -> Estimate:
    """The sum over queries instead of their mean, for the measures that count."""
    if not measure.total:
        return mean
    return replace(mean, value=mean.value * mean.n, low=mean.low * mean.n, high=mean.high * mean.n)


def long_frame(qrels: str, measures: Sequence[Measure], runs: Sequence[Run], judged: Judged, values: Floats) -> pl.DataFrame:
    """One row per value: qrels, tag, measure, query_id, value; null where the query was left out."""
    tags = pl.Series("tag", [run.tag for run in runs for _ in measures])
    names = pl.Series("measure", [str(measure) for _ in runs for measure in measures])
    place = np.repeat(np.arange(len(tags)), judged.n)
    return pl.DataFrame(
        {
            "qrels": pl.repeat(qrels, len(place), eager=True),
            "tag": tags.gather(place),
            "measure": names.gather(place),
            "query_id": judged.query_ids.gather(np.tile(np.arange(judged.n), len(tags))),
            "value": pl.Series(values.ravel()).fill_nan(None),
        }
    )
