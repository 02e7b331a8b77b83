"""Several labels of a pair, as one: by majority, median or mean, with the shares of the votes as probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.formats.files import is_table, read_any_qrels
from qrelkit.formats.files import rule as rule_of
from qrelkit.formats.tables import read_table, stem_of
from qrelkit.formats.trec import content, qrels_layout, stem, table

RULES = ("majority", "median", "mean")
VOTES = "votes"
KEY = ["query_id", "doc_id"]


def read_labels(path: str, duplicates: str = "error", *, columns: Mapping[str, str] | None = None, name: str = "") -> Qrels:
    """Recorded labels; with `duplicates="votes"` a pair that is listed several times is a vote: see `voted`.

    A file that lists every pair once has no votes, and says nothing of how sure its labels are.
    """
    if duplicates != VOTES:
        if duplicates not in ("error", "first", "last", "max", "min"):
            raise UnknownName("rule for duplicates", duplicates, ("error", "first", "last", "max", "min", VOTES))
        return read_any_qrels(path, name or None, rule_of(duplicates), columns)
    votes, known = _rows(path, columns or {})
    if missing := {*KEY, "grade"} - set(votes.columns):
        raise InputError(f"{path}: has no column {', '.join(sorted(missing))}; name them: --columns grade=OTHER")
    if votes.select(pl.struct(KEY).is_unique().all()).item():
        return read_any_qrels(path, name or None, columns=columns)
    return voted(votes, name or known)


def _rows(path: str, columns: Mapping[str, str]) -> tuple[pl.DataFrame, str]:
    """The rows of a file as they are, and what it is called."""
    if is_table(path, columns):
        return read_table(path, columns), stem_of(Path(path))
    data = content(path)
    return table(data, qrels_layout(data, path), path), stem(path)


def voted(votes: pl.DataFrame, name: str, rule: str = "majority") -> Qrels:
    """One grade per pair from rows of query_id, doc_id, grade, with `expected` and `p0`, `p1` …, the shares of the votes.

    `majority`: the grade with the most votes, on a tie the lower; `median`: the middle one, of two the lower; `mean`: their mean,
    rounded, half-way down. As in `judges.panel`: what is in doubt goes down. Votes without a grade do not count; a pair with
    no other has none. Raises UnknownName for a rule.
    """
    if rule not in RULES:
        raise UnknownName("rule of a panel", rule, RULES)
    given = votes.select(*KEY, pl.col("grade").cast(pl.Int32))
    grades = given["grade"].drop_nulls().unique().sort().to_list()
    grade = pl.col("grade")
    shares = [(grade == value).mean().alias(f"p{value}") for value in grades]
    found = given.group_by(KEY, maintain_order=True).agg(*shares, expected=grade.mean(), median=grade.quantile(0.5, "lower"))
    chosen = (pl.col("expected") - 0.5).ceil() if rule == "mean" else pl.col("median")
    if rule == "majority":
        names = [f"p{value}" for value in grades]
        most = pl.concat_list(names).list.arg_max()
        chosen = pl.lit(pl.Series(grades, dtype=pl.Int32)).gather(most)
    return _kept(found.with_columns(grade=chosen.cast(pl.Int32)), name)


def _kept(found: pl.DataFrame, name: str) -> Qrels:
    """Qrels that keep the columns of the shares."""
    graded = found.with_columns(grade=pl.when(pl.col("expected").is_not_null()).then("grade")).drop("median")
    of = Qrels.of(graded, name)
    return Qrels(of.frame.with_columns(graded.select(pl.col("^p-?\\d+$"))), name, of.notes)
