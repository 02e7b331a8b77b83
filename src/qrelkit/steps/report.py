"""report: what the other verbs found, brought together.

collection, runs, pool, scores, comparisons, decision, agreements, expansion, judgments, tallies  ─▶  Report  ─▶  page, JSON, text
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.aggregate import Scores
from qrelkit.reports.cases import PAIR, Shelf, cases
from qrelkit.reports.decisions import corrects
from qrelkit.reports.headline import corrected, headline
from qrelkit.reports.report import Report
from qrelkit.reports.words import plural
from qrelkit.steps.agreement import Agreement
from qrelkit.steps.comparison import Differences, Ranking
from qrelkit.steps.costs import cost_row
from qrelkit.steps.decision import Decision
from qrelkit.steps.expand import Expansion
from qrelkit.steps.judge import Judged
from qrelkit.steps.tally import Tally

NO_JUDGMENTS = pl.DataFrame(schema={"query_id": pl.String, "doc_id": pl.String, "outcome": pl.String, "reason": pl.String})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a report can rest on; whatever is absent is left out of the page.

    `scores`: one table whose qrels are the views (human, model, mixed …), or a table per view. `by`: tables made with `by`.
    `decision`: a judge corrected by people's sample, and `uncorrected`: why there is none. `qrels`: the assessors' grades by
    name, the reference first; `judgments`: a judge's rows that count, for its reasons. `tallies`: what each stage took; that of
    `judged` is the stage `judge` unless another is given. `made`: how many judgments, guidelines or descriptions came of it,
    and `batch_usd`: what its tokens would have cost by batch, where those are known.
    """

    collection: Collection | None = None
    runs: Sequence[Run] = ()
    pool: Pool | None = None
    scores: Scores | Mapping[str, Scores] | None = None
    by: Sequence[Scores] = ()
    qrels: Mapping[str, Qrels] = field(default_factory=dict)
    agreements: Sequence[Agreement] = ()
    comparisons: Sequence[Differences | Ranking] = ()
    decision: Decision | None = None
    uncorrected: str = ""
    expansion: Expansion | None = None
    judged: Judged | None = None
    judgments: pl.DataFrame | None = None
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    made: Mapping[str, int] = field(default_factory=dict)
    batch_usd: Mapping[str, float] = field(default_factory=dict)
    picture: Mapping[str, Any] = field(default_factory=dict)

    @property
    def views(self) -> dict[str, tuple[Scores, str]]:
        """Each view's table, and the name of its qrels there."""
        if isinstance(self.scores, Scores):
            return {name: (self.scores, name) for name in self.scores.qrels}
        return {view: (table, table.qrels[0]) for view, table in (self.scores or {}).items() if table.cells}

    @property
    def stages(self) -> dict[str, Tally]:
        judging = {"judge": self.judged.tally} if self.judged and "judge" not in self.tallies else {}
        return {**self.tallies, **judging}


