"""rewrite: the command, from the query to the file that retrieve reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable
from typing import Any

import pytest

from cli.calling import call
from faults.many import wait_for
from qrelkit.formats.rewrites import read_rewrites
from qrelkit.formats.sidecars import read_sidecar
from servers.chat import ChatServer
from verbs.tiny import QUERIES, served, texts_of, write_config, write_lines, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tiny(tmp_path)
    rules = [
        {"when": "red dress", "say": "<think>hm</think>A red summer dress."},
        {"when": "schwarze", "say": "no", "outcome": "refused"},
        {"say": "<think>hm</think>A striped shirt."},
    ]
    (tmp_path / "writer.yaml").write_text(json.dumps(rules), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_queries_to_a_run(shop: Path, capsys: Capture) -> None:
    options = ["--method", "reasoning", "--thinking", "r1", "--model", "scripted:writer.yaml", "-n", 2]
    found = call(capsys, "rewrite", "shop", *options, "-o", "out.jsonl", "--json")
    assert found.code == 4  # a query has no rewrite
    assert (found.json["queries"], found.json["texts"], found.json["without"]) == (3, 4, ["q2"])
    assert found.json["counts"] == {"refused": 2}
    assert "without a rewrite: 1 query, such as q2" in found.err
    made = read_rewrites("out.jsonl")
    assert made["q1"].texts == ("A red summer dress.",) * 2
    assert (made["q1"].method, made["q2"].texts) == ("reasoning", ())
    said = read_sidecar("out.jsonl")
    assert said is not None
    assert said["rewriter"]["sampling"] == {"temperature": 0.7, "max_tokens": 10240}
    assert (said["rewriter"]["thinking"], said["queries"], said["counts"]) == ("r1", 3, {"refused": 2})
    again = call(capsys, "rewrite", "shop", *options, "-o", "out.jsonl", "--json")
    assert (again.json["asked"], read_rewrites("out.jsonl")) == (0, made)
    run = call(capsys, "retrieve", "bm25", "shop", "--rewrites", "out.jsonl", "--combine", "r2med", "-o", "out.trec")
    assert run.code == 0, run.err
    assert "asked without a rewrite: 1 query" in run.err


def test_without_a_project_and_to_stdout(shop: Path, capsys: Capture) -> None:
    (shop / "qrelkit.yaml").unlink()
    found = call(capsys, "rewrite", "shop", "--model", "scripted:writer.yaml", "-o", "-")
    assert [json.loads(line)["id"] for line in found.out.splitlines()] == ["q1", "q2", "q3"]


def test_the_project_s_collection_is_the_usual(shop: Path, capsys: Capture) -> None:
    assert call(capsys, "rewrite", "--model", "scripted:writer.yaml", "-o", "out.jsonl").code == 4
    assert len(read_rewrites("out.jsonl")) == 3


def test_lamer_and_query2doc(shop: Path, capsys: Capture) -> None:
    model = ["--model", "scripted:writer.yaml", "-o", "out.jsonl"]
    assert call(capsys, "rewrite", "--method", "lamer", *model).error.startswith("lamer:scripted:writer.yaml@")
    assert call(capsys, "rewrite", "--method", "lamer", "--first", "runs/words.trec", *model).code in (0, 4)
    assert call(capsys, "rewrite", "--method", "query2doc", *model).code in (0, 4)  # from the collection's qrels
    (shop / "shop" / "qrels.txt").unlink()
    assert "--examples" in call(capsys, "rewrite", "--method", "query2doc", *model).error
    write_lines(shop / "shots.jsonl", [{"query": "blue hat", "passage": "A hat in blue."}])
    assert call(capsys, "rewrite", "--method", "query2doc", "--examples", "shots.jsonl", *model).code in (0, 4)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--method", "hide"], "'hyde'"),
        (["--thinking", "huatou"], "'huatuo'"),
        (["--prompt", "hyed"], "'hyde@1'"),
        (["--prompt", "pointwise"], "is for 'judge', not for 'rewrite'"),
        (["--unclosed", "kep"], "'keep'"),
        (["--model", "lexical"], "cannot write"),
        (["--first", "run.trec"], "--first is for --method lamer, not hyde"),
        (["--method", "lamer", "--examples", "e.jsonl"], "--examples is for --method query2doc, not lamer"),
        (["-o", "no/out.jsonl"], "there is no folder no"),
    ],
)
def test_wrong_options_are_refused_in_one_line(shop: Path, capsys: Capture, options: list[str], complaint: str) -> None:
    given = options if "-o" in options else [*options, "-o", "out.jsonl"]
    assert complaint in call(capsys, "rewrite", "--model", "scripted:writer.yaml", *given).error
    assert not (shop / "out.jsonl").exists()


def test_dry_run_says_what_would_be_asked(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=lambda body: "A text.") as server:
        write_config(shop, **served(server.url), prices={"tiny": {"input": 1, "output": 1}})
        found = call(capsys, "rewrite", "--model", "openai:tiny", "-n", 2, "-o", "out.jsonl", "--dry-run", "--json")
        assert (found.code, server.bodies) == (0, [])
        (stage,) = found.json
        assert (stage["stage"], stage["items"], stage["todo"]) == ("rewrite", 3, 3)
        assert 6 in stage["models"][0]["requests"]
        assert stage["usd"][1] > 0


def test_a_budget_stops_it_and_writes_no_half_file(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=lambda body: "A text.") as server:
        write_config(shop, **served(server.url), prices={"tiny": {"input": 9000, "output": 9000}})
        found = call(capsys, "rewrite", "--model", "openai:tiny", "-o", "out.jsonl", "--budget-usd", 0.01, "--json")
        assert (found.code, found.json["stopped"], found.json["output"]) == (5, "budget", None)
        assert not (shop / "out.jsonl").exists()


def test_what_was_asked_of_a_server_is_replayed_without_it(shop: Path, capsys: Capture) -> None:
    with ChatServer(
        answer=lambda body: "About " + next(text for text, *_ in QUERIES.values() if text in texts_of(body))
    ) as server:
        write_config(shop, **served(server.url))
        assert call(capsys, "rewrite", "--model", "openai:tiny", "--seed", 7, "-o", "out.jsonl").code == 0
        assert {body["seed"] for body in server.bodies} == {7}
        assert {body["temperature"] for body in server.bodies} == {0.7}
    (shop / "there").mkdir()
    recording = "replay:.qrelkit/store.db#openai:tiny"
    write_config(shop, store="there/store.db")
    assert call(capsys, "rewrite", "--model", recording, "--seed", 7, "-o", "again.jsonl").code == 0
    assert read_rewrites("again.jsonl") == read_rewrites("out.jsonl")


@contextmanager
def rewriting(folder: Path) -> Iterator[Popen[bytes]]:
    command = [executable, "-m", "qrelkit", "rewrite", "--model", "openai:tiny", "-n", "40", "-o", "out.jsonl"]
    with Popen(command, cwd=folder, stdout=PIPE, stderr=PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_killed_and_called_again_it_pays_for_nothing_twice(shop: Path, capsys: Capture) -> None:
    def answer(body: dict[str, Any]) -> str:
        return "A text."

    with ChatServer(answer=answer, delay_s=0.05) as server:
        write_config(shop, **served(server.url))
        with rewriting(shop) as process:
            wait_for(lambda: len(server.bodies) >= 40)
            process.kill()
            process.wait(30)
        assert not (shop / "out.jsonl").exists()
        before = len(server.bodies)
        assert before < 120
        found = call(capsys, "rewrite", "--model", "openai:tiny", "-n", 40, "-o", "out.jsonl", "--json")
        assert (found.code, found.json["texts"]) == (0, 120)
        assert len(server.bodies) <= 120 + 2 * 4  # at most what was on its way, and not yet stored, is asked twice
        assert found.json["asked"] < 120
