"""Human grades that are a sample: TREC qrels, and beside them the probabilities that their pairs were drawn with.

`H.qrels` has the sidecar `H.prob.tsv`: query_id, doc_id, probability and, where the sample was drawn in rounds, round; tabs
between them, a heading or none. A probability is that of the pair's own round, given what was graded before it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.files import write_whole
from qrelkit.core.qrels import Qrels
from qrelkit.formats.files import Rule, read_any_qrels
from qrelkit.formats.trec import write_qrels

SUFFIX = ".prob.tsv"
NAMES = ("query_id", "doc_id", "probability", "round")
KEY = ["query_id", "doc_id"]


def probabilities_path(path: str | os.PathLike[str]) -> Path:
    """Where the probabilities of a sample stand: `H.prob.tsv` beside `H.qrels`."""
    file = Path(path)
    return file.with_name(file.stem + SUFFIX)


def read_sample(path: str, *, duplicates: Rule = "error", columns: Mapping[str, str] | None = None) -> Qrels:
    """Qrels of any form, with the columns `probability` and `round` where a sidecar has them.

    Raises Mismatch where the sidecar lacks a graded pair: nobody could say how likely it was.
    """
    qrels = read_any_qrels(path, duplicates=duplicates, columns=columns)
    sidecar = probabilities_path(path)
    if not sidecar.exists():
        return qrels
    found = read_probabilities(sidecar)
    frame = qrels.frame.drop([name for name in ("probability", "round") if name in qrels.frame.columns])
    joined = frame.join(found, on=KEY, how="left", maintain_order="left")
    lost = joined.filter(pl.col("grade").is_not_null() & pl.col("probability").is_null())
    if lost.height:
        row = lost.row(0, named=True)
        raise Mismatch(
            f"{sidecar}: has no probability for {lost.height} graded pairs of {path}; the first is query {row['query_id']!r}, "
            f"document {row['doc_id']!r}. Add them (1 where a pair was sure to be graded), or take the file away"
        )
    return Qrels(joined, qrels.name, qrels.notes)


def write_sample(sample: Qrels, path: str | Path) -> None:
    """Writes the graded pairs as TREC qrels, and beside them the probabilities of their drawing. Raises InputError for qrels
    without the columns `probability` and `round`."""
    missing = [name for name in ("probability", "round") if name not in sample.frame.columns]
    if missing:
        raise InputError(f"{sample.name} has no column {missing[0]!r}, so it is no sample; write_qrels writes plain grades")
    write_qrels(sample, path)
    write_probabilities(sample.graded, probabilities_path(path))


def read_probabilities(path: Path) -> pl.DataFrame:
    """query_id, doc_id, probability, round (1 where the file has none). InputError with file and line for what is no
    probability."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    rows = []
    for number, line in enumerate(lines, 1):
        cells = line.split("\t") if "\t" in line else line.split()
        if not cells or cells[0] in ("", "query_id"):
            continue
        if len(cells) not in (3, 4):
            raise InputError(
                f"{path}:{number}: needs query_id, doc_id, probability and perhaps round; found {len(cells)} columns"
            )
        try:
            p, round_ = float(cells[2]), int(cells[3]) if len(cells) > 3 else 1
        except ValueError:
            raise InputError(f"{path}:{number}: {' '.join(cells[2:])!r} is no probability (and round)") from None
        if not 0 < p <= 1:
            raise InputError(
                f"{path}:{number}: the probability {p:g} is not above 0 and at most 1; what could not be drawn cannot count"
            )
        rows.append((cells[0], cells[1], p, round_))
    schema = {"query_id": pl.String, "doc_id": pl.String, "probability": pl.Float64, "round": pl.Int32}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    if frame.select(pl.struct(KEY).is_duplicated().any()).item():
        twice = frame.filter(pl.struct(KEY).is_duplicated()).row(0, named=True)
        raise InputError(f"{path}: query {twice['query_id']!r}, document {twice['doc_id']!r} has two probabilities; keep one")
    return frame


def write_probabilities(frame: pl.DataFrame, path: Path) -> None:
    """Writes query_id, doc_id, probability, round with a heading; the file is whole or not there."""
    write_whole(frame.select(NAMES).write_csv(separator="\t").encode("utf-8"), path)
