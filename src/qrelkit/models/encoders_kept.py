"""Vectors (or the scores of a reranker) that were asked for before, by what was sent: nobody waits, or pays, for one twice.

One SQLite file for each way of encoding. What is added is on disk when `add` returns.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrelkit.core.errors import InputError
from qrelkit.core.wire import digest_bytes, digest_of

AT_ONCE = 500  # keys in one question
ENDPOINTS = "endpoints"  # the folder, inside that of all that is kept, of what endpoints were paid for: documents too
Rows = NDArray[np.float32]


class Kept:
    """Vectors by text, in a file of `folder` that is called after the encoder and the digest of its `settings`."""

    def __init__(self, folder: Path, name: str, settings: Any) -> None:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-60:]
        self.path = folder / f"{readable}-{digest_of(settings)[:16]}.sqlite"

    def through(self, texts: Sequence[str], ask: Callable[[list[str]], Rows]) -> Rows:
        """The vectors of texts, in order: those kept, and for the others, each once, what `ask` gives, who adds them."""
        keys = [digest_bytes(text.encode("utf-8", "surrogatepass")) for text in texts]
        found = self.get(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            found |= dict(zip(missing, ask(list(missing.values())), strict=True))
        return np.stack([found[key] for key in keys])

    def get(self, keys: Sequence[str]) -> dict[str, Rows]:
        """The vectors that are kept, by key."""
        if not self.path.exists():
            return {}
        found: dict[str, Rows] = {}
        with closing(self._open()) as base:
            for begin in range(0, len(keys), AT_ONCE):
                some = [bytes.fromhex(key) for key in keys[begin : begin + AT_ONCE]]
                question = f"select text, vector from vectors where text in ({','.join('?' * len(some))})"
                found |= {key.hex(): np.frombuffer(row, np.float32) for key, row in base.execute(question, some)}
        return found

    def add(self, texts: Sequence[str], rows: Rows) -> None:
        """Keeps the vectors of texts."""
        keys = [bytes.fromhex(digest_bytes(text.encode("utf-8", "surrogatepass"))) for text in texts]
        values = [(key, row.astype("<f4").tobytes()) for key, row in zip(keys, rows, strict=True)]
        with closing(self._open()) as base, base:
            base.executemany("insert or ignore into vectors values (?, ?)", values)

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(self.path, timeout=60)
            base.execute("create table if not exists vectors (text blob primary key, vector blob not null) without rowid")
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"{self.path}: cannot be used ({error}); remove it, or name another cache in QRELKIT_CACHE"
            ) from None
        return base
