"""What a camera or an editor wrote into an image stays here: place, maker, comment, profile, history."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import zlib
from typing import Literal

import pytest
from PIL import Image as Pixels
from PIL import ImageCms, PngImagePlugin

from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Request, Shrink, picture
from qrelkit.models.openai_compatible import OpenAICompatible
from servers.chat import ChatServer

MAKER, COMMENT, EDITOR, PERSON = b"SecretCam 3000", b"ward 7, bed 3", b"xmp:secret-history", b"Jane Doe 1970-01-01"
LATITUDE = struct.pack(">LLLLLL", 48, 1, 12, 1, 3417, 100)  # 48° 12' 34.17", as it stands in the file
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TEXT = b"secret text"


def exif() -> Pixels.Exif:
    found = Pixels.Exif()
    found.endian = ">"
    found[0x010F] = MAKER.decode()
    found[0x9C9B] = PERSON  # XPTitle
    found.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 34.17), 3: "E", 4: (16.0, 22.0, 21.5)})
    return found


def jpeg(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Pixels.effect_noise(size, 60).convert("RGB").save(
        out, "JPEG", exif=exif(), comment=COMMENT, icc_profile=PROFILE, xmp=b"<x:xmpmeta>" + EDITOR + b"</x:xmpmeta>"
    )
    return out.getvalue()


def png(size: tuple[int, int]) -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", COMMENT.decode())
    texts.add_text("Author", TEXT.decode() * 9, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", EDITOR.decode())
    out = io.BytesIO()
    Pixels.effect_noise(size, 60).convert("RGBA").save(out, "PNG", pnginfo=texts, exif=exif(), icc_profile=PROFILE)
    return out.getvalue() + b"after the end: " + PERSON


def sent(data: bytes, how: Shrink) -> tuple[bytes, bytes]:
    """The image that the server received, and everything that it received."""
    image = Image(digest="0" * 64, read=lambda: data, name=f"{PERSON.decode()}.jpg", caption="")
    request = Request(model="openai:tiny", messages=(Message("user", (picture(image, how),)),))
    with ChatServer() as server:
        model = OpenAICompatible("openai:tiny", base_url=server.url)

        async def talk() -> None:
            try:
                await model.replies([request])
            finally:
                await model.close()

        asyncio.run(talk())
        url: str = server.bodies[0]["messages"][0]["content"][0]["image_url"]["url"]
        return base64.b64decode(url.partition(",")[2]), repr((server.bodies, server.headers)).encode()


def parts(data: bytes) -> set[bytes]:
    """The kinds of segments of a JPEG up to its pixels, or of chunks of a PNG."""
    found, place = set(), 8 if data.startswith(b"\x89PNG") else 2
    while place < len(data):
        if data.startswith(b"\x89PNG"):
            found.add(data[place + 4 : place + 8])
            place += 12 + int.from_bytes(data[place : place + 4], "big")
        else:
            found.add(data[place : place + 2])
            if data[place : place + 2] == b"\xff\xda":
                break
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return found


JPEG_PARTS = {b"\xff\xe0", b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda"}  # JFIF, tables, frame, scan: no APP1, APP2, COM
PNG_PARTS = {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize("format", ["jpeg", "png"])
@pytest.mark.parametrize("size", [(64, 48), (400, 300)], ids=["as it is", "made smaller"])
@pytest.mark.parametrize("original", [jpeg, png], ids=["from JPEG", "from PNG"])
def test_no_metadata_leaves_with_an_image(original: object, size: tuple[int, int], format: Literal["jpeg", "png"]) -> None:
    data = jpeg(size) if original is jpeg else png(size)
    marks = [MAKER, COMMENT, EDITOR, PERSON, LATITUDE]
    assert all(mark in data for mark in marks)
    received, everything = sent(data, Shrink(max_side_px=100, format=format))
    assert not any(mark in received or mark in everything for mark in [*marks, TEXT, PROFILE, zlib.compress(PROFILE), b"Exif"])
    assert parts(received) <= (JPEG_PARTS if format == "jpeg" else PNG_PARTS)
    with Pixels.open(io.BytesIO(received)) as image:
        image.load()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert not image.getexif()
