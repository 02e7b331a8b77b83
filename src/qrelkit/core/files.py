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


def is_there(folder: Path, manifest: str, data: bytes, what: str) -> bool:
    """Whether a folder holds what its manifest, the file written last, says in just these bytes; an empty folder makes way for
    it.

    Raises InputError where it holds something else than `what`.
    """
    if not folder.exists():
        return False
    if (folder / manifest).is_file() and (folder / manifest).read_bytes() == data:
        return True
    if not folder.is_dir() or any(folder.iterdir()):
        raise InputError(f"{folder}: holds something else than {what}; name another folder, or remove it")
    folder.rmdir()
    return False


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
