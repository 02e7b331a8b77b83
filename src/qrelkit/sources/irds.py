"""A collection of the ir_datasets package (`irds:ID`), which downloads and knows hundreds of them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.entry import DOCUMENT, QUERY, Entry, Kind, read_fields
from qrelkit.core.errors import InputError, MissingExtra, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.sources.images import ImageFiles
from qrelkit.sources.indexed import load_indexed


class Irds:
    """A `Source`: documents, queries and qrels of one dataset. `dataset` is any object with ir_datasets' interface."""

    text_from: Sequence[str] = ()

    def __init__(self, dataset_id: str, dataset: Any = None) -> None:
        self.dataset_id = self.name = dataset_id
        self.root, self.blob = Path(), None
        self._dataset = open_dataset(dataset_id) if dataset is None else dataset
        if not self._dataset.has_docs():
            raise InputError(f"irds:{dataset_id}: has no documents; name a dataset that has")

    def collection(self) -> Collection:
        """The collection, from its index; the first time the package may download."""
        return load_indexed(self)

    def key(self) -> Any:
        """The dataset's name."""
        return ["irds", self.dataset_id]

    def state(self) -> Any:
        """The numbers of documents and queries: a published dataset does not change under its name."""
        queries = self._dataset.queries_count() if self._dataset.has_queries() else 0
        return [self.dataset_id, self._dataset.docs_count(), queries]

    def documents(self, images: ImageFiles) -> Iterator[Entry]:
        """All documents; fields that are bytes (raw pages) are left out."""
        return (self._entry(number, row, "doc_id", DOCUMENT) for number, row in enumerate(self._dataset.docs_iter(), 1))

    def queries(self, images: ImageFiles) -> Iterator[Entry]:
        """All queries, none where the dataset has none."""
        rows = self._dataset.queries_iter() if self._dataset.has_queries() else ()
        return (self._entry(number, row, "query_id", QUERY) for number, row in enumerate(rows, 1))

    def qrels(self) -> Mapping[str, Callable[[], Qrels]]:
        """The dataset's qrels, called `qrels`."""
        return {"qrels": self._read_qrels} if self._dataset.has_qrels() else {}

    def _read_qrels(self) -> Qrels:
        rows = [(row.query_id, row.doc_id, row.relevance) for row in self._dataset.qrels_iter()]
        return Qrels.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row"), "qrels", source=self._file)

    @property
    def _file(self) -> str:
        return f"irds:{self.dataset_id}"

    def _entry(self, number: int, row: Any, id_name: str, kind: Kind) -> Entry:
        values = {name: value for name, value in row._asdict().items() if not isinstance(value, bytes)}
        record: dict[str, Any] = {"id": values.pop(id_name), "text": values.pop("text", None)} | values
        if record["text"] is None:
            record["text"] = row.default_text() if hasattr(row, "default_text") else ""
            record.pop("title", None)  # the default text begins with it
        raw = orjson.dumps(record, default=_plain)
        fields = read_fields(orjson.loads(raw), kind, f"{self._file}:{number}")
        return Entry(file=self._file, line=number, fields=fields, raw=raw)


def open_dataset(dataset_id: str) -> Any:
    """The dataset of the package. Raises MissingExtra without the package, UnknownName for an id it does not know."""
    try:
        import ir_datasets
    except ImportError:
        raise MissingExtra(f"irds:{dataset_id}", "irds") from None
    try:
        return ir_datasets.load(dataset_id)
    except KeyError:
        raise UnknownName("dataset of ir_datasets", dataset_id, ir_datasets.registry) from None


def _plain(value: Any) -> Any:
    """Nested named tuples as lists, anything else as its text."""
    return list(value) if isinstance(value, tuple) else str(value)
