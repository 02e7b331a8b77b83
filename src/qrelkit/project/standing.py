"""How a project stands, and whether it is sound: for `show project` and `doctor`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from qrelkit.core.errors import QrelkitError
from qrelkit.core.records import counted
from qrelkit.project.budget import NONE_LEFT
from qrelkit.project.judging import each_judge
from qrelkit.project.outbound import host_of
from qrelkit.project.project import BUILT_IN, Project
from qrelkit.reports.words import duration, money
from qrelkit.steps.forgotten import forgotten

OPTIONAL = ("uvloop", "pandas", "ir_datasets")
PRICELESS = ("labels", "replay", "scripted")  # nobody is paid for these


def standing(project: Project) -> dict[str, Any]:
    """Counts of everything: collection, runs, human and model judgments by assessor and outcome, money."""
    collection = project.collection
    runs = project.runs()
    judges = project.store.judges()
    rows = project.store.judgments()
    by = rows.group_by("assessor", "outcome").len().sort("assessor", "outcome")
    return {
        "collection": repr(collection),
        "runs": [run.tag for run in runs],
        "human": [f"{name} ({len(q):,})" for name, q in project.human().items()],
        "judges": [f"{name} {key[:8]}" for key, name in judges.select("judge_key", "assessor").iter_rows()],
        "judgments": [f"{assessor} {outcome} {count:,}" for assessor, outcome, count in by.iter_rows()],
        "guidelines": project.store.guidelines()["query_id"].n_unique(),
        **spending(project),
    }


def spending(project: Project) -> dict[str, Any]:
    """What was spent, in words and in dollars (null where no reply had a price), by stage, and what is left of the budget."""
    store, config = project.store, project.config
    rows, usd = store.spending(), store.spent_usd()
    names = dict(store.judges().select("judge_key", "assessor").iter_rows())
    unpriced = int(rows["unpriced"].sum())
    said = {
        "spent": spent(usd, unpriced),
        "spent_usd": None if unpriced and not usd else round(usd, 4),
        "unpriced_replies": unpriced,
        "stages": [_stage(row, names.get(row["key"], row["key"][:8])) for row in rows.iter_rows(named=True) if row["asked"]],
    }
    if config.budget is not None and (left := project.budget_usd()) is not None:
        asked = f"{config.budget.amount:g} {config.budget.currency} per {config.budget.per}"
        said["budget"] = f"{asked}: {money(left if left > NONE_LEFT else 0.0)} left"
    return said


def spent(usd: float, unpriced: int) -> str:
    """Dollars; replies without a known price are said, and are no dollars."""
    unknown = f"unknown for {counted(unpriced, 'reply')}"
    return f"{money(usd)}, {unknown}" if unpriced and usd else unknown if unpriced else money(usd)


def _stage(row: dict[str, Any], name: str) -> str:
    """One line on what a stage of one assessor took."""
    inside = {"cached": row["tokens_cached"], "image": row["tokens_image"]}
    within = ", ".join(f"{count:,} {what}" for what, count in inside.items() if count)
    thought = f" ({row['tokens_reasoning']:,} reasoning)" if row["tokens_reasoning"] else ""
    tokens = f"{row['tokens_in']:,} tokens in{f' ({within})' if within else ''}, {row['tokens_out']:,} out{thought}"
    saved = f", {money(row['saved_usd'])} saved by the store" if row["saved_usd"] else ""
    requests, took = counted(row["asked"], "request"), duration(row["seconds"])
    return f"{row['stage']} {name}: {requests}, {tokens}, {spent(row['cost_usd'], row['unpriced'])}{saved}, {took}"


def doctor(project: Project) -> list[tuple[str, bool, str]]:
    """Checks in order: (what, sound, what was found or what to do). Nothing is asked of a model."""
    checks: list[tuple[str, bool, str]] = [("python", True, f"{platform.python_version()} on {sys.platform}")]
    for package in OPTIONAL:
        try:
            checks.append((package, True, version(package.replace("_", "-"))))
        except PackageNotFoundError:
            checks.append((package, True, "not installed (optional)"))
    examinations: list[tuple[str, Callable[[], str]]] = [
        ("collection", lambda: repr(project.collection)),
        ("runs", lambda: ", ".join(map(repr, project.runs()))),
        ("runs fit the collection", lambda: _fit(project)),
        ("human judgments", lambda: ", ".join(map(repr, project.human().values())) or "none"),
        ("scale fits them", lambda: _scale(project)),
        ("models", lambda: _models(project)),
        ("prices", lambda: _prices(project)),
        ("store", lambda: _store(project)),
    ]
    for name, check in examinations:
        try:
            checks.append((name, True, check()))
        except QrelkitError as error:
            checks.append((name, False, str(error)))
    return checks


def _fit(project: Project) -> str:
    """Whether the queries and documents of the runs are those of the collection."""
    known, docs = project.collection.queries["query_id"], project.collection.doc_ids
    docs = pl.concat([docs, forgotten(project.store)])
    for run in project.runs():
        top = run.cut(project.config.depth).frame
        strangers = top.filter(~pl.col("query_id").is_in(known.implode()))["query_id"].unique()
        lost = top.filter(~pl.col("doc_id").is_in(docs.implode()))["doc_id"].unique()
        if len(strangers) or len(lost):
            example = repr(strangers[0]) if len(strangers) else repr(lost[0])
            what = f"{len(strangers)} queries and {len(lost)} documents"
            raise QrelkitError(f"run {run.tag} has {what} that the collection does not have, such as {example}")
    return "every query and document is known"


def _scale(project: Project) -> str:
    for name, qrels in project.human().items():
        project.scale.fits(qrels.grades, name)
    return project.scale.name


def _models(project: Project) -> str:
    """Opens each model, for its address and key; says where they are asked."""
    config = project.config
    written = project.models(*(stage.model for stage in (config.guide, config.describe) if stage is not None))
    models = {**written, **project.judge_models()}
    return ", ".join(f"{name} at {host_of(model)[0]}" for name, model in models.items()) or "none needed"


def _store(project: Project) -> str:
    wrong = project.store.verify()
    if wrong:
        raise QrelkitError(f"{len(wrong)} rows do not match their digests: {'; '.join(wrong[:3])}")
    unpriced = int(project.store.spending()["unpriced"].sum())
    return f"digests match; spent {spent(project.store.spent_usd(), unpriced)}"


def _prices(project: Project) -> str:
    """How many prices there are and of when; which models in use have none."""
    config, table = project.config, project.prices
    stages = [stage for stage in (config.guide, config.describe, *each_judge(config.judge)) if stage is not None]
    names = [name for name in dict.fromkeys(stage.model for stage in stages) if name not in BUILT_IN]
    unknown = [name for name in names if name.partition(":")[0] not in PRICELESS and table.of(name) is None]
    known = f"{counted(len(table.table), 'model')}{f' of {table.date}' if table.date else ''}" if table.table else "none"
    return f"{known}; unknown for {', '.join(unknown)}" if unknown else known
