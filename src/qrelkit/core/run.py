"""A system's ranked answers: the only place that knows ranks and ties.

The order inside a run is decided here, once: score descending (compared as float32), ties by `doc_id` descending,
as trec_eval does. Whoever holds a `Run` need not check again: no nulls, no NaN, no document twice for one query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from qrelkit.core.errors import InputError, Mismatch

SCHEMA = {"query_id": pl.String, "doc_id": pl.String, "score": pl.Float64, "rank": pl.UInt32}


class Run:
    """One system's output. `frame`: query_id, doc_id, score, rank (from 1), sorted by query and rank."""

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
        InputError for missing columns, null or NaN scores, and duplicates.
        """
        where = f"{source}: " if source else ""
        for column in ("query_id", "doc_id"):
            if column not in frame.columns:
                raise InputError(f"{where}a run needs a column {column!r}; there are {', '.join(frame.columns)}")
        if "score" not in frame.columns:
            if "rank" not in frame.columns:
                raise InputError(f"{where}a run needs a column 'score' or 'rank'; there are {', '.join(frame.columns)}")
            frame = frame.with_columns(score=-pl.col("rank").cast(pl.Float64))
        frame = frame.select(
            pl.col("query_id").cast(pl.String), pl.col("doc_id").cast(pl.String), pl.col("score").cast(pl.Float64)
        )
        bad = frame.filter(pl.col("score").is_null() | pl.col("score").is_nan() | pl.col("doc_id").is_null())
        if bad.height:
            row = bad.row(0, named=True)
            raise InputError(
                f"{where}{bad.height} rows of run {tag!r} have no usable score; the first is query {row['query_id']!r}, "
                f"document {row['doc_id']!r}. Give every row a number, or leave the row out"
            )
        if parents is not None:
            frame = frame.with_columns(doc_id=pl.col("doc_id").replace(dict(parents)))
            duplicates = "collapse"
        frame = in_trec_order(frame)
        twice = frame.select(pl.struct("query_id", "doc_id").is_first_distinct().not_().sum()).item()
        notes: dict[str, Any] = {}
        if twice and duplicates == "error":
            row = frame.filter(pl.struct("query_id", "doc_id").is_duplicated()).row(0, named=True)
            raise InputError(
                f"{where}run {tag!r} lists document {row['doc_id']!r} twice for query {row['query_id']!r} ({twice} such rows "
                "in all); repair the run, or ask for duplicates to be collapsed to the best-ranked one (--collapse)"
            )
        if twice:
            frame = frame.unique(["query_id", "doc_id"], keep="first", maintain_order=True)
            notes["collapsed"] = twice
        rank = pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over("query_id")
        return Run(frame.with_columns(rank=rank), tag, notes)

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
        return f"Run({self.tag}: {self.frame['query_id'].n_unique()} queries, {self.frame.height:,} documents)"


def in_trec_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Sorts by query, score descending as float32, doc_id descending; a frame already so is returned as it is."""
    score = pl.col("score").cast(pl.Float32)
    same = pl.col("query_id") == pl.col("query_id").shift(1)
    falls = (score < score.shift(1)) | ((score == score.shift(1)) & (pl.col("doc_id") <= pl.col("doc_id").shift(1)))
    rises = pl.col("query_id") > pl.col("query_id").shift(1)
    if frame.height < 2 or frame.select((rises | (same & falls)).slice(1).all()).item():
        return frame
    return frame.sort("query_id", score, "doc_id", descending=[False, True, True])
