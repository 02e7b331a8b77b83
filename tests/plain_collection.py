"""A collection held in memory, with what retrieval and the lexical judge use of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Document, Query


class PlainCollection:
    """Documents are texts, or mappings with text, title and other columns."""

    def __init__(self, documents: Mapping[str, str | Mapping[str, Any]], queries: Mapping[str, str], name: str = "plain") -> None:
        rows = {i: {"text": d} if isinstance(d, str) else dict(d) for i, d in documents.items()}
        self._documents = {i: _document(i, row) for i, row in rows.items()}
        self.name = self.fingerprint = name
        self.queries = pl.DataFrame({"query_id": list(queries), "text": list(queries.values())}, schema_overrides=STRINGS)

    @property
    def doc_ids(self) -> pl.Series:
        return pl.Series(list(self._documents), dtype=pl.String)

    def __len__(self) -> int:
        return len(self._documents)

    def contains(self, doc_ids: pl.Series) -> pl.Series:
        return doc_ids.is_in(self.doc_ids.implode())

    def query(self, query_id: str) -> Query:
        return Query(query_id=query_id, text=self.queries.filter(query_id=query_id)["text"][0])

    def document(self, doc_id: str) -> Document:
        return self._documents[doc_id]

    def documents(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        return (self._documents[i] for i in doc_ids)

    def texts(self, batch: int = 10_000) -> Iterator[tuple[list[str], list[str]]]:
        ids = list(self._documents)
        for start in range(0, len(ids), batch):
            part = ids[start : start + batch]
            yield part, [self._documents[i].text for i in part]


STRINGS = {"query_id": pl.String, "text": pl.String}


def _document(doc_id: str, row: dict[str, Any]) -> Document:
    title = str(row.pop("title", "") or "")
    text = f"{title} {row.pop('text')}".strip()
    return Document(doc_id=doc_id, text=text, title=title, columns=row)


def read_folder(folder: Path) -> tuple[PlainCollection, Qrels]:
    """corpus.jsonl, topics.tsv and qrels.txt of a folder of shared/data."""
    lines = (json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines())
    documents = {str(d.pop("id")): d for d in lines}
    topics = pl.read_csv(folder / "topics.tsv", separator="\t", quote_char=None, has_header=False, infer_schema=False)
    collection = PlainCollection(documents, dict(topics.iter_rows()), name=folder.name)
    rows = [line.split() for line in (folder / "qrels.txt").read_text(encoding="utf-8").splitlines()]
    frame = pl.DataFrame(rows, schema=["query_id", "_", "doc_id", "grade"], orient="row").cast({"grade": pl.Int32})
    return collection, Qrels.of(frame, f"{folder.name} human")
