"""Opens the index of a source, or builds it first.

    cache/collections/NAME-KEY/index-…/     a complete index
    cache/collections/NAME-KEY/building-…/  one being written, renamed when its manifest is there

An index is valid while the source's files have the path, size and time of change that they had, images included.
Nothing is replaced in place: a new index gets a new folder. Several may build at once: of equal ones the first that is whole
is used by all. Whoever has built removes the indexes that were no longer valid when it began, and no other.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from qrelkit.core.cache import cache_folder
from qrelkit.core.collection import Collection, LazyQrels
from qrelkit.core.entry import Entry
from qrelkit.core.index import MANIFEST, Index
from qrelkit.core.indexing import Duplicates, IndexWriter
from qrelkit.core.qrels import Qrels
from qrelkit.core.wire import digest_of
from qrelkit.sources.images import FileState, ImageFiles, read_states, unchanged

STALE_S = 86_400


class Parts(Protocol):
    """What a source must be able to say of itself for an index to be made of it."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path: ...  # images are looked for here
    @property
    def blob(self) -> Path | None: ...  # the file of the documents, if their lines can be read in place
    @property
    def text_from(self) -> Sequence[str]: ...  # the columns that a text is joined from; none where it is written out

    def key(self) -> Any: ...  # JSON: where it comes from and how it is read
    def state(self) -> Any: ...  # JSON: what changes when the source changes
    def documents(self, images: ImageFiles) -> Iterator[Entry]: ...
    def queries(self, images: ImageFiles) -> Iterator[Entry]: ...
    def qrels(self) -> Mapping[str, Callable[[], Qrels]]: ...


def load_indexed(parts: Parts, duplicates: Duplicates = "error") -> Collection:
    """The collection of a source, from its index; `duplicates` as the writer of the index has it."""
    key = digest_of(parts.key() if duplicates == "error" else [parts.key(), duplicates])
    home = cache_folder("collections") / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', parts.name)[:40]}-{key[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    state = orjson.loads(orjson.dumps(parts.state()))
    return Collection(valid(home, state) or build(parts, home, state, duplicates), LazyQrels(parts.qrels()))


def valid(home: Path, state: Any) -> Index | None:
    """The first index that is whole and of this state, its images unchanged."""
    return next((index for folder in indexes(home) if (index := opened(folder, state))), None)


def indexes(home: Path) -> list[Path]:
    """The folders of the indexes, whole or not."""
    return sorted(home.glob("index-*"))


def opened(folder: Path, state: Any) -> Index | None:
    """The index in a folder; None where it is not whole, not valid any more, or being removed by another process."""
    try:
        index = Index(folder)
        return index if index.manifest["state"] == state and unchanged(folder) else None
    except (OSError, ValueError, KeyError):
        return None


def build(parts: Parts, home: Path, state: Any, duplicates: Duplicates = "error") -> Index:
    """Reads the source and writes a new index; whatever stops it leaves nothing behind."""
    old = [folder for folder in indexes(home) if not opened(folder, state)]
    building = Path(tempfile.mkdtemp(prefix="building-", dir=home))
    writer = IndexWriter(building, parts.blob, parts.text_from, duplicates)
    try:
        images = ImageFiles(parts.root, building / "images", known_images(old))
        for entry in parts.documents(images):
            writer.add(entry)
        queries = list(parts.queries(images))
        images.write(building)
        writer.finish(parts.name, queries, images.notes(), state)
        index = valid(home, state) or kept(building)
    except BaseException:
        writer.close()
        remove(building)
        raise
    for folder in (building, *old, *abandoned(home)):  # building: where the index of another was whole before
        remove(folder)
    return index


def kept(building: Path) -> Index:
    """Makes what was written an index."""
    return Index(building.rename(building.with_name(building.name.replace("building-", "index-"))))


def known_images(folders: Iterable[Path]) -> dict[str, FileState]:
    """The image files of the first index that still has them: only what has changed since is read again."""
    for folder in folders:
        with contextlib.suppress(OSError, ValueError, TypeError):  # broken, or removed by another process
            return dict(read_states(folder))
    return {}


def abandoned(home: Path) -> Iterator[Path]:
    """What processes that were killed have left."""
    for folder in home.glob("building-*"):
        with contextlib.suppress(FileNotFoundError):  # finished meanwhile
            if time.time() - folder.stat().st_mtime > STALE_S:
                yield folder


def remove(folder: Path) -> None:
    """Removes an index, the manifest first, so that what another process still holds open is no index any more."""
    with contextlib.suppress(OSError):  # Windows: someone is reading it; it is stale, and goes next time
        (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
