"""From what a line brought to its report, with the provenance that lets somebody else derive every number again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.doors import Describer, GuideWriter, Judge, Store
from qrelkit.core.qrels import Qrels
from qrelkit.judges.several import models_of
from qrelkit.project.project import Project
from qrelkit.project.review import pace, sample
from qrelkit.reports.html import write_html
from qrelkit.reports.report import Report, write_json
from qrelkit.steps.costs import by_batch_usd
from qrelkit.steps.judge import Judged
from qrelkit.steps.report import Evidence
from qrelkit.steps.report import report as assemble
from qrelkit.steps.run import Done, decided
from qrelkit.steps.tally import Tally
from qrelkit.stores.frames import SPENT, newest

BASELINE = (
    "lexical is a baseline and no assessor: BM25 scores cut into grades. It favours systems that rank as BM25 does, so its "
    "order of systems is no evidence without people beside it"
)
PACKAGES = ("qrelkit", "polars", "numpy", "scipy")


def report_of(done: Done, project: Project, *, title: str = "Which system is better?", **said: Any) -> Report:
    """The report of a line; `said` may give `headline_says`, `warnings`, and `picture` (what the picture changed)."""
    if done.judged is not None:
        people, told = sample(project)
        done = decided(done, people, seconds=pace(project.store), warnings=told)
    line, judged, tallies = done.line, done.judged, taken(done)
    picture: Mapping[str, Any] = said.pop("picture", {})
    qrels: dict[str, Qrels] = dict(line.human)
    if judged is not None:
        qrels[judged.judge.name] = judged.qrels()
    comparisons = [found for found in (done.differences, done.ranking) if found is not None]
    evidence = Evidence(
        collection=line.collection,
        runs=line.runs,
        pool=done.pool,
        scores=done.scores,
        by=list(done.by.values()),
        qrels=qrels,
        agreements=done.agreements,
        comparisons=comparisons,
        decision=done.decision,
        uncorrected=done.uncorrected,
        expansion=done.expansion,
        judged=judged,
        judgments=current(judged, line.store) if judged is not None else None,
        tallies=tallies,
        made=made(done),
        batch_usd=by_batch(done, tallies),
        picture=picture,
    )
    if judged is not None and judged.judge.name == "lexical":
        said["warnings"] = [*said.get("warnings", ()), BASELINE]
    return assemble(evidence, now=datetime.now(UTC), title=title, provenance=provenance(done, project), **said)


def current(judged: Judged, store: Store) -> pl.DataFrame:
    """The row that counts of each pair: those of other versions of a guideline or a document say nothing of these grades."""
    keys = ["query_id", "doc_id", "query_key", "doc_key"]
    rows = store.judgments(judged.judge.key).join(judged.frame.select(keys), on=keys, how="semi").sort("id")
    return newest(rows, keys)


def doers(done: Done) -> dict[str, GuideWriter | Describer | Judge]:
    """Who does each stage of the line that there is."""
    judge = done.judged.judge if done.judged is not None else None
    there = {"guide": done.line.guide_writer, "describe": done.line.describer, "judge": judge}
    return {stage: doer for stage, doer in there.items() if doer is not None}


def made(done: Done) -> dict[str, int]:
    """How many judgments, guidelines and descriptions came of what each stage took. (Guidelines do not say who wrote them: where
    the store has had several writers, nobody knows.)"""
    store, out = done.line.store, {}
    for stage, doer in doers(done).items():
        if stage == "judge":
            out[stage] = store.known(doer.key).filter(pl.col("outcome") != "failed").height
        elif stage == "describe":
            out[stage] = len(store.descriptions(doer.key))
        elif store.spending().filter(pl.col("stage") == "guide")["key"].n_unique() == 1:
            out[stage] = store.guidelines().filter(pl.col("origin") == "written").height
    return out


def by_batch(done: Done, tallies: Mapping[str, Tally]) -> dict[str, float]:
    """What each stage would have cost by batch, where it asked one model whose batch price is known and another."""
    out = {}
    for stage, doer in doers(done).items():
        names = models_of(doer.settings)
        model = done.line.models.get(names[0]) if len(names) == 1 else None
        usd = by_batch_usd(model, tallies[stage].numbers()) if model is not None and stage in tallies else None
        if usd is not None:
            out[stage] = usd
    return out


def taken(done: Done) -> dict[str, Tally]:
    """What each stage has taken in all calls with the same writer, describer and judge; this call's where none is stored."""
    keys = {stage: doer.key for stage, doer in doers(done).items()}
    stored = {(row["stage"], row["key"]): row for row in done.line.store.spending(list(keys.values())).iter_rows(named=True)}
    out = {}
    for stage in ("guide", "describe", "judge"):
        tally, row = done.tallies.get(stage), stored.get((stage, keys.get(stage, "")))
        if row is not None:
            out[stage] = replace(tally or Tally(), **{name: row[name] for name in SPENT})
        elif tally is not None:
            out[stage] = tally
    return out


def provenance(done: Done, project: Project) -> dict[str, Any]:
    """What decided the numbers: settings by value and by digest, versions, seeds."""
    line, config = done.line, project.config
    judge = done.judged.judge if done.judged else None
    used = sum(1 for v in project.guideline().queries.values() if v.version) if config.judge.guided else 0
    return {
        "collection": {"name": line.collection.name, "fingerprint": line.collection.fingerprint},
        "judge": {"name": judge.name, "key": judge.key, **_flat(judge.settings)} if judge else {},
        "describer": _flat(line.describer.settings) if line.describer else {},
        "guidelines": used,
        "human judgments": {name: f"{len(q):,} pairs" for name, q in line.human.items()},
        "dials": {"depth": line.depth, "at_once": line.at_once, "seed": line.seed, "resamples": 2000},
        "versions": {name: version(name) for name in PACKAGES},
    }


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for people: the scale by its labels."""
    scale = settings.get("scale")
    labels = ", ".join(grade["label"] for grade in scale["grades"]) if isinstance(scale, Mapping) else scale
    return {k: v for k, v in settings.items() if k != "scale"} | ({"scale": labels} if scale else {})


def write_report(report: Report, path: Path) -> tuple[Path, Path]:
    """Writes the page and, beside it, the same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".json")
    write_html(report, path)
    write_json(report, beside)
    return path, beside
