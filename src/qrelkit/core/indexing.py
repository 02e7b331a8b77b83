"""Writes the index of a collection (its files: `core/index.py`), one document after the other."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from qrelkit.core.entry import Entry, StoredImage
from qrelkit.core.errors import InputError
from qrelkit.core.index import FORMAT, MANIFEST, OCCURRENCES, OWN_BLOB, keys_of, sizes
from qrelkit.core.wire import digest_bytes

Duplicates = Literal["error", "last"]


class IndexWriter:
    """Writes into `folder`, which is an index once `finish` has returned.

    `blob` is the source file where it can be read by offset; otherwise the documents' lines are copied. `text_from` names the
    columns that the documents' text is joined from, where it is not written out. `duplicates` is what becomes of an id given
    again with other content: an error, or the last one counts.
    """

    def __init__(self, folder: Path, blob: Path | None, text_from: Sequence[str] = (), duplicates: Duplicates = "error") -> None:
        self.folder, self.blob, self.text_from, self.duplicates = folder, blob, text_from, duplicates
        self._ids: list[str] = []
        self._files: dict[str, int] = {}
        self._places, self._spans, self._image_spans = array("q"), array("q"), array("q")  # two numbers per document
        self._image_counts = array("q")
        self._fingerprints = bytearray()
        self._empty: list[str] = []
        self._late_images = False
        self._images = (folder / "images.jsonl").open("wb")
        self._texts = None if blob else (folder / OWN_BLOB).open("wb")

    def close(self) -> None:
        """Closes the files; a writer that was not finished leaves no manifest, so no index."""
        self._images.close()
        if self._texts:
            self._texts.close()

    def add(self, entry: Entry) -> None:
        """One document."""
        doc_id = entry.fields.entry_id
        self._ids.append(doc_id)
        self._places.extend((self._files.setdefault(entry.file, len(self._files)), entry.line))
        if self._texts:
            self._spans.extend((self._texts.tell(), len(entry.raw)))
            self._texts.write(entry.raw + b"\n")
        else:
            self._spans.extend(entry.span)
        self._fingerprints += bytes.fromhex(entry.document_fingerprint())
        begin = self._images.tell()
        for image in entry.images:
            self._images.write(orjson.dumps({"doc_id": doc_id, **_line_of(image)}) + b"\n")
            self._late_images |= not image.digest
        self._image_spans.extend((begin, self._images.tell()))
        self._image_counts.append(len(entry.images))
        if not entry.fields.text.strip() and not entry.images:
            self._empty.append(doc_id)

    def finish(self, name: str, queries: Iterable[Entry], notes: Mapping[str, Any], state: Any) -> None:
        """Sorts, refuses ids given twice with other content, writes the rest and the manifest last.

        `state` is what the source looked like before it was read: the index is valid as long as it looks the same.
        """
        self.close()
        if not self._ids:
            raise InputError(f"{name}: has no document; the file that should hold them is empty")
        keys, fingerprints = keys_of(self._ids), np.frombuffer(bytes(self._fingerprints), np.uint8).reshape(-1, 16)
        sorting = np.argsort(keys, kind="stable")
        begins, changed = self._groups(keys[sorting], fingerprints[sorting], sorting)
        first, last = sorting[begins[:-1]], sorting[begins[1:] - 1]
        order = np.argsort(np.argsort(first))
        kept = np.zeros(len(first), np.int64)
        kept[order] = last if self.duplicates == "last" else first
        keys, content = keys[first], fingerprints[kept[order]]
        arrays = {
            "keys": keys,
            "order": order,
            "spans": _pairs(self._spans)[kept],
            "fingerprints": fingerprints[kept],
            "image_spans": _pairs(self._image_spans)[kept],
        }
        if len(kept) < len(self._ids):
            arrays[OCCURRENCES] = np.diff(begins)[np.argsort(first)]
        for stem, values in arrays.items():
            np.save(self.folder / f"{stem}.npy", values, allow_pickle=False)
        ids = [self._ids[row] for row in kept.tolist()]
        (self.folder / "ids.txt").write_bytes("".join(f"{doc_id}\n" for doc_id in ids).encode())
        frame, twice = write_queries(self.folder, queries)
        counts = {
            "duplicate_documents": len(self._ids) - len(ids),
            "changed_duplicates": changed,
            "duplicate_queries": twice,
            "empty_documents": len(self._empty),
            "first_empty_documents": self._empty[:10],
        }
        manifest = {
            "format": FORMAT,
            "name": name,
            "state": state,
            "fingerprint": _fingerprint(keys.tobytes() + content.tobytes(), frame),
            "images": int(np.frombuffer(self._image_counts, np.int64)[kept].sum()),
            "blob": str(self.blob) if self.blob else OWN_BLOB,
            "text_from": list(self.text_from),
            "late_images": self._late_images,
            "notes": {what: count for what, count in (counts | dict(notes)).items() if count},
            "files": sizes(self.folder),
        }
        (self.folder / MANIFEST).write_bytes(orjson.dumps(manifest))

    def _groups(
        self, keys: npt.NDArray[np.bytes_], fingerprints: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], int]:
        """Where each id begins among the sorted ones (and the end), and how many say something else than the one before.

        Raises InputError where there are such, unless the last of an id counts.
        """
        again = keys[1:] == keys[:-1]
        other = np.flatnonzero(again & (fingerprints[1:] != fingerprints[:-1]).any(axis=1))
        if len(other) and self.duplicates == "error":
            before, row = int(rows[other[0]]), int(rows[other[0] + 1])
            raise given_twice("document", self._ids[row], self._place(before), self._place(row))
        return np.concatenate([[0], np.flatnonzero(~again) + 1, [len(keys)]]), len(other)

    def _place(self, row: int) -> str:
        file, line = self._places[2 * row : 2 * row + 2]
        return f"{list(self._files)[file]}:{line}"


def write_queries(folder: Path, entries: Iterable[Entry]) -> tuple[pl.DataFrame, int]:
    """The queries' frame, and how many were left out because they say what another has said."""
    first: dict[str, Entry] = {}
    twice = 0
    for entry in entries:
        known = first.setdefault(entry.fields.entry_id, entry)
        if known is not entry:
            twice += 1
            if known.query_fingerprint() != entry.query_fingerprint() or known.fields.columns != entry.fields.columns:
                raise given_twice("query", entry.fields.entry_id, known.where, entry.where)
    frame = query_frame(list(first.values()))
    frame.write_parquet(folder / "queries.parquet")
    lines = [{"query_id": query_id, **_line_of(image)} for query_id, entry in first.items() for image in entry.images]
    (folder / "query_images.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return frame, twice


def query_frame(entries: Sequence[Entry]) -> pl.DataFrame:
    """query_id, text, fingerprint and every column that any query has."""
    columns = {
        "query_id": pl.Series([e.fields.entry_id for e in entries], dtype=pl.String),
        "text": pl.Series([e.fields.text for e in entries], dtype=pl.String),
        "fingerprint": pl.Series([e.query_fingerprint() for e in entries], dtype=pl.String),
    }
    names = dict.fromkeys(name for entry in entries for name in entry.fields.columns)
    clash = [name for name in names if name in columns]
    if clash:
        raise InputError(f"{entries[0].file}: has a column {clash[0]!r}, a name that is ours; rename it")
    return pl.DataFrame(columns | {name: as_series([e.fields.columns.get(name) for e in entries]) for name in names})


def as_series(values: Sequence[Any]) -> pl.Series:
    """A column of one type: whole and other numbers together are floats; objects and mixtures become JSON text."""
    types = {type(value) for value in values if value is not None}
    if types == {int, float}:
        return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)
    if dict not in types:
        try:
            return pl.Series(values)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            return pl.Series(_as_text(values), dtype=pl.String)
    return pl.Series(_as_text(values), dtype=pl.String)


def _as_text(values: Sequence[Any]) -> list[str | None]:
    return [value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values]


def _fingerprint(documents: bytes, queries: pl.DataFrame) -> str:
    pairs = queries.sort("query_id").select(pl.concat_str("query_id", "fingerprint", separator=" ")).to_series()
    return digest_bytes(b"c1:" + documents + "\n".join(pairs.to_list()).encode())


def _line_of(image: StoredImage) -> dict[str, Any]:
    return {name: getattr(image, name) for name in ("digest", "position", "caption", "name", "file")}


def _pairs(values: array[int]) -> npt.NDArray[np.int64]:
    return np.frombuffer(values, np.int64).reshape(-1, 2)


def given_twice(kind: str, entry_id: str, first: str, second: str) -> InputError:
    """The complaint about one id with two contents."""
    way = "; load(…, duplicates='last') and `retrieve … --changed last` let the last one count" if kind == "document" else ""
    return InputError(f"{second}: {kind} {entry_id!r} is given again with other content (first at {first}); remove one{way}")
