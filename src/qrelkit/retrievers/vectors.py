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
from qrelkit.retrievers.fields import joined, refuse_absent
from qrelkit.text.leaving import MayLeave, leaving_document

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
    may_leave: MayLeave = None,
) -> Vectors:
    """The vectors of all documents: those on disk, or encoded now, from where it broke off. `may_leave` as in `text/leaving.py`.

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
    about |= {} if may_leave is None else {"may_leave": sorted(may_leave)}
    key = digest_of(about)[:16]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", encoder.name)[-60:]
    folder = collection.folder.parent / "vectors" / f"{name}-{key}"
    if not (folder / "about.json").exists():
        refuse_absent(collection, fields)

        def texts(ids: Sequence[str]) -> list[str]:
            return [joined(leaving_document(document, may_leave), fields) for document in collection.documents(ids)]

        part = _Part(folder, dtype)
        _encode(part, collection.doc_ids, lambda ids: encoder.encode(texts(ids), "document"), progress)
        part.finish(collection.doc_ids, about)
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
        """Rows and dimensions; nothing where the files do not hold what they should: begun anew is better than rows of zeros."""
        try:
            said = orjson.loads((self.folder / "progress.json").read_bytes())
            rows, dimensions = int(said["rows"]), int(said["dimensions"])
            sizes = _sizes(rows, dimensions, self.dtype)
            whole = all((self.folder / name).stat().st_size >= size for name, size in sizes.items())
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0
        return (rows, dimensions) if whole else (0, 0)

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
    part: _Part, doc_ids: pl.Series, vectors_of: Callable[[Sequence[str]], NDArray[np.float32]], progress: Progress | None
) -> None:
    """Encodes what is not yet there, chunk by chunk."""
    count = len(doc_ids)
    for begin in range(part.rows, count, CHUNK):
        if progress is not None:
            progress(begin, count)
        ids = doc_ids.slice(begin, CHUNK).to_list()
        part.add(vectors_of(ids), ids)
    if progress is not None:
        progress(count, count)


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


def _sizes(rows: int, dimensions: int, dtype: np.dtype[Any]) -> dict[str, int]:
    """How many bytes the files of so many rows have."""
    return {"vectors.bin": rows * dimensions * dtype.itemsize, "lengths.bin": rows * 4}


def _opened(folder: Path, collection: Collection, dtype: Dtype, key: str) -> Vectors:
    """The vectors of a whole folder, mapped."""
    try:
        said = orjson.loads((folder / "about.json").read_bytes())
        shape = (int(said["rows"]), int(said["dimensions"]))
        whole = all((folder / name).stat().st_size == size for name, size in _sizes(*shape, np.dtype(dtype)).items())
        ids = (folder / "ids.txt").read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, ValueError, KeyError, TypeError):
        whole, ids, shape = False, [], (0, 0)
    if not whole or ids != collection.doc_ids.to_list():
        raise InputError(f"{folder}: is damaged; remove it, and its vectors are made anew")
    return Vectors(
        doc_ids=collection.doc_ids,
        rows=np.memmap(folder / "vectors.bin", dtype, "r", shape=shape),
        lengths=np.fromfile(folder / "lengths.bin", np.float32),
        key=key,
    )
