"""forget: nothing on the disk holds the document any more, every number stands, and nobody asks about it again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from qrelkit.stores.packing import unpack
from servers.chat import ChatServer
from verbs.tiny import PAIRS, PRODUCTS, served, texts_of, verdict, write_config, write_lines, write_tiny

Capture = pytest.CaptureFixture[str]
NUMBERS = ("headline", "pool", "scores", "pairs", "correlation", "agreement", "holes", "expansion", "ungraded")
SECRET = "Patient Zacharias Quintelpfau, born 1931, wore it"


def write_shop(folder: Path) -> Path:
    """The tiny shop, in which p01 says something of a person."""
    write_tiny(folder)
    lines = [json.loads(line) for line in (folder / "shop" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    lines[0]["text"] = f"{lines[0]['text']} {SECRET} on Sunday."
    write_lines(folder / "shop" / "corpus.jsonl", lines)
    return folder


def answer(body: dict[str, Any]) -> str:
    """Quotes what it read, as models do."""
    if "You describe images" in json.dumps(body):
        return "A red dress on a hanger in front of a white wall."
    said = json.loads(verdict(body))
    return json.dumps({**said, "reasoning": f"it says: {SECRET}" if SECRET in texts_of(body).split("<document>")[-1] else "fine"})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_shop(tmp_path))
    return tmp_path


def holding(folder: Path) -> list[str]:
    """The files below a folder that hold the secret, as it is or deflated in a column of the store."""
    found = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    for path in folder.rglob("*.db"):
        connection = sqlite3.connect(path)
        for table, column in (("parts", "body"), ("replies", "text"), ("judgments", "reason"), ("descriptions", "text")):
            values = [row[0] for row in connection.execute(f"SELECT {column} FROM {table}")]
            bodies = [unpack(v if isinstance(v, bytes) else v.encode()) for v in values]
            found += [f"{table}.{column}" for body in bodies if SECRET.encode() in body]
        connection.close()
    return found


def numbers(capsys: Capture) -> Any:
    """What is published."""
    assert call(capsys, "report").code in (0, 4)
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    return {name: report.get(name) for name in NUMBERS}


def take_out(folder: Path, doc_id: str) -> None:
    """Removes a document from the user's own files, and its picture."""
    path = folder / "shop" / "corpus.jsonl"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if json.loads(line)["id"] != doc_id]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "shop" / "images" / f"{doc_id}.png").unlink()


