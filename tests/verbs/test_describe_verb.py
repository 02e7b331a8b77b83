"""describe: every image once, whatever the number of queries and documents that have it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import qrelkit as qk
from cli.calling import call
from qrelkit.stores.memory import MemoryStore
from servers.chat import ChatServer
from verbs.tiny import images_of, served, texts_of, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def answer(body: dict[str, object]) -> str:
    """Describes an image, or judges: the same server does both."""
    return "A garment, drawn." if images_of(body) else verdict(body)


def test_every_image_is_asked_about_once(shop: Path, capsys: Capture) -> None:
    shutil.copy(shop / "shop" / "images" / "p01.png", shop / "shop" / "images" / "p02.png")  # one picture, two products
    with ChatServer(answer=answer) as server:
        write_config(shop, **served(server.url, route="described"), describe={"model": "openai:tiny"})
        found = call(capsys, "describe", "--json")
        assert (found.code, found.json) == (0, {"images": 9, "described": 9, "missing": 0, "known": 0})
        assert len(server.bodies) == len({images_of(body)[0] for body in server.bodies}) == 9
        assert call(capsys, "describe", "--json").json == {"images": 9, "described": 9, "missing": 0, "known": 9}
        assert len(server.bodies) == 9
        assert call(capsys, "judge").code == 0
        judged = [texts_of(body) for body in server.bodies[9:]]
        assert len(judged) == 15
        assert all("Visual description of image 1: A garment, drawn." in text for text in judged)


def test_only_the_pool_when_asked(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "describe", "--pooled", "--set", "depth=1", "--json").json
    assert found["images"] == 6  # the first documents of the runs: p01 p06 p07, p09 p04 p08


def test_the_palette_needs_no_model(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "describe")
    assert found.code == 0
    assert "10 described" in found.err
    with qk.Project.open() as project:
        texts = project.store.descriptions(project.describer().key)
    assert any("red" in text for text in texts.values())


def test_an_image_without_a_description_leaves_its_pairs_ungraded(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url, route="described"))
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (4, {"failed": 15})
        assert server.bodies == []
        (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
        assert "run `describe` first" in row["reason"]
        call(capsys, "describe")
        assert call(capsys, "judge", "--json").json["outcomes"] == {"graded": 15}


def test_another_describer_is_another_judgment(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=answer) as server:
        write_config(shop, **served(server.url, route="described"))
        call(capsys, "describe")
        call(capsys, "judge")
        asked = len(server.bodies)
        write_config(shop, **served(server.url, route="described"), describe={"model": "openai:tiny"})
        call(capsys, "describe")
        found = call(capsys, "judge", "--json")
        assert len(server.bodies) == asked + 10 + 15
        assert found.json["stale"] == 15


def test_refused_images_are_counted_and_asked_again(shop: Path, capsys: Capture) -> None:
    (shop / "eyes.yaml").write_text(json.dumps([{"say": "no", "outcome": "refused"}]), encoding="utf-8")
    found = call(capsys, "describe", "--model", "scripted:eyes.yaml")
    assert found.code == 4
    assert "10 could not be" in found.err


def test_from_python(shop: Path) -> None:
    with qk.Project.open() as project:
        store = MemoryStore()
        done = qk.describe(project.collection, project.describer(), store=store)
        assert repr(done) == "Described(10 images, 0 known, 0 without a description)"
        assert qk.describe(project.collection, project.describer(), store=store).known == 10
