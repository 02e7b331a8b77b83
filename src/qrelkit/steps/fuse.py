"""Files of runs become the file of one; the arithmetic is `retrievers/fuse.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrelkit.formats.files import read_any_runs
from qrelkit.formats.trec import distinct_tags
from qrelkit.retrievers.fuse import K, Missing, Normalise, Rule, fuse, fusion
from qrelkit.steps.derived import came_from, of_runs, refuse_same
from qrelkit.steps.made import Retrieved, made_once


def fuse_to(
    path: str | Path,
    files: Sequence[str | Path],
    rule: Rule = "rrf",
    *,
    weights: Sequence[float] | None = None,
    k: float = K,
    normalise: Normalise = "minmax",
    missing: Missing = "lowest",
    depth: int = 1000,
    tag: str = "",
    again: bool = False,
) -> Retrieved:
    """What `fuse` makes of the runs in these files, written as a TREC file with its sidecar; what lies there and was made of the
    same runs in the same way is taken as it is. Raises InputError as `fuse` does, and where `path` is one of the runs."""
    refuse_same(path, files)
    read = [(run, file) for file in files for run in read_any_runs(str(file))]
    runs = distinct_tags(read)
    options: dict[str, Any] = {"weights": weights, "k": k, "normalise": normalise, "missing": missing}
    wanted = {
        "tag": tag or rule,
        "depth": depth,
        "retriever": {"name": "fuse", **fusion(runs, rule, **options)},
    }
    made_of = [came_from(file, run) for run, (_, file) in zip(runs, read, strict=True)]
    made = made_once(path, of_runs(wanted, made_of), lambda: fuse(runs, rule, **options, depth=depth, tag=tag), again=again)
    assert made is not None
    return made
