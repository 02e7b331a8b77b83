"""The options of `qrelkit retrieve bm25`: each reaches the retriever, and the sidecar says which it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [{"id": "a", "text": "red dress", "colour": "red"}, {"id": "b", "text": "blue shoe"}, {"id": "b", "text": "blue shoe"}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "topics.tsv").write_text("1\tred\n2\tviolet\n", encoding="utf-8")
    return folder


def retriever(run: Path) -> dict[str, Any]:
    return json.loads(run.with_name(run.name + ".json").read_text(encoding="utf-8"))["retriever"]


def test_what_is_not_said_is_as_ever(capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path) -> None:
    out = tmp_path / "run.trec"
    assert call(capsys, "retrieve", "bm25", shop, "-o", out).code == 0
    said = retriever(out)
    assert [said[name] for name in ("analyzer", "k1", "b", "idf", "query", "zeros", "duplicates", "fields")] == [
        *("auto", 0.9, 0.4, "lucene", "bag", "drop", "once", ["text"])
    ]
    assert [line.split()[2] for line in out.read_text(encoding="utf-8").splitlines()] == ["a"]


def test_every_option_reaches_the_retriever(capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path) -> None:
    own, more, out = tmp_path / "own.yaml", tmp_path / "more.jsonl", tmp_path / "run.trec"
    own.write_text("stemmers: [porter]\n", encoding="utf-8")
    more.write_text('{"id": "b", "text": "violet"}\n', encoding="utf-8")
    options = ["--analyzer", own, "--k1", 1.2, "--b", 0.5, "--idf", "gensim", "--query", "bm25", "--zeros", "keep"]
    options += ["--duplicates", "count", "--field", "text", "--field", "colour", "--extra-texts", more, "--depth", 2]
    assert call(capsys, "retrieve", "bm25", shop, "-o", out, *options).code == 0
    said = retriever(out)
    assert [said[name] for name in ("analyzer", "k1", "b", "idf", "query", "zeros", "duplicates", "fields")] == [
        *("own", 1.2, 0.5, "gensim", "bm25", "keep", "count", ["text", "colour"])
    ]
    assert (said["recipe"]["stemmers"], said["extra_texts"]["documents"]) == (["porter"], 1)
    lines = [line.split()[:3:2] for line in out.read_text(encoding="utf-8").splitlines()]
    assert lines == [["1", "a"], ["1", "b"], ["2", "b"], ["2", "a"]]


def test_a_preset_gives_way_to_what_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path) -> None:
    out = tmp_path / "run.trec"
    assert call(capsys, "retrieve", "bm25", shop, "-o", out, "--preset", "r2med", "--zeros", "drop").code == 0
    said = retriever(out)
    assert [said[name] for name in ("analyzer", "idf", "query", "zeros", "duplicates")] == [
        *("english", "gensim", "bm25", "drop", "count")
    ]


def test_a_document_with_other_content_is_an_error_unless_the_last_counts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path
) -> None:
    with (shop / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "a", "text": "violet hat"}\n')
    said = call(capsys, "retrieve", "bm25", shop, "-o", tmp_path / "run.trec")
    assert said.code == 1
    assert "document 'a' is given again with other content" in said.error
    assert call(capsys, "retrieve", "bm25", shop, "-o", tmp_path / "run.trec", "--changed", "last").code == 0
    assert (tmp_path / "run.trec").read_text(encoding="utf-8").startswith("2 Q0 a 1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--idf", "gensm"], "did you mean 'gensim'"),
        (["--preset", "r2"], "unknown preset of BM25"),
        (["--analyzer", "none.yaml"], "none.yaml: no such file"),
        (["--field", "color"], "did you mean 'colour'"),
        (["--extra-texts", "strange.jsonl"], "do the ids match?"),
        (["--combine", "mean"], "there are none (--rewrites FILE)"),
        (["--thinking", "r1"], "--thinking is about rewrites, and there are none"),
        (["--method", "hyde"], "--method is about rewrites, and there are none"),
    ],
)
def test_what_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Path, options: list[str], message: str
) -> None:
    strange = tmp_path / "strange.jsonl"
    strange.write_text('{"id": "zzz", "text": "violet"}\n', encoding="utf-8")
    given = [str(strange) if option == "strange.jsonl" else option for option in options]
    said = call(capsys, "retrieve", "bm25", shop, "-o", tmp_path / "run.trec", *given)
    assert said.code == 1
    assert message in said.error
