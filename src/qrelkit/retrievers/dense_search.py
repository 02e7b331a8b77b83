"""Exact search among vectors: the `depth` best documents of every query, in blocks, within a limit of memory.

    block of documents ─▶ float32 ─▶ × queries ─▶ what reaches the query's depth-th best so far ─▶ its best

    key = score as a number that rises with it · 2³² + place of the document's id among all ids

A key says everything about the order inside a run (score as float32, ties by id descending), so that ties at the cut fall as
`Run` would have them, and the largest keys of a query are its answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import InputError, Mismatch

BLOCK = 8192  # documents at a time, fewer where vectors are long
BLOCK_VALUES = 2**22
TILE = 1024  # queries at a time: the scores of a block stay within the processor's cache
SLACK = 512  # candidates of a query, beyond twice its depth, before the worse ones are dropped
HALF_SIGN_AND_REST = np.int32(np.uint32(0x8FFFE000).astype(np.int64) - 2**32)
HALF_BIAS = np.float32(2.0**112)  # between the exponents of float32 and float16: 2 ** (127 − 15)

Single = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """Vectors of documents, one a row, float16 or float32 (as from a memory-mapped file). `scale` is multiplied to every row
    (one over its length, for the cosine). `place` is that of a document's id among all ids, rising."""

    rows: NDArray[Any]
    place: NDArray[np.uint32]
    scale: Single | None = None

    def __post_init__(self) -> None:
        if self.rows.dtype not in (np.float16, np.float32) or self.rows.ndim != 2:
            raise InputError(f"vectors are rows of float16 or float32, not {self.rows.ndim}-dimensional {self.rows.dtype}")

    @property
    def block(self) -> int:
        """Rows that are looked at together."""
        return max(256, min(BLOCK, BLOCK_VALUES // int(self.rows.shape[1])))


def places(doc_ids: pl.Series) -> NDArray[np.uint32]:
    """The place of each id among all, by UTF-8 bytes, from 0."""
    found = np.empty(len(doc_ids), np.uint32)
    found[doc_ids.arg_sort().to_numpy()] = np.arange(len(doc_ids), dtype=np.uint32)
    return found


def best(queries: Single, documents: Matrix, depth: int, memory_mb: float = 2000) -> tuple[NDArray[np.int64], Single]:
    """Row numbers of the best documents and their scores, queries × min(depth, documents), the best first.

    `memory_mb` bounds what is worked with, and may change the last bit of a score, as may the other queries; the pages
    of a mapped file come and go besides, as the system likes. Raises InputError where that is too little, Mismatch where vectors
    differ in length.
    """
    count, dimensions = documents.rows.shape
    if queries.shape[1] != dimensions:
        raise Mismatch(f"the queries' vectors have {queries.shape[1]} dimensions, the documents' {dimensions}")
    depth = min(depth, count)
    at_once = _queries_at_once(len(queries), documents, depth, memory_mb)
    order = np.empty(count, np.int64)
    order[documents.place] = np.arange(count)
    found, scores = np.empty((len(queries), depth), np.int64), np.empty((len(queries), depth), np.float32)
    with ThreadPoolExecutor(cores()) as pool:
        for begin in range(0, len(queries), at_once):
            some = slice(begin, begin + at_once)
            keys = _Search(np.ascontiguousarray(queries[some], np.float32), documents, depth, pool).keys()
            found[some], scores[some] = order[keys & np.uint64(0xFFFFFFFF)], _score(keys)
    return found, scores


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def single(rows: NDArray[Any], out: Single, scale: Single | None = None) -> None:
    """Rows as float32, each times its `scale`.

    A finite float16 moved 13 bits to the left is a float32 but for the bias of its exponent, which a product puts right, exactly:
    four times as fast as numpy's own conversion.
    """
    factor: Any = 1 if scale is None else scale[:, None]
    if rows.dtype == np.float16:
        bits = out.view(np.int32)
        np.left_shift(rows.view(np.int16), np.int32(13), out=bits, dtype=np.int32, casting="unsafe")
        np.bitwise_and(bits, HALF_SIGN_AND_REST, out=bits)
        np.multiply(out, HALF_BIAS * factor, out=out)
    else:
        np.multiply(rows, factor, out=out)


def _queries_at_once(queries: int, documents: Matrix, depth: int, memory_mb: float) -> int:
    """As many as memory holds."""
    block, dimensions = documents.block, documents.rows.shape[1]
    fixed = block * dimensions * 4 + len(documents.rows) * 16
    each = _room(depth) * 8 * 2 + dimensions * 4 + block * 5
    held = int((memory_mb * 1e6 - fixed) / each)
    if held < min(queries, 16):
        needed = (fixed + min(queries, 16) * each) / 1e6
        raise InputError(
            f"{memory_mb:g} MB are too little to search {len(documents.rows):,} documents; give {needed:.0f} or more"
        )
    return held if held < TILE else max(TILE, int((memory_mb * 1e6 - fixed - TILE * block * 5) / (each - block * 5)))


def _room(depth: int) -> int:
    return 2 * depth + SLACK


@dataclass(slots=True)
class _Search:
    """One pass over the documents. `_keys` has the candidates of each query, `_filled` of them, 0 behind; `_least` is the score
    that a document needs to be one."""

    queries: Single
    documents: Matrix
    depth: int
    pool: ThreadPoolExecutor
    _keys: NDArray[np.uint64] = field(init=False)
    _filled: NDArray[np.int64] = field(init=False)
    _least: Single = field(init=False)

    def keys(self) -> NDArray[np.uint64]:
        """The best keys of each query, the largest first."""
        count, size = len(self.queries), self.documents.block
        self._keys = np.zeros((count, _room(self.depth)), np.uint64)
        self._filled, self._least = np.zeros(count, np.int64), np.full(count, -np.inf, np.float32)
        block = np.empty((size, self.queries.shape[1]), np.float32)
        tile = min(TILE, count)
        scores, reaches = np.empty(tile * size, np.float32), np.empty(tile * size, np.bool_)
        for first in range(0, len(self.documents.rows), size):
            rows = self._block(first, block)
            for begin in range(0, count, tile):
                queries = self.queries[begin : begin + tile]
                shape, used = (len(queries), len(rows)), len(queries) * len(rows)
                found, mask = scores[:used].reshape(shape), reaches[:used].reshape(shape)
                np.matmul(queries, rows.T, out=found)
                self._shared(partial(self._look, begin, first, found, mask), len(queries))
        self._shared(self._shrink, count)
        return np.sort(self._keys[:, : self.depth], axis=1)[:, ::-1]

    def _block(self, first: int, into: Single) -> Single:
        """The next documents as float32."""
        rows, scale = self.documents.rows[first : first + len(into)], self.documents.scale
        if rows.dtype == np.float32 and scale is None:
            return rows
        out = into[: len(rows)]
        factors = None if scale is None else scale[first : first + len(rows)]
        self._shared(lambda a, b: single(rows[a:b], out[a:b], None if factors is None else factors[a:b]), len(rows))
        return out

    def _shared(self, work: Callable[[int, int], None], count: int) -> None:
        """Does `work(begin, end)` on all of `count`, a part on every core."""
        parts = min(cores(), count)
        ends = [count * part // parts for part in range(parts + 1)]
        for done in [self.pool.submit(work, a, b) for a, b in pairwise(ends)]:
            done.result()

    def _look(self, begin: int, first: int, scores: Single, mask: NDArray[np.bool_], a: int, b: int) -> None:
        """Takes in what of a block's scores is good enough, for the queries `a` to `b` of the tile that begins at `begin`."""
        scores, reaches = scores[a:b], mask[a:b]
        if first == 0 and scores.shape[1] > self.depth:
            self._least[begin + a : begin + b] = np.partition(scores, -self.depth, axis=1)[:, -self.depth]
        np.greater_equal(scores, self._least[begin + a : begin + b, None], out=reaches)
        flat = np.flatnonzero(reaches.ravel())
        if not len(flat):
            return
        query, row = np.divmod(flat, scores.shape[1])
        keys = _key(scores.ravel()[flat], self.documents.place[first + row])
        counts = np.bincount(query, minlength=b - a)
        query += begin + a
        if (self._filled[begin + a : begin + b] + counts > self._keys.shape[1]).any():
            self._shrink(begin + a, begin + b)
        ends = np.cumsum(counts)
        at = np.arange(len(flat)) - np.repeat(ends - counts, counts) + self._filled[query]
        full = self._filled[begin + a : begin + b] + counts > self._keys.shape[1]
        fits = ~np.repeat(full, counts)
        self._keys[query[fits], at[fits]] = keys[fits]
        self._filled[begin + a : begin + b] += np.where(full, 0, counts)
        for number in np.flatnonzero(full).tolist():
            self._replace(begin + a + number, keys[ends[number] - counts[number] : ends[number]])

    def _replace(self, query: int, keys: NDArray[np.uint64]) -> None:
        """The candidates of one query with more new ones than there is room for: the first block, or documents that rise."""
        both = np.concatenate([self._keys[query, : self._filled[query]], keys])
        kept = np.partition(both, len(both) - self.depth)[-self.depth :] if len(both) > self.depth else both
        self._keys[query] = 0
        self._keys[query, : len(kept)] = kept
        self._filled[query] = len(kept)
        if len(kept) == self.depth:
            self._least[query] = _score(kept.min(keepdims=True))[0]

    def _shrink(self, begin: int, end: int) -> None:
        """Drops all but the best candidates of some queries."""
        keys, depth = self._keys[begin:end], self.depth
        keys.partition(keys.shape[1] - depth, axis=1)
        keys[:, :depth] = keys[:, -depth:].copy()
        keys[:, depth:] = 0
        least = keys[:, :depth].min(axis=1)
        self._least[begin:end] = np.where(least > 0, _score(least), -np.inf)
        self._filled[begin:end] = np.where(least > 0, depth, self._filled[begin:end])
        few = begin + np.flatnonzero(least == 0)
        for query in few:  # fewer candidates than asked for: to the front
            row = np.sort(self._keys[query])[::-1]
            self._keys[query] = row
            self._filled[query] = np.count_nonzero(row)


def _key(scores: Single, place: NDArray[np.uint32]) -> NDArray[np.uint64]:
    bits = (scores + np.float32(0)).view(np.uint32)  # −0 and 0 tie
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    return (rising.astype(np.uint64) << np.uint64(32)) | place


def _score(keys: NDArray[np.uint64]) -> Single:
    rising = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(rising >> 31, rising & np.uint32(0x7FFFFFFF), ~rising).view(np.float32)
