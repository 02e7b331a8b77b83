"""The resolved grades: one per pair, with where each came from.

A row without a grade has an outcome that says why (refused, unparsable, out_of_range, failed) and is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.records import counted
from qrelkit.core.run import with_ids

COLUMNS = ("query_id", "doc_id", "grade", "outcome", "origin")
FURTHER: Mapping[str, Any] = {"expected": pl.Float64, "probability": pl.Float64, "round": pl.Int32}


class Qrels:
    """One grade per pair. `frame`: query_id, doc_id, grade (Int32, null = ungraded), outcome, origin (the assessor),
    and optionally `expected` (Float64: the mean grade under the assessor's probabilities); of a sample drawn by chance
    `probability` (that the pair was drawn, given what was drawn before) and `round` (the drawing it came in, from 1)."""

    def __init__(self, frame: pl.DataFrame, name: str, notes: Mapping[str, Any] | None = None) -> None:
        self.frame, self.name, self.notes = frame, name, dict(notes or {})

    @staticmethod
    def of(
        frame: pl.DataFrame,
        name: str,
        *,
        duplicates: Literal["error", "first", "last", "max", "min"] = "error",
        source: str = "",
    ) -> Qrels:
        """Qrels from a frame with query_id, doc_id, grade. Pairs listed twice with the same grade are merged and
        counted; with different grades they are an error unless a rule is named. Raises InputError for missing columns,
        null ids, and grades that are no whole numbers."""
        where = f"{source}: " if source else ""
        for column in ("query_id", "doc_id", "grade"):
            if column not in frame.columns:
                raise InputError(f"{where}qrels need a column {column!r}; there are {', '.join(frame.columns)}")
        frame = with_ids(frame, f"{where}qrels {name!r}")
        frame = frame.with_columns(grade=_whole(frame, f"{where}qrels {name!r}"))
        grade = pl.col("grade")
        if "outcome" not in frame.columns:
            frame = frame.with_columns(outcome=pl.when(grade.is_null()).then(pl.lit("failed")).otherwise(pl.lit("graded")))
        if "origin" not in frame.columns:
            frame = frame.with_columns(origin=pl.lit(name))
        further = {name: dtype for name, dtype in FURTHER.items() if name in frame.columns}
        frame = frame.select(*COLUMNS, *(pl.col(name).cast(dtype) for name, dtype in further.items()))
        notes: dict[str, Any] = {}
        key = ["query_id", "doc_id"]
        if frame.select(pl.struct(key).n_unique()).item() < frame.height:
            clash = frame.group_by(key, maintain_order=True).agg(pl.col("grade").unique()).filter(pl.col("grade").list.len() > 1)
            if clash.height and duplicates == "error":
                row = clash.row(0, named=True)
                raise InputError(
                    f"{where}{counted(clash.height, 'pair')} with several different grades; the first is "
                    f"query {row['query_id']!r}, document {row['doc_id']!r} with grades "
                    f"{sorted(g for g in row['grade'] if g is not None)}. Resolve them, or name a rule "
                    "(--duplicates first|last|max|min)"
                )
            before = frame.height
            if duplicates in ("max", "min"):
                frame = frame.sort("grade", descending=duplicates == "max", nulls_last=True, maintain_order=True)
            frame = frame.unique(key, keep="last" if duplicates == "last" else "first", maintain_order=True)
            notes |= {"merged": before - frame.height, "conflicts": clash.height}
        return Qrels(frame, name, notes)

    def updated(self, newer: Qrels) -> Qrels:
        """These qrels with the pairs of `newer` instead of or besides their own, each with its origin."""
        both = pl.concat([self.frame, newer.frame], how="diagonal")
        return Qrels(both.unique(["query_id", "doc_id"], keep="last", maintain_order=True), self.name, self.notes)

    @property
    def graded(self) -> pl.DataFrame:
        """Only the rows with a grade."""
        return self.frame.filter(pl.col("grade").is_not_null())

    @property
    def grades(self) -> list[int]:
        """The grades that occur, lowest first."""
        values: list[int] = self.frame["grade"].drop_nulls().unique().sort().to_list()
        return values

    def to_pandas(self) -> Any:
        """A pandas frame with PyTerrier's names: qid, docno, label; ungraded pairs are left out."""
        return self.graded.select(
            pl.col("query_id").alias("qid"), pl.col("doc_id").alias("docno"), pl.col("grade").cast(pl.Int64).alias("label")
        ).to_pandas()

    @staticmethod
    def from_pandas(frame: Any, name: str = "qrels") -> Qrels:
        """Qrels from a pandas frame with PyTerrier's names: qid, docno, label."""
        names = {"qid": "query_id", "docno": "doc_id", "label": "grade"}
        missing = [old for old in names if old not in frame.columns]
        if missing:
            raise Mismatch(f"a PyTerrier qrels frame has columns qid, docno, label; missing: {', '.join(missing)}")
        return Qrels.of(pl.from_pandas(frame).rename(names), name)

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        none = self.frame["grade"].null_count()
        ungraded = f", {none:,} ungraded" if none else ""
        queries, pairs = counted(self.frame["query_id"].n_unique(), "query"), counted(self.frame.height, "pair")
        return f"Qrels({self.name}: {queries}, {pairs}{ungraded})"


def _whole(frame: pl.DataFrame, what: str) -> pl.Series:
    """The grades as Int32, null where there is none. Raises InputError at the first that is no whole number."""
    given = frame["grade"]
    try:
        grades = given.cast(pl.Int32, strict=False)
        wrong = given.is_not_null() & grades.is_null()
        if not given.dtype.is_integer():
            numbers = given.cast(pl.Float64, strict=False)  # of 0.9, a cast to whole numbers would make 0
            wrong |= given.is_not_null() & (numbers != grades).fill_null(True)
    except pl.exceptions.PolarsError:
        raise InputError(f"{what}: column 'grade' is {given.dtype}, not whole numbers") from None
    if wrong.any():
        row = frame.row(wrong.arg_max() or 0, named=True)
        raise InputError(
            f"{what}: the grade of query {row['query_id']!r}, document {row['doc_id']!r} is {row['grade']!r}, not "
            "a whole number; round it before it is used as a grade"
        )
    return grades
