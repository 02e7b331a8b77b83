"""SHA-256 of image files, computed when first asked for and remembered by path, size and time of change.

A collection of 300,000 figures cannot be read whole each time it is opened, and a judge that reads texts needs none of them.
What was computed stands in one file beside the indexes of a collection, a JSON line per file:

    ["/data/figures/a.jpg", 24301, 1700000000000000000, "9f86d0…"]

Lines are only appended, a batch in one write, and the last line about a file counts. A line that a crash tore, or that two
processes wrote into each other, is no such list and is passed over: its file is read again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock

import orjson

from qrelkit.core.errors import InputError
from qrelkit.core.records import Image

READERS = 8  # files read at a time: hashing and reading let go of the interpreter
WRITTEN_TOGETHER = 2_000
Row = tuple[str, int, int, str]  # path, size, time of change, digest
_DIGEST = re.compile(r"[0-9a-f]{64}")


class UnreadableImage(InputError):
    """The file of an image cannot be read any more: a matter of the pairs that show it, not of all."""


class ImageDigests:
    """The digests of image files; `file` is where they are remembered, and need not be there yet."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = Lock()

    def of(self, path: str) -> str:
        """The digest of one file. Raises UnreadableImage where it cannot be read."""
        state = _state(path)
        known = self._known.get((path, *state))
        if known is None:
            known = _hashed(path)
            self._remember([(path, *state, known)])
        return known

    def of_many(self, paths: Sequence[str]) -> list[str | None]:
        """The digests of files, in order; None for one that cannot be read."""
        known = self._known
        new = dict.fromkeys(paths)
        found: dict[str, str | None] = {}
        for path in list(new):
            try:
                state = _state(path)
            except UnreadableImage:
                found[path] = None
                continue
            if digest := known.get((path, *state)):
                found[path] = digest
        todo = [path for path in new if path not in found]
        for begin in range(0, len(todo), WRITTEN_TOGETHER):
            found |= self._read(todo[begin : begin + WRITTEN_TOGETHER])
        return [found[path] for path in paths]

    def again(self, path: str) -> str:
        """The digest of the bytes that are there now, whatever is remembered."""
        state, digest = _state(path), _hashed(path)
        self._remember([(path, *state, digest)])
        return digest

    def _read(self, paths: Sequence[str]) -> dict[str, str | None]:
        with ThreadPoolExecutor(READERS) as readers:
            rows = list(readers.map(_row, paths))
        self._remember([row for row in rows if row])
        return {path: row[3] if row else None for path, row in zip(paths, rows, strict=True)}

    @cached_property
    def _known(self) -> dict[tuple[str, int, int], str]:
        try:
            lines = self.file.read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"{self.file}: cannot be read ({error.strerror})") from None
        return {(path, size, time): digest for path, size, time, digest in _rows(lines)}

    def _remember(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        with self._lock:
            self._known.update({row[:3]: row[3] for row in rows})
            try:
                with self.file.open("ab", buffering=0) as out:
                    out.write(b"\n" + lines)  # a line end in front too: the last line may be torn
            except OSError as error:
                raise InputError(f"{self.file}: cannot be written ({error.strerror})") from None


class FileImage(Image):
    """An image in a file that nobody has read yet: it is read, for its digest, when that is first asked for.

    `read` gives the bytes that the digest is of, or raises UnreadableImage.
    """

    __slots__ = ("_digest", "_digests", "_path")
    _digest: str
    _digests: ImageDigests
    _path: str

    def __init__(self, path: str, digests: ImageDigests, *, caption: str = "", position: int = 0, name: str = "") -> None:
        put = object.__setattr__  # one by one: there are as many of these as figures of documents that are judged
        put(self, "_path", path)
        put(self, "_digests", digests)
        put(self, "_digest", "")
        put(self, "read", self._read)
        put(self, "caption", caption)
        put(self, "position", position)
        put(self, "name", name)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hex. Raises UnreadableImage where the file cannot be read."""
        if not self._digest:
            object.__setattr__(self, "_digest", self._digests.of(self._path))
        return self._digest

    def _read(self) -> bytes:
        wanted = self.digest
        data = _bytes(self._path)
        if hashlib.sha256(data).hexdigest() != wanted:
            self._digests.again(self._path)  # changed within the clock's tick: the next run must not believe it again
            raise UnreadableImage(f"{self._path}: has changed while it was in use; start again")
        return data

    def __repr__(self) -> str:
        return f"FileImage({self._path!r}, position={self.position})"


def _rows(lines: Iterable[bytes]) -> Iterator[Row]:
    for line in lines:
        try:
            path, size, time, digest = orjson.loads(line)
            if _DIGEST.fullmatch(digest):
                yield path, size, time, digest
        except (ValueError, TypeError):  # torn, or empty
            continue


def _row(path: str) -> Row | None:
    try:
        return (path, *_state(path), _hashed(path))
    except UnreadableImage:
        return None


def _state(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return state.st_size, state.st_mtime_ns


def _hashed(path: str) -> str:
    return hashlib.sha256(_bytes(path)).hexdigest()


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{path}: cannot be read ({error.strerror}); load the collection again") from None
