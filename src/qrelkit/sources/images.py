"""From what a line says of its images to bytes and digests: the only place that opens image files while indexing.

    "image": "pictures/7.png"                       a path beside the file of the line
    "images": ["a.png", {"path": "b.png", "caption": "from behind"}]
    "image": {"bytes": …, "path": "a.png"}, or bytes    in Parquet; written to the index folder once, by digest

A path that leads out of the collection's folder and a URL are never opened. What cannot be used is counted and listed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from qrelkit.core.entry import StoredImage
from qrelkit.core.errors import InputError

STATES = "image_files.jsonl"
MOST_PIXELS = 100_000_000
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|data:")
NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ImageRef:
    """What a line says of one image: a path or bytes, with caption."""

    path: str
    data: bytes | None = None
    caption: str = ""


class FileState(NamedTuple):
    """An image file as it was when it was read. `problem` is "" or the note under which it is counted."""

    size: int  # −1: not there
    mtime_ns: int
    digest: str = ""
    problem: str = ""
    reason: str = ""


def read_refs(record: Mapping[str, Any], where: str) -> list[ImageRef]:
    """The images of a line in order: `image` first, then `images`. Raises InputError for what is neither path nor bytes."""
    found: list[Any] = []
    for name in ("image", "images"):
        value = record.get(name)
        if value is not None and value != "":
            found += value if isinstance(value, list) else [value]
    return [_ref(value, where) for value in found if value is not None and value != ""]


def _ref(value: Any, where: str) -> ImageRef:
    if isinstance(value, str):
        return ImageRef(value)
    if isinstance(value, bytes):
        return ImageRef("", value)
    if isinstance(value, dict):
        path, data, caption = value.get("path"), value.get("bytes"), value.get("caption")
        parts_fit = isinstance(path, str | None) and isinstance(data, bytes | None) and isinstance(caption, str | None)
        if parts_fit and (path or data):
            return ImageRef(path or "", data, caption or "")
    raise InputError(f"{where}: an image is a path, bytes, or {{path, caption}}, not {str(value)[:60]!r}")


class ImageFiles:
    """Reads the images of one collection. `root` is its folder, `store` is where bytes without a file go; `known` are the
    files of an earlier index: only what has changed since is read again."""

    def __init__(self, root: Path, store: Path, known: Mapping[str, FileState]) -> None:
        self.root, self.store, self._known = root.resolve(), store, known
        self._states: dict[str, FileState] = {}
        self._folders: dict[Path, Path] = {}  # resolved once each, not once per image
        self._left_out: dict[str, dict[str, str]] = {}  # note → name → what is shown

    def take(self, refs: list[ImageRef]) -> tuple[StoredImage, ...]:
        """The usable ones, each at the position it is named at."""
        found = (self._take(ref, position) for position, ref in enumerate(refs))
        return tuple(image for image in found if image)

    def notes(self) -> dict[str, Any]:
        """How many different images were left out, by why, with the first names."""
        out: dict[str, Any] = {}
        for note, names in self._left_out.items():
            out |= {note: len(names), f"first_{note}": list(names.values())[:NAMES_SHOWN]}
        return out

    def write(self, folder: Path) -> None:
        """Keeps the states of all files in the folder of the index."""
        lines = (orjson.dumps([file, *state]) + b"\n" for file, state in self._states.items())
        (folder / STATES).write_bytes(b"".join(lines))

    def _take(self, ref: ImageRef, position: int) -> StoredImage | None:
        if ref.data is not None:
            return self._keep(ref, ref.data, position)
        if URL.match(ref.path):
            self.leave("remote_images", ref.path)
            return None
        file = self._inside(ref.path)
        if file is None:
            self.leave("outside_images", ref.path)
            return None
        if file not in self._states:
            self._states[file] = self._look(file)
        state = self._states[file]
        if state.problem:
            self.leave(state.problem, ref.path, state.reason)
            return None
        return StoredImage(digest=state.digest, file=file, caption=ref.caption, name=ref.path, position=position)

    def _inside(self, path: str) -> str | None:
        """The absolute path, None where it leads (by itself or through a link) out of the collection's folder."""
        joined = self.root / path
        try:
            if joined.parent not in self._folders:
                self._folders[joined.parent] = joined.parent.resolve()
            file = self._folders[joined.parent] / joined.name
            file = file.resolve() if joined.name in ("", "..") or file.is_symlink() else file
        except (OSError, ValueError, RuntimeError):  # a null character, a name too long, a circle of links
            return None
        return str(file) if file.is_relative_to(self.root) else None

    def _look(self, file: str) -> FileState:
        size, mtime_ns = stat_of(file)
        known = self._known.get(file)
        if known and (known.size, known.mtime_ns) == (size, mtime_ns):
            return known
        if size < 0:
            return FileState(size, mtime_ns, problem="missing_images")
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            return FileState(size, mtime_ns, problem="unreadable_images", reason=error.strerror or "cannot be read")
        reason = unusable(data)
        if reason:
            return FileState(size, mtime_ns, problem="unreadable_images", reason=reason)
        return FileState(size, mtime_ns, hashlib.sha256(data).hexdigest())

    def _keep(self, ref: ImageRef, data: bytes, position: int) -> StoredImage | None:
        digest = hashlib.sha256(data).hexdigest()
        name = ref.path or digest[:12]
        target = self.store / digest
        if not target.exists():
            reason = unusable(data)
            if reason:
                self.leave("unreadable_images", name, reason)
                return None
            self.store.mkdir(exist_ok=True)
            target.write_bytes(data)
        return StoredImage(digest=digest, file=f"{self.store.name}/{digest}", caption=ref.caption, name=name, position=position)

    def leave(self, note: str, name: str, reason: str = "") -> None:
        """Counts what is left out under a note, by its name, once."""
        self._left_out.setdefault(note, {}).setdefault(name, f"{name}: {reason}" if reason else name)


def stat_of(file: str) -> tuple[int, int]:
    """Size and time of change; (−1, 0) where there is no such file."""
    try:
        state = os.stat(file)
    except (OSError, ValueError):
        return -1, 0
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else (-1, 0)


def unusable(data: bytes) -> str:
    """Why bytes are no image we can use, "" if they are; only the header is read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have our own limit
            with Image.open(io.BytesIO(data)) as image:
                pixels = image.width * image.height
    except Image.DecompressionBombError:
        return "over 100 megapixels"
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, OverflowError):
        return "not an image"
    return "over 100 megapixels" if pixels > MOST_PIXELS else ""


def read_states(folder: Path) -> Iterator[tuple[str, FileState]]:
    """The image files of an index, as they were."""
    with (folder / STATES).open("rb") as lines:
        for file, *state in map(orjson.loads, lines):
            yield file, FileState(*state)


def unchanged(folder: Path) -> bool:
    """Whether every image file of an index still looks the same; one that was missing and has come is a change."""
    return all(stat_of(file) == (state.size, state.mtime_ns) for file, state in read_states(folder))
