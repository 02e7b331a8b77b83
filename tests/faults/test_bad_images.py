"""Images that are none, are too large, break off, or lie elsewhere: counted and listed, or failed for their own pairs only."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import PAIRS, drawn, images_of, served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def corpus(shop: Path) -> Path:
    return shop / "shop" / "corpus.jsonl"


def header_only(width: int, height: int) -> bytes:
    """A PNG of 57 bytes that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "note", "reason"),
    [
        (None, "missing_images", "p04.png"),
        (b"", "unreadable_images", "not an image"),
        (b"just a text", "unreadable_images", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unreadable_images", "not an image"),
        (header_only(20_000, 5_001), "unreadable_images", "over 100 megapixels"),
        (header_only(60_000, 60_000), "unreadable_images", "over 100 megapixels"),
    ],
)
def test_an_image_that_cannot_be_used_is_counted_and_listed(
    shop: Path, capsys: Capture, data: bytes | None, note: str, reason: str
) -> None:
    file = shop / "shop" / "images" / "p04.png"
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)
    found = call(capsys, "load", "shop", "--json")
    assert (found.code, found.json["images"]) == (0, 9)
    notes = found.json["notes"]
    assert notes[note] == 1
    assert reason in notes[f"first_{note}"][0]
    assert "p04.png" in notes[f"first_{note}"][0]
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url, route="shown"))
        judged = call(capsys, "judge", "--json")
        assert judged.json["pairs"] == PAIRS
        assert sum(not images_of(body) for body in server.bodies) in (0, 1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(drawn("black", 3)[:100], id="truncated"),
        pytest.param(header_only(9_500, 9_500), id="90 megapixels and no data"),
        pytest.param(header_only(50, 50), id="no data"),
    ],
)
def test_an_image_that_breaks_later_fails_its_own_pairs_only(shop: Path, capsys: Capture, data: bytes) -> None:
    (shop / "shop" / "images" / "p04.png").write_bytes(data)
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url, route="shown"))
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (4, {"failed": 1, "graded": PAIRS - 1})
        assert "p04.png" in found.err
        assert call(capsys, "review", "--to", "sheet.csv").code == 0
    found = call(capsys, "describe", "--json")
    assert (found.code, found.json["missing"]) == (4, 1)


def test_an_image_that_changed_since_it_was_indexed(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url, route="shown"))
        assert call(capsys, "judge").code == 0
        (shop / "shop" / "images" / "p04.png").write_bytes(drawn("pink", 3))
        found = call(capsys, "judge", "--json")
        assert "14 known, 1 to ask" in found.err  # p04 is in the pool of q2 alone
        assert found.json["stale"] == 1


def test_paths_that_lead_out_of_the_folder_and_addresses_are_never_opened(shop: Path, capsys: Capture) -> None:
    (shop / "secret.png").write_bytes(drawn("black", 1))
    text = corpus(shop).read_text(encoding="utf-8")
    text = text.replace("images/p01.png", "../secret.png").replace("images/p02.png", "http://127.0.0.1:9/x.png")
    corpus(shop).write_text(text, encoding="utf-8")
    notes = call(capsys, "load", "shop", "--json").json["notes"]
    assert (notes["outside_images"], notes["remote_images"]) == (1, 1)
