"""How a project stands, and whether it is sound: for `show project` and `doctor`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from qrelkit.core.errors import QrelkitError
from qrelkit.project.project import BUILT_IN, Project

OPTIONAL = ("uvloop", "pandas", "ir_datasets")


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
        "spent_usd": round(project.store.spent_usd(), 4),
    }


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
    config = project.config
    names = [s.model for s in (config.guide, config.describe, config.judge) if s and s.model not in BUILT_IN]
    project.models(*names)
    return ", ".join(names) or "none needed"


def _store(project: Project) -> str:
    wrong = project.store.verify()
    if wrong:
        raise QrelkitError(f"{len(wrong)} rows do not match their digests: {'; '.join(wrong[:3])}")
    return f"digests match; spent ${project.store.spent_usd():.4f}"
