"""Runs that are written with how they were made, and made only once: RUN, and its sidecar RUN.json (`formats/sidecars.py`)."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.files import refuse_no_place
from qrelkit.core.run import SCHEMA, Run
from qrelkit.formats.sidecars import read_sidecar, write_sidecar
from qrelkit.formats.trec import read_run, write_run

MADE_WITH = (
    "qrelkit", "polars", "numpy", "scipy", "PyStemmer", "rjieba", "jieba", "sentence-transformers", "transformers", "torch",
    "psycopg",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """A saved run. `known`: it lay there already, made with the same settings. `said` is its sidecar."""

    run: Run
    path: Path
    said: Mapping[str, Any]
    known: bool


def made_once(
    path: str | Path,
    wanted: Mapping[str, Any],
    make: Callable[[], Run | None],
    *,
    tag: str = "",
    again: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Retrieved | None:
    """The run at `path` if its sidecar has the `digest` of what is `wanted` and every query was answered; else the one that
    `make` gives, written with its sidecar. None, and nothing is written, where `make` stopped early and gives none.

    `tag` is the run's name where it is not to be the one that `make` gives. `again` makes it in any case. Raises InputError,
    before anything is made, where there is no place for it.
    """
    before = None if again else read_sidecar(path)
    if before is not None and before.get("digest") == wanted["digest"] and not before.get("notes", {}).get("failed"):
        return Retrieved(run=_read(path, before), path=Path(path), said=before, known=True)
    refuse_no_place(path)
    started = clock()
    made = make()
    if made is None:
        return None
    run = Run(made.frame, tag or made.tag, made.notes)
    write_run(run, path)
    said = {
        **wanted,
        "used": run.notes.get("retriever", {}),
        "notes": {name: value for name, value in run.notes.items() if name != "retriever"},
        "found": {"queries": run.frame["query_id"].n_unique(), "documents": len(run)},
        "seconds": round(clock() - started, 3),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_with": versions(),
    }
    write_sidecar(path, said)
    return Retrieved(run=run, path=Path(path), said=said, known=False)


def _read(path: str | Path, said: Mapping[str, Any]) -> Run:
    """The run that lies there; one of no row, which a file of a run otherwise must not be, is what was found."""
    notes = said.get("notes", {})
    if said["found"]["documents"] == 0:
        return Run(Run.of(pl.DataFrame(schema=SCHEMA), said["tag"]).frame, said["tag"], notes)
    run = read_run(path)
    return Run(run.frame, run.tag, notes)


def versions() -> dict[str, str]:
    """What a run was made with: Python, qrelkit, and the libraries that are installed and may matter."""
    found = {"python": platform.python_version()}
    for name in MADE_WITH:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
