"""Tables from CSV, TSV, Parquet and JSONL (the text ones also as `.gz`), and runs and qrels made of them.

CSV has quotes as in RFC 4180, TSV has none. Ids are strings however they are stored, so `007` stays; `score`, `rank`,
`grade` and `weight` are numbers; every other column stays as it is in the file, in CSV and TSV as a string.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.files import write_whole
from qrelkit.core.indexing import as_series
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.chances import chance_columns, with_chances
from qrelkit.formats.csv_lines import broken_line, check_widths, csv_rows, row_line, text_lines
from qrelkit.formats.jsonl import BOM, open_bytes, read_jsonl

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
IDS = ("query_id", "doc_id", "id", "_id", "tag")
NUMBERS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "score": pl.Float64,
    "rank": pl.Int64,
    "grade": pl.Int32,
    "weight": pl.Float64,
}
OTHER_NAMES = {
    "query_id": ("query-id", "qid", "q_id", "query", "topic"),
    "doc_id": ("corpus-id", "docid", "docno", "did", "p_id", "document"),
    "grade": ("score", "label", "relevance", "rel"),
    "tag": ("run", "system"),
}


def kind_of(path: Path) -> str:
    """`.csv`, `.tsv`, `.parquet` or `.jsonl`, whatever the case and with or without `.gz`; InputError for others."""
    name = path.name.lower().removesuffix(".gz")
    suffix = ".jsonl" if name.endswith((".ndjson", ".jsonl")) else os.path.splitext(name)[1]
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: is no table we know by its name; known: {', '.join(SUFFIXES)}, and .gz of them")
    return suffix


def read_table(path: str | Path, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """The whole table. `columns` maps our names to the file's: {"doc_id": "sku"}.

    Raises UnknownName for a column that is not there, InputError (file:line) for broken lines and wrong types.
    """
    path = Path(path)
    frame = _renamed(_read(path), columns or {}, path)
    for name in IDS:
        if name in frame.columns:
            frame = frame.with_columns(_as_id(frame[name], path))
    for name, dtype in NUMBERS.items():
        if name in frame.columns:
            frame = frame.with_columns(_as_number(frame[name], dtype, path))
    return frame


def run_from_table(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    tag: str | None = None,
    duplicates: Literal["error", "collapse"] = "error",
    parents: Mapping[str, str] | None = None,
) -> Run:
    """One system's run, from ranks alone if there is no score; called `tag`, or after its tag column or its file.

    `parents` maps variants to the document that counts. Raises InputError where the table holds several runs.
    """
    runs = runs_from_table(path, columns, duplicates=duplicates, parents=parents)
    if len(runs) > 1:
        raise InputError(f"{path}: holds {len(runs)} runs ({', '.join(run.tag for run in runs[:5])}, …) where one is expected")
    return Run(runs[0].frame, tag or runs[0].tag, runs[0].notes)


def runs_from_table(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    duplicates: Literal["error", "collapse"] = "error",
    parents: Mapping[str, str] | None = None,
) -> list[Run]:
    """All runs of a table, by its column `tag`; without one, the file is one run."""
    frame = read_table(path, _with_other_names(Path(path), columns, ("query_id", "doc_id", "tag")))
    if "tag" not in frame.columns:
        return [Run.of(frame, stem_of(Path(path)), duplicates=duplicates, parents=parents, source=str(path))]
    parts = frame.partition_by("tag", maintain_order=True)
    return [Run.of(part, part["tag"][0], duplicates=duplicates, parents=parents, source=str(path)) for part in parts]


def qrels_from_table(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    duplicates: Literal["error", "first", "last", "max", "min"] = "error",
) -> Qrels:
    """Qrels of a table with query_id, doc_id, grade, or BEIR's, PyTerrier's or R2MED's names. An empty grade is none, not 0.

    The frame keeps `expected` and the probabilities of the grades (`p0`, `p1` …) where the table has them.
    """
    path = Path(path)
    frame = read_table(path, _with_other_names(path, columns, ("query_id", "doc_id", "grade")))
    if "expected" in frame.columns:
        frame = frame.with_columns(_as_number(frame["expected"], pl.Float64, path))
    frame = with_chances(frame, path, kind_of(path))
    found = Qrels.of(frame, name or stem_of(path), duplicates=duplicates, source=str(path))
    if not (chances := chance_columns(frame.columns)):
        return found
    told = frame.select("query_id", "doc_id", "grade", *chances).unique(["query_id", "doc_id", "grade"], keep="first")
    on = ["query_id", "doc_id", "grade"]
    return Qrels(found.frame.join(told, on=on, how="left", nulls_equal=True, maintain_order="left"), found.name, found.notes)


def write_table(frame: pl.DataFrame, path: str | Path) -> None:
    """Writes a frame by the suffix of `path`; the file is there whole or not at all."""
    path = Path(path)
    kind = kind_of(path)
    buffer = io.BytesIO()
    if kind == ".parquet":
        frame.write_parquet(buffer)
    elif kind == ".jsonl":
        frame.write_ndjson(buffer)
    elif kind == ".tsv":
        _check_tsv(frame, path)
        frame.write_csv(buffer, separator="\t", quote_style="never")
    else:
        frame.write_csv(buffer)
    data = gzip.compress(buffer.getvalue(), mtime=0) if path.name.lower().endswith(".gz") else buffer.getvalue()
    write_whole(data, path)


def stem_of(path: Path) -> str:
    """The file's name without `.gz` and without the suffix before it."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return os.path.splitext(name)[0]


