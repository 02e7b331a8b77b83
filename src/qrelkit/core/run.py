"""A system's ranked answers: the only place that knows ranks and ties.

The order inside a run is decided here, once: score descending (compared as float32), ties by `doc_id` descending,
as trec_eval does. Whoever holds a `Run` need not check again: no nulls, no NaN, no document twice for one query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.records import counted

SCHEMA = {"query_id": pl.String, "doc_id": pl.String, "score": pl.Float64, "rank": pl.UInt32}


class Run:
    """One system's output. `frame`: query_id, doc_id, score, rank (from 1); each query's rows together, by rank."""

    def __init__(self, frame: pl.DataFrame, tag: str, notes: Mapping[str, Any] | None = None) -> None:
        self.frame, self.tag, self.notes = frame, tag, dict(notes or {})

    @staticmethod
    def of(
        frame: pl.DataFrame,
        tag: str,
        *,
        duplicates: Literal["error", "collapse"] = "error",
        parents: Mapping[str, str] | None = None,
        source: str = "",
    ) -> Run:
        """A run from a frame with query_id, doc_id and score (or only rank, 1 the best).

        `duplicates="collapse"` keeps the best-scored row of a document listed twice and counts the others in
        `notes["collapsed"]`; `parents` maps variants to a parent id first (then collapsing is implied). Raises
        InputError for missing columns, null ids, null or NaN scores, and duplicates.
        """
        where = f"{source}: " if source else ""
        for column in ("query_id", "doc_id"):
            if column not in frame.columns:
                raise InputError(f"{where}a run needs a column {column!r}; there are {', '.join(frame.columns)}")
        if "score" not in frame.columns:
            if "rank" not in frame.columns:
                raise InputError(f"{where}a run needs a column 'score' or 'rank'; there are {', '.join(frame.columns)}")
            frame = frame.with_columns(score=-pl.col("rank").cast(pl.Float64))
        frame = with_ids(frame, f"{where}run {tag!r}").select("query_id", "doc_id", pl.col("score").cast(pl.Float64))
        bad = frame.filter(pl.col("score").is_null() | pl.col("score").is_nan())
        if bad.height:
            row = bad.row(0, named=True)
            raise InputError(
                f"{where}run {tag!r} has {counted(bad.height, 'row')} without a usable score; the first is "
                f"query {row['query_id']!r}, document {row['doc_id']!r}. Give every row a number, or leave the row out"
            )
        if parents is not None:
            frame = frame.with_columns(doc_id=pl.col("doc_id").replace(dict(parents)))
            duplicates = "collapse"
        frame = in_trec_order(frame)
        lengths = frame["query_id"].rle().struct.field("len").to_numpy()
        twice = repeated(frame, lengths)
        notes: dict[str, Any] = {}
        if twice and duplicates == "error":
            row = frame.filter(pl.struct("query_id", "doc_id").is_duplicated()).row(0, named=True)
            raise InputError(
                f"{where}run {tag!r} lists document {row['doc_id']!r} twice for query {row['query_id']!r} "
                f"({counted(twice, 'such row')} in all); repair the run, or ask for duplicates to be collapsed to the "
                "best-ranked one (--collapse)"
            )
        if twice:
            frame = frame.unique(["query_id", "doc_id"], keep="first", maintain_order=True)
            notes["collapsed"] = twice
            lengths = frame["query_id"].rle().struct.field("len").to_numpy()
        rank = np.arange(1, frame.height + 1, dtype=np.uint32) - np.repeat(np.cumsum(lengths, dtype=np.uint32) - lengths, lengths)
        return Run(frame.with_columns(rank=pl.Series(rank, dtype=pl.UInt32)), tag, notes)

    def cut(self, depth: int) -> Run:
        """The first `depth` documents of every query."""
        return Run(self.frame.filter(pl.col("rank") <= depth), self.tag, self.notes)

    def to_pandas(self) -> Any:
        """A pandas frame with PyTerrier's names: qid, docno, score, rank (from 0 there), name."""
        out = self.frame.select(
            pl.col("query_id").alias("qid"),
            pl.col("doc_id").alias("docno"),
            "score",
            (pl.col("rank").cast(pl.Int64) - 1).alias("rank"),
            pl.lit(self.tag).alias("name"),
        )
        return out.to_pandas()

    @staticmethod
    def from_pandas(frame: Any, tag: str = "run") -> Run:
        """A run from a pandas frame with PyTerrier's names (qid, docno, score or rank)."""
        names = {"qid": "query_id", "docno": "doc_id"}
        missing = [old for old in names if old not in frame.columns]
        if missing:
            raise Mismatch(f"a PyTerrier frame has columns qid and docno; missing: {', '.join(missing)}")
        return Run.of(pl.from_pandas(frame).rename(names), tag)

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        return f"Run({self.tag}: {counted(self.frame['query_id'].n_unique(), 'query')}, {counted(self.frame.height, 'document')})"


