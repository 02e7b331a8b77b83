"""The documents or queries of one file as entries of an index: JSONL in place, tables through a column map.

    columns = {"doc_id": "sku", "title": "name", "text": ["brand", "description"], "image": ["front", "back"], "caption": "alt"}

Several columns of a text are joined by a space, several of images are taken in their order. Columns that the map does
not name stay columns of the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.core.entry import DOCUMENT, IMAGES, QUERY, Entry, Kind, read_fields
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.formats.csv_lines import csv_rows, text_lines
from qrelkit.formats.jsonl import check_utf8, read_jsonl, read_lines
from qrelkit.formats.tables import first_line, kind_of, names_of
from qrelkit.sources.images import ImageFiles, read_refs

Columns = Mapping[str, str | Sequence[str]]
TARGETS = {DOCUMENT: ("doc_id", "title", "text", "image", "caption"), QUERY: ("query_id", "text", "image", "caption")}
BATCH = 10_000


def entries(path: Path, kind: Kind, columns: Columns | None, images: ImageFiles) -> Iterator[Entry]:
    """What a file holds, in its order."""
    if kind is QUERY and kind_of(path) == ".tsv" and not _has_header(path):
        yield from _topics(path)
        return
    if kind_of(path) == ".jsonl" and not columns:
        for line in read_jsonl(path):
            yield _entry(path, line.number, kind, line.value, images, raw=line.raw, offset=line.offset)
        return
    mapping = check_columns(path, kind, columns or {})
    for number, row in _rows(path):
        yield _entry(path, number, kind, mapped(row, kind, mapping), images)


def check_columns(path: Path, kind: Kind, columns: Columns) -> dict[str, list[str]]:
    """The column map with lists on its right side. Raises UnknownName for what is on neither side known."""
    there = names_of(path)
    out = {}
    for name, sources in columns.items():
        if name not in TARGETS[kind]:
            raise UnknownName(f"entry of the column map for {path}", name, TARGETS[kind])
        out[name] = [sources] if isinstance(sources, str) else list(sources)
        for source in out[name]:
            if source not in there:
                raise UnknownName(f"column of {path}", source, there)
    return out


def mapped(row: Mapping[str, Any], kind: Kind, columns: Mapping[str, list[str]]) -> dict[str, Any]:
    """A row under our names: one id, one text, a list of images."""
    used = {source for sources in columns.values() for source in sources}
    out = {name: value for name, value in row.items() if name not in used and value is not None}
    for name in ("title", "text"):
        if name in columns:
            out[name] = " ".join(str(row[s]) for s in columns[name] if row.get(s) not in (None, ""))
        elif name in row:
            out.setdefault(name, "")  # an empty cell is an empty text, not a missing one
    id_name = TARGETS[kind][0]
    if id_name in columns:
        for name in kind.ids:
            out.pop(name, None)
        out["id"] = row.get(columns[id_name][0])
    if "image" in columns:
        out["images"] = _with_captions([row.get(s) for s in columns["image"]], [row.get(s) for s in columns.get("caption", [])])
    return out


def _with_captions(images: list[Any], captions: list[Any]) -> list[Any]:
    flat = [i for value in images for i in (value if isinstance(value, list) else [value]) if i not in (None, "", b"")]
    texts = [c for value in captions for c in (value if isinstance(value, list) else [value])]
    out: list[Any] = []
    for image, caption in zip(flat, [*texts, *[None] * len(flat)], strict=False):
        whole = image if isinstance(image, dict) else {"bytes": image} if isinstance(image, bytes) else {"path": image}
        out.append({"caption": caption, **whole} if caption else whole)
    return out


def _entry(
    path: Path, number: int, kind: Kind, record: dict[str, Any], images: ImageFiles, raw: bytes = b"", offset: int = 0
) -> Entry:
    """An entry from a record under our names; `raw` is its line where it was read from one."""
    where = f"{path}:{number}"
    refs = read_refs(record, where)
    if not raw:
        record = {name: value for name, value in record.items() if name not in IMAGES}
        if refs:
            record.setdefault("text", "")
        raw = _as_json(record, where)
        record = orjson.loads(raw)
    fields = read_fields(record, kind, where)
    return Entry(file=str(path), line=number, fields=fields, raw=raw, span=(offset, len(raw)), images=images.take(refs))


def _as_json(record: dict[str, Any], where: str) -> bytes:
    for name, value in record.items():
        if isinstance(value, bytes):
            raise InputError(f'{where}: column {name!r} holds bytes; if they are images, say so (columns={{"image": "{name}"}})')
    return orjson.dumps(record, default=str)  # dates and decimals as their text


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table with their lines (of Parquet: rows from 1); an empty cell of CSV and TSV is None."""
    kind = kind_of(path)
    if kind == ".jsonl":
        return ((line.number, line.value) for line in read_jsonl(path))
    return _parquet_rows(path) if kind == ".parquet" else _csv_rows(path, kind)


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        for batch in pl.scan_parquet(path).collect_batches(chunk_size=BATCH, maintain_order=True):
            for row in batch.iter_rows(named=True):
                number += 1
                yield number, row
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({first_line(error)})") from None


def _csv_rows(path: Path, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv_rows(text_lines(path), kind, str(path))
    _, header = next(rows, (0, []))
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}:{line}: has {len(row)} fields where the header has {len(header)}")
        values: dict[str, Any] = {name: cell or None for name, cell in zip(header, row, strict=True)}
        if values.get("weight"):
            try:
                values["weight"] = float(values["weight"])
            except ValueError:
                raise InputError(f"{path}:{line}: weight is {values['weight']!r}, not a number") from None
        yield line, values


def _has_header(path: Path) -> bool:
    return bool(set(names_of(path)) & set(QUERY.ids))


def _topics(path: Path) -> Iterator[Entry]:
    """Lines of query id, tab, text."""
    for number, _, raw in read_lines(path):
        where = f"{path}:{number}"
        check_utf8(raw, where)
        cells = raw.decode().split("\t")
        if len(cells) != 2:
            tabs = f"has {len(cells) - 1} tabs where a topic has one (query id TAB text)"
            raise InputError(f"{where}: {tabs}; more columns need a header line that names them")
        record = {"id": cells[0].strip(), "text": cells[1]}
        fields = read_fields(record, QUERY, where)
        yield Entry(file=str(path), line=number, fields=fields, raw=raw)
