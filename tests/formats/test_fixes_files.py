"""Files as they come: rows that are too short, columns by other names, documents listed twice."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import qrelkit as qk
from cli.calling import call
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.formats.files import column_map, distinct_runs, read_any_qrels, read_any_runs
from qrelkit.formats.tables import read_table

Capture = pytest.CaptureFixture[str]
MAP = {"query_id": "q", "doc_id": "sku", "score": "s", "grade": "g"}


def put(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "a,b,c\n1,2,3\n1,2\n", "a.csv:3: has 2 fields where the header has 3"),
        ("a.csv", 'a,b,c\n1,"x\ny",\n\n1\n', "a.csv:5: has 1 field where the header has 3"),
        ("a.csv", "\ufeffa,b\n1\n", "a.csv:2: has 1 field where the header has 2"),
        ("a.csv", "a,b\n1,2,3\n", "a.csv:2: has 3 fields where the header has 2"),
        ("a.tsv", "a\tb\tc\n1\t2\n", "a.tsv:2: has 2 fields where the header has 3"),
        ("a.csv.gz", gzip.compress(b"a,b,c\n1,2\n"), "a.csv.gz:2: has 2 fields where the header has 3"),
    ],
)
def test_a_row_with_other_fields_than_the_header_is_refused(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_table(put(tmp_path / name, content))
    assert says in str(caught.value)


def test_an_empty_last_field_and_blank_lines_are_fine(tmp_path: Path) -> None:
    frame = read_table(put(tmp_path / "a.csv", 'a,b,c\r\n1,2,\r\n\r\n1,"x,y",3\r\n,,\r\n'))
    assert frame.rows() == [("1", "2", None), ("1", "x,y", "3")]


def test_a_column_map_is_for_the_file_that_has_the_columns(tmp_path: Path) -> None:
    run = put(tmp_path / "run.csv", "q,sku,s\nq1,a,2\nq1,b,3\n")
    tabs = put(tmp_path / "run.tsv", "q\tsku\ts\nq1\ta\t2\nq1\tb\t3\n")
    qrels = put(tmp_path / "qrels.csv", "query_id,sku,g\nq1,a,1\n")
    trec = put(tmp_path / "plain.tsv", "q1\tQ0\ta\t1\t2\tt\n")
    for path in (run, tabs):
        (read,) = read_any_runs(path, columns=MAP)
        assert read.frame["doc_id"].to_list() == ["b", "a"]
    assert read_any_qrels(qrels, columns=MAP).frame.select("query_id", "doc_id", "grade").rows() == [("q1", "a", 1)]
    assert read_any_runs(trec, columns=MAP)[0].tag == "t"
    with pytest.raises(UnknownName, match=r"unknown column of .*run\.csv 'skuu'; did you mean 'sku'"):
        read_any_runs(run, columns=MAP | {"doc_id": "skuu"})


def test_a_column_map_is_read_strictly() -> None:
    assert column_map("query_id=qid, doc_id=sku") == {"query_id": "qid", "doc_id": "sku"}
    assert column_map("") == {}
    with pytest.raises(UnknownName, match="'query'; did you mean 'query_id'"):
        column_map("query=qid")
    for text in ("query_id", "query_id="):
        with pytest.raises(InputError, match="OURS=THEIRS"):
            column_map(text)


def test_evaluate_and_compare_take_a_column_map(tmp_path: Path, capsys: Capture) -> None:
    one = put(tmp_path / "one.csv", "q,sku,s\nq1,a,2\nq1,b,3\nq2,a,1\n")
    two = put(tmp_path / "two.csv", "q,sku,s\nq1,a,5\nq1,b,3\nq2,a,1\n")
    qrels = put(tmp_path / "qrels.csv", "q,sku,g\nq1,a,1\nq2,a,1\n")
    files = ("--runs", one, two, "--qrels", qrels, "--columns", "query_id=q,doc_id=sku,score=s,grade=g", "--json")
    found = call(capsys, "evaluate", "RR", *files).json
    assert [found["scores"][tag]["RR"]["value"] for tag in ("one", "two")] == [0.75, 1.0]
    (pair,) = call(capsys, "compare", "RR", *files).json["pairs"]
    assert pair["diff"] == -0.25


def test_variants_collapse_also_where_a_run_lists_one_twice(tmp_path: Path) -> None:
    trec = put(tmp_path / "r.trec", "1 Q0 a-red 1 4 t\n1 Q0 a-red 2 3 t\n1 Q0 b 3 2 t\n1 Q0 a-blue 4 1 t\n")
    table = put(tmp_path / "r.csv", "query_id,doc_id,score\n1,a-red,4\n1,a-red,3\n1,b,2\n1,a-blue,1\n")
    parents = put(tmp_path / "p.csv", "variant,parent\na-red,a\na-blue,a\n")
    for path in (trec, table):
        (run,) = distinct_runs([path], parents=parents)
        assert (run.frame["doc_id"].to_list(), run.notes) == (["a", "b"], {"collapsed": 2})


def test_compare_and_expand_collapse(tmp_path: Path, capsys: Capture) -> None:
    one = put(tmp_path / "one.trec", "1 Q0 a 1 4 x\n1 Q0 a 2 3 x\n1 Q0 b 3 2 x\n2 Q0 b 1 1 x\n")
    two = put(tmp_path / "two.trec", "1 Q0 b 1 4 y\n2 Q0 b 1 1 y\n")
    qrels = put(tmp_path / "human.qrels", "1 0 a 1\n2 0 b 1\n")
    model = put(tmp_path / "model.qrels", "1 0 a 0\n1 0 b 1\n1 0 c 1\n2 0 b 1\n")
    asked = ("compare", "RR", "--runs", one, two, "--qrels", qrels, "--json")
    assert "lists document 'a' twice for query '1' (1 such row in all)" in call(capsys, *asked).error
    (pair,) = call(capsys, *asked, "--collapse").json["pairs"]
    assert pair["diff"] == 0.5  # a at rank 1 against none, and b at rank 1 in both
    fill = ("expand", qrels, "--with", model, "--runs", one, "-o", tmp_path / "out.qrels", "--json")
    assert "--collapse" in call(capsys, *fill).error
    assert call(capsys, *fill, "--collapse").json["new"] == 1  # b of query 1; nobody retrieved c
    assert "--collapse is about files" in call(capsys, *fill[:4], *fill[6:], "--collapse").error


def test_tables_are_read_from_python(tmp_path: Path) -> None:
    path = put(tmp_path / "engine.csv", "q,sku,s,g\nq1,a,2,1\n")
    assert qk.read_table(path, {"query_id": "q"}).columns[0] == "query_id"
    assert qk.run_from_table(path, {"query_id": "q", "doc_id": "sku", "score": "s"}).tag == "engine"
    assert len(qk.runs_from_table(path, {"query_id": "q", "doc_id": "sku", "score": "s"})) == 1
    assert qk.qrels_from_table(path, {"query_id": "q", "doc_id": "sku", "grade": "g"}).grades == [1]
