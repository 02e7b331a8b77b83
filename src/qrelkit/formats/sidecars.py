"""The sidecar of a run (or of rewrites): `RUN.json` beside `RUN` says how it was made, and whether what lies there is still that.

    digest       of all that was asked for: collection, queries, rewrites, retriever's settings, depth, tag
    run_sha256   of the run's bytes: a run that was edited, or cut short, is not the one that was made

Written after the run, so that a sidecar means a whole run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from qrelkit.core.files import write_whole

FORMAT = 1


def sidecar_of(path: str | Path) -> Path:
    """The file beside a run."""
    return Path(f"{path}.json")


def read_sidecar(path: str | Path) -> dict[str, Any] | None:
    """What the sidecar of a run says; None where there is none that can be read, or it is about another content."""
    try:
        said: Any = orjson.loads(sidecar_of(path).read_bytes())
        whole = isinstance(said, dict) and said.get("format") == FORMAT and said.get("run_sha256") == sha256_of(path)
    except (OSError, ValueError):
        return None
    return said if whole else None


def write_sidecar(path: str | Path, said: Mapping[str, Any]) -> None:
    """Writes the sidecar of a run that lies there whole."""
    whole = {"format": FORMAT, **said, "run_sha256": sha256_of(path)}
    write_whole(orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY), sidecar_of(path))


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
