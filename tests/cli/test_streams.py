"""Data goes to stdout and words to stderr: a table for people, TSV in a pipe, JSON on request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.calling import call, feed
from verbs.tiny import JUDGED, RUNS, write_run, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the lexical judge, which needs no model; also people.qrels, words.trec and sight.trec."""
    monkeypatch.chdir(write_tiny(tmp_path))
    (tmp_path / "people.qrels").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in JUDGED), encoding="utf-8")
    for tag, ranked in RUNS.items():
        write_run(tmp_path / f"{tag}.trec", tag, ranked)
    return tmp_path


def rows(capsys: Capture, *argv: object) -> list[list[str]]:
    """The TSV of a command; every row is as wide as the first."""
    found = call(capsys, *argv)
    assert found.rows, found.err
    assert {len(row) for row in found.rows} == {len(found.rows[0])}
    return found.rows


def test_tables_in_a_pipe_are_tsv(here: Path, capsys: Capture) -> None:
    evaluate = ("evaluate", "nDCG@10", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "sight.trec")
    assert rows(capsys, *evaluate)[0] == ["qrels", "group", "tag", "measure", "value", "low", "high", "n", "reason"]
    compare = ("compare", "P@2", "--runs", "words.trec", "sight.trec", "--qrels")
    assert rows(capsys, *compare, "people.qrels")[0] == ["a", "b", "diff", "low", "high", "p_t", "p_rand", "p_holm"]
    assert [r[0] for r in rows(capsys, *compare, "people.qrels", "again=people.qrels")] == [
        "statistic", "tau", "tau_ap", "top.10", "top.20"
    ]  # fmt: skip
    agree = rows(capsys, "agree", "people.qrels", "people.qrels")
    assert agree[1] == ["exact", "1.0", "1.0", "1.0", "3", ""]
    expand = rows(capsys, "expand", "people.qrels", "--with", "people.qrels", "-o", "out.qrels")
    assert expand[0][:3] == ["query_id", "judged", "relevant"]
    assert rows(capsys, "pool")[1:] == [["q1", "5"], ["q2", "5"], ["q3", "5"]]
    assert rows(capsys, "load", "shop")[0] == ["what", "value"]
    assert rows(capsys, "judge") == [["outcome", "pairs"], ["graded", "15"]]
    assert rows(capsys, "show", "scale", "binary")[0] == ["value", "label", "meaning"]
    assert rows(capsys, "show", "project")[0] == ["what", "value"]
    assert rows(capsys, "doctor")[0] == ["check", "", "found"]


def test_a_pipe_has_all_digits_and_a_person_is_given_four(here: Path, capsys: Capture) -> None:
    evaluate = ("evaluate", "nDCG@10", "--qrels", "people.qrels", "--runs", "words.trec")
    (_, row) = rows(capsys, *evaluate)
    assert float(row[4]) == call(capsys, *evaluate, "--json").json["scores"]["words"]["nDCG@10"]["value"]
    assert f"words  {float(row[4]):.4f} [" in call(capsys, *evaluate, "--format", "text").out


def test_forms_of_a_table(here: Path, capsys: Capture) -> None:
    evaluate = ("evaluate", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "--format")
    assert call(capsys, *evaluate, "csv").out.splitlines()[0] == "qrels,group,tag,measure,value,low,high,n,reason"
    assert r"\toprule" in call(capsys, *evaluate, "latex").out
    assert call(capsys, *evaluate, "json").json == call(capsys, *evaluate[:-1], "--json").json
    assert "did you mean 'latex'" in call(capsys, *evaluate, "latx").error


def test_single_values_are_lines_of_run_measure_query_value(here: Path, capsys: Capture) -> None:
    asked = ("evaluate", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "--per-query")
    assert call(capsys, *asked).rows == [["words", "P@2", q, "0.5000"] for q in ("q1", "q2", "q3")]


@pytest.mark.parametrize(
    "argv",
    [
        "evaluate P@2 --qrels people.qrels --runs words.trec",
        "agree people.qrels people.qrels",
        "expand people.qrels --with people.qrels -o out.qrels",
        "compare P@2 --runs words.trec sight.trec --qrels people.qrels",
        "load shop",
        "pool",
        "retrieve bm25 shop --depth 2 -o out.trec",
        "describe",
        "judge",
        "report",
        "show judgment q1 p01",
        "show project",
        "doctor",
        "run --yes",
        "run --dry-run",
    ],
)
def test_json_is_all_there_is_on_stdout(here: Path, capsys: Capture, argv: str) -> None:
    call(capsys, "judge")  # a report needs something to report
    found = call(capsys, *argv.split(), "--json")
    assert found.code == 0, found.err
    assert isinstance(found.json, dict | list)


def test_words_do_not_mix_with_data(here: Path, capsys: Capture) -> None:
    judged = call(capsys, "judge")
    assert "15 to ask of lexical" in judged.err
    assert "lexical" not in judged.out
    assert "wrote" in call(capsys, "report").err
    warned = call(capsys, "evaluate", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "--leave-out-empty")
    assert warned.err == ""


def test_a_reader_that_has_gone_is_no_failure(here: Path) -> None:
    script = "from qrelkit.cli.main import main; main()"
    argv = [sys.executable, "-c", script, "evaluate", "P@2", "--qrels", "people.qrels", "--runs", "words.trec", "--per-query"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        ended = subprocess.run(argv, stdout=closed, stderr=subprocess.PIPE, cwd=here, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_qrels_and_runs_may_be_tables(here: Path, capsys: Capture) -> None:
    csv = "query_id,doc_id,grade\n" + "".join(f"{q},{d},{g}\n" for q, d, g in JUDGED)
    (here / "people.csv").write_text(csv, encoding="utf-8")
    ranked = [f"{q},{d},{r}\n" for q, docs in RUNS["words"].items() for r, d in enumerate(docs.split(), 1)]
    (here / "words.csv").write_text("query_id,doc_id,rank\n" + "".join(ranked), encoding="utf-8")
    found = call(capsys, "evaluate", "nDCG@10", "--qrels", "people.csv", "--runs", "words.csv", "--json").json
    plain = call(capsys, "evaluate", "nDCG@10", "--qrels", "people.qrels", "--runs", "words.trec", "--json").json
    assert found == plain


def test_a_column_map_is_not_needed_for_names_of_others(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"query-id\tcorpus-id\tscore\nq1\tp01\t2\n")
    found = call(capsys, "evaluate", "P@1", "--qrels", "-", "--runs", "words.trec", "--json").json
    assert found["scores"]["words"]["P@1"]["value"] == 1