def report(
    evidence: Evidence,
    *,
    now: datetime,
    title: str = "Which system is better?",
    measure: str | None = None,
    queries: int = 5,
    documents: int = 5,
    thumbnails: int = 100,
    headline_says: Sequence[str] | None = None,
    warnings: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Report:
    """The report on `evidence`, made at `now`.

    `measure` (the first one of the scores by default) leads and decides on which `queries` the systems differ most; each of
    them shows `documents` per system, and at most `thumbnails` pictures go into the page. `headline_says` replaces the
    sentences that are made from scores and comparisons. Raises UnknownName for a measure that was not scored, InputError for
    negative numbers.
    """
    for name, number in (("queries", queries), ("documents", documents), ("thumbnails", thumbnails)):
        if number < 0:
            raise InputError(f"{name} must not be negative, but is {number}")
    from importlib.metadata import version

    measures = _measures(evidence, measure)
    views = {view: table.tree(name)["scores"] for view, (table, name) in evidence.views.items()}
    compared = [pair for found in evidence.comparisons if isinstance(found, Differences) for pair in _pairs(found)]
    shelf = Shelf(collection=evidence.collection, left=thumbnails)
    differences = _differences(evidence, measures[0], shelf, queries, documents) if measures else []
    decided = _decision(evidence.decision, evidence.uncorrected)
    said = headline_says
    if said is None:
        said = corrected(decided) if corrects(decided) else headline(views, measures[0], compared) if measures else ()
    return Report.of(
        title=title,
        created=now,
        version=version("qrelkit"),
        headline=list(said),
        warnings=list(dict.fromkeys([*warnings, *_warnings(evidence, shelf)])),
        collection=_collection(evidence.collection),
        runs=[
            {"tag": run.tag, "queries": run.frame["query_id"].n_unique(), "documents": run.frame.height} for run in evidence.runs
        ],
        pool=_pool(evidence.pool),
        measures=measures,
        decision=decided,
        scores=views,
        by=_by(evidence),
        pairs=compared,
        conclusions=_conclusions(evidence),
        correlation=next((found for found in evidence.comparisons if isinstance(found, Ranking)), None),
        agreement=evidence.agreements,
        picture=evidence.picture,
        holes=holes(evidence.runs, evidence.qrels, evidence.pool.depth if evidence.pool else None),
        expansion=evidence.expansion,
        ungraded={k: n for k, n in evidence.judged.outcomes.items() if k != "graded"} if evidence.judged else {},
        cost=[
            cost_row(stage, tally.numbers(), evidence.made.get(stage), evidence.batch_usd.get(stage))
            for stage, tally in evidence.stages.items()
        ],
        differences=differences,
        provenance=provenance,
    )


def holes(runs: Sequence[Run], qrels: Mapping[str, Qrels], depth: int | None) -> dict[str, dict[str, Any]]:
    """Of each run's first `depth` answers: how many each assessor graded (the first named counts), how many stayed ungraded,
    and how many nobody was asked about; the three sum to `retrieved`."""
    if not runs or not qrels:
        return {}
    parts = [(run if depth is None else run.cut(depth)).frame.select(*PAIR, tag=pl.lit(run.tag)) for run in runs]
    graded = pl.col("grade").is_not_null()
    seen = [q.frame.select(*PAIR, graded=graded, place=pl.lit(i)) for i, q in enumerate(qrels.values())]
    first = pl.concat(seen).sort("graded", "place", descending=[True, False]).unique(PAIR, keep="first", maintain_order=True)
    counts = [(pl.col("graded") & (pl.col("place") == i)).sum().alias(f"graded{i}") for i in range(len(qrels))]
    found = pl.concat(parts).join(first, on=PAIR, how="left").group_by("tag", maintain_order=True)
    ungraded, nobody = (~pl.col("graded")).sum(), pl.col("graded").null_count()
    table = found.agg(pl.len().alias("retrieved"), *counts, ungraded=ungraded, holes=nobody)
    return {
        row["tag"]: ({} if depth is None else {"depth": depth})
        | {"retrieved": row["retrieved"], "graded": {name: row[f"graded{i}"] for i, name in enumerate(qrels)}}
        | {"ungraded": row["ungraded"], "holes": row["holes"]}
        for row in table.iter_rows(named=True)
    }  # fmt: skip


def _measures(evidence: Evidence, measure: str | None) -> list[str]:
    """All measures, the leading one first."""
    found = list(dict.fromkeys(m for table, _ in evidence.views.values() for m in table.measures))
    if measure is not None and measure not in found:
        raise UnknownName("measure of these scores", measure, found)
    return found if measure is None else [measure, *(m for m in found if m != measure)]


def _pairs(found: Differences) -> Iterator[dict[str, Any]]:
    for pair in found.json()["pairs"]:
        yield {**pair, "measure": found.measure, "queries": found.queries}


def _decision(found: Decision | None, reason: str) -> dict[str, Any]:
    """As `compare --settle --json` has it, but for what it repeats of the first two systems; and what was corrected by whom."""
    if found is None:
        return {"reason": reason} if reason else {}
    whole, one = found.json(), found.corrected
    names = ("measure", "estimand", "design", "queries", "pairs_judged", "systems", "trust", "bend", "comparisons", "by", "plan")
    kept = {name: whole[name] for name in (*names, "seconds_per_label", "sequential", "conclusions", "warnings") if name in whole}
    return {"heading": one.heading, "judge": one.judge, "human": one.human, "labels": one.labels, **kept}


def _conclusions(evidence: Evidence) -> dict[str, list[str]]:
    """What may be said of the plain comparisons, and what may not."""
    told = [found.conclusions for found in evidence.comparisons if isinstance(found, Differences)]
    both = {"may": [s for one in told for s in one.may], "may_not": [s for one in told for s in one.may_not]}
    return both if told else {}


def _by(evidence: Evidence) -> dict[str, Any]:
    """{COLUMN: {VALUE: {TAG: {MEASURE: stat}}}} of the first view and of every table made with `by`."""
    first = next(iter(evidence.views.values()), None)
    tables = ([first] if first else []) + [(table, table.qrels[0]) for table in evidence.by]
    trees = (table.tree(name)["by"] for table, name in tables if table.by)
    return {tree["column"]: tree["values"] for tree in trees}


def _differences(evidence: Evidence, measure: str, shelf: Shelf, queries: int, documents: int) -> list[dict[str, Any]]:
    table, name = next(iter(evidence.views.values()))
    values = table.per_query.filter((pl.col("qrels") == name) & (pl.col("measure") == measure)).fill_nan(None)
    judgments = NO_JUDGMENTS if evidence.judgments is None else evidence.judgments
    return cases(values, evidence.runs, evidence.qrels, judgments, shelf, queries=queries, documents=documents)


def _collection(collection: Collection | None) -> dict[str, Any]:
    if collection is None:
        return {}
    counts = {"queries": collection.queries.height, "documents": len(collection), "images": collection.image_count}
    notes = {"missing_images": 0, **collection.notes}
    return {"name": collection.name, **counts, **notes, "fingerprint": collection.fingerprint}


def _pool(pool: Pool | None) -> dict[str, int]:
    if pool is None:
        return {}
    return {"pairs": len(pool), "queries": pool.frame["query_id"].n_unique(), "depth": pool.depth, "runs": pool.runs}


def _warnings(evidence: Evidence, shelf: Shelf) -> Iterator[str]:
    """What the steps warned of, and what this page could not show; the agreements' and the expansion's stand beside them."""
    yield from _of_grades(evidence)
    for stage, tally in evidence.stages.items():
        if tally.stopped:
            yield f"{stage} stopped early ({tally.stopped}); what is missing is not counted as 0"
        yield from (f"{stage}: {warning}" for warning in tally.warnings)
    if evidence.judged and evidence.judged.ungraded:
        told = f"{evidence.judged.ungraded:,} of {evidence.judged.frame.height:,} pooled pairs"
        yield f"{told} have no grade from {evidence.judged.judge.name}; none of them is counted as 0"
    if shelf.failed:
        yield f"{plural(len(shelf.failed), 'picture')} could not be shown, the first that of document {shelf.failed[0]}"


def _of_grades(evidence: Evidence) -> Iterator[str]:
    """The warnings of scores and comparisons. Where several grades are used each says whose it is about, as the tables of
    several do by themselves: so what two steps warn of is said once."""
    told = [(table.qrels, table.warnings) for table, _ in evidence.views.values()]
    for found in evidence.comparisons:
        told.append(([found.qrels] if isinstance(found, Differences) else list(found.qrels), found.warnings))
    several = len({name for names, _ in told for name in names}) > 1
    for names, warnings in told:
        prefix = f"{names[0]}: " if several and len(names) == 1 else ""
        yield from (prefix + warning for warning in warnings)
