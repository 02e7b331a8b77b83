"""Runs and qrels from any file we read: TREC forms, or a table by its suffix (.csv .parquet .jsonl, .tsv with a header)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.chances import has_chances
from qrelkit.formats.sidecars import read_sidecar
from qrelkit.formats.tables import names_of, qrels_from_table, read_table, runs_from_table
from qrelkit.formats.trec import distinct_tags, read_qrels, read_runs

Rule = Literal["error", "first", "last", "max", "min"]
TABLES = (".csv", ".parquet", ".jsonl", ".csv.gz", ".jsonl.gz")
RUN_COLUMNS = ("query_id", "doc_id", "score", "rank", "tag")
QRELS_COLUMNS = ("query_id", "doc_id", "grade")


def rule(name: str) -> Rule:
    """The rule for pairs with several different grades, by name."""
    rules: dict[str, Rule] = {r: r for r in get_args(Rule)}
    if name not in rules:
        raise UnknownName("rule for duplicates", name, rules)
    return rules[name]


def column_map(text: str) -> dict[str, str]:
    """Our column names and the file's: `query_id=qid,score=s` as a mapping."""
    out = {}
    for part in filter(None, text.split(",")):
        ours, equals, theirs = (word.strip() for word in part.partition("="))
        if not equals or not theirs:
            raise InputError(f"columns are named OURS=THEIRS, such as query_id=qid,doc_id=sku; found {part!r}")
        out[ours] = theirs
    return checked_columns(out)


def checked_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """The same map; UnknownName where it names a column that neither runs nor qrels have."""
    for ours in columns:
        if ours not in (*RUN_COLUMNS, *QRELS_COLUMNS):
            raise UnknownName("column of runs and qrels", ours, (*RUN_COLUMNS, *QRELS_COLUMNS))
    return dict(columns)


def is_table(path: str, columns: Mapping[str, str]) -> bool:
    """Whether a file is no TREC file: by its suffix; `.tsv` where its header has a mapped column."""
    if path.endswith((".tsv", ".tsv.gz")):
        return bool(columns) and not {*columns.values()}.isdisjoint(names_of(Path(path)))
    return path.endswith(TABLES)


def map_for(path: str, columns: Mapping[str, str], wanted: Sequence[str]) -> dict[str, str]:
    """The part of a column map that is about this file; one that has our name and not the other needs no map."""
    there = names_of(Path(path)) if columns else []
    return {ours: theirs for ours, theirs in columns.items() if ours in wanted and (theirs in there or ours not in there)}


def read_any_runs(
    path: str, *, collapse: bool = False, parents: Mapping[str, str] | None = None, columns: Mapping[str, str] | None = None
) -> list[Run]:
    """Every run of a file, TREC or table. `collapse` keeps the best of a document listed twice; `parents`: variant → parent.

    `columns` (ours → the file's) is for tables; a TREC file has no names.
    """
    rule: Literal["error", "collapse"] = "collapse" if collapse else "error"
    columns = columns or {}
    if is_table(path, columns):
        return runs_from_table(path, map_for(path, columns, RUN_COLUMNS), duplicates=rule, parents=parents)
    if parents is None:
        runs = read_runs(path, duplicates=rule)
    else:
        runs = [_of_parents(run, parents) for run in read_runs(path, duplicates="collapse")]
    failed = _failed(path)
    return [Run(run.frame, run.tag, {**run.notes, "failed": failed}) for run in runs] if failed else runs


def _failed(path: str) -> dict[str, str]:
    """The queries that a saved run got no answer for, by its sidecar, and why."""
    said = None if path == "-" else read_sidecar(path)
    failed = (said or {}).get("notes", {}).get("failed", {})
    return failed if isinstance(failed, dict) else {}


def _of_parents(run: Run, parents: Mapping[str, str]) -> Run:
    found = Run.of(run.frame, run.tag, parents=parents)
    collapsed = run.notes.get("collapsed", 0) + found.notes.get("collapsed", 0)
    return Run(found.frame, run.tag, {"collapsed": collapsed} if collapsed else {})


def read_any_qrels(
    path: str, name: str | None = None, duplicates: Rule = "error", columns: Mapping[str, str] | None = None
) -> Qrels:
    """The qrels of a file, TREC or table (`.tsv` too where its heading has `expected` or `p0`, `p1` …); `duplicates` is the rule
    for pairs with several different grades."""
    columns = columns or {}
    if is_table(path, columns) or has_chances(path):
        return qrels_from_table(path, map_for(path, columns, QRELS_COLUMNS), name=name, duplicates=duplicates)
    return read_qrels(path, name=name, duplicates=duplicates)


def read_parents(path: str) -> dict[str, str]:
    """A table of two columns, variant and parent, as a mapping."""
    frame = read_table(path)
    if frame.width != 2:
        raise InputError(f"{path}: needs two columns, the variant's id and the parent's; it has {', '.join(frame.columns)}")
    return dict(frame.select(pl.all().cast(pl.String)).iter_rows())


def distinct_runs(
    paths: Sequence[str], *, collapse: bool = False, parents: str = "", columns: Mapping[str, str] | None = None
) -> list[Run]:
    """The runs of several files; where tags clash, file names are the tags. `parents` is a file of variants."""
    mapping = read_parents(parents) if parents else None
    options: dict[str, Any] = {"collapse": collapse, "parents": mapping, "columns": columns}
    return distinct_tags([(run, path) for path in paths for run in read_any_runs(path, **options)])


def named_qrels(values: Sequence[str], duplicates: Rule = "error", columns: Mapping[str, str] | None = None) -> dict[str, Qrels]:
    """Qrels from `FILE` or `NAME=FILE`; raises InputError when two have one name."""
    out: dict[str, Qrels] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if equals and not Path(value).exists():
            found = read_any_qrels(path, name, duplicates, columns)
        else:
            found = read_any_qrels(value, None, duplicates, columns)
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
    return weights_in(column_of(path, column), path)


def weights_in(values: pl.DataFrame, where: str) -> dict[str, float]:
    """Query → weight, from a frame of query_id and one column. Raises InputError at the first that is not a number."""
    column = values.columns[1]
    numbers = values[column].cast(pl.Float64, strict=False)
    if numbers.null_count():
        query_id, found = values.filter(numbers.is_null()).row(0)
        said = "empty" if found is None else repr(found)
        raise InputError(f"{where}: the {column} of query {query_id!r} is {said}, and no number to weigh it with")
    return dict(zip(values["query_id"], numbers, strict=True))
