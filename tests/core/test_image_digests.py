"""Digests of images that are computed on first use: what is remembered, what is read again, and what a crash may leave."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.image_digests import FileImage, ImageDigests


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(b"first")
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    return tmp_path / "a.jpg"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "image_digests.jsonl"


def test_a_file_is_hashed_once_and_remembered_by_path_size_and_time(picture: Path, memory: Path) -> None:
    assert ImageDigests(memory).of(str(picture)) == sha(b"first")
    picture.write_bytes(b"FIRST")  # as long, and as old: taken for what was there
    os.utime(picture, ns=(1, 1))
    assert ImageDigests(memory).of(str(picture)) == sha(b"first")
    os.utime(picture, ns=(2, 2))
    assert ImageDigests(memory).of(str(picture)) == sha(b"FIRST")
    picture.write_bytes(b"longer now")
    os.utime(picture, ns=(2, 2))
    assert ImageDigests(memory).of(str(picture)) == sha(b"longer now")


def test_many_come_in_order_once_each_and_none_for_a_file_that_is_gone(picture: Path, memory: Path) -> None:
    other = picture.with_name("b.jpg")
    other.write_bytes(b"second")
    asked = [str(other), str(picture.with_name("gone.jpg")), str(picture), str(other)]
    digests = ImageDigests(memory)
    digests.of(str(picture))
    assert digests.of_many(asked) == [sha(b"second"), None, sha(b"first"), sha(b"second")]
    assert digests.of_many([]) == []
    before = memory.read_bytes()
    assert before.count(b".jpg") == 2
    assert ImageDigests(memory).of_many(asked) == [sha(b"second"), None, sha(b"first"), sha(b"second")]
    assert memory.read_bytes() == before


def test_a_folder_is_no_image_and_a_file_that_is_gone_is_said_to_be(picture: Path, memory: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jpg: cannot be read"):
        ImageDigests(memory).of(str(picture.with_name("gone.jpg")))
    assert ImageDigests(memory).of_many([str(picture.parent)]) == [None]


@pytest.mark.parametrize("cut", [1, 20, 70])
def test_a_torn_line_is_passed_over_and_its_file_is_read_again(picture: Path, memory: Path, cut: int) -> None:
    other = picture.with_name("b.jpg")
    other.write_bytes(b"second")
    ImageDigests(memory).of(str(other))
    whole = memory.read_bytes()
    ImageDigests(memory).of(str(picture))
    memory.write_bytes(memory.read_bytes()[:-cut])  # killed while it wrote the second
    assert ImageDigests(memory).of(str(picture)) == sha(b"first")
    assert ImageDigests(memory).of_many([str(other), str(picture)]) == [sha(b"second"), sha(b"first")]
    assert memory.read_bytes().startswith(whole)


def test_what_is_no_digest_is_not_believed(picture: Path, memory: Path) -> None:
    memory.write_bytes(b'["%s", 5, 1, "0000"]\n{}\nnull\n\xff\n' % os.fsencode(picture))
    assert ImageDigests(memory).of(str(picture)) == sha(b"first")


def test_an_image_is_read_when_its_digest_is_asked_for_and_not_before(picture: Path, memory: Path) -> None:
    image = FileImage(str(picture), ImageDigests(memory), caption="a scan", position=2, name="a.jpg")
    assert (image.caption, image.position, image.name) == ("a scan", 2, "a.jpg")
    assert not memory.exists()
    assert (image.digest, image.read()) == (sha(b"first"), b"first")
    assert memory.exists()


def test_bytes_that_are_not_those_of_the_digest_are_refused_and_not_remembered(picture: Path, memory: Path) -> None:
    image = FileImage(str(picture), ImageDigests(memory))
    assert image.digest == sha(b"first")
    picture.write_bytes(b"FIRST")
    os.utime(picture, ns=(1, 1))
    with pytest.raises(InputError, match="has changed while it was in use"):
        image.read()
    assert FileImage(str(picture), ImageDigests(memory)).read() == b"FIRST"
