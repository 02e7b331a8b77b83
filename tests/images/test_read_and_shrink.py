"""Images: what is refused and how it is said; what shrinking keeps and what it takes away."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from qrelkit.core.errors import InputError
from qrelkit.core.wire import Shrink
from qrelkit.images.read import ImageFacts, check
from qrelkit.images.shrink import fitted, media_type, shrink


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8))


def shrunk(data: bytes, how: Shrink | None = None) -> Image.Image:
    image = Image.open(io.BytesIO(shrink(data, how or Shrink())))
    image.load()
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG of that size of which only the header and a few zero bytes exist: a decompression bomb in 60 bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_check_gives_the_facts_of_every_format(kind: str) -> None:
    assert check(encoded(noise(60, 40), kind), "a") == ImageFacts(60, 40, kind.lower())


def animation(kind: str) -> bytes:
    return encoded(noise(20, 20), kind, save_all=True, append_images=[noise(20, 20).rotate(90)])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: b"", "empty"),
        (lambda: b"<html>no picture here</html>", "not an image"),
        (lambda: encoded(noise(200, 200), "JPEG")[:-900], "truncated or broken"),
        (lambda: encoded(noise(200, 200), "PNG")[:2000], "truncated or broken"),
        (lambda: encoded(noise(200, 200), "WEBP")[:2000], "broken"),
        (lambda: animation("GIF"), "animated"),
        (lambda: animation("WEBP"), "animated"),
        (lambda: animation("PNG"), "animated"),
        (lambda: animation("TIFF"), "several pages"),
        (lambda: png_header(10_000, 10_000), "10000 × 10000 pixels"),  # where Pillow warns
        (lambda: png_header(30_000, 30_000), "pixels"),  # where Pillow raises
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(data: Callable[[], bytes], says: str) -> None:
    with pytest.raises(InputError, match=rf"^image coat\.jpg: .*{says}"):
        check(data(), "coat.jpg")
    with pytest.raises(InputError, match=rf"^image coat\.jpg: .*{says}"):
        shrink(data(), Shrink(), "coat.jpg")


def test_a_telephones_photograph_with_a_second_picture_is_a_photograph() -> None:
    data = encoded(noise(64, 48), "MPO", save_all=True, append_images=[noise(64, 48)])
    assert check(data, "a") == ImageFacts(64, 48, "mpo")
    assert shrunk(data).size == (64, 48)


def test_corrupt_exif_is_no_reason_to_refuse_or_to_warn() -> None:
    data = encoded(noise(40, 20), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0garbage that ends too early")
    assert shrunk(data).size == (40, 20)  # warnings are errors in this suite


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((2000, 1000), 768, (768, 384)),
        ((1000, 2000), 768, (384, 768)),
        ((700, 300), 768, (700, 300)),  # never enlarged
        ((4000, 1), 768, (768, 1)),  # never 0
    ],
)
def test_the_longest_side_is_bounded(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert fitted(*size, side) == expected
    assert shrunk(encoded(noise(*size), "JPEG"), Shrink(side)).size == expected


def test_shrinking_is_deterministic_and_named_by_its_media_type() -> None:
    data = encoded(noise(900, 500))
    for kind in ("jpeg", "png"):
        how = Shrink(300, kind)
        assert shrink(data, how) == shrink(data, how)
        assert media_type(how) == f"image/{kind}"
        assert check(shrink(data, how), "a").format == kind


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_stands_upright(orientation: int) -> None:
    # EXIF 2.32 table 6: for each orientation, the corner of the *stored* picture that is shown top left
    corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    stored = Image.new("RGB", (80, 40), "white")
    x, y = corner[0] * 60, corner[1] * 20
    stored.paste((200, 0, 0), (x, y, x + 20, y + 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG"):
        upright = shrunk(encoded(stored, kind, exif=exif), Shrink(80, "png"))
        assert upright.size == ((80, 40) if orientation < 5 else (40, 80))
        red = upright.getpixel((6, 6))
        assert red[0] > 150 > 60 > red[1]


def test_metadata_is_left_out() -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    data = encoded(
        noise(50, 50), "JPEG", exif=exif, comment=b"SECRET comment", icc_profile=b"SECRET profile" * 20, dpi=(300, 300)
    )
    assert b"SECRET" in data
    for kind in ("jpeg", "png"):
        out = shrink(data, Shrink(50, kind))
        assert b"SECRET" not in out
        assert not Image.open(io.BytesIO(out)).getexif()


def test_transparency_is_white_in_jpeg_and_kept_in_png() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    palette = Image.new("P", (40, 40), 3)
    palette.putpalette([0, 0, 0] * 3 + [255, 0, 0])
    grey = Image.new("LA", (40, 40), (0, 0))
    for data in (encoded(clear), encoded(palette, transparency=b"\xff\xff\xff\x00"), encoded(grey)):
        assert min(shrunk(data).getpixel((20, 20))) > 250
        assert shrunk(data, Shrink(20, "png")).getpixel((10, 10))[3] == 0


def test_sixteen_bit_greys_are_scaled_and_not_cut() -> None:
    # 0, 16384, 32768, 65535 have the high bytes 0, 64, 128, 255
    values = np.repeat(np.array([[0, 16384, 32768, 65535]], dtype=np.uint16), 4, axis=0)
    small = shrunk(encoded(Image.fromarray(values)), Shrink(4, "png"))
    assert [small.getpixel((x, 0))[0] for x in range(4)] == [0, 64, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    kind = "PNG" if mode in ("1", "L") else "TIFF"
    assert shrunk(encoded(noise(30, 30).convert(mode), kind)).mode == "RGB"


def test_shrink_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 px"):
        shrink(encoded(noise(5, 5)), Shrink(0))
