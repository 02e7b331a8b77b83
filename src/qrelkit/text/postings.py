"""From texts to postings: for every term the documents that have it, and how often.

    batches of texts ─▶ words (in parallel) ─▶ the analyzer's terms, once for all ─▶ postings by batch (in parallel) ─▶ joined

A batch keeps its texts as numbers only, so the texts may be gone when the terms are made, and `auto` can look at all words first.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.text.ragged import Codes, Ints, Ragged
from qrelkit.text.tokens import ANALYZERS, Analyzer, choose
from qrelkit.text.words import Words, words_of

BATCH_BYTES = 8_000_000
Floats = NDArray[np.float32]
Read = tuple[Words, pl.Series]
Values = Callable[[Codes, Codes, Floats], Floats]  # terms, documents, how often → what is kept


def threads() -> int:
    """How many of them are worth having."""
    return min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Postings:
    """Term t is in the documents `docs[ends[t] : ends[t + 1]]`, in rising order, with the `values` there."""

    ends: Ints
    docs: Codes
    values: Floats

    @property
    def df(self) -> Ints:
        """In how many documents each term is."""
        return np.diff(self.ends)


@dataclass(frozen=True)
class Counts:
    """How often each document has each term: one `Postings` for each batch of documents, of the terms that are there."""

    parts: Sequence[tuple[Codes, Postings]]
    firsts: Sequence[int]  # the number of each part's first document
    lengths: Ints  # terms per document
    vocabulary: pl.Series
    analyzer: Analyzer

    def df(self, weights: Ints | None = None) -> Ints:
        """In how many documents each term is, each counted `weights` times."""
        df = np.zeros(len(self.vocabulary), np.int64)
        for first, (terms, part) in zip(self.firsts, self.parts, strict=True):
            df[terms] += part.df if weights is None else np.add.reduceat(weights[first + part.docs], part.ends[:-1])
        return df

    def postings(self, values: Values) -> Postings:
        """All batches joined, with values made of the counts."""
        ends = np.append(0, np.cumsum(self.df()))
        docs, out = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.float32)
        starts, free = [], ends[:-1].copy()
        for terms, part in self.parts:
            starts.append(free[terms])
            free[terms] += part.df

        def fill(number: int) -> None:
            (terms, part), first = self.parts[number], self.firsts[number]
            at = np.repeat(starts[number] - part.ends[:-1], part.df)
            at += np.arange(len(at))
            own = part.docs + np.int32(first)
            docs[at], out[at] = own, values(np.repeat(terms, part.df), own, part.values)

        with ThreadPoolExecutor(threads()) as pool:
            list(pool.map(fill, range(len(self.parts))))
        return Postings(ends, docs, out)


def count_terms(batches: Iterable[pl.Series], analyzer: Analyzer | None = None) -> Counts:
    """The terms of all documents; without an analyzer the one that `choose` takes for their words."""
    reading = analyzer or ANALYZERS["standard"]
    with ThreadPoolExecutor(threads()) as pool:
        words, vocabulary = _numbered(_ahead(pool, lambda texts: words_of(texts, reading), _sliced(batches)))
        chosen = analyzer or choose(vocabulary, _occurrences(words, len(vocabulary)))
        of_word, distinct = chosen.terms(vocabulary)
        parts = list(pool.map(lambda own: _by_term(own, of_word, len(distinct)), words))
    lengths = [own for _, _, own in parts]
    firsts = np.cumsum([0, *map(len, lengths)])[:-1].tolist()
    everything = np.concatenate([np.zeros(0, np.int64), *lengths])
    return Counts([(held, part) for held, part, _ in parts], firsts, everything, distinct, chosen)


def _sliced(batches: Iterable[pl.Series]) -> Iterator[pl.Series]:
    """Batches of bearable size."""
    for texts in batches:
        size = int(texts.str.len_bytes().sum() or 0)
        rows = max(1, len(texts) * BATCH_BYTES // max(size, BATCH_BYTES))
        yield from (texts.slice(first, rows) for first in range(0, len(texts), rows))


def _ahead(pool: ThreadPoolExecutor, work: Callable[[pl.Series], Read], batches: Iterable[pl.Series]) -> Iterator[Read]:
    """What comes of the batches, in their order, a few of them in work and no more read than that."""
    waiting: deque[Future[Read]] = deque()
    for texts in batches:
        waiting.append(pool.submit(work, texts))
        if len(waiting) > threads():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _numbered(batches: Iterable[Read]) -> tuple[list[Words], pl.Series]:
    """The batches with one numbering of words for all, and the words."""
    categories = pl.Categories.random()
    anchor = pl.Series([], dtype=pl.Categorical(categories))  # a Categories forgets its strings once no column uses it
    out = []
    for own, distinct in batches:
        numbers = distinct.cast(anchor.dtype).to_physical().to_numpy().view(np.int32)
        out.append(own.renumbered(numbers))
    return out, categories.to_series()


def _occurrences(batches: Iterable[Words], size: int) -> Ints:
    """How often each word occurs in all batches."""
    total = np.zeros(size, np.int64)
    for own in batches:
        total += own.counts(size)
    return total


def _by_term(own: Words, of_word: Ragged, size: int) -> tuple[Codes, Postings, Ints]:
    """The terms that a batch has, their postings with counts, and the length of its documents."""
    from scipy.sparse import csr_matrix

    terms = own.terms(of_word)
    ones = np.ones(len(terms.items), np.float32)
    counts = csr_matrix((ones, terms.items, terms.ends), shape=(len(terms), size)).tocsc()
    counts.sum_duplicates()
    df = np.diff(counts.indptr)
    held = np.flatnonzero(df).astype(np.int32)
    return held, Postings(np.append(0, np.cumsum(df[held], dtype=np.int64)), counts.indices, counts.data), terms.lengths
