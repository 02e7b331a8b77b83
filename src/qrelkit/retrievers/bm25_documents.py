"""What BM25 reads: the texts of a collection or of a mapping, and what identifies them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError
from qrelkit.core.wire import digest_bytes, digest_of
from qrelkit.retrievers.fields import BATCH, joined, refuse_absent


@dataclass(frozen=True)
class Searched:
    """Documents with the `fields` of them that are searched, and more text for some of them."""

    documents: Collection | Mapping[str, str]
    fields: tuple[str, ...] = ("text",)
    extra: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not len(self.documents):
            raise InputError("BM25 has nothing to search: the collection has no document")
        if isinstance(self.documents, Mapping) and self.fields != ("text",):
            raise InputError("fields need a collection; a mapping from id to text has only the text")

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def fingerprint(self) -> str:
        """The collection's, or the digest of the mapping."""
        if isinstance(self.documents, Mapping):
            return digest_of(list(self.documents.items()))
        return self.documents.fingerprint

    @cached_property
    def extra_settings(self) -> dict[str, Any] | None:
        """Of how many documents there is more, and the digest of it."""
        return {"documents": len(self.extra), "digest": digest_of(sorted(self.extra.items()))} if self.extra else None

    @property
    def folder(self) -> Path | None:
        """Where an index of them may be kept; None for what is only in memory."""
        return getattr(self.documents, "folder", None)

    @cached_property
    def doc_ids(self) -> pl.Series:
        """In the order of the rows of an index."""
        return pl.Series(list(self.documents), dtype=pl.String) if isinstance(self.documents, Mapping) else self.documents.doc_ids

    @property
    def occurrences(self) -> NDArray[np.int64] | None:
        """How often each document was given; None where each was once."""
        return None if isinstance(self.documents, Mapping) else self.documents.occurrences

    @property
    def occurrences_digest(self) -> str | None:
        """The same as a digest."""
        return None if self.occurrences is None else digest_bytes(self.occurrences.tobytes())

    def batches(self) -> Iterator[tuple[list[str], list[str]]]:
        """Ids and texts. Raises UnknownName for a field that no document has."""
        if isinstance(self.documents, Mapping):
            yield list(self.documents), list(self.documents.values())
        elif self.fields == ("text",):
            yield from self.documents.texts()
        else:
            yield from self._of_fields(self.documents)

    def _of_fields(self, collection: Collection) -> Iterator[tuple[list[str], list[str]]]:
        refuse_absent(collection, self.fields)
        for start in range(0, len(collection), BATCH):
            ids = collection.doc_ids.slice(start, BATCH).to_list()
            yield ids, [joined(document, self.fields) for document in collection.documents(ids)]
