"""JSON lines, read strictly: one object per line, UTF-8, every complaint with file and line.

A BOM, CRLF line ends and blank lines are passed over; `.gz` is unpacked on the way.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import orjson

from qrelkit.core.errors import InputError

BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One object, and where its bytes lie in the (unpacked) file."""

    number: int  # from 1
    offset: int
    raw: bytes  # without line end and BOM
    value: dict[str, Any]


def open_bytes(path: Path) -> IO[bytes]:
    """The file for reading bytes, unpacked if it ends in `.gz`; InputError where it is not there."""
    try:
        return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror or error})") from None


def read_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number (from 1), offset and bytes of every line that is not blank, without line end and BOM."""
    offset = 0
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                skip = len(BOM) if number == 1 and line.startswith(BOM) else 0
                raw = line[skip:].rstrip(b"\r\n")
                if raw.strip():
                    yield number, offset + skip, raw
                offset += len(line)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read to its end ({error}); is it a whole file?") from None


def read_jsonl(path: Path) -> Iterator[Line]:
    """The objects of a JSONL file, in order. Raises InputError (file:line) for a broken line or one that is no object."""
    for number, offset, raw in read_lines(path):
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            check_utf8(raw, f"{path}:{number}")
            where = f"{path}:{number}: is not JSON ({error.msg}, character {error.pos + 1})"
            raise InputError(f"{where}; repair or remove the line") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}:{number}: is not a JSON object but {shown(raw)}; every line must be {{…}}")
        yield Line(number, offset, raw, value)


def check_utf8(raw: bytes, where: str) -> None:
    """Raises InputError when the bytes are not UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: is not UTF-8 (byte 0x{raw[error.start]:02x} at position {error.start + 1}); save the file as UTF-8"
        ) from None


def shown(raw: bytes, most: int = 40) -> str:
    """The beginning of a line, for a message."""
    text = raw[:most].decode("utf-8", "replace")
    return repr(text + ("…" if len(raw) > most else ""))
