"""An image made small enough to be sent: upright, without metadata, in one of two formats.

    bytes ─▶ decode ─▶ upright (EXIF) ─▶ 8-bit RGB (white under transparency) ─▶ longest side ≤ max_side_px ─▶ JPEG or PNG

Deterministic for one version of Pillow. Digests never cover the result: a request names the original bytes and the
settings, so that a new Pillow asks nothing again.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from qrelkit.core.errors import InputError
from qrelkit.core.wire import Shrink
from qrelkit.images.read import decode, opened, orientation

if TYPE_CHECKING:
    from PIL.Image import Image as Raster


def shrink(data: bytes, how: Shrink, name: str = "image") -> bytes:
    """The image with its longest side at most `how.max_side_px`, never enlarged, all metadata (EXIF, ICC, text) left out.

    JPEG has white where the original is transparent; PNG keeps transparency. Raises InputError like `images.read.check`.
    """
    from PIL import Image

    if how.max_side_px < 1 or how.format not in ("jpeg", "png"):
        raise InputError(f"cannot shrink to {how.format} of {how.max_side_px} px: it must be jpeg or png and at least 1 px")
    raster = opened(data, name)
    # JPEG's own reduction to 1/2, 1/4, 1/8 is nearly free; twice the size wanted leaves Lanczos enough to work on
    raster.draft(None, (2 * how.max_side_px, 2 * how.max_side_px))
    decode(raster, name)
    upright = _upright(raster)
    plain = _plain(upright, transparent=how.format == "png")
    size = fitted(plain.width, plain.height, how.max_side_px)
    if size != plain.size:
        plain = plain.resize(size, Image.Resampling.LANCZOS)
    plain.info = {}  # Pillow's writers take comments and profiles from here
    out = io.BytesIO()
    if how.format == "png":
        plain.save(out, "PNG")
    else:
        plain.save(out, "JPEG", quality=how.quality)
    return out.getvalue()


def media_type(how: Shrink) -> str:
    """The MIME type of what `shrink` makes."""
    return f"image/{how.format}"


def fitted(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Width and height scaled so that the longer is at most `max_side_px`; each at least 1, never enlarged."""
    scale = min(1.0, max_side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _upright(raster: Raster) -> Raster:
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation(raster))
    return raster if turn is None else raster.transpose(turn)


def _plain(raster: Raster, *, transparent: bool) -> Raster:
    """8 bits per channel: RGB, or RGBA where transparency exists and is to be kept."""
    from PIL import Image

    if raster.mode.startswith("I"):
        raster = _eight_bits(raster)
    if not raster.has_transparency_data:
        return raster if raster.mode == "RGB" else raster.convert("RGB")
    full = raster.convert("RGBA")
    if transparent:
        return full
    white = Image.new("RGBA", full.size, "white")
    return Image.alpha_composite(white, full).convert("RGB")


def _eight_bits(raster: Raster) -> Raster:
    """The high byte of 16-bit greys (X-rays): Pillow's own conversion would cut everything above 255 to white."""
    import numpy as np
    from PIL import Image

    grey = np.asarray(raster).astype(np.int64)
    if raster.mode != "I" or grey.max(initial=0) > 255:
        grey >>= 8
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))
