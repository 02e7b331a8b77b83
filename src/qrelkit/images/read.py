"""Bytes that claim to be an image, looked at before anybody trusts them.

The header is read first and its size held against `MAX_PIXELS`, so that a small file which unpacks to gigabytes is refused
without being unpacked. Only the formats below are tried: others (EPS, PSD …) would start programs or parse rarities.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from qrelkit.core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Raster

MAX_PIXELS = 80_000_000  # a 100-megapixel image needs 300 MB as RGB, and no model sees more than a few
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SEVERAL = ("MPO",)  # photographs by telephones that carry a depth map as a second picture: the first one is the photograph

_filters = Lock()  # warnings' filters belong to the whole process, and images are decoded in threads


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is: its stored width and height in pixels (before EXIF orientation) and its format, lower case."""

    width: int
    height: int
    format: str


def check(data: bytes, name: str) -> ImageFacts:
    """The facts of an image that can be decoded to its end.

    Raises InputError, naming the image, for what is no image, is truncated or broken, is animated or has several pages,
    or has more than `MAX_PIXELS` pixels (found out before it is decoded).
    """
    raster = opened(data, name)
    facts = ImageFacts(raster.width, raster.height, (raster.format or "").lower())
    raster.draft(None, (raster.width // 8, raster.height // 8))  # JPEG only: reads every byte, computes a 64th of the pixels
    decode(raster, name)
    return facts


def opened(data: bytes, name: str) -> Raster:
    """An image whose header is read and whose pixels are not; refuses what `check` says except truncation."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise InputError(f"image {name}: the file is empty")
    try:
        with _quiet():
            raster = Image.open(io.BytesIO(data), formats=FORMATS)
            animated = raster.format not in SEVERAL and getattr(raster, "is_animated", False)
    except Image.DecompressionBombError:
        raise _too_large(name, "far too many pixels") from None
    except UnidentifiedImageError:
        kinds = ", ".join(FORMATS).lower()
        raise InputError(f"image {name}: not an image that can be read ({kinds}); it begins with {data[:8]!r}") from None
    except Exception as error:  # each decoder has its own ways of stumbling over a broken header
        raise InputError(f"image {name}: broken ({error})") from error
    if raster.width * raster.height > MAX_PIXELS:
        raise _too_large(name, f"{raster.width} × {raster.height} pixels")
    if animated:
        raise InputError(f"image {name}: animated or of several pages; save the one that matters as its own file")
    return raster


def decode(raster: Raster, name: str) -> None:
    """Reads the pixels; InputError where the data break off or make no sense."""
    try:
        raster.load()
    except Exception as error:  # as above
        raise InputError(f"image {name}: truncated or broken ({error})") from error


def orientation(raster: Raster) -> int:
    """The EXIF orientation, 1–8; 1 where there is none or it cannot be read. Call it after `decode`."""
    try:
        with _quiet():
            value = raster.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF says nothing about orientation, and the picture is whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's warnings (corrupt EXIF, decompression bombs) say nothing that is not said here."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _too_large(name: str, size: str) -> InputError:
    return InputError(f"image {name}: {size}, more than the {MAX_PIXELS // 10**6} million allowed; scale it down first")
