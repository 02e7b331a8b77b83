"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from qrelkit.core.errors import InputError


def refuse_no_place(path: str | os.PathLike[str]) -> None:
    """Raises InputError where no file can come to lie at `path`: to be known before hours of work, not after."""
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not target.parent.is_dir():
        raise InputError(f"{path}: there is no folder {target.parent}; make it, or name another place")


def write_whole(data: bytes, path: str | os.PathLike[str]) -> None:
    """Writes a new file beside `path`, which then takes its name: nobody ever reads a half. InputError where it cannot be."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        os.replace(beside, target)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        beside.unlink(missing_ok=True)
