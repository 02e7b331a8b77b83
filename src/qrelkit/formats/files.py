"""Runs and qrels from any file we read: TREC forms, or a table by its suffix (.csv .parquet .jsonl, .tsv with a header)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.tables import qrels_from_table, read_table, runs_from_table
from qrelkit.formats.trec import distinct_tags, read_qrels, read_runs

Rule = Literal["error", "first", "last", "max", "min"]
TABLES = (".csv", ".parquet", ".jsonl", ".csv.gz", ".jsonl.gz")


def rule(name: str) -> Rule:
    """The rule for pairs with several different grades, by name."""
    rules: dict[str, Rule] = {r: r for r in get_args(Rule)}
    if name not in rules:
        raise UnknownName("rule for duplicates", name, rules)
    return rules[name]


def read_any_runs(path: str, *, collapse: bool = False, parents: Mapping[str, str] | None = None) -> list[Run]:
    """Every run of a file, TREC or table. `collapse` keeps the best of a document listed twice; `parents`: variant → parent."""
    rule: Literal["error", "collapse"] = "collapse" if collapse else "error"
    if path.endswith(TABLES):
        return runs_from_table(path, duplicates=rule, parents=parents)
    runs = read_runs(path, duplicates=rule)
    if parents is None:
        return runs
    return [Run.of(run.frame, run.tag, parents=parents, source=path) for run in runs]


def read_any_qrels(path: str, name: str | None = None, duplicates: Rule = "error") -> Qrels:
    """The qrels of a file, TREC or table; `duplicates` names the rule for pairs with several different grades."""
    if path.endswith(TABLES):
        return qrels_from_table(path, name=name, duplicates=duplicates)
    return read_qrels(path, name=name, duplicates=duplicates)


def read_parents(path: str) -> dict[str, str]:
    """A table of two columns, variant and parent, as a mapping."""
    frame = read_table(path)
    if frame.width != 2:
        raise InputError(f"{path}: needs two columns, the variant's id and the parent's; it has {', '.join(frame.columns)}")
    return dict(frame.select(pl.all().cast(pl.String)).iter_rows())


def distinct_runs(paths: Sequence[str], *, collapse: bool = False, parents: str = "") -> list[Run]:
    """The runs of several files; where tags clash, file names are the tags. `parents` is a file of variants."""
    mapping = read_parents(parents) if parents else None
    return distinct_tags([(run, path) for path in paths for run in read_any_runs(path, collapse=collapse, parents=mapping)])


def named_qrels(values: Sequence[str], duplicates: Rule = "error") -> dict[str, Qrels]:
    """Qrels from `FILE` or `NAME=FILE`; raises InputError when two have one name."""
    out: dict[str, Qrels] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if equals and not Path(value).exists():
            found = read_any_qrels(path, name, duplicates)
        else:
            found = read_any_qrels(value, None, duplicates)
        if found.name in out:
            raise InputError(f"two qrels are called {found.name!r}; name them: --qrels human={value}")
        out[found.name] = found
    return out


def column_of(path: str, column: str) -> pl.DataFrame:
    """A column of a table of queries: query_id and that column."""
    if not path:
        raise InputError(f"which file has the column {column!r}? give --queries FILE")
    frame = read_table(path)
    frame = frame.rename(
        {name: "query_id" for name in ("_id", "id", "qid") if name in frame.columns and "query_id" not in frame.columns}
    )
    if column not in frame.columns:
        raise UnknownName(f"column of {path}", column, frame.columns)
    return frame.select(pl.col("query_id").cast(pl.String), column)


def group_of(path: str, column: str) -> dict[str, str] | None:
    """Query → value of a column, as text; None without a column."""
    return {query: str(value) for query, value in column_of(path, column).iter_rows()} if column else None


def weight_of(path: str, column: str) -> dict[str, float] | None:
    """Query → weight, from a column of numbers; None without a column."""
    if not column:
        return None
    values = column_of(path, column)
    numbers = values[column].cast(pl.Float64, strict=False)
    if numbers.null_count():
        bad = values.filter(numbers.is_null()).row(0)
        raise InputError(f"{path}: the weight of query {bad[0]!r} is {bad[1]!r}, not a number")
    return dict(zip(values["query_id"], numbers, strict=True))
