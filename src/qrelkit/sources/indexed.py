"""Opens the index of a source, or builds it first.

    cache/collections/NAME-KEY/index-…/     a complete index
    cache/collections/NAME-KEY/building-…/  one being written, renamed when its manifest is there

An index is valid while the source's files have the path, size and time of change that they had, images included.
Nothing is replaced in place: a new index gets a new folder, and the old ones are removed if nobody holds them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

from qrelkit.core.cache import cache_folder
from qrelkit.core.collection import Collection, LazyQrels
from qrelkit.core.entry import Entry
from qrelkit.core.index import MANIFEST, Index
from qrelkit.core.indexing import IndexWriter
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

    def key(self) -> Any: ...  # JSON: where it comes from and how it is read
    def state(self) -> Any: ...  # JSON: what changes when the source changes
    def documents(self, images: ImageFiles) -> Iterator[Entry]: ...
    def queries(self, images: ImageFiles) -> Iterator[Entry]: ...
    def qrels(self) -> Mapping[str, Callable[[], Qrels]]: ...


def load_indexed(parts: Parts) -> Collection:
    """The collection of a source, from its index."""
    home = cache_folder("collections") / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', parts.name)[:40]}-{digest_of(parts.key())[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    state = orjson.loads(orjson.dumps(parts.state()))
    found = [index for index in map(opened, sorted(home.glob("index-*"))) if index]
    valid = [index for index in found if index.manifest["state"] == state and unchanged(index.folder)]
    index = valid[0] if valid else build(parts, home, state, known=dict(read_states(found[0].folder)) if found else {})
    return Collection(index, LazyQrels(parts.qrels()))


def opened(folder: Path) -> Index | None:
    """The index in a folder; None where it is not whole, and what is left of it is removed."""
    try:
        return Index(folder)
    except (OSError, ValueError, KeyError):
        remove(folder)
        return None


def build(parts: Parts, home: Path, state: Any, known: Mapping[str, FileState]) -> Index:
    """Reads the source and writes a new index; whatever stops it leaves nothing behind."""
    for folder in home.glob("building-*"):
        if time.time() - folder.stat().st_mtime > STALE_S:  # left by a process that was killed
            remove(folder)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=home))
    writer = IndexWriter(building, parts.blob)
    try:
        images = ImageFiles(parts.root, building / "images", known)
        for entry in parts.documents(images):
            writer.add(entry)
        queries = list(parts.queries(images))
        images.write(building)
        writer.finish(parts.name, queries, images.notes(), state)
        target = building.with_name(building.name.replace("building-", "index-"))
        old = list(home.glob("index-*"))
        building.rename(target)
    except BaseException:
        writer.close()
        remove(building)
        raise
    for folder in old:
        remove(folder)
    return Index(target)


def remove(folder: Path) -> None:
    """Removes an index, the manifest first, so that what another process still holds open is no index any more."""
    with contextlib.suppress(OSError):  # Windows: someone is reading it; it is stale, and goes next time
        (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
