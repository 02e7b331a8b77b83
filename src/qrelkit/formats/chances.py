"""How probable an assessor held every grade, in a table of labels: columns `p0`, `p1`, `p2` …, one per grade."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.formats.csv_lines import row_line
from qrelkit.formats.jsonl import BOM

NAME = re.compile(r"p-?\d+")
OFF = 0.01  # that the probabilities of a pair may miss 1 by: they are often rounded


def chance_columns(names: Sequence[str]) -> list[str]:
    """The columns that are the probability of a grade, lowest grade first."""
    return sorted((name for name in names if NAME.fullmatch(name)), key=lambda name: int(name[1:]))


def has_chances(path: str) -> bool:
    """Whether a `.tsv` begins with a heading that has `expected` or probabilities. (What is wrong with it, its reader says.)"""
    if not path.endswith((".tsv", ".tsv.gz")):
        return False
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            names = file.readline().removeprefix(BOM).decode("utf-8", "replace").split()
    except (OSError, EOFError, zlib.error):
        return False
    return "expected" in names or bool(chance_columns(names))


def with_chances(frame: pl.DataFrame, path: Path, kind: str) -> pl.DataFrame:
    """The table with its probabilities as numbers that sum to 1 in every row, and the mean grade under them as `expected`.

    A row has all of them or none. Raises InputError (file:line) for one that has some, for what is no probability, and for a sum
    that is not 1.
    """
    names = chance_columns(frame.columns)
    if not names:
        return frame
    cells = pl.col(names)
    given = frame.with_columns(pl.when(cells.cast(pl.String) != "").then(cells).cast(pl.Float64, strict=False))
    some = frame.select(pl.sum_horizontal(cells.is_not_null() & (cells.cast(pl.String) != ""))).to_series()
    total = given.select(pl.sum_horizontal(cells)).to_series()
    read = given.select(pl.sum_horizontal(cells.is_between(0, 1 + OFF))).to_series()
    wrong = (some > 0) & ((some < len(names)) | (read < some) | ((total - 1).abs() > OFF))
    if wrong.any():
        row = wrong.arg_max() or 0
        found = ", ".join(f"{name}={frame[name][row]}" for name in names)
        where = f"{path}:{row_line(path, row, kind)}"
        raise InputError(f"{where}: {found} are no probabilities of all grades: each is from 0 to 1, together 1, none left out")
    shares = given.with_columns(cells / total)
    mean = pl.sum_horizontal(pl.col(name) * int(name[1:]) for name in names)
    return shares.with_columns(expected=pl.when(pl.col(names[0]).is_not_null()).then(mean))
