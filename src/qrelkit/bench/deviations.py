"""What differs from the published protocol: said with every result, and decisive for what may be compared.

comparable   still the same task: a revision that was never published, an interval that nobody printed
not          another corpus, other queries or grades: such a number stands beside no published one
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One difference; `dataset` is "" where it concerns all."""

    text: str
    dataset: str = ""
    comparable: bool = True

    def json(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "text": self.text, "comparable": self.comparable}

    def __str__(self) -> str:
        return (f"{self.dataset}: " if self.dataset else "") + self.text + ("" if self.comparable else ": not comparable")


def counts(dataset: str, found: Iterable[tuple[str, int, int | None]]) -> list[Deviation]:
    """A deviation for every (what, found, published) that differs; None is not published."""
    return [
        Deviation(dataset=dataset, text=f"{what} {here:,} where {published:,} are published", comparable=False)
        for what, here, published in found
        if published is not None and here != published
    ]


def blob_id(path: Path) -> str:
    """What git calls the content of a file: SHA-1 over its size and its bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def blobs(dataset: str, folder: Path, known: Iterable[tuple[str, str]]) -> list[Deviation]:
    """A deviation for every file that is there and is not the one whose id is known."""
    out = []
    for name, beginning in known:
        path = folder / name
        if path.is_file() and not blob_id(path).startswith(beginning):
            text = f"{name} is not the published file (git blob {blob_id(path)[:8]} where {beginning} is known)"
            out.append(Deviation(dataset=dataset, text=text, comparable=False))
    return out
