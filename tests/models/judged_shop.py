"""A tiny project that a tiny model judges, through the command line: with each kind of model the same."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cli.calling import Said, call
from qrelkit.project.project import Project
from verbs.tiny import write_tiny


def write_shop(folder: Path, weights: Path, name: str, *, own: Mapping[str, Any] | None = None, **judge: Any) -> Path:
    """A project with a copy of the weights as `tiny`, judged by the model `name` with `own` under `models:`."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(weights, folder / "tiny", dirs_exist_ok=True)
    sampling = {"max_tokens": 5, "temperature": 0.0, **judge.pop("sampling", {})}
    models = {name: dict(own or {})}
    return write_tiny(folder, judge={"model": name, "route": "shown", "sampling": sampling, **judge}, models=models)


def judged(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    return call(capsys, "judge", "--json", "--project", folder, *words)


def grades(folder: Path) -> pl.DataFrame:
    """What was judged there, less who judged, when, and the request's digest."""
    with Project.open(folder) as project:
        rows = project.store.judgments()
    return rows.select("query_id", "doc_id", "grade", "outcome", "reason", "probabilities").sort("query_id", "doc_id")
