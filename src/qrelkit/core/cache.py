"""Where indexes are kept: `QRELKIT_CACHE`, or the user's cache folder of the platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qrelkit.core.errors import InputError


def cache_folder(part: str) -> Path:
    """A folder of the cache, made if need be. Raises InputError where it cannot be written to."""
    folder = _root() / part
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); name another cache folder in QRELKIT_CACHE") from None
    return folder


def _root() -> Path:
    named = os.environ.get("QRELKIT_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "qrelkit"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "qrelkit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qrelkit"
