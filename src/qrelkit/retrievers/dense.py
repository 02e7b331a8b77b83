"""Dense retrieval: documents by the nearness of their vectors to the query's, exactly.

    queries, rewrites ─▶ encoder ─▶ one vector a query (core/rewriting.py says how) ─┐
    documents ─▶ encoder ─▶ vectors on disk (vectors.py) ────────────────────────────┴▶ dense_search.py ─▶ Run

Every document is compared with every query: nothing is approximated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Encoder, Side
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.records import Query, counted
from qrelkit.core.run import Run
from qrelkit.retrievers.dense_search import Matrix, best, places
from qrelkit.retrievers.fields import refuse_fields
from qrelkit.retrievers.vectors import Dtype, Progress, Vectors, encoded
from qrelkit.text.leaving import MayLeave

Similarity = Literal["cos", "dot"]
Asked = tuple[Side, str]  # a text, and what it is encoded as


class Dense:
    """Ranks the documents of a collection by the cosine or the dot product of their vectors and the query's.

    `fields` are what is encoded of a document, joined by a blank: "text" is title and text, any other name a column.
    `similarity` is the encoder's by default. Vectors are kept as `dtype`, beside the collection's index, and encoded when they
    are first asked for; `progress` is told how far that is. `memory_mb` bounds what a search works with. `may_leave` (of an
    encoder behind an endpoint) as in `text/leaving.py`. Raises InputError where there is no document, and for a field that may
    not leave.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder,
        *,
        fields: Sequence[str] = ("text",),
        similarity: Similarity | None = None,
        memory_mb: float = 2000,
        dtype: Dtype = "float16",
        progress: Progress | None = None,
        may_leave: MayLeave = None,
    ) -> None:
        if not len(collection):
            raise InputError("dense retrieval has nothing to search: the collection has no document")
        refuse_fields(fields, may_leave)
        self._may_leave = may_leave
        self._collection, self._encoder, self._fields, self._dtype = collection, encoder, tuple(fields), dtype
        self._memory_mb, self._progress = memory_mb, progress
        self._similarity = _known(similarity or encoder.similarity)
        self._vectors: Vectors | None = None
        self.name = "dense-" + re.sub(r"[^\w.-]+", "_", encoder.name.partition("@")[0].rpartition("/")[2].rpartition(":")[2])

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the answers depend on."""
        said = {} if self._may_leave is None else {"may_leave": sorted(self._may_leave)}
        return said | {
            "collection": self._collection.fingerprint,
            "encoder": {"name": self._encoder.name, **self._encoder.settings},
            "fields": list(self._fields),
            "similarity": self._similarity,
            "dtype": self._dtype,
        }

    @property
    def vectors(self) -> Vectors:
        """The vectors of the documents: from disk, or encoded now."""
        if self._vectors is None:
            how: dict[str, Any] = {"fields": self._fields, "dtype": self._dtype, "may_leave": self._may_leave}
            self._vectors = encoded(self._collection, self._encoder, **how, progress=self._progress)
        return self._vectors

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        """The `depth` best documents of each query; every document has a score, so that there are always as many."""
        asked = query_vectors(queries, self._encoder)
        vectors = self.vectors
        run = search_vectors(
            [query.query_id for query in queries],
            asked,
            vectors.doc_ids,
            vectors.rows,
            depth,
            similarity=self._similarity,
            lengths=vectors.lengths,
            memory_mb=self._memory_mb,
            tag=self.name,
        )
        used = {"dimensions": vectors.rows.shape[1], "vectors": vectors.key, "notes": list(getattr(self._encoder, "notes", ()))}
        notes: dict[str, Any] = {"retriever": {**self.settings, **used}, "without_hits": []}
        if cut := getattr(self._encoder, "cut", 0):  # texts that an endpoint was sent only the beginning of
            notes["cut"] = cut
        return Run(run.frame, run.tag, notes)

    def __repr__(self) -> str:
        return f"Dense({counted(len(self._collection), 'document')}, {self._encoder.name}, {self._similarity})"


def search_vectors(
    query_ids: Sequence[str],
    queries: NDArray[np.float32],
    doc_ids: Sequence[str] | pl.Series,
    documents: NDArray[Any],
    depth: int,
    *,
    similarity: Similarity = "cos",
    lengths: NDArray[np.float32] | None = None,
    memory_mb: float = 2000,
    tag: str = "dense",
) -> Run:
    """The `depth` nearest of any vectors (float16 or float32, one a row, possibly memory-mapped), exactly, by cosine or dot
    product. A vector of zeros has cosine 0 with all. `lengths` of the documents save computing them for the cosine.

    Raises InputError for a depth below 1, no document, or vectors that are not numbers; Mismatch where ids and rows differ in
    count.
    """
    if depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    ids = pl.Series("doc_id", doc_ids, dtype=pl.String)
    if not len(ids):
        raise InputError("dense retrieval has nothing to search: there is no vector of a document")
    for what, names, rows in (("query", query_ids, queries), ("document", ids, documents)):
        if np.ndim(rows) != 2:
            raise InputError(f"vectors are one a row: an array of 2 dimensions for each {what}'s, not of {np.ndim(rows)}")
        if len(names) != len(rows):
            raise Mismatch(f"there are {counted(len(names), f'{what} id')} for {counted(len(rows), 'vector')}")
    wanted = np.ascontiguousarray(queries, np.float32)
    _refuse_no_numbers("query", query_ids, np.isfinite(wanted).all(axis=1))
    if lengths is None:  # of vectors of one's own, nobody has looked at yet
        lengths = row_lengths(documents)
        _refuse_no_numbers("document", ids, np.isfinite(lengths))
    scale = None
    if _known(similarity) == "cos":
        wanted = unit(wanted)
        scale = _inverse(lengths)
    rows, scores = best(wanted, Matrix(rows=documents, place=places(ids), scale=scale), depth, memory_mb)
    frame = pl.DataFrame(
        {
            "query_id": pl.Series(query_ids, dtype=pl.String).gather(np.repeat(np.arange(len(rows)), rows.shape[1])),
            "doc_id": ids.gather(rows.ravel()),
            "score": scores.ravel(),
        }
    )
    return Run.of(frame, tag)


def _refuse_no_numbers(what: str, ids: Sequence[str] | pl.Series, finite: Any) -> None:
    if not finite.all():
        raise InputError(f"the vector of {what} {ids[int(finite.argmin())]!r} is not a number, or too large for float32")


def query_vectors(queries: Sequence[Query], encoder: Encoder) -> NDArray[np.float32]:
    """One vector a query, queries × dimensions: that of its text, or with rewrites what `query.combine` says of vectors.

    mean: (q + Σ d) / (N + 1), Gao et al. 2023 (arXiv 2212.10496), eq. 8. Every text is encoded once.
    """
    wanted = [_parts(query, encoder) for query in queries]
    found: dict[Asked, NDArray[np.float32]] = {}
    for side in ("query", "rewrite", "document"):
        texts = list(dict.fromkeys(text for parts in wanted for of, text in parts if of == side))
        if texts:
            found |= {(side, text): row for text, row in zip(texts, encoder.encode(texts, side), strict=True)}
    out = []
    for query, parts in zip(queries, wanted, strict=True):
        rows = np.stack([found[part] for part in parts])
        together = query.combine is not None and query.combine.vectors.unit
        out.append((unit(rows) if together else rows).mean(axis=0, dtype=np.float32))
    return np.stack(out) if out else np.zeros((0, 0), np.float32)


def _parts(query: Query, encoder: Encoder) -> list[Asked]:
    """The texts whose vectors a query's is the mean of.

    A rewrite without the query's instruction is encoded as a document by an encoder that is listed to give it (Instructor: a text
    without any instruction is not what it was trained on).
    """
    rule = None if query.combine is None or not query.rewrites else query.combine.vectors
    if rule is None or rule.of == "query":
        return [("query", query.text)]
    if rule.of == "text":
        return [("query", rule.separator.join((query.text, *query.rewrites)))]
    side: Side = "query" if rule.instructed else "rewrite"
    if rule.instructed is False and encoder.settings.get("rewrite") == "query":
        side = "document"
    return [*([("query", query.text)] if rule.of == "mean" else []), *((side, text) for text in query.rewrites)]  # type: ignore[list-item]


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; zeros stay."""
    return rows * _inverse(row_lengths(rows))[:, None]


def row_lengths(rows: NDArray[Any]) -> NDArray[np.float32]:
    """The length of every row, in blocks."""
    out = np.empty(len(rows), np.float32)
    for begin in range(0, len(rows), 8192):
        block = rows[begin : begin + 8192].astype(np.float32)
        out[begin : begin + 8192] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return out


def _inverse(lengths: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.divide(np.float32(1), lengths, out=np.zeros(len(lengths), np.float32), where=lengths > 0)


def _known(similarity: str) -> Similarity:
    if similarity not in ("cos", "dot"):
        raise UnknownName("similarity", similarity, ["cos", "dot"])
    return similarity  # type: ignore[return-value]
