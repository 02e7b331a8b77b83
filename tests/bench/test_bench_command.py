"""`qrelkit bench` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.made_up_sets import dataset, lines
from cli.calling import call

Capture = pytest.CaptureFixture[str]


def test_a_run_says_its_deviations_and_is_kept(tmp_path: Path, capsys: Capture) -> None:
    dataset(tmp_path / "sets" / "Biology")
    said = call(capsys, "bench", "r2med", "--folder", tmp_path / "sets", "--out", tmp_path / "out", "--json")
    assert said.code == 0
    assert (said.json["config"], said.json["average"], said.json["mean"]["called"]) == (
        "bm25",
        None,
        "mean over 1 of 8, no average",
    )
    assert set(said.json["datasets"]["Biology"]["scores"]["nDCG@10"]) == {"value", "low", "high", "n"}
    assert "warning: Biology: documents 3 where 57,359 are published: not comparable" in said.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "Biology.trec",
        "Biology.trec.json",
        "per_query.tsv",
        "result.json",
    ]
    assert json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8")) == said.json
    beside = call(capsys, "bench", "compare", tmp_path / "out" / "result.json", "--json").json
    assert [row["verdict"] for row in beside[0]["rows"]] == ["not comparable", *["missing"] * 8]


def test_several_datasets_and_the_forms_of_a_table(tmp_path: Path, capsys: Capture) -> None:
    for name in ("Biology", "MedQA-Diag", "PMC-Clinical"):
        dataset(tmp_path / name)
    words = ("bench", "r2med", "--folder", tmp_path, "--out", tmp_path / "out", "--datasets", "Biology", "PMCPatients")
    rows = call(capsys, *words).rows
    assert [row[0] for row in rows[:3]] == ["dataset", "Biology", "PMC-Clinical"]
    assert call(capsys, *words, "--format", "markdown").out.startswith("| dataset | queries |")
    elsewhere = (*words[:4], "--out", tmp_path / "nothing", "--format", "html")
    assert "unknown format 'html'; known: json, markdown, table, tsv" in call(capsys, *elsewhere).err
    assert not (tmp_path / "nothing").exists()


def test_demonstrations_that_are_test_queries_are_found(tmp_path: Path, capsys: Capture) -> None:
    dataset(tmp_path / "Biology")
    shown = [
        {"query": "Moths, light!", "passage": "one nostril takes the breath in the nasal cycle"},
        {"query": "something else", "passage": "nothing"},
    ]
    path = lines(tmp_path / "shown.jsonl", shown)
    said = call(capsys, "bench", "r2med", "--folder", tmp_path, "--demonstrations", path, "--json")
    assert said.json == [
        {"dataset": "Biology", "demonstration": 1, "part": "query", "of": "query", "id": "0", "how": "same"},
        {"dataset": "Biology", "demonstration": 1, "part": "passage", "of": "document", "id": "b", "how": "same"},
    ]
    assert "1 of 2 demonstrations ask a test query" in said.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "name where the datasets lie"),
        (("--folder", ".", "--hub"), "name where the datasets lie"),
        (("--folder", "{}", "--gar", "hyde"), "--gar and --llm go together"),
        (("--folder", "{}", "--retriever", "bm52"), "did you mean 'bm25'"),
        (("--folder", "{}", "--retriever", "dense"), "--retriever dense --model NAME"),
        (("--folder", "{}", "--model", "x/y"), "--retriever dense --model NAME"),
        (("--folder", "{}", "--retriever", "bge", "--analyzer", "cjk"), "--analyzer is for bm25"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, capsys: Capture, words: tuple[str, ...], complaint: str) -> None:
    dataset(tmp_path / "Biology")
    said = call(capsys, "bench", "r2med", *(word.format(tmp_path) for word in words))
    assert said.code == 1
    assert complaint in said.err


def test_r2meds_generations_are_not_cmirbs(tmp_path: Path, capsys: Capture) -> None:
    dataset(tmp_path / "MedExam")
    said = call(capsys, "bench", "cmirb", "--folder", tmp_path, "--gar", "hyde", "--llm", "gpt4")
    assert "cmirb has files: --rewrites qwen/query-rewrite.jsonl" in said.err


def test_published_result_files_are_held_against_the_table(data: Path, capsys: Capture) -> None:
    said = call(capsys, "bench", "cmirb", "--results", data / "automir" / "published_results", "--json").json
    assert round(100 * said["configs"]["qwen-bge-FT"]["average"]["nDCG@10"]["value"], 2) == 59.38
    assert {name: one["compared"]["verdict"] for name, one in said["configs"].items()} == dict.fromkeys(
        said["configs"], "reproduced"
    )
    rows = call(capsys, "bench", "r2med", "--results", data / "r2med" / "published_results").rows
    assert len(rows) == 72
    assert rows[0][:3] == ["config", "nDCG@10", "by query"]
