"""BM25 as a retriever: the baseline that needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Document, Query
from qrelkit.core.run import Run
from qrelkit.text.bm25 import K1, B, index_documents
from qrelkit.text.tokens import AUTO

Batches = Iterator[tuple[list[str], list[str]]]


class Bm25:
    """Ranks the documents of a collection (or of a mapping from id to text) for queries.

    Lucene's BM25 with exact lengths (`qrelkit.text.bm25`). `fields` are joined by a space: "text" is title and text as
    a collection joins them, any other name a column of the documents. `extra_texts` has more text for some documents, such
    as descriptions of their images. `settings` says what was used, the analyzer that "auto" chose included.
    Raises InputError where there is no document.
    """

    name = "bm25"

    def __init__(
        self,
        documents: Collection | Mapping[str, str],
        *,
        k1: float = K1,
        b: float = B,
        analyzer: str = AUTO,
        fields: Sequence[str] = ("text",),
        extra_texts: Mapping[str, str] | None = None,
    ) -> None:
        batches = _batches(documents, tuple(fields))
        self._index, self._doc_ids = index_documents(batches, extra_texts, analyzer=analyzer, k1=k1, b=b)
        if not len(self._index):
            raise InputError("BM25 has nothing to search: the collection has no document")
        self.settings: dict[str, Any] = {
            **self._index.settings,
            "fields": list(fields),
            "extra_texts": len(extra_texts or {}),
        }

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        """The `depth` best documents of each query, in the order of a Run also where ties meet the cut.

        Only documents that share a term with the query are listed (their score is above 0); queries without any are
        listed in `notes["without_hits"]`.
        """
        if depth < 1:
            raise InputError(f"depth must be at least 1, not {depth}")
        weights, _ = self._index.queries(pl.Series([q.text for q in queries], dtype=pl.String))
        rows, docs, scores = [], [], []
        for row, found, score in self._index.best(weights, depth):
            rows.append(np.full(len(found), row))
            docs.append(found)
            scores.append(score)
        query_ids = pl.Series([q.query_id for q in queries], dtype=pl.String)
        frame = pl.DataFrame(
            {
                "query_id": query_ids.gather(_joined(rows)),
                "doc_id": self._doc_ids.gather(_joined(docs)),
                "score": np.concatenate([*scores, np.zeros(0, np.float32)]),
            }
        )
        run = Run.of(frame, self.name).cut(depth)
        without = query_ids.filter(~query_ids.is_in(run.frame["query_id"].unique().to_list())).to_list()
        return Run(run.frame, run.tag, {"retriever": self.settings, "without_hits": without})

    def __repr__(self) -> str:
        s = self.settings
        return f"Bm25({len(self._index):,} documents, {s['analyzer']}, k1 {s['k1']}, b {s['b']})"


def _joined(parts: list[Any]) -> pl.Series:
    return pl.Series(np.concatenate([*parts, np.zeros(0, np.int64)]))


def _batches(documents: Collection | Mapping[str, str], fields: tuple[str, ...]) -> Batches:
    """Ids and texts in batches; a field that no document has is an error once all are read."""
    if isinstance(documents, Mapping):
        if fields != ("text",):
            raise InputError("fields need a collection; a mapping from id to text has only the text")
        yield list(documents), list(documents.values())
        return
    if fields == ("text",):
        yield from documents.texts()
        return
    found: set[str] = set()
    for start in range(0, len(documents), 10_000):
        ids = documents.doc_ids.slice(start, 10_000).to_list()
        texts = []
        for document in documents.documents(ids):
            values = _values(document, fields)
            found |= values.keys()
            texts.append(" ".join(values.values()))
        yield ids, texts
    for name in fields:
        if len(documents) and name not in found:
            raise UnknownName("field of the documents", name, {"text", "title", *found})


def _values(document: Document, fields: tuple[str, ...]) -> dict[str, str]:
    """The named fields that this document has, as text."""
    all_values = {**document.columns, "title": document.title, "text": document.text}
    return {name: str(all_values[name]) for name in fields if all_values.get(name) is not None}
