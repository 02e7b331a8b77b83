"""Queries, documents and images, read by offset from an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Document, Query


class Collection:
    """Interface settled; the index behind it is being written."""

    name: str
    fingerprint: str
    queries: pl.DataFrame  # query_id, text, fingerprint, + every other column of the file
    qrels: Mapping[str, Qrels]  # human judgments found beside the collection, by file stem
    notes: Mapping[str, Any]  # counts of what was left out (missing_images …)

    @property
    def doc_ids(self) -> pl.Series: ...
    def __len__(self) -> int: ...
    def query(self, query_id: str) -> Query: ...
    def document(self, doc_id: str) -> Document: ...
    def documents(self, doc_ids: Iterable[str]) -> Iterator[Document]: ...
    def fingerprints(self, doc_ids: pl.Series) -> pl.Series: ...
    def texts(self, batch: int = 10_000) -> Iterator[tuple[list[str], list[str]]]: ...
    def images(self) -> pl.DataFrame: ...
