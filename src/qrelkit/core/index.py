"""The index of a collection on disk: ids, offsets and fingerprints as arrays, texts as a blob read by offset.

One folder, complete when it has `manifest.json`, which is written last and holds the size of every other file:

    ids.txt            one id per line, in the order of the collection
    keys.npy           digests of the ids (16 bytes), sorted    order.npy         the row each belongs to
    spans.npy          offset, length in the blob               fingerprints.npy  16 bytes per row
    image_spans.npy    begin, end in images.jsonl               images.jsonl      digest, file, caption … per image; the
                                                                digest is empty where it is computed on first use
    queries.parquet    the queries' frame                       query_images.jsonl
    documents.jsonl    the blob, unless the source file itself can be read by offset
    occurrences.npy    how often each document was given, where one was given more than once

An id is found by binary search of its 128-bit digest: equal digests are equal ids.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from qrelkit.core.entry import DOCUMENT, Fields, read_fields
from qrelkit.core.errors import InputError

FORMAT = 1
MANIFEST = "manifest.json"
OWN_BLOB = "documents.jsonl"
OCCURRENCES = "occurrences"
BLOBS = ("ids.txt", "images.jsonl", "query_images.jsonl")
ARRAYS = ("keys", "order", "spans", "fingerprints", "image_spans")


class Blob:
    """A file read by offset, from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._file)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; InputError where the file has become shorter."""
        data = self._some(offset, length)
        while len(data) < length:  # the system may give less than asked for, 2 GB at most
            more = self._some(offset + len(data), length - len(data))
            if not more:
                raise InputError(f"{self.path}: has changed since it was indexed; load the collection again")
            data += more
        return data

    def all(self) -> bytes:
        """The whole file."""
        return self.read(0, os.fstat(self._file).st_size)

    def _some(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file, length, offset)
        with self._lock:  # Windows has no pread: seeking and reading must not be torn apart
            os.lseek(self._file, offset, os.SEEK_SET)
            return os.read(self._file, length)


def keys_of(ids: Iterable[str]) -> npt.NDArray[np.bytes_]:
    """The 16-byte digests of ids."""
    return np.frombuffer(b"".join(hashlib.blake2b(i.encode(), digest_size=16).digest() for i in ids), "S16")


def sizes(folder: Path) -> dict[str, int]:
    """The files of an index and their sizes, without those of `images/`, which are named by their content."""
    return {p.name: p.stat().st_size for p in sorted(folder.iterdir()) if p.is_file() and p.name != MANIFEST}


class Index:
    """A complete index, opened. Raises ValueError or OSError (for the loader, who then builds anew) where it is not whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
        if self.manifest.get("format") != FORMAT or self.manifest.get("files") != sizes(folder):
            raise ValueError(f"{folder}: is not a whole index of format {FORMAT}")
        self.occurrences = self._occurrences()
        self._keys, self._order, self._spans, self._fingerprints, self._image_spans = (
            np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)) for name in ARRAYS
        )
        self._ids, self._images, self._query_images = (Blob(folder / name) for name in BLOBS)
        self._texts = Blob(folder / self.manifest["blob"])
        self._kind = DOCUMENT._replace(text_from=tuple(self.manifest.get("text_from", ())))
        self.queries = pl.read_parquet(folder / "queries.parquet")

    def _occurrences(self) -> npt.NDArray[np.int64] | None:
        """How often each document was given; None where each was once. ValueError for an older index, which did not count."""
        path = self.folder / f"{OCCURRENCES}.npy"
        if path.exists():
            return np.asarray(np.load(path, allow_pickle=False))
        if self.manifest["notes"].get("duplicate_documents"):
            raise ValueError(f"{self.folder}: does not say how often its documents were given")
        return None

    def __len__(self) -> int:
        return len(self._order)

    def ids(self) -> list[str]:
        """All document ids, in the order of the collection."""
        return self._ids.all().decode().split("\n")[:-1]

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The row of every id, −1 where it is not known."""
        keys = keys_of(ids)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1)

    def fields(self, rows: npt.NDArray[np.int64] | slice) -> Iterator[Fields]:
        """What documents say, each read from disk as it comes."""
        for offset, length in self._spans[rows].tolist():
            raw = self._texts.read(offset, length)
            try:
                yield read_fields(orjson.loads(raw), self._kind, str(self._texts.path))
            except (ValueError, InputError):
                raise InputError(f"{self._texts.path}: has changed since it was indexed; load the collection again") from None

    def fingerprints(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """32 hex digits for every row."""
        digits = self._fingerprints[rows].tobytes().hex()
        return [digits[i : i + 32] for i in range(0, len(digits), 32)]

    def images(self, row: int) -> list[dict[str, Any]]:
        """The images of one document, in order."""
        begin, end = self._image_spans[row].tolist()
        return list(map(orjson.loads, self._images.read(begin, end - begin).splitlines())) if end > begin else []

    def all_images(self) -> Iterator[dict[str, Any]]:
        """The images of all documents; of one given again with the same content, once for each time."""
        if self.manifest["notes"].get("changed_duplicates"):
            return (image for row in range(len(self)) for image in self.images(row))
        return map(orjson.loads, self._images.all().splitlines())

    def query_images(self) -> Iterator[dict[str, Any]]:
        """The images of all queries."""
        return map(orjson.loads, self._query_images.all().splitlines())