@pytest.mark.parametrize("more", [{"route": "text"}, {"route": "shown"}, {"route": "described"}, {"per_request": 3}])
def test_nothing_holds_it_any_more_and_every_number_stands(shop: Path, capsys: Capture, more: dict[str, Any]) -> None:
    with ChatServer(answer=answer if more != {"per_request": 3} else grouped) as server:
        write_config(shop, **served(server.url, **more), describe={"model": "openai:tiny"})
        if more == {"route": "described"}:
            assert call(capsys, "describe").code == 0
        assert call(capsys, "judge").code == 0
        before = numbers(capsys)
        asked = len(server.bodies)
        assert holding(shop) != []

        found = call(capsys, "forget", "p01", "--json").json
        assert (found["judgments"], found["erased"]) == (1, None)
        assert "corpus.jsonl" in " ".join(found["yours"])
        assert holding(shop / ".qrelkit") != []  # it only said what there is
        assert call(capsys, "forget", "p01", "--yes").code == 0
        assert holding(shop / ".qrelkit") == []

        assert call(capsys, "judge", "--json").json["known"] == PAIRS  # the collection still has it
        take_out(shop, "p01")
        (shop / "report.json").unlink()
        (shop / "report.html").unlink()
        again = call(capsys, "judge", "--json").json
        assert (again["known"], again["ungraded"]) == (PAIRS, 0)
        assert numbers(capsys) == before
        assert len(server.bodies) == asked
        assert holding(shop) == []
        assert call(capsys, "doctor").code == 0
        assert call(capsys, "judge", "--dry-run").code == 0
        (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
        assert (row["grade"], row["reason"]) == (0 if more == {"per_request": 3} else 2, "")


def grouped(body: dict[str, Any]) -> str:
    count = texts_of(body).count("number p")
    reason = f"unlike {SECRET}" if SECRET in texts_of(body) else "fine"  # of every document that was read beside it
    return json.dumps({"verdicts": [{"number": n, "reasoning": reason, "verdict": "irrelevant"} for n in range(1, count + 1)]})


def test_another_judge_is_not_sent_it_either(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=answer) as server:
        write_config(shop, **served(server.url), describe={"model": "openai:tiny"})
        call(capsys, "judge")
        call(capsys, "forget", "p01", "--yes")
        server.bodies.clear()
        write_config(shop, **served(server.url, route="described", instructions="Be strict."), describe={"model": "openai:tiny"})
        assert call(capsys, "describe").code == 0
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (4, {"graded": PAIRS - 1, "not asked": 1})
        assert SECRET not in json.dumps(server.bodies)
        assert len(server.bodies) == len(PRODUCTS) - 1 + PAIRS - 1
        assert call(capsys, "review", "--to", "sheet.csv").code == 0
        assert "p01" not in (shop / "sheet.csv").read_text(encoding="utf-8")


def test_a_forgotten_example_is_drawn_no_more(shop: Path, capsys: Capture) -> None:
    examples = {"examples": {"n": 7, "rule": "other_queries"}}
    with ChatServer(answer=lambda body: '{"verdict": "irrelevant"}') as server:
        write_config(shop, **served(server.url, **examples))
        call(capsys, "judge")
        assert all(SECRET in json.dumps(body) for body in server.bodies)
        assert "another is drawn" in call(capsys, "forget", "p01").err
        call(capsys, "forget", "p01", "--yes")
        assert holding(shop / ".qrelkit") == []
        server.bodies.clear()
        assert call(capsys, "judge").code == 4
        assert server.bodies
        assert SECRET not in json.dumps(server.bodies)


def test_a_copy_in_the_index_goes_too(shop: Path, capsys: Capture, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (shop / "shop" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    text = "sku,title,words\n" + "".join(f'{r["id"]},{r["title"]},"{r["text"]}"\n' for r in rows)
    (shop / "table.csv").write_text(text, encoding="utf-8")
    table = {"documents": "table.csv", "queries": "shop/queries.jsonl", "columns": {"doc_id": "sku", "text": "words"}}
    write_config(shop, collection=table)
    assert call(capsys, "judge").code == 0
    assert holding(tmp_path / "cache") != []
    found = call(capsys, "forget", "p01", "--yes", "--json").json
    assert "table.csv (the collection)" in found["yours"]
    assert holding(tmp_path / "cache") == []


def test_vectors_and_words_that_were_made_of_it_go_too(shop: Path, capsys: Capture, tmp_path: Path) -> None:
    from qrelkit.core.cache import cache_folder

    write_config(shop)
    assert call(capsys, "judge").code == 0
    assert call(capsys, "retrieve", "bm25", "shop", "-o", "words.trec").code == 0  # an index of words beside the collection's
    (index,) = (tmp_path / "cache" / "collections").glob("*/index-*/bm25-*")
    vectors = index.parents[1] / "vectors" / "encoder-1"
    paid = cache_folder("vectors") / "endpoints" / "openai_x-1.sqlite"
    asked = cache_folder("vectors") / "queries-of-a-folder.sqlite"
    for path in (vectors / "vectors.bin", paid, asked):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"vectors")
    assert call(capsys, "forget", "p01", "--yes").code == 0
    assert [path.exists() for path in (index, vectors, paid, asked)] == [False, False, False, True]


def test_an_image_that_others_have_too_stays_described(shop: Path, capsys: Capture) -> None:
    shutil.copy(shop / "shop" / "images" / "p01.png", shop / "shop" / "images" / "p02.png")
    with ChatServer(answer=answer) as server:
        write_config(shop, **served(server.url, route="described"), describe={"model": "openai:tiny"})
        call(capsys, "describe")
        call(capsys, "judge")
        asked = len(server.bodies)
        found = call(capsys, "forget", "p01", "--yes", "--json")
        assert (found.json["images"], found.json["shared_images"], found.json["descriptions"]) == (0, 1, 0)
        assert call(capsys, "describe").code == 0
        assert call(capsys, "judge", "--json").json["known"] == PAIRS
        assert len(server.bodies) == asked


def test_an_id_that_nobody_knows_is_refused_and_forgetting_twice_is_free(shop: Path, capsys: Capture) -> None:
    write_config(shop, judge={"model": "lexical"})
    assert "did you mean 'p" in call(capsys, "forget", "p0l", "--yes").error
    assert call(capsys, "forget", "p01", "--yes").code == 0
    again = call(capsys, "forget", "p01", "--yes", "--json")
    assert (again.code, again.json["erased"]["replies"]) == (0, 0)
    take_out(shop, "p01")
    assert call(capsys, "forget", "p01").code == 0


def test_the_same_in_postgresql(shop: Path, capsys: Capture, postgres: str) -> None:
    with ChatServer(answer=answer) as server:
        write_config(shop, **served(server.url), store=postgres)
        assert call(capsys, "judge").code == 0
        before = numbers(capsys)
        asked = len(server.bodies)
        (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
        assert SECRET in row["reason"]
        assert call(capsys, "forget", "p01", "--yes", "--json").json["erased"]["judgments"] == 1
        take_out(shop, "p01")
        assert numbers(capsys) == before
        assert call(capsys, "judge", "--json").json["known"] == PAIRS
        assert len(server.bodies) == asked
        assert "was not kept" in call(capsys, "show", "reply", row["request"]).error
