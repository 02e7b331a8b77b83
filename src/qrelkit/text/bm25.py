"""BM25 over sparse matrices.

    score(q, d) = Σ_t qtf(t) · idf(t) · tf / (tf + k1 · (1 - b + b · |d| / mean|d|))
    idf(t)      = ln(1 + (N - df + ½) / (df + ½))

Robertson and Zaragoza 2009 in Lucene's form (no factor k1 + 1), with exact lengths where Lucene rounds them to one byte.
All but qtf is known when the index is made, so the index *is* the matrix documents × terms of these summands, and scoring
is a product of matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import InputError
from qrelkit.text.tokens import AUTO, Analyzer, choose, named, split

K1, B = 0.9, 0.4
CSR = Any  # scipy.sparse.csr_matrix of float32; scipy is imported where one is made
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Index:
    """`scores` has one row per document and one column per term of `vocabulary`; `idf` goes with the columns."""

    scores: CSR
    vocabulary: pl.Series
    idf: Floats
    lengths: Rows  # terms per document; 0 where there is nothing to compare
    analyzer: Analyzer
    k1: float
    b: float

    @staticmethod
    def of(batches: Iterable[pl.Series], *, analyzer: str = AUTO, k1: float = K1, b: float = B) -> Index:
        """Indexes texts that come in batches; the texts are not kept. Raises UnknownName and InputError."""
        chosen = None if analyzer == AUTO else named(analyzer)
        if not (k1 >= 0 and 0 <= b <= 1):
            raise InputError(f"BM25 needs k1 of at least 0 and b from 0 to 1, not k1={k1} and b={b}")
        counts, words = _word_counts(batches)
        chosen = chosen or choose(words, _sum(counts, axis=0))
        mapping, vocabulary = _onto_terms(chosen.terms(words))
        tf = (counts @ mapping).tocsr()
        tf.sort_indices()
        lengths = _sum(tf, axis=1)
        idf = inverse_document_frequency(np.bincount(tf.indices, minlength=tf.shape[1]), tf.shape[0])
        saturation = k1 * (1 - b + b * lengths / (lengths.mean() if lengths.any() else 1))
        tf.data = (idf[tf.indices] * tf.data / (tf.data + np.repeat(saturation, np.diff(tf.indptr)))).astype(np.float32)
        return Index(scores=tf, vocabulary=vocabulary, idf=idf, lengths=lengths, analyzer=chosen, k1=k1, b=b)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def settings(self) -> dict[str, Any]:
        return {"analyzer": self.analyzer.name, "k1": self.k1, "b": self.b}

    def queries(self, texts: pl.Series) -> tuple[CSR, Floats]:
        """How often each query has each term (queries × terms), and the bound that each query's score stays below.

        The bound is Σ qtf · idf, terms that no document has (df = 0) included; it is 0 only for a query without terms.
        """
        counts, words = _word_counts([texts])
        mapping, vocabulary = _onto_terms(self.analyzer.terms(words), self.vocabulary)
        weights = (counts @ mapping).tocsr()
        weights.sort_indices()
        unseen = inverse_document_frequency(np.zeros(len(vocabulary) - len(self.idf)), len(self))
        return weights[:, : len(self.idf)], weights @ np.concatenate([self.idf, unseen])

    def pair_scores(self, weights: CSR, query_rows: Rows, doc_rows: Rows) -> Floats:
        """BM25 of given pairs: rows of `weights` against rows of the index."""
        chunks = np.split(np.arange(len(query_rows)), range(50_000, len(query_rows), 50_000))
        parts = [weights[query_rows[c]].multiply(self.scores[doc_rows[c]]).sum(axis=1) for c in chunks]
        return np.concatenate([np.asarray(part, dtype=np.float32).ravel() for part in parts])

    def best(self, weights: CSR, depth: int, at_most: int = 10_000_000) -> Iterator[tuple[int, Rows, Floats]]:
        """Per query: its row, the documents that score above 0 and not below the `depth`-th best, and their scores.

        Documents that tie with the `depth`-th are all given, in no order: a Run decides ties. `at_most` is the number of
        summands added up at once.
        """
        work = np.cumsum(weights.astype(bool) @ np.diff(self._postings.indptr).astype(np.float64))
        starts = np.searchsorted(work, np.arange(0, work.max(initial=0), at_most), side="right")
        for rows in np.split(np.arange(len(work)), np.unique(starts)[1:]):
            scores = weights[rows] @ self._postings
            for i, row in enumerate(rows.tolist()):
                hits = slice(scores.indptr[i], scores.indptr[i + 1])
                yield row, *_at_least_nth(scores.indices[hits], scores.data[hits], depth)

    @cached_property
    def _postings(self) -> CSR:
        """Terms × documents."""
        return self.scores.T.tocsr()


def index_documents(
    batches: Iterable[tuple[list[str], list[str]]],
    extra: Mapping[str, str] | None = None,
    *,
    analyzer: str = AUTO,
    k1: float = K1,
    b: float = B,
) -> tuple[Index, pl.Series]:
    """An index of batches of (ids, texts), as a Collection streams them, and the ids in the order of its rows.

    `extra` has text to be appended to documents (descriptions of their images); ids that are not among the documents are ignored.
    """
    more = pl.DataFrame(list((extra or {}).items()), schema={"doc_id": pl.String, "more": pl.String}, orient="row")
    ids: list[pl.Series] = [pl.Series("doc_id", [], dtype=pl.String)]

    def joined() -> Iterator[pl.Series]:
        for doc_ids, texts in batches:
            frame = pl.DataFrame({"doc_id": doc_ids, "text": texts}, schema={"doc_id": pl.String, "text": pl.String})
            ids.append(frame["doc_id"])
            if extra:
                frame = frame.join(more, on="doc_id", how="left", maintain_order="left")
                frame = frame.select(text=pl.concat_str("text", "more", separator=" ", ignore_nulls=True))
            yield frame["text"]

    index = Index.of(joined(), analyzer=analyzer, k1=k1, b=b)
    return index, pl.concat(ids)


def inverse_document_frequency(df: NDArray[Any], documents: int) -> Floats:
    """ln(1 + (N - df + ½) / (df + ½)): above 0 for every term."""
    idf: Floats = np.log1p((documents - df + 0.5) / (df + 0.5)).astype(np.float32)
    return idf


def _at_least_nth(docs: NDArray[Any], scores: Floats, depth: int) -> tuple[Rows, Floats]:
    if len(scores) > depth:
        keep = scores >= np.partition(scores, len(scores) - depth)[len(scores) - depth]
        docs, scores = docs[keep], scores[keep]
    return docs.astype(np.int64), scores


def _word_counts(batches: Iterable[pl.Series]) -> tuple[CSR, pl.Series]:
    """Texts × distinct words, how often each occurs, and the words."""
    from scipy.sparse import csr_matrix, vstack

    categories = pl.Categories.random()
    anchor = pl.Series([], dtype=pl.Categorical(categories))  # a Categories forgets its words once no column uses it
    parts = []
    for texts in batches:
        words = split(texts)
        codes = words.explode().cast(anchor.dtype).to_physical().to_numpy()
        ends = np.cumsum(words.list.len().to_numpy(), dtype=np.int64)
        shape = (len(texts), int(codes.max(initial=0)) + 1)
        part = csr_matrix((np.ones(len(codes), np.float32), codes, np.append(0, ends)), shape=shape)
        part.sum_duplicates()
        parts.append(part)
    vocabulary = categories.to_series()
    for part in parts:
        part.resize(part.shape[0], len(vocabulary))
    return vstack([csr_matrix((0, len(vocabulary)), dtype=np.float32), *parts], format="csr"), vocabulary


def _onto_terms(terms: pl.Series, known: pl.Series | None = None) -> tuple[CSR, pl.Series]:
    """Words × terms (how often a word holds a term), and the terms; those of `known` come first and keep their order."""
    from scipy.sparse import csr_matrix

    flat = terms.explode()
    vocabulary = (flat if known is None else pl.concat([known, flat])).unique(maintain_order=True)
    column = pl.DataFrame({"term": vocabulary}).with_row_index("column")
    columns = pl.DataFrame({"term": flat}).join(column, on="term", maintain_order="left")["column"].to_numpy()
    ends = np.cumsum(terms.list.len().to_numpy(), dtype=np.int64)
    ones = np.ones(len(columns), np.float32)
    return csr_matrix((ones, columns, np.append(0, ends)), shape=(len(terms), len(vocabulary))), vocabulary


def _sum(matrix: CSR, *, axis: int) -> Rows:
    total: Rows = np.asarray(matrix.sum(axis=axis, dtype=np.float64)).ravel().astype(np.int64)
    return total
