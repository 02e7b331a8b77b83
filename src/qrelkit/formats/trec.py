"""TREC files: qrels of `query iteration document grade`, runs of `query Q0 document rank score tag`.

Blanks and tabs separate, any number of them, leading and trailing ones too; lines that begin with `#` are comments, as
in trec_eval 10; `.gz` is recognised by its first bytes. Read as well: qrels with a header (BEIR's `query-id corpus-id
score`) or of three columns, runs without a tag, and tables of many runs (`run TAB query TAB document TAB rank TAB score`).

There are two readers. The fast one hands the bytes to Polars; whatever it does not like goes to the patient one, which
goes line by line, decides what is right, and names the first line that is not.
"""

from __future__ import annotations

import codecs
import gzip
import io
import math
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted
from qrelkit.core.run import Run

QRELS_FORMS = "query iteration document grade, or query document grade"
RUN_FORMS = "query Q0 document rank score tag, the same without the tag, or a table of run, query, document, rank, score by tabs"
HEADERS = {
    "query_id": {"query-id", "query_id", "queryid", "qid", "q_id", "query", "topic"},
    "doc_id": {"corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "document", "pid", "p_id"},
    "grade": {"grade", "score", "rel", "relevance", "label"},
    "score": {"score", "sim"},
    "tag": {"tag", "run", "run_id", "runid", "system"},
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which column is what; a name that begins with `_` is read past."""

    columns: tuple[str, ...]
    number: Literal["grade", "score"]
    header: bool = False
    by_tabs: bool = False  # blanks inside a field belong to it
    more: bool = False  # columns after the last are ignored, as trec_eval does

    @property
    def words(self) -> str:
        """The columns as a person would say them."""
        return " ".join(name.lstrip("_").removesuffix("_id") for name in self.columns)


def read_qrels(
    path: str | Path, *, name: str | None = None, duplicates: Literal["error", "first", "last", "max", "min"] = "error"
) -> Qrels:
    """Qrels from a file, or from standard input for `-`; called `name`, or else after the file.

    Grades are whole numbers (`1.0` is one); negative ones stay, and count as unjudged in every measure. Raises InputError
    with file and line for a line that cannot be read and for pairs with different grades (unless a rule is named).
    """
    data = content(path)
    frame = table(data, qrels_layout(data, path), path)
    try:
        return Qrels.of(frame, name or stem(path), duplicates=duplicates, source=str(path))
    except InputError as error:
        raise InputError(f"{error}{lines_of_first_pair(frame, data, path, 'grade')}") from None


def read_runs(path: str | Path, *, duplicates: Literal["error", "collapse"] = "error") -> list[Run]:
    """Every run in a file (or standard input for `-`), one per tag, in the order in which the tags appear.

    A file without tags is one run, named after the file. Ranks are not read: the score decides, as in trec_eval. Raises
    InputError with file and line for a line that cannot be read and for a document listed twice (unless collapsed).
    """
    data = content(path)
    frame = table(data, run_layout(data, path), path)
    if "tag" not in frame.columns:
        parts = [(stem(path), frame)]
    elif (frame["tag"] == frame["tag"][0]).all():
        parts = [(frame["tag"][0], frame)]
    else:
        parts = [(part["tag"][0], part) for part in frame.partition_by("tag", maintain_order=True)]
    try:
        return [Run.of(part, tag, duplicates=duplicates, source=str(path)) for tag, part in parts]
    except InputError as error:
        raise InputError(f"{error}{lines_of_first_pair(frame, data, path)}") from None


def read_run(path: str | Path, *, duplicates: Literal["error", "collapse"] = "error") -> Run:
    """The only run in a file; InputError where it holds several."""
    runs = read_runs(path, duplicates=duplicates)
    if len(runs) > 1:
        raise InputError(f"{path}: holds {len(runs)} runs ({', '.join(run.tag for run in runs[:5])}, …) where one is expected")
    return runs[0]


def distinct_tags(runs: Sequence[tuple[Run, str | Path]]) -> list[Run]:
    """The runs with tags that differ: where tags of several files clash, the file's name is the tag instead.

    A file that holds several runs gives `file:tag`. Files of one name in several folders keep as much of their path as needed.
    """
    tags = Counter(run.tag for run, _ in runs)
    held = Counter(str(path) for _, path in runs)
    stems = Counter(stem(path) for path in {str(path) for _, path in runs})
    out = []
    for run, path in runs:
        tag = run.tag
        if tags[tag] > 1:
            file = stem(path) if stems[stem(path)] == 1 else str(path)
            tag = file if held[str(path)] == 1 else f"{file}:{tag}"
        out.append(Run(run.frame, tag, run.notes))
    twice = [tag for tag, count in Counter(run.tag for run in out).items() if count > 1]
    if twice:
        raise InputError(f"two runs are called {twice[0]!r}, and so are their files; give each file once, or another name")
    return out


def write_qrels(qrels: Qrels, path: str | Path) -> None:
    """Writes `query 0 document grade`, whole or not at all (a `.gz` name compresses); ungraded pairs are left out, not 0."""
    frame = qrels.graded.select("query_id", pl.lit("0").alias("iteration"), "doc_id", "grade")
    written(frame, path)


def write_run(run: Run, path: str | Path) -> None:
    """Writes `query Q0 document rank score tag`, whole or not at all; a `.gz` name compresses."""
    q0, tag = pl.lit("Q0").alias("Q0"), pl.lit(run.tag).alias("tag")
    written(run.frame.select("query_id", q0, "doc_id", "rank", "score", tag), path)


def written(frame: pl.DataFrame, path: str | Path) -> None:
    """Writes rows separated by single blanks into a new file beside `path`, which then takes its name."""
    for column in frame.select(pl.col(pl.String)).iter_columns():
        bad = column.filter(column.str.contains(r"\s|^$|^#" if column.name == "query_id" else r"\s|^$"))
        if bad.len():
            raise InputError(f"{path}: a TREC file cannot hold the {column.name} {bad[0]!r}: empty, with a blank, or a comment")
    data = frame.write_csv(include_header=False, separator=" ", quote_style="never").encode()
    write_whole(gzip.compress(data, mtime=0) if str(path).endswith(".gz") else data, path)


def content(path: str | Path) -> bytes:
    """All bytes of a file or of standard input (`-`), unpacked, without a byte-order mark."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: the gzip data is broken or cut short ({error}); fetch or pack the file again") from None
    return data.removeprefix(codecs.BOM_UTF8)


def stem(path: str | Path) -> str:
    """A file's name without `.gz` and without `.trec`, `.txt`, `.tsv` or `.run`."""
    name = Path(path).name.removesuffix(".gz")
    for suffix in (".trec", ".txt", ".tsv", ".run"):
        name = name.removesuffix(suffix)
    return "stdin" if name == "-" else name


def qrels_layout(data: bytes, path: str | Path) -> Layout:
    """What the columns of a qrels file are, by its first line."""
    first, fields = first_line(data, path)
    named = header(fields, ("query_id", "doc_id", "grade"))
    if named:
        return Layout(columns=named, number="grade", header=True)
    if len(fields) in (3, 4):
        return Layout(columns=("query_id", *["_iteration"] * (len(fields) - 3), "doc_id", "grade"), number="grade")
    raise unknown_form(path, first, fields, QRELS_FORMS)


def run_layout(data: bytes, path: str | Path) -> Layout:
    """What the columns of a run file are, by its first line."""
    first, fields = first_line(data, path)
    by_tabs = first.count("\t") == 4
    named = header(fields, ("query_id", "doc_id", "score"))
    if named:
        return Layout(columns=named, number="score", header=True, by_tabs="\t" in first)
    if len(fields) == 5 and fields[1].lower() == "q0":
        return Layout(columns=("query_id", "_Q0", "doc_id", "_rank", "score"), number="score")
    if by_tabs or len(fields) == 5:
        return Layout(columns=("tag", "query_id", "doc_id", "_rank", "score"), number="score", by_tabs=by_tabs)
    if len(fields) >= 6:
        return Layout(columns=("query_id", "_Q0", "doc_id", "_rank", "score", "tag"), number="score", more=True)
    raise unknown_form(path, first, fields, RUN_FORMS)


def header(fields: Sequence[str], needed: Sequence[str]) -> tuple[str, ...] | None:
    """Our names for a header's columns, unknown ones with `_`; None where it is no header of what is needed."""
    names = []
    for number, field in enumerate(fields):
        known = (*needed, "tag") if "score" in needed else needed
        ours = next((name for name in known if field.lower() in HEADERS[name] and name not in names), None)
        names.append(ours or f"_{number}")
    return tuple(names) if set(needed) <= set(names) else None


def first_line(data: bytes, path: str | Path) -> tuple[str, list[str]]:
    """The first line with content, and its fields."""
    for _, line in lines(data):
        text = line.decode("utf-8", "replace")
        return text, [field.decode("utf-8", "replace") for field in line.split()]
    raise InputError(f"{path}: holds no rows")


def unknown_form(path: str | Path, first: str, fields: Sequence[str], forms: str) -> InputError:
    comma = "; it looks like CSV: call it .csv, and name its columns (--columns)" if first.count(",") >= 2 else ""
    return InputError(f"{path}: the first line has {counted(len(fields), 'column')}: {first[:80]!r}; expected {forms}{comma}")


def table(data: bytes, layout: Layout, path: str | Path) -> pl.DataFrame:
    """The rows as a frame with the layout's columns: by the fast reader if it agrees, else by the patient one."""
    tab, blank = b"\t" in data, b" " in data
    frame = None
    if layout.by_tabs or not (tab and blank):
        separator = "\t" if tab else " "
        frame = fastest(data, layout, separator)
        frame = fast(data, layout, separator) if frame is None else frame
    if frame is None and not layout.by_tabs:
        frame = fast(tidy(data), layout, " ")
    return patient(data, layout, path) if frame is None else frame


def fastest(data: bytes, layout: Layout, separator: str) -> pl.DataFrame | None:
    """A run's rows by `fast`, without reading the columns that nobody wants; None where that could hide a broken line.

    A doubled or missing separator moves another field into the last column: a tag that is the same word in every line,
    and no number, shows that there is none.
    """
    if layout.columns[-1] != "tag":
        return None
    frame = fast(data, layout, separator, [i for i, name in enumerate(layout.columns) if name[0] != "_"])
    if frame is None or not (frame["tag"] == frame["tag"][0]).all():
        return None
    return None if re.fullmatch(r"[-+.\d].*|inf.*|nan", frame["tag"][0], re.IGNORECASE) else frame


def fast(data: bytes, layout: Layout, separator: str, columns: list[int] | None = None) -> pl.DataFrame | None:
    """The rows by Polars; None where anything is unusual.

    An empty field is a null, so that every doubled, leading or missing separator is seen as one, if all `columns` are
    read. A row of nulls alone is an empty line.
    """
    number = pl.Int32() if layout.number == "grade" else pl.Float64()
    try:
        frame = pl.read_csv(
            data,
            has_header=layout.header,
            separator=separator,
            columns=columns,
            quote_char=None,
            comment_prefix="#" if b"#" in data else None,
            schema={name: number if name == layout.number else pl.String() for name in layout.columns},
            truncate_ragged_lines=layout.more,
        )
    except pl.exceptions.PolarsError:
        return None
    if any(frame.null_count().row(0)):
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    odd = any(frame.null_count().row(0)) or (layout.number == "score" and frame["score"].is_nan().any())
    return None if odd or not frame.height else frame.select(name for name in layout.columns if name[0] != "_")


BLANKS = bytes.maketrans(b"\t\r\v\f", b"    ")


def tidy(data: bytes) -> bytes:
    """The same lines with single blanks between the fields and none around them."""
    data = data.translate(BLANKS)
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" ")


def lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines with content and their numbers from 1: no empty ones, no comments."""
    for number, line in enumerate(io.BytesIO(data), 1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            yield number, line


def patient(data: bytes, layout: Layout, path: str | Path) -> pl.DataFrame:
    """The rows line by line; raises InputError at the first that cannot be read."""
    wanted = {name: index for index, name in enumerate(layout.columns) if name[0] != "_"}
    out: dict[str, list[Any]] = {name: [] for name in wanted}
    for number, line in list(lines(data))[layout.header :]:
        where = f"{path}:{number}"
        fields = [field.strip() for field in line.split(b"\t")] if layout.by_tabs else line.split()
        if len(fields) < len(layout.columns) or (len(fields) > len(layout.columns) and not layout.more) or b"" in fields:
            shown = line.decode("utf-8", "replace").strip()[:80]
            filled = sum(1 for field in fields if field)
            raise InputError(
                f"{where}: {counted(filled, 'column')} where {len(layout.columns)} are expected ({layout.words}): {shown!r}; "
                "repair or remove the line"
            )
        for name, index in wanted.items():
            text = decoded(fields[index], where, data)
            out[name].append(numbered(text, layout.number, where) if name == layout.number else text)
    if not out["doc_id"]:
        raise InputError(f"{path}: holds a header and no rows")
    return pl.DataFrame(out, schema={n: (pl.Float64 if n == "score" else pl.Int32 if n == "grade" else pl.String) for n in out})


def decoded(field: bytes, where: str, data: bytes) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError as error:
        at = data.index(field) + error.start
        raise InputError(
            f"{where}: not UTF-8 (byte 0x{field[error.start]:02x} at offset {at}); convert the file, "
            "for instance with: iconv -f ISO-8859-1 -t UTF-8"
        ) from None


def numbered(text: str, kind: Literal["grade", "score"], where: str) -> float:
    """A score, or a grade that must be a whole number."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(f"{where}: {kind} {text!r} is not a number; repair or remove the line")
    if kind == "score":
        return value
    if not value.is_integer() or abs(value) >= 2**31:
        raise InputError(f"{where}: grade {text!r} is not a whole number; round it before the file is used as qrels")
    return int(value)


def lines_of_first_pair(frame: pl.DataFrame, data: bytes, path: str | Path, differs: str | None = None) -> str:
    """Where the first pair stands that is listed more than once (with several values of `differs`), for a message."""
    key = [name for name in ("tag", "query_id", "doc_id") if name in frame.columns]
    again = frame.with_row_index("row").filter(pl.struct(key).is_duplicated())
    kinds = pl.col(differs).n_unique() if differs else pl.len()
    groups = again.group_by(key, maintain_order=True).agg("row", kinds.alias("kinds")).filter(pl.col("kinds") > 1)
    if not groups.height:
        return ""
    numbers = [number for number, _ in lines(data)]
    header = len(numbers) - frame.height
    at = ", ".join(f"{path}:{numbers[row + header]}" for row in groups["row"][0][:4])
    return f" ({at})"
