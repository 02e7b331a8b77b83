"""Runs that are made of runs, and what their sidecars say of those.

The sidecar names every run that went in by the digest of its file, and, where that has a sidecar itself, by the digest of what
*it* was made of: so the whole line from the first stage on can be followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.core.run import Run
from qrelkit.core.wire import digest_of
from qrelkit.formats.sidecars import read_sidecar, sha256_of


def came_from(path: str | Path, run: Run) -> dict[str, Any]:
    """How a run that another is made of is known again."""
    made_of = read_sidecar(path) or {}
    queries = run.frame["query_id"].n_unique()
    known = {"tag": run.tag, "file": Path(path).name, "sha256": sha256_of(path), "queries": queries, "documents": len(run)}
    return known | ({"digest": made_of["digest"]} if "digest" in made_of else {})


def refuse_same(path: str | Path, made_of: Sequence[str | Path]) -> None:
    """Raises InputError where a run would be written over one that it is made of."""
    for one in made_of:
        if Path(one).resolve() == Path(path).resolve():
            raise InputError(f"{path}: is itself one of the runs that go in, and would be written over; give another output")


def of_runs(wanted: Mapping[str, Any], made_of: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a run of runs is to be made of, with the digest of it all, the contents of their files included."""
    contents = [run["sha256"] for run in made_of]
    return {**wanted, "made_of": list(made_of), "digest": digest_of([wanted, contents])}
