"""A collection in files: one of documents, one of queries or none, and human qrels, each in any format we read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qrelkit.core.collection import Collection
from qrelkit.core.entry import DOCUMENT, QUERY, Entry
from qrelkit.core.indexing import Duplicates
from qrelkit.core.qrels import Qrels
from qrelkit.formats.tables import kind_of, qrels_from_table
from qrelkit.formats.trec import read_qrels
from qrelkit.sources.images import ImageFiles, stat_of
from qrelkit.sources.indexed import load_indexed
from qrelkit.sources.rows import Columns, check_columns, entries

TABLES = (".csv", ".parquet", ".jsonl", ".csv.gz", ".jsonl.gz")


class Files:
    """A `Source` of named files. `columns` and `query_columns` map our names to the files' (see `sources/rows.py`).

    An id given again with other content is an error; with `duplicates="last"` the last one counts.
    """

    text_from: Sequence[str] = ()

    def __init__(
        self,
        name: str,
        documents: Path,
        *,
        queries: Path | None = None,
        qrels: Mapping[str, Path] | None = None,
        columns: Columns | None = None,
        query_columns: Columns | None = None,
        duplicates: Duplicates = "error",
    ) -> None:
        self.name, self._duplicates = name, duplicates
        self.root = documents.resolve().parent
        self._documents, self._queries = documents.resolve(), queries.resolve() if queries else None
        self._qrels = {stem: path.resolve() for stem, path in (qrels or {}).items()}
        self._columns, self._query_columns = columns or {}, query_columns or {}
        in_place = kind_of(documents) == ".jsonl" and documents.suffix.lower() != ".gz" and not columns
        self.blob = self._documents if in_place else None

    def collection(self) -> Collection:
        """The collection, from its index. Raises InputError for what cannot be read (file:line)."""
        if self._columns:
            check_columns(self._documents, DOCUMENT, self._columns)
        return load_indexed(self, self._duplicates)

    def key(self) -> Any:
        """The paths and the column maps."""
        maps = [sorted((k, v) for k, v in m.items()) for m in (self._columns, self._query_columns)]
        return ["files", str(self._documents), str(self._queries), *maps]

    def state(self) -> Any:
        """Size and time of change of the two files; qrels are no part of an index."""
        return [self.name, *(stat_of(str(path)) for path in (self._documents, self._queries) if path)]

    def documents(self, images: ImageFiles) -> Iterator[Entry]:
        """What the file of documents holds."""
        return entries(self._documents, DOCUMENT, self._columns, images)

    def queries(self, images: ImageFiles) -> Iterator[Entry]:
        """What the file of queries holds; nothing where there is none."""
        if self._queries is None:
            return iter(())
        return entries(self._queries, QUERY, self._query_columns, images)

    def qrels(self) -> Mapping[str, Callable[[], Qrels]]:
        """A reader per file of qrels."""
        return {stem: partial(read_any_qrels, path, stem) for stem, path in self._qrels.items()}


def read_any_qrels(path: Path, name: str) -> Qrels:
    """Qrels from a table or, with any other suffix and for `.tsv`, from TREC's or BEIR's form."""
    if path.name.lower().endswith(TABLES):
        return qrels_from_table(path, name=name)
    return read_qrels(path, name=name)