def with_ids(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    """The frame with `query_id` and `doc_id` as strings. Raises InputError where a row of `what` lacks one."""
    for name in ("query_id", "doc_id"):
        missing = frame[name].is_null()
        if missing.any():
            first = (missing.arg_max() or 0) + 1
            raise InputError(f"{what} has {counted(int(missing.sum()), 'row')} without a {name}; the first is row {first}")
    return frame.with_columns(pl.col("query_id", "doc_id").cast(pl.String))


def in_trec_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Brings the rows of each query together, queries as they first appear; score descending as float32, doc_id descending.

    A frame already in order is returned as it is. Query and score are packed into one whole number per row, whose sort is
    nearly free where a file is nearly in order; only among rows that tie are the ids compared.
    """
    blocks = frame.select(pl.col("query_id").rle()).unnest("query_id")
    key = np.repeat(appearance(blocks["value"]) << np.uint64(32), blocks["len"].to_numpy())
    key |= falling(frame["score"].to_numpy())
    rises = key[1:] > key[:-1]
    if rises.all():
        return frame
    order = np.argsort(key, kind="stable")
    key = key[order]
    tie = key[1:] == key[:-1]
    tied = np.flatnonzero(np.append(tie, False) | np.append(False, tie))
    rows = pl.DataFrame({"key": key[tied], "doc_id": frame["doc_id"].gather(order[tied]), "row": order[tied]})
    order[tied] = rows.sort("key", "doc_id", descending=[False, True], maintain_order=True)["row"].to_numpy()
    in_order = (order[1:] > order[:-1]).all()
    return frame if in_order else pl.DataFrame([column.rechunk().gather(order) for column in frame.iter_columns()])


def appearance(values: pl.Series) -> npt.NDArray[np.uint64]:
    """The place of each value among the distinct ones, in order of their first appearance."""
    distinct = values.unique(maintain_order=True)
    if len(distinct) == len(values):
        return np.arange(len(values), dtype=np.uint64)
    places = pl.DataFrame({"value": distinct, "place": pl.int_range(len(distinct), dtype=pl.UInt64, eager=True)})
    found = values.to_frame("value").join(places, on="value", how="left", maintain_order="left")
    return found["place"].to_numpy()


def falling(score: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """Numbers that rise as the scores, compared as float32, fall."""
    with np.errstate(over="ignore"):
        single = score.astype(np.float32)
    single += np.float32(0)  # -0 and 0 tie
    bits = single.view(np.uint32)
    bits ^= (~bits >> np.uint32(31)) * np.uint32(0x7FFFFFFF)  # a positive float's bits rise with it, a negative one's fall
    return bits


def repeated(frame: pl.DataFrame, lengths: npt.NDArray[np.uint32]) -> int:
    """How many rows repeat the query and document of another. Equal hashes are only a hint, and looked into."""
    salt = np.arange(len(lengths), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # another one for each query
    key = np.sort(frame["doc_id"].hash().to_numpy() + np.repeat(salt, lengths))
    if not (key[1:] == key[:-1]).any():
        return 0
    return int(frame.select(pl.struct("query_id", "doc_id").is_first_distinct().not_().sum()).item())
