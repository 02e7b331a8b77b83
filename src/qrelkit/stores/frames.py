"""The frames a store hands out, the same from every store, and which row of a pair counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

Shape = Mapping[str, pl.DataType | type[pl.DataType]]

KNOWN: Shape = {
    "query_id": pl.String,
    "doc_id": pl.String,
    "query_key": pl.String,
    "doc_key": pl.String,
    "grade": pl.Int32,
    "outcome": pl.String,
    "sample": pl.Int64,
}

JUDGMENTS: Shape = {
    "id": pl.Int64,
    "judge_key": pl.String,
    "assessor": pl.String,
    "query_id": pl.String,
    "doc_id": pl.String,
    "grade": pl.Int32,
    "outcome": pl.String,
    "reason": pl.String,
    "probabilities": pl.List(pl.Float64),
    "guideline": pl.String,
    "request": pl.String,
    "sample": pl.Int64,
    "query_key": pl.String,
    "doc_key": pl.String,
    "replaces": pl.Int64,
    "cost_usd": pl.Float64,
    "details": pl.String,
    "created": pl.String,
}

# Judgments of one judge that are equal in these are the same one, stored by two processes that worked on one pool.
SAME_VERDICT = ("query_id", "query_key", "doc_id", "doc_key", "sample", "request", "outcome", "grade")

JUDGES: Shape = {
    "judge_key": pl.String,
    "assessor": pl.String,
    "settings": pl.String,
    "created": pl.String,
}

GUIDELINES: Shape = {
    "query_id": pl.String,
    "version": pl.String,
    "content": pl.String,
    "approved": pl.String,
    "origin": pl.String,
    "created": pl.String,
}

SPENT: Shape = {
    "asked": pl.Int64,
    "known": pl.Int64,
    "joined": pl.Int64,
    "failed": pl.Int64,
    "tokens_in": pl.Int64,
    "tokens_out": pl.Int64,
    "tokens_cached": pl.Int64,
    "tokens_reasoning": pl.Int64,
    "tokens_image": pl.Int64,
    "unpriced": pl.Int64,
    "cost_usd": pl.Float64,
    "saved_usd": pl.Float64,
    "seconds": pl.Float64,
    "busy_s": pl.Float64,
}

SPENDING: Shape = {"stage": pl.String, "key": pl.String, **SPENT}

UNANSWERED: Shape = {
    "digest": pl.String,
    "session": pl.Int64,
    "host": pl.String,
    "pid": pl.Int64,
    "sent": pl.String,
}

ATTEMPTS: Shape = {
    "digest": pl.String,
    "session": pl.Int64,
    "sent": pl.String,
    "seconds": pl.Float64,
    "error": pl.String,
}


def newest(rows: pl.DataFrame, pair: list[str]) -> pl.DataFrame:
    """The newest row per `pair` of rows in order of writing; one that failed never hides a grade given before."""
    failed = pl.col("outcome") == "failed"
    graded = rows.filter(pl.col("grade").is_not_null()).select(pair)
    hidden = rows.with_row_index("row").filter(failed).join(graded, on=pair, how="semi")["row"]
    kept = rows if hidden.is_empty() else rows.with_row_index("row").filter(~pl.col("row").is_in(hidden.implode())).drop("row")
    return kept.unique(pair, keep="last", maintain_order=True)


def spent(numbers: Mapping[str, float]) -> dict[str, Any]:
    """The numbers of SPENT; those that are not named are 0, and other names say nothing here."""
    return {name: (int if kind == pl.Int64 else float)(numbers.get(name, 0)) for name, kind in SPENT.items()}


def summed(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Rows in the order of SPENDING, added up: one per stage and key, sorted."""
    frame = pl.DataFrame(rows, schema=SPENDING, orient="row")
    return frame.group_by("stage", "key").sum().sort("stage", "key").select(list(SPENDING))


def moment(column: str) -> pl.Expr:
    """Milliseconds since 1970 as ISO text in UTC: 2026-05-01T12:00:00.000Z."""
    return pl.from_epoch(column, time_unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias(column)


def dated(rows: Sequence[Sequence[Any]], shape: Shape, column: str = "created") -> pl.DataFrame:
    """Rows in the order of `shape` as a frame; `column` comes in milliseconds."""
    frame = pl.DataFrame(rows, schema={**shape, column: pl.Int64}, orient="row")
    return frame.with_columns(moment(column))