def names_of(path: Path) -> list[str]:
    """The columns of a table, without reading it all; of JSONL, those of the first line."""
    kind = kind_of(path)
    if kind == ".parquet":
        try:
            return list(pl.read_parquet_schema(path))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: cannot be read as Parquet ({first_line(error)})") from None
    if kind == ".jsonl":
        return next((list(line.value) for line in read_jsonl(path)), [])
    return next(csv_rows(text_lines(path), kind, str(path)), (0, []))[1]


def first_line(error: Exception) -> str:
    """The first line of an exception's text, which is all a person needs."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _read(path: Path) -> pl.DataFrame:
    kind = kind_of(path)
    if kind == ".jsonl":
        return _read_jsonl(path)
    if kind == ".parquet":
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: cannot be read as Parquet ({first_line(error)})") from None
    with open_bytes(path) as file:
        try:
            data = file.read()
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: cannot be read to its end ({error}); is it a whole file?") from None
    if not data.removeprefix(BOM).strip():
        raise InputError(f"{path}: is empty")
    try:
        separator, quote = ("\t", None) if kind == ".tsv" else (",", '"')
        frame = pl.read_csv(io.BytesIO(data), infer_schema=False, separator=separator, quote_char=quote)
    except pl.exceptions.PolarsError as error:
        raise broken_line(path, data, kind, first_line(error)) from None
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null() | (pl.all() == "")))  # a blank line is a row to Polars
    if frame.width and frame[:, -1].null_count():
        check_widths(path, data, kind)  # Polars fills a short row up with nulls
    return frame


def _read_jsonl(path: Path) -> pl.DataFrame:
    rows = [line.value for line in read_jsonl(path)]
    if not rows:
        raise InputError(f"{path}: is empty")
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame({name: as_series([row.get(name) for row in rows]) for name in names})


def _renamed(frame: pl.DataFrame, columns: Mapping[str, str], path: Path) -> pl.DataFrame:
    for source in columns.values():
        if source not in frame.columns:
            raise UnknownName(f"column of {path}", source, frame.columns)
    taken = [name for name in frame.columns if name not in columns.values() and name not in columns]
    return frame.select(*(pl.col(source).alias(name) for name, source in columns.items()), *taken)


def _with_other_names(path: Path, columns: Mapping[str, str] | None, wanted: tuple[str, ...]) -> dict[str, str]:
    """The column map, completed by the names that other tools give the same columns."""
    out, there = dict(columns or {}), names_of(path)
    for name in wanted:
        if name not in out and name not in there:
            other = [o for o in OTHER_NAMES[name] if o in there and o not in out.values()]
            out |= {name: other[0]} if other else {}
    return out


def _as_id(values: pl.Series, path: Path) -> pl.Series:
    if values.dtype != pl.String and not values.dtype.is_integer() and values.dtype != pl.Null:
        raise InputError(f"{path}: column {values.name!r} is {values.dtype}; an id is a string (or a whole number)")
    missing = values.is_null().arg_max() if values.null_count() else None
    if missing is not None:
        raise InputError(f"{path}:{row_line(path, missing, kind_of(path))}: has no {values.name}")
    return values.cast(pl.String)


def _as_number(values: pl.Series, dtype: pl.DataType | type[pl.DataType], path: Path) -> pl.Series:
    """Numbers, null where the cell is empty; InputError with the line of the first that is none."""
    asked = values.set(values == "", None) if values.dtype == pl.String else values
    try:
        numbers = asked.str.strip_chars().cast(pl.Float64, strict=False) if asked.dtype == pl.String else asked.cast(pl.Float64)
        cast = numbers.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        raise InputError(f"{path}: column {values.name!r} is {values.dtype}, not numbers") from None
    wrong = asked.is_not_null() & (cast.is_null() | numbers.is_nan() | (cast.cast(pl.Float64) != numbers))
    if wrong.any():
        row = wrong.arg_max() or 0
        whole = "a whole number" if dtype.is_integer() else "a number"
        raise InputError(f"{path}:{row_line(path, row, kind_of(path))}: {values.name} is {values[row]!r}, not {whole}")
    return cast


def _check_tsv(frame: pl.DataFrame, path: Path) -> None:
    for name in frame.columns:
        if frame[name].dtype == pl.String and frame[name].str.contains("[\t\r\n]").any():
            raise InputError(f"{path}: column {name!r} holds tabs or line ends, which TSV cannot; write CSV, JSONL or Parquet")
