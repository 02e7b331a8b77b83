"""Rows of CSV and TSV with the line each begins at: a row with quoted line ends takes several lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from qrelkit.core.errors import InputError
from qrelkit.core.records import counted
from qrelkit.formats.jsonl import BOM, check_utf8, open_bytes, read_jsonl

LONGEST_FIELD = 2**31 - 1  # the module's own limit, 128 kB, is too little for a document


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends, without BOM. Raises InputError (file:line) where they are not UTF-8."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            raw = line.removeprefix(BOM) if number == 1 else line
            check_utf8(raw, f"{path}:{number}")
            yield raw.decode()


def csv_rows(lines: Iterable[str], kind: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, the header too, each with its line. Raises InputError for quotes that do not fit."""
    csv.field_size_limit(LONGEST_FIELD)
    rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if kind == ".tsv" else csv.reader(lines, strict=True)
    begins = 1
    try:
        for row in rows:
            if any(row):
                yield begins, row
            begins = rows.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{begins}: {error}; is a quote in or after this line not closed?") from None


def row_line(path: Path, row: int, kind: str) -> int:
    """The line at which a row (from 0, without the header) begins; of Parquet, which has no lines, the row from 1."""
    if kind == ".parquet":
        return row + 1
    if kind == ".jsonl":
        return next(line.number for at, line in enumerate(read_jsonl(path)) if at == row)
    return next(line for at, (line, _) in enumerate(csv_rows(text_lines(path), kind, str(path)), -1) if at == row)


def check_widths(path: Path, data: bytes, kind: str) -> None:
    """Raises InputError at the first row with more or fewer fields than the header."""
    width = 0
    for line, row in csv_rows(io.TextIOWrapper(io.BytesIO(data.removeprefix(BOM)), "utf-8", newline=""), kind, str(path)):
        width = width or len(row)
        if len(row) != width:
            raise InputError(f"{path}:{line}: has {counted(len(row), 'field')} where the header has {width}")


def broken_line(path: Path, data: bytes, kind: str, reason: str) -> InputError:
    """The complaint about a table that Polars refused, with the line that is to blame."""
    try:
        for number, raw in enumerate(data.removeprefix(BOM).split(b"\n"), 1):
            check_utf8(raw, f"{path}:{number}")
        check_widths(path, data, kind)
    except InputError as error:
        return error
    return InputError(f"{path}: cannot be read as a table ({reason})")
