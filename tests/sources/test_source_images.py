"""Images of documents and queries: paths, bytes, captions, and everything that cannot be used."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zlib
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from qrelkit.core.errors import InputError
from qrelkit.steps.load import load


def png(color: str, size: tuple[int, int] = (8, 8)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "png")
    return out.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG that promises width × height pixels and has none."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT")
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)


def shop(folder: Path, *rows: dict[str, object], queries: tuple[dict[str, object], ...] = ()) -> Path:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for color in ("red", "blue"):
        (folder / "pictures" / f"{color}.png").write_bytes(png(color))
    for name, lines in (("corpus.jsonl", rows), ("queries.jsonl", queries)):
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in lines), encoding="utf-8")
    return folder


def test_several_images_per_document_and_query_with_caption_and_position(tmp_path: Path) -> None:
    images = ["pictures/red.png", {"path": "pictures/blue.png", "caption": "from behind"}]
    folder = shop(
        tmp_path / "shop",
        {"id": "1", "text": "shoe", "images": images},
        {"id": "2", "image": "pictures/red.png"},
        queries=({"id": "q", "text": "like this", "image": "pictures/blue.png"}, {"id": "r", "text": "other"}),
    )
    found = load(folder)
    red, blue = found.document("1").images
    assert (red.position, red.caption, red.name, red.read()) == (0, "", "pictures/red.png", png("red"))
    assert (blue.position, blue.caption, blue.read()) == (1, "from behind", png("blue"))
    assert red.digest == hashlib.sha256(png("red")).hexdigest()
    assert [i.digest for i in found.document("2").images] == [red.digest]
    assert found.document("2").text == ""
    assert [i.digest for i in found.query("q").images] == [blue.digest]
    assert found.query("r").images == ()
    assert found.document("1").columns == {}
    assert found.images().rows() == [
        ("1", red.digest, 0, "", "pictures/red.png"),
        ("1", blue.digest, 1, "from behind", "pictures/blue.png"),
        ("2", red.digest, 0, "", "pictures/red.png"),
    ]
    assert repr(found) == "Collection(shop: 2 queries, 2 documents, 3 images)"


def test_what_cannot_be_used_is_counted_and_listed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png("red"))
    folder = shop(
        tmp_path / "shop",
        {
            "id": "1",
            "text": "",
            "images": ["gone.png", "pictures/red.png", "https://example.org/a.png", "data:image/png;base64,AA"],
        },
        {"id": "2", "text": "", "images": ["gone.png", "text.png", "huge.png", "huger.png"]},
        {"id": "3", "text": "", "images": ["../secret.png", str(tmp_path / "secret.png"), "link.png", "..", "inside.png"]},
    )
    (folder / "text.png").write_text("no image", encoding="utf-8")
    (folder / "huge.png").write_bytes(huge_png(10_001, 10_000))
    (folder / "huger.png").write_bytes(huge_png(100_000, 100_000))
    os.symlink(tmp_path / "secret.png", folder / "link.png")
    os.symlink(folder / "pictures" / "blue.png", folder / "inside.png")
    found = load(folder)
    assert found.notes == {
        "missing_images": 1,
        "first_missing_images": ["gone.png"],
        "remote_images": 2,
        "first_remote_images": ["https://example.org/a.png", "data:image/png;base64,AA"],
        "unreadable_images": 3,
        "first_unreadable_images": ["text.png: not an image", "huge.png: over 100 megapixels", "huger.png: over 100 megapixels"],
        "outside_images": 4,
        "first_outside_images": ["../secret.png", str(tmp_path / "secret.png"), "link.png", ".."],
        "empty_documents": 1,
        "first_empty_documents": ["2"],
    }
    assert [(i.position, i.name) for i in found.document("1").images] == [(1, "pictures/red.png")]
    assert [i.name for i in found.document("3").images] == ["inside.png"]


def test_exactly_100_megapixels_are_taken(tmp_path: Path) -> None:
    folder = shop(tmp_path / "shop", {"id": "1", "image": "large.png"})
    (folder / "large.png").write_bytes(huge_png(10_000, 10_000))
    assert len(load(folder).document("1").images) == 1


def test_a_changed_image_changes_the_fingerprint_and_a_new_one_is_found(tmp_path: Path) -> None:
    folder = shop(
        tmp_path / "shop", {"id": "1", "text": "x", "images": ["pictures/red.png", "late.png"]}, {"id": "2", "text": "x"}
    )
    first = load(folder)
    assert first.notes["missing_images"] == 1
    image = first.document("1").images[0]
    (folder / "pictures" / "red.png").write_bytes(png("green"))
    with pytest.raises(InputError, match=r"red.png: has changed since it was indexed"):
        image.read()
    second = load(folder)
    (folder / "late.png").write_bytes(png("white"))
    third = load(folder)
    assert [len(c.document("1").images) for c in (second, third)] == [1, 2]
    assert len({c.document("1").fingerprint for c in (first, second, third)}) == 3
    assert len({c.document("2").fingerprint for c in (first, second, third)}) == 1
    assert len({c.fingerprint for c in (first, second, third)}) == 3


def test_unchanged_images_are_not_read_again(tmp_path: Path) -> None:
    """Bytes changed behind the back of size and time keep the old digest: only changed files are read anew."""
    folder = shop(tmp_path / "shop", {"id": "1", "text": "x", "image": "pictures/red.png"})
    file = folder / "pictures" / "red.png"
    before, state = load(folder).document("1").images[0].digest, file.stat()
    file.write_bytes(b"x" * state.st_size)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    (folder / "corpus.jsonl").write_text('{"id": "1", "text": "y", "image": "pictures/red.png"}\n', encoding="utf-8")
    after = load(folder).document("1")
    assert (after.text, after.images[0].digest) == ("y", before)


def test_images_as_bytes_in_parquet_are_stored_once_by_digest(tmp_path: Path) -> None:
    red, blue = png("red"), png("blue")
    table = pl.DataFrame(
        {
            "sku": [1, 2, 3, 4],
            "name": ["a", "b", "c", "d"],
            "photo": [{"bytes": red, "path": "r.png"}, {"bytes": blue, "path": None}, {"bytes": red, "path": "again.png"}, None],
            "alt": ["red one", None, "", "none"],
        }
    )
    table.write_parquet(tmp_path / "products.parquet")
    columns = {"doc_id": "sku", "text": "name", "image": "photo", "caption": "alt"}
    found = load(tmp_path / "products.parquet", columns=columns)
    (first,), (second,), (third,) = (found.document(i).images for i in "123")
    assert (first.read(), first.caption, first.name) == (red, "red one", "r.png")
    assert (second.read(), second.caption) == (blue, "")
    assert third.digest == first.digest
    assert found.document("4").images == ()
    stored = list(Path(os.environ["QRELKIT_CACHE"]).glob("collections/*/*/images/*"))
    assert sorted(p.name for p in stored) == sorted({first.digest, second.digest})
    assert load(tmp_path / "products.parquet", columns=columns).document("1").images[0].read() == red


def test_bytes_that_are_no_image_are_counted_and_bytes_elsewhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"id": ["1"], "text": ["x"], "image": [b"no image"]}).write_parquet(path)
    assert load(path).notes["unreadable_images"] == 1
    pl.DataFrame({"id": ["1"], "text": ["x"], "blob": [png("red")]}).write_parquet(path)
    with pytest.raises(InputError, match=r"p.parquet:1: column 'blob' holds bytes; if they are images, say so"):
        load(path)
