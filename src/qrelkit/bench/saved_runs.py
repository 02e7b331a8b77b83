"""Runs that lie there already (fused, reranked, of another program) in the place of a retriever.

saved_runs("reranked/{}.trec")        {} is the name of each dataset: reranked/Biology.trec
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.datasets import Dataset
from qrelkit.bench.protocol import SAVED
from qrelkit.bench.retrievers import Factory
from qrelkit.core.collection import Collection
from qrelkit.core.doors import Retriever
from qrelkit.core.errors import InputError
from qrelkit.core.records import Query
from qrelkit.core.run import Run
from qrelkit.formats.sidecars import read_sidecar
from qrelkit.formats.trec import read_run
from qrelkit.steps.derived import came_from


class SavedRun:
    """Implements `Retriever` with the run in a file. A query that its sidecar says was not answered is not answered here either.

    Raises InputError for a file that is no run.
    """

    def __init__(self, path: Path, collection: Collection) -> None:
        self._path, self._collection, self._run = path, collection, read_run(path)
        self.name = self._run.tag

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"kind": SAVED, **came_from(self._path, self._run)}

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        """What the run has for these queries. Raises InputError where that is nothing, or no document of the dataset."""
        asked = [query.query_id for query in queries]
        frame = self._run.frame.filter(pl.col("query_id").is_in(asked))
        if not self._collection.contains(frame["doc_id"].unique()).any():
            what = "queries" if frame.is_empty() else "documents (in a merged pool they are called DATASET/id)"
            raise InputError(f"{self._path}: has none of {self._collection.name}'s {what}; is it a run of another dataset?")
        found = set(frame["query_id"].unique())
        failed = {name: why for name, why in self._failed().items() if name in asked}
        without = [name for name in asked if name not in found and name not in failed]
        notes = {"retriever": self.settings, "failed": failed, "without_hits": without}
        return Run(Run(frame, self.name, {}).cut(depth).frame, self.name, notes)

    def _failed(self) -> Mapping[str, str]:
        said: Mapping[str, str] = (read_sidecar(self._path) or {}).get("notes", {}).get("failed", {})
        return said

    def __repr__(self) -> str:
        return f"SavedRun({self._path.name})"


def saved_runs(pattern: str) -> Factory:
    """The run of each dataset: the file that `pattern` names with the dataset's name for {}.

    Raises InputError without {}, and where a dataset has no such file.
    """
    if "{}" not in pattern:
        raise InputError(f"{pattern}: say where the name of a dataset stands in it, as in runs/{{}}.trec")

    def make(collection: Collection, dataset: Dataset) -> Retriever:
        path = Path(pattern.replace("{}", dataset.name))
        if not path.is_file():
            raise InputError(f"{path}: there is no such run; name the datasets that have one (--datasets)")
        return SavedRun(path, collection)

    return make
