"""Vectors of a collection's documents on disk, encoded once: float16 or float32 rows that are memory-mapped.

    COLLECTION'S CACHE/vectors/KEY/         vectors.bin   rows × dimensions, in the order of ids.txt
                                            lengths.bin   float32, the length of every row as it is stored
                                            ids.txt       one id a line
                                            about.json    what they are
    COLLECTION'S CACHE/vectors/KEY.part/    the same while it is made: progress.json says how many rows are whole

KEY digests all that changes a vector: the encoder's settings for documents (model and revision or content, pooling, lengths,
prefix, number format), the documents (ids and contents, in order), the fields, the number format here. Every chunk is on disk
before the next is encoded, and an encoding that broke off goes on there. The folder gets its name when it is whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Encoder
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.files import write_whole
from qrelkit.core.wire import digest_of

FORMAT = 1
CHUNK = 2048  # documents that are encoded, and then on disk, together: what a killed process loses at most
QUERY_SIDE = ("query", "rewrite", "similarity")  # settings of an encoder that change no document's vector
DTYPES = ("float16", "float32")
Dtype = Literal["float16", "float32"]
Progress = Callable[[int, int], None]  # documents that are encoded, of how many


@dataclass(frozen=True, kw_only=True, slots=True)
class Vectors:
    """Vectors of documents: `rows` × dimensions, as they are on disk; `lengths` are those of the rows."""

    doc_ids: pl.Series
    rows: NDArray[Any]
    lengths: NDArray[np.float32]
    key: str = ""


def encoded(
    collection: Collection,
    encoder: Encoder,
    *,
    fields: Sequence[str] = ("text",),
    dtype: Dtype = "float16",
    progress: Progress | None = None,
) -> Vectors:
    """The vectors of all documents: those on disk, or encoded now, from where it broke off.

    Raises InputError for a vector that is no number or does not fit float16, and where another process is encoding the same;
    UnknownName for a field that no document has; whatever the encoder raises.
    """
    if dtype not in DTYPES:
        raise UnknownName("number format of vectors", dtype, DTYPES)
    about = {
        "format": FORMAT,
        "encoder": {"name": encoder.name, **{k: v for k, v in encoder.settings.items() if k not in QUERY_SIDE}},
        "documents": digest_of([collection.doc_ids.to_list(), collection.fingerprints(collection.doc_ids).to_list()]),
        "fields": list(fields),
        "dtype": dtype,
    }
    key = digest_of(about)[:16]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", encoder.name)[-60:]
    folder = collection.folder.parent / "vectors" / f"{name}-{key}"
    if not (folder / "about.json").exists():
        _encode(_Part(folder, dtype), collection, encoder, tuple(fields), about, progress)
    return _opened(folder, collection, dtype, key)


class _Part:
    """A folder of vectors that is being made; `rows` of them are whole."""

    def __init__(self, folder: Path, dtype: Dtype) -> None:
        self.whole, self.folder, self.dtype = folder, folder.with_name(f"{folder.name}.part"), np.dtype(dtype)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be made ({error.strerror})") from None
        self.rows, self.dimensions = self._said()

    def _said(self) -> tuple[int, int]:
        try:
            said = orjson.loads((self.folder / "progress.json").read_bytes())
        except FileNotFoundError:
            return 0, 0
        return int(said["rows"]), int(said["dimensions"])

    def add(self, vectors: NDArray[np.float32], first: Sequence[str]) -> None:
        """Rows that are on disk when this returns; `first` are the ids of their documents."""
        rows = _fitting(vectors, self.dtype, first)
        if self.dimensions not in (0, rows.shape[1]):
            raise InputError(f"{self.folder}: has {self.dimensions} dimensions, and the encoder now gives {rows.shape[1]}")
        if self._said()[0] != self.rows:
            raise InputError(f"{self.folder}: another process is encoding the same documents; wait for it, and ask again")
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float32))
        for name, data in (("vectors.bin", rows), ("lengths.bin", lengths)):
            self._write(name, data, self.rows * data[0].nbytes)
        self.rows, self.dimensions = self.rows + len(rows), rows.shape[1]
        write_whole(orjson.dumps({"rows": self.rows, "dimensions": self.dimensions}), self.folder / "progress.json")

    def _write(self, name: str, data: NDArray[Any], at: int) -> None:
        path = self.folder / name
        try:
            path.touch()
            with path.open("r+b") as file:
                file.truncate(at)  # what a process left that was killed in the middle of writing
                file.seek(at)
                file.write(np.ascontiguousarray(data).data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None

    def finish(self, doc_ids: pl.Series, about: dict[str, Any]) -> None:
        """Makes it whole."""
        write_whole("".join(f"{doc_id}\n" for doc_id in doc_ids.to_list()).encode(), self.folder / "ids.txt")
        said = {**about, "rows": self.rows, "dimensions": self.dimensions}
        write_whole(orjson.dumps(said, option=orjson.OPT_INDENT_2), self.folder / "about.json")
        try:
            os.replace(self.folder, self.whole)
        except OSError as error:
            raise InputError(f"{self.whole}: cannot take its name ({error.strerror}); remove it, and ask again") from None


def _encode(
    part: _Part,
    collection: Collection,
    encoder: Encoder,
    fields: tuple[str, ...],
    about: dict[str, Any],
    progress: Progress | None,
) -> None:
    """Encodes what is not yet there, chunk by chunk."""
    count = len(collection)
    for begin in range(part.rows, count, CHUNK):
        if progress is not None:
            progress(begin, count)
        ids = collection.doc_ids.slice(begin, CHUNK).to_list()
        part.add(encoder.encode(_texts(collection, ids, fields), "document"), ids)
    if progress is not None:
        progress(count, count)
    part.finish(collection.doc_ids, about)


def _texts(collection: Collection, ids: Sequence[str], fields: tuple[str, ...]) -> list[str]:
    """What is encoded of documents: "text" is title and text as a collection joins them; several fields are joined by a blank."""
    documents = list(collection.documents(ids))
    if fields == ("text",):
        return [document.text for document in documents]
    values = [{**document.columns, "title": document.title, "text": document.text} for document in documents]
    for name in fields:
        if all(value.get(name) is None for value in values):
            raise UnknownName("field of the documents", name, {field for value in values for field in value})
    return [" ".join(str(value[name]) for name in fields if value.get(name)) for value in values]


def _fitting(vectors: NDArray[np.float32], dtype: np.dtype[Any], ids: Sequence[str]) -> NDArray[Any]:
    """Vectors in the number format they are kept in. Raises InputError for one that is no number, or too large for it."""
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise InputError(f"the encoder gave {vectors.shape} numbers for {len(ids)} texts; a vector for each was asked for")
    with np.errstate(over="ignore"):
        rows = vectors.astype(dtype)
    wrong = ~np.isfinite(rows).all(axis=1)
    if wrong.any():
        doc_id, given = ids[int(wrong.argmax())], vectors[int(wrong.argmax())]
        why = "is too large for float16: ask for float32" if np.isfinite(given).all() else "is not a number: is the model sound?"
        raise InputError(f"the vector of document {doc_id!r} {why}")
    return rows


def _opened(folder: Path, collection: Collection, dtype: Dtype, key: str) -> Vectors:
    """The vectors of a whole folder, mapped."""
    said = orjson.loads((folder / "about.json").read_bytes())
    shape = (int(said["rows"]), int(said["dimensions"]))
    sizes = {"vectors.bin": shape[0] * shape[1] * np.dtype(dtype).itemsize, "lengths.bin": shape[0] * 4}
    damaged = any((folder / name).stat().st_size != size for name, size in sizes.items())
    if damaged or (folder / "ids.txt").read_text(encoding="utf-8").split("\n")[:-1] != collection.doc_ids.to_list():
        raise InputError(f"{folder}: is damaged; remove it, and its vectors are made anew")
    return Vectors(
        doc_ids=collection.doc_ids,
        rows=np.memmap(folder / "vectors.bin", dtype, "r", shape=shape),
        lengths=np.fromfile(folder / "lengths.bin", np.float32),
        key=key,
    )
