"""A picture of at most 16 colours as PNG, with the same bytes on every machine.

Its data are stored, not compressed: zlib and zlib-ng deflate differently, and an image is its bytes.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def png(indices: NDArray[np.uint8], palette: list[tuple[int, int, int]]) -> bytes:
    """`indices` (height × width, width even) point into `palette`; four bits a pixel (PNG specification, colour type 3)."""
    height, width = indices.shape
    packed = indices[:, 0::2] << 4 | indices[:, 1::2]
    rows = np.pad(packed, ((0, 0), (1, 0))).tobytes()  # every row begins with filter 0: none
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(value for colour in palette for value in colour)),
            _chunk(b"IDAT", _stored(rows)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _stored(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4) of at most 65,535 bytes."""
    starts = range(0, len(data), 65_535)
    blocks = [(data[s : s + 65_535], s + 65_535 >= len(data)) for s in starts]
    body = b"".join(struct.pack("<BHH", last, len(b), len(b) ^ 0xFFFF) + b for b, last in blocks)
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(data))
