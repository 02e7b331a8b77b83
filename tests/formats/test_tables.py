"""Tables in and out: ids stay strings, numbers are numbers or an error with its line, nothing missing becomes 0."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.formats.tables import (
    names_of,
    qrels_from_table,
    read_table,
    run_from_table,
    runs_from_table,
    write_table,
)


def put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ROWS = 'query_id,doc_id,score,note\n007,"a,1",2.5,"x\ny"\n8,b,-1e-3,\n'


def test_ids_stay_strings_and_scores_are_numbers_in_every_format(tmp_path: Path) -> None:
    frame = read_table(put(tmp_path / "a.csv", ROWS))
    assert frame.rows() == [("007", "a,1", 2.5, "x\ny"), ("8", "b", -0.001, None)]
    assert frame.schema == {"query_id": pl.String, "doc_id": pl.String, "score": pl.Float64, "note": pl.String}
    packed = put(tmp_path / "b.csv.gz", gzip.compress(b"\xef\xbb\xbf" + ROWS.replace("\n8", "\r\n8").encode()))
    assert read_table(packed).equals(frame)
    for name in ("c.parquet", "d.jsonl", "e.jsonl.gz", "f.csv", "g.csv.gz"):
        write_table(frame, tmp_path / name)
        assert read_table(tmp_path / name).equals(frame), name
        assert names_of(tmp_path / name) == frame.columns
    put(tmp_path / "h.jsonl", '{"query_id": 7, "doc_id": "d"}\n\n{"query_id": 8, "doc_id": "e", "score": 1}\n')
    assert read_table(tmp_path / "h.jsonl").rows() == [("7", "d", None), ("8", "e", 1.0)]


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    frame = read_table(put(tmp_path / "a.tsv", 'doc_id\ttext\n007\t"5" pipe\n'))
    assert frame.rows() == [("007", '"5" pipe')]
    write_table(frame, tmp_path / "b.tsv.gz")
    assert read_table(tmp_path / "b.tsv.gz").equals(frame)
    with pytest.raises(InputError, match="column 'text' holds tabs or line ends"):
        write_table(pl.DataFrame({"text": ["a\tb"]}), tmp_path / "c.tsv")
    assert not (tmp_path / "c.tsv").exists()


def test_writing_the_same_twice_gives_the_same_bytes_and_leaves_nothing_beside(tmp_path: Path) -> None:
    frame = pl.DataFrame({"doc_id": ["a"]})
    write_table(frame, tmp_path / "a.csv.gz")
    first = (tmp_path / "a.csv.gz").read_bytes()
    write_table(frame, tmp_path / "a.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == first
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.csv.gz"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "query_id,doc_id,grade\n1,d,2\n1,e,high\n", "a.csv:3: grade is 'high', not a whole number"),
        ("a.csv", 'query_id,doc_id,grade\n"1\n",d,2\n\n1,e,1.5\n', "a.csv:5: grade is '1.5', not a whole number"),
        ("a.csv", "query_id,doc_id,score\n1,d,nan\n", "a.csv:2: score is 'nan', not a number"),
        ("a.csv", "query_id,doc_id\n1,d\n,e\n", "a.csv:3: has no query_id"),
        ("a.csv", "query_id,doc_id\n1,d,x\n", "a.csv:2: has 3 fields where the header has 2"),
        ("a.csv", b"query_id,doc_id\n1,\xff\n", "a.csv:2: is not UTF-8 (byte 0xff at position 3)"),
        (
            "a.csv",
            'query_id,doc_id\n1,d\n2,"e\n',
            "a.csv:3: unexpected end of data; is a quote in or after this line not closed?",
        ),
        ("a.csv", "", "a.csv: is empty"),
        ("a.jsonl", '{"grade": 1}\n\n{"grade": "x"}\n', "a.jsonl:3: grade is 'x', not a whole number"),
        ("a.jsonl", '{"doc_id": 1.5}\n', "column 'doc_id' is Float64; an id is a string"),
        ("a.jsonl", "\n", "a.jsonl: is empty"),
        ("a.parquet", "no parquet", "a.parquet: cannot be read as Parquet"),
        ("a.xlsx", "x", "a.xlsx: is no table we know by its name"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_table(put(tmp_path / name, content))
    assert says in str(caught.value)


def test_an_absent_file_and_an_unknown_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.csv: cannot be opened"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(UnknownName, match=r"unknown column of .*a.csv 'scor'; did you mean 'score'"):
        read_table(put(tmp_path / "a.csv", ROWS), {"score": "scor"})


def test_a_run_may_have_ranks_and_no_scores(tmp_path: Path) -> None:
    path = put(tmp_path / "mine.csv", "qid,docno,position\n1,b,2\n1,a,1\n1,c,10\n")
    run = run_from_table(path, {"rank": "position"})
    assert run.tag == "mine"
    assert run.frame.select("query_id", "doc_id", "rank").rows() == [("1", "a", 1), ("1", "b", 2), ("1", "c", 3)]
    assert run_from_table(path, {"rank": "position"}, tag="other").tag == "other"


def test_variants_collapse_to_their_parent_and_are_counted(tmp_path: Path) -> None:
    path = put(tmp_path / "r.csv", "query_id,doc_id,score\n1,a-red,3\n1,b,2\n1,a-blue,1\n")
    run = run_from_table(path, parents={"a-red": "a", "a-blue": "a"})
    assert run.frame["doc_id"].to_list() == ["a", "b"]
    assert run.notes == {"collapsed": 1}
    twice = put(tmp_path / "t.csv", "query_id,doc_id,score\n1,a,3\n1,a,2\n")
    with pytest.raises(InputError, match=r"t.csv: run 't' lists document 'a' twice"):
        run_from_table(twice)
    assert len(run_from_table(twice, duplicates="collapse")) == 1


def test_a_tag_column_makes_several_runs(tmp_path: Path) -> None:
    path = put(tmp_path / "runs.csv", "system,query_id,doc_id,score\nB,1,a,1\nA,1,a,2\nB,1,b,2\n")
    runs = runs_from_table(path)
    assert [(run.tag, run.frame["doc_id"].to_list()) for run in runs] == [("B", ["b", "a"]), ("A", ["a"])]
    with pytest.raises(InputError, match="holds 2 runs"):
        run_from_table(path)


def test_qrels_under_the_names_of_others_and_an_empty_grade_is_none(tmp_path: Path) -> None:
    for name, header in (
        ("beir.csv", "query-id,corpus-id,score"),
        ("pt.csv", "qid,docno,label"),
        ("own.csv", "query_id,doc_id,grade"),
    ):
        qrels = qrels_from_table(put(tmp_path / name, header + "\n007,d,2\n007,e,0\n007,f,\n"))
        assert qrels.frame["grade"].to_list() == [2, 0, None]
        assert (qrels.name, qrels.frame["query_id"][0]) == (name[:-4], "007")
    r2med = put(tmp_path / "q.jsonl", '{"q_id": "0", "p_id": "a/b.txt", "score": 1.0}\n')
    assert qrels_from_table(r2med, name="ann").frame.select("doc_id", "grade", "origin").rows() == [("a/b.txt", 1, "ann")]
    clash = put(tmp_path / "clash.csv", "query_id,doc_id,grade\n1,d,2\n1,d,1\n")
    with pytest.raises(InputError, match=r"clash.csv: 1 pair with several different grades"):
        qrels_from_table(clash)
    assert qrels_from_table(clash, duplicates="max").frame["grade"].to_list() == [2]
    with pytest.raises(InputError, match="qrels need a column 'grade'"):
        qrels_from_table(put(tmp_path / "none.csv", "query_id,doc_id\n1,d\n"))
