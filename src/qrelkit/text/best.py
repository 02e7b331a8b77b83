"""The best documents of each query: postings added up, queries in parallel.

    score(q, d) = Σ_t weight(q, t) · value(t, d)

Every thread adds one query after the other into an array with a place for each document. The kernel is the product of a sparse
column and a number, `csc_matvec` of scipy's compiled part, which neither copies the postings nor holds the interpreter's lock;
where a scipy does not have it, numpy does the same in several steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrelkit.text.postings import Floats, Postings, threads
from qrelkit.text.ragged import Codes

Adder = Callable[[Floats, Codes, Floats, float], None]
Found = tuple[int, Codes, Floats]
QUERIES_AT_ONCE = 16
SMALLEST = 1.2e-38  # the least float32 of full precision
SAMPLED = 32
FEW = 16  # with postings of less than one in so many documents, only these are looked at


def best(postings: Postings, weights: Any, documents: int, depth: int, *, add: Adder | None = None) -> Iterator[Found]:
    """Per row of `weights` (queries × terms, CSR): the row, the documents that score above 0 and not below the `depth`-th best,
    and their scores.

    Documents that tie with the `depth`-th are all given, in no order: a Run decides ties.
    """
    adding, own = add or adder(), local()

    def some(first: int) -> list[Found]:
        if not hasattr(own, "scores"):
            own.scores = np.zeros(documents, np.float32)
        rows = range(first, min(first + QUERIES_AT_ONCE, weights.shape[0]))
        return [(row, *_best_of(own.scores, postings, *_terms(weights, row), depth, adding)) for row in rows]

    with ThreadPoolExecutor(threads()) as pool:
        yield from chain.from_iterable(pool.map(some, range(0, weights.shape[0], QUERIES_AT_ONCE)))


def _terms(weights: Any, row: int) -> tuple[list[int], list[float]]:
    held = slice(weights.indptr[row], weights.indptr[row + 1])
    return weights.indices[held].tolist(), weights.data[held].tolist()


def _best_of(
    scores: Floats, postings: Postings, terms: list[int], weights: list[float], depth: int, add: Adder
) -> tuple[Codes, Floats]:
    """The answer to one query; `scores` is all 0 before and after."""
    spans = [slice(int(postings.ends[term]), int(postings.ends[term + 1])) for term in terms]
    for span, weight in zip(spans, weights, strict=True):
        add(scores, postings.docs[span], postings.values[span], weight)
    if sum(span.stop - span.start for span in spans) * FEW < len(scores):
        touched = np.concatenate([np.zeros(0, np.int32), *(postings.docs[span] for span in spans)])
        docs = np.unique(touched)
        docs = docs[at_least_nth(scores[docs], depth)]
        found = scores[docs]
        scores[touched] = 0
        return docs, found
    docs = at_least_nth(scores, depth).astype(np.int32)
    found = scores[docs]
    scores[:] = 0
    return docs, found


def at_least_nth(scores: Floats, depth: int) -> NDArray[np.intp]:
    """Where the scores are that are above 0 and not below the `depth`-th best.

    Of every 32nd score a bound is guessed that somewhat more than `depth` of all should reach, so that only these are looked at;
    where they are fewer, all are.
    """
    guess = _nth(scores[::SAMPLED], depth // SAMPLED * 3 // 2 + 16)
    rows = np.flatnonzero(scores >= max(guess, SMALLEST))
    if len(rows) < depth and guess > SMALLEST:
        rows = np.flatnonzero(scores >= SMALLEST)
    found = scores[rows]
    return rows[found >= _nth(found, depth)]


def _nth(scores: Floats, depth: int) -> float:
    """The `depth`-th best; −∞ where there are not as many."""
    place = len(scores) - depth
    return float(np.partition(scores, place)[place]) if place > 0 else float("-inf")


@cache
def adder() -> Adder:
    """The fastest way there is to add postings."""
    try:
        from scipy.sparse._sparsetools import csc_matvec
    except ImportError:
        return add_plainly

    def add(scores: Floats, docs: Codes, values: Floats, weight: float) -> None:
        ends = np.array([0, len(docs)], np.int32)
        csc_matvec(len(scores), 1, ends, docs, values, np.array([weight], np.float32), scores)

    return add


def add_plainly(scores: NDArray[np.float32], docs: Codes, values: Floats, weight: float) -> None:
    """The same without scipy's compiled part; a document is in the postings of a term once."""
    scores[docs] += np.float32(weight) * values
