"""Odd places and odd names: notebooks, folders with brackets, pictures in queries, ids that are no file names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import qrelkit as qk
from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import (
    PAIRS,
    drawn,
    images_of,
    pair_of,
    served,
    texts_of,
    verdict,
    write_config,
    write_lines,
    write_run,
    write_tiny,
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=verdict) as running:
        yield running


def test_in_a_notebook_where_a_loop_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ChatServer) -> None:
    monkeypatch.chdir(write_tiny(tmp_path, **served(server.url)))

    async def cell() -> int:
        with qk.Project.open() as project:
            pool = qk.pool(project.runs(), depth=4)
            models = project.models("openai:tiny")
            done = qk.judge(pool, project.judge(pool), project.collection, store=project.store, models=models)
            return done.ungraded

    assert asyncio.run(cell()) == 0
    assert len(server.bodies) == PAIRS


def test_a_run_that_is_called_like_a_pattern(tmp_path: Path, capsys: Capture) -> None:
    folder = write_tiny(tmp_path, runs=["runs/*[1].trec", "runs/words[1].trec"])
    (folder / "runs" / "words.trec").rename(folder / "runs" / "words[1].trec")
    (folder / "runs" / "sight.trec").rename(folder / "runs" / "sight1.trec")
    assert call(capsys, "pool", "--project", folder, "--json").json["runs"] == 2


@pytest.mark.parametrize("name", ["my shop", "shöp", "shop [1]", "50% {off}", "it's"])
def test_folders_of_any_name(tmp_path: Path, capsys: Capture, name: str) -> None:
    folder = write_tiny(tmp_path / name)
    found = call(capsys, "run", folder / "qrelkit.yaml")
    assert found.code == 0, found.err
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("route", ["shown", "described"])
def test_a_picture_in_a_query_reaches_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, server: ChatServer, route: str
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path, **served(server.url, route=route)))
    (tmp_path / "shop" / "images" / "wish.png").write_bytes(drawn("orange", 31))
    queries = tmp_path / "shop" / "queries.jsonl"
    rows = [json.loads(line) for line in queries.read_text(encoding="utf-8").splitlines()]
    write_lines(queries, [{**row, "image": "images/wish.png"} if row["id"] == "q1" else row for row in rows])
    call(capsys, "describe")
    assert call(capsys, "judge").code == 0
    for body in server.bodies:
        if pair_of(body)[0] == "q1":
            told = "of the query's image 1: Picture" in texts_of(body).rpartition("<document>")[0]
            assert (len(images_of(body)), told) == ((2, False) if route == "shown" else (0, True))


def test_ids_of_any_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(write_tiny(tmp_path, guide={"model": "scripted:writer.yaml"}))
    ids = ["007", "7", "a/b", "../up", "CON", "q.1", "ü", "q" * 200, "Q.1"]
    shop = tmp_path / "shop"
    (shop / "qrels.txt").write_text("".join(f"{i} 0 {i} 1\n" for i in ids), encoding="utf-8")
    write_lines(shop / "queries.jsonl", [{"id": i, "text": f"wish {i}"} for i in ids])
    write_lines(shop / "corpus.jsonl", [{"id": i, "text": f"thing {i}"} for i in ids])
    for tag in ("words", "sight"):
        write_run(tmp_path / "runs" / f"{tag}.trec", tag, {i: " ".join(ids[:4]) for i in ids})
    guideline = {"translation": "", "specificity": "broad", "requirements": [], "notes": {}}
    (tmp_path / "writer.yaml").write_text(json.dumps([{"say": guideline}]), encoding="utf-8")
    assert call(capsys, "guide", "--json").json["written"] == len(ids)
    assert len(list((tmp_path / "guidelines").iterdir())) == len(ids)
    assert not list(tmp_path.parent.glob("*.yaml"))
    assert call(capsys, "guide", "--json").json["written"] == 0
    found = call(capsys, "run", "--json")
    assert found.code == 0, found.err
    scores = call(capsys, "evaluate", "P@1", "--per-query", "--json").json["qrels"]["qrels"]["per_query"]["words"]["P@1"]
    assert set(scores) == set(ids)
    assert (scores["007"], scores["q.1"]) == (1, 0)


def test_ids_that_differ_in_case_have_different_files() -> None:
    from qrelkit.steps.guide import file_of

    names = [file_of(Path("guidelines"), query_id).name.lower() for query_id in ("q.1", "Q.1")]
    assert len(set(names)) == 2
    assert file_of(Path("guidelines"), "CON").stem.upper() != "CON"


def test_one_document_a_judge_cannot_see_does_not_hide_behind_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, server: ChatServer
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path, **served(server.url, route="shown")))
    (tmp_path / "shop" / "images" / "p04.png").unlink()
    found = call(capsys, "judge")
    blind = [body for body in server.bodies if not images_of(body)]
    assert len(blind) == 1
    assert "not shown: 1 missing image, such as images/p04.png" in found.err


def test_two_projects_share_an_index_and_no_judgment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, server: ChatServer
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path, **served(server.url)))
    assert call(capsys, "judge").code == 0
    other = tmp_path / "other"
    other.mkdir()
    write_config(other, **served(server.url), collection="../shop", runs=["../runs/*.trec"])
    assert call(capsys, "judge", "--project", other, "--json").json["known"] == 0
    write_config(other, **served(server.url), collection="../shop", runs=["../runs/*.trec"], store="../.qrelkit/store.db")
    assert call(capsys, "judge", "--project", other, "--json").json["known"] == PAIRS
