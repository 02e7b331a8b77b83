"""Runs that are made of runs: written with what they were made of, and made only once.

The sidecar names every run that went in by the digest of its file, and, where that has a sidecar itself, by the digest of what
*it* was made of: so the whole line from the first stage on can be followed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qrelkit.core.run import Run
from qrelkit.core.wire import digest_of
from qrelkit.formats.sidecars import read_sidecar, sha256_of, write_sidecar
from qrelkit.formats.trec import read_run, write_run
from qrelkit.steps.retrieve import Retrieved, versions


def came_from(path: str | Path, run: Run) -> dict[str, Any]:
    """How a run that another is made of is known again."""
    made_of = read_sidecar(path) or {}
    queries = run.frame["query_id"].n_unique()
    known = {"tag": run.tag, "file": Path(path).name, "sha256": sha256_of(path), "queries": queries, "documents": len(run)}
    return known | ({"digest": made_of["digest"]} if "digest" in made_of else {})


def made_once(
    path: str | Path,
    wanted: Mapping[str, Any],
    made_of: Sequence[Mapping[str, Any]],
    make: Callable[[], Run | None],
    *,
    again: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Retrieved | None:
    """The run at `path` if it was made as is `wanted`, of files with these contents, and every query was answered; else the one
    that `make` gives, written with its sidecar. None, and nothing is written, where `make` stopped early and gives none."""
    contents = [run["sha256"] for run in made_of]
    said: dict[str, Any] = {**wanted, "made_of": list(made_of), "digest": digest_of([wanted, contents])}
    before = None if again else read_sidecar(path)
    if before is not None and before.get("digest") == said["digest"] and not before.get("notes", {}).get("failed"):
        return Retrieved(run=read_run(path), path=Path(path), said=before, known=True)
    started = clock()
    run = make()
    if run is None:
        return None
    write_run(run, path)
    said |= {
        "used": run.notes.get("retriever", {}),
        "notes": {name: value for name, value in run.notes.items() if name != "retriever"},
        "found": {"queries": run.frame["query_id"].n_unique(), "documents": len(run)},
        "seconds": round(clock() - started, 3),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_with": versions(),
    }
    write_sidecar(path, said)
    return Retrieved(run=run, path=Path(path), said=said, known=False)
