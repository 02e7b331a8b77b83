"""BM25 over postings.

    score(q, d) = Σ_t w(q, t) · idf(t) · tf / (tf + k1 · (1 - b + b · |d| / mean|d|))

    idf "lucene"   ln(1 + (N - df + ½) / (df + ½))          Robertson and Zaragoza 2009 in Lucene's form (no factor k1 + 1)
    idf "gensim"   ln(N + 1) - ln(df + ½)                   gensim's LuceneBM25Model
    query "bag"    w = qtf
    query "bm25"   w = idf(t) · qtf / (qtf + k1 · (1 - b + b · |q| / mean|d|))         BM25Q: the query weighed as a document is

with exact lengths where Lucene rounds them to one byte; |q| counts the terms that some document has. All but w is known when
the index is made, so the index *is* the postings with these summands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.rewriting import Piece
from qrelkit.text.analyzers import Given, analyzer_of
from qrelkit.text.best import Found, best
from qrelkit.text.han import han_characters
from qrelkit.text.postings import Floats, Postings, count_terms
from qrelkit.text.ragged import Codes, Ints
from qrelkit.text.tokens import AUTO, Analyzer
from qrelkit.text.words import words_of

K1, B = 0.9, 0.4
CSR = Any  # scipy.sparse.csr_matrix of float32; scipy is imported where one is made
Rows = NDArray[np.int64]
Idf = Literal["lucene", "gensim"]
Weighting = Literal["bag", "bm25"]


@dataclass(frozen=True, kw_only=True)
class Formula:
    """The numbers of BM25. Raises InputError where they cannot be, UnknownName for an idf."""

    k1: float = K1
    b: float = B
    idf: Idf = "lucene"

    def __post_init__(self) -> None:
        if not (0 <= self.k1 < float("inf") and 0 <= self.b <= 1):
            raise InputError(f"BM25 needs a finite k1 of at least 0 and b from 0 to 1, not k1={self.k1} and b={self.b}")
        if self.idf not in get_args(Idf):
            raise UnknownName("idf", self.idf, get_args(Idf))

    def idf_of(self, df: NDArray[Any], documents: int) -> Floats:
        """Above 0 for every term, also for one that no document has."""
        gensim = self.idf == "gensim"
        idf = np.log(documents + 1) - np.log(df + 0.5) if gensim else np.log1p((documents - df + 0.5) / (df + 0.5))
        return np.asarray(idf, dtype=np.float32)

    def saturation(self, lengths: NDArray[Any], mean: float) -> NDArray[np.float64]:
        """What is added to tf below the line."""
        return np.asarray(self.k1 * (1 - self.b + self.b * lengths / (mean or 1)), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Index:
    """`postings` of summands; `idf` goes with the terms of `vocabulary`."""

    postings: Postings
    vocabulary: pl.Series
    idf: Floats
    lengths: Ints  # terms per document; 0 where there is nothing to compare
    documents: int  # N, repeated ones as often as they were counted
    mean: float  # mean|d|, over as many
    analyzer: Analyzer
    formula: Formula

    @staticmethod
    def of(
        batches: Iterable[pl.Series],
        *,
        analyzer: Given = AUTO,
        k1: float = K1,
        b: float = B,
        idf: Idf = "lucene",
        occurrences: Ints | None = None,
    ) -> Index:
        """Indexes texts that come in batches; the texts are not kept. With `occurrences` a document counts so many times in N, df
        and mean|d|. Raises UnknownName and InputError."""
        formula, chosen = Formula(k1=k1, b=b, idf=idf), analyzer_of(analyzer)
        counts = count_terms(batches, chosen)
        lengths = counts.lengths
        documents = len(lengths) if occurrences is None else int(occurrences.sum())
        total = lengths.sum() if occurrences is None else (lengths * occurrences).sum()
        mean = float(total) / max(1, documents)
        weight = formula.idf_of(counts.df(occurrences), documents)
        below = formula.saturation(lengths, mean)

        def summands(terms: Codes, docs: Codes, tf: Floats) -> Floats:
            return (weight[terms] * tf / (tf + below[docs])).astype(np.float32)

        return Index(
            postings=counts.postings(summands),
            vocabulary=counts.vocabulary,
            idf=weight,
            lengths=lengths,
            documents=documents,
            mean=mean,
            analyzer=counts.analyzer,
            formula=formula,
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def settings(self) -> dict[str, Any]:
        """What was used, as JSON."""
        return {
            "analyzer": self.analyzer.name,
            "recipe": self.analyzer.recipe,
            "k1": self.formula.k1,
            "b": self.formula.b,
            "idf": self.formula.idf,
        }

    def queries(self, texts: pl.Series) -> tuple[CSR, Floats]:
        """How often each query has each term (queries × terms), and the bound that each query's score stays below.

        The bound is Σ qtf · idf, terms that no document has (df = 0) included; it is 0 only for a query without terms.
        """
        counts = self._counts([(Piece(text=text),) for text in texts.to_list()])
        unseen = self.formula.idf_of(np.zeros(counts.shape[1] - len(self.idf)), self.documents)
        return counts[:, : len(self.idf)], counts @ np.concatenate([self.idf, unseen])

    def asked(self, pieces: Sequence[Sequence[Piece]], weighting: Weighting = "bag", *, characters: bool = False) -> CSR:
        """The weight of each term in each query (queries × terms): its counts in the query's pieces, added up.

        With `characters` a query none of whose terms any document has is asked by its Han characters: each stands for the pairs
        (half each, for a character is in two) or words that have it.
        """
        weights = self._counts(pieces)[:, : len(self.idf)]
        if characters:
            weights = self._by_characters(weights, pieces)
        if weighting == "bag":
            return weights
        lengths = np.asarray(weights.sum(axis=1)).ravel()
        below = np.repeat(self.formula.saturation(lengths, self.mean), np.diff(weights.indptr))
        weights.data = (self.idf[weights.indices] * weights.data / (weights.data + below)).astype(np.float32)
        return weights

    def _counts(self, pieces: Sequence[Sequence[Piece]]) -> CSR:
        """Queries × terms, those that no document has behind the others."""
        from scipy.sparse import csr_matrix

        flat = [piece for own in pieces for piece in own]
        row = np.repeat(np.arange(len(pieces)), [len(own) for own in pieces])
        words, distinct = words_of(pl.Series([piece.text for piece in flat], dtype=pl.String), self.analyzer)
        of_word, terms = self.analyzer.terms(distinct)
        numbers, size = _numbered(terms, self.vocabulary)
        of_word = of_word.renumbered(numbers)
        found = words.terms(of_word)
        weight = [1 if p.weight is None else p.weight / max(1, n) for p, n in zip(flat, found.lengths.tolist(), strict=True)]
        data = np.repeat(np.array(weight, dtype=np.float32), found.lengths)
        counts = csr_matrix((data, (np.repeat(row, found.lengths), found.items)), shape=(len(pieces), size))
        counts.sort_indices()
        return counts

    def _by_characters(self, weights: CSR, pieces: Sequence[Sequence[Piece]]) -> CSR:
        """The same with terms for the rows that have none, where Han runs were cut into anything longer than a character."""
        bare: list[int] = np.flatnonzero(np.diff(weights.indptr) == 0).tolist()
        if not bare or self.analyzer.han in ("characters", "whole"):
            return weights
        from scipy.sparse import csr_matrix

        found = []
        for row in bare:
            for character in han_characters(pl.Series([piece.text for piece in pieces[row]], dtype=pl.String)):
                terms = np.flatnonzero(self.vocabulary.str.contains(character, literal=True).to_numpy())
                found.append(np.stack([np.full(len(terms), row), terms]))
        places = np.concatenate([np.zeros((2, 0), np.int64), *found], axis=1)
        each = np.full(places.shape[1], 0.5 if self.analyzer.han == "pairs" else 1.0, np.float32)
        weights = (weights + csr_matrix((each, tuple(places)), shape=weights.shape)).tocsr()
        weights.sort_indices()
        return weights

    def best(self, weights: CSR, depth: int) -> Iterator[Found]:
        """Per query: its row, the documents that score above 0 and not below the `depth`-th best, and their scores.

        Documents that tie with the `depth`-th are all given, in no order: a Run decides ties.
        """
        return best(self.postings, weights, len(self), depth)

    def pair_scores(self, weights: CSR, query_rows: Rows, doc_rows: Rows) -> Floats:
        """BM25 of given pairs: rows of `weights` against documents."""
        chunks = np.split(np.arange(len(query_rows)), range(50_000, len(query_rows), 50_000))
        parts = [weights[query_rows[c]].multiply(self.scores[doc_rows[c]]).sum(axis=1) for c in chunks]
        return np.concatenate([np.asarray(part, dtype=np.float32).ravel() for part in parts])

    @cached_property
    def scores(self) -> CSR:
        """Documents × terms."""
        from scipy.sparse import csc_matrix

        held = self.postings
        return csc_matrix((held.values, held.docs, held.ends), shape=(len(self), len(self.idf))).tocsr()


def index_documents(
    batches: Iterable[tuple[list[str], list[str]]],
    extra: Mapping[str, str] | None = None,
    **options: Any,
) -> tuple[Index, pl.Series]:
    """An index of batches of (ids, texts), as a Collection streams them, and the ids in the order of its rows.

    `extra` has text to be appended to documents (descriptions of their images); ids that are not among the documents are ignored.
    `options` are those of `Index.of`.
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

    index = Index.of(joined(), **options)
    return index, pl.concat(ids)


def _numbered(terms: pl.Series, known: pl.Series) -> tuple[Codes, int]:
    """Numbers for distinct terms, and how many there are with the known ones: these keep theirs, others follow."""
    held = pl.DataFrame({"term": known}).with_row_index("number").join(terms.to_frame("term"), on="term", how="semi")
    found = terms.to_frame("term").join(held, on="term", how="left", maintain_order="left")["number"]
    new = found.is_null()
    numbers = found.fill_null(0).to_numpy().astype(np.int32)
    more = int(new.to_numpy().sum())
    numbers[new.to_numpy()] = len(known) + np.arange(more)
    return numbers, len(known) + more
