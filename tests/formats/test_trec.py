"""TREC files: what is read, what is refused and where, and that writing and reading agree."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats import trec
from qrelkit.formats.trec import distinct_tags, read_qrels, read_run, read_runs, write_qrels, write_run

QRELS = [("q1", "a/b.c", 2), ("q1", "d", 0), ("q2", "d", -1)]
RUN = [("q1", "d", 2.5, 1), ("q1", "a/b.c", 1.0, 2), ("q2", "e", 0.5, 1)]


def put(folder: Path, text: str | bytes, name: str = "file.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def grades(qrels: Qrels) -> list[tuple[object, ...]]:
    return qrels.frame.select("query_id", "doc_id", "grade").rows()


@pytest.mark.parametrize(
    "text",
    [
        "q1 0 a/b.c 2\nq1 0 d 0\nq2 0 d -1\n",
        "q1\t0\ta/b.c\t2\nq1\t0\td\t0\nq2\t0\td\t-1",
        "  q1 0\t\ta/b.c   2 \r\nq1 Q0 d 0\t\r\n\r\nq2 1.5 d -1\r\n\r\n",
        "# a comment\nq1 0 a/b.c 2\n\n#another\nq1 0 d 0\nq2 0 d -1\n",
        "q1 0 a/b.c 2.0\nq1 0 d 0\nq2 0 d -1\n",
        "q1 a/b.c 2\nq1 d 0\nq2 d -1\n",
        "query-id\tcorpus-id\tscore\nq1\ta/b.c\t2\nq1\td\t0\nq2\td\t-1\n",
        "\ufeffquery-id\tcorpus-id\tscore\nq1\ta/b.c\t2.0\nq1\td\t0.0\nq2\td\t-1.0\n",
        "qid iter docno label\nq1 0 a/b.c 2\nq1 0 d 0\nq2 0 d -1\n",
    ],
)
def test_qrels_are_read_whatever_separates_and_heads_them(tmp_path: Path, text: str) -> None:
    assert grades(read_qrels(put(tmp_path, text))) == QRELS
    assert grades(read_qrels(put(tmp_path, gzip.compress(text.encode()), "file.gz"))) == QRELS


@pytest.mark.parametrize(
    "text",
    [
        "q1 Q0 d 1 2.5 tag\nq1 Q0 a/b.c 2 1.0 tag\nq2 Q0 e 1 0.5 tag\n",
        "q1\tITER\td\tRANK\t2.5\ttag\nq1\tITER\ta/b.c\tRANK\t1.0\ttag\nq2\tITER\te\tRANK\t.5\ttag\n",
        "q2 Q0 e 7 5e-1 tag and more\n q1 Q0 a/b.c 7  1 tag junk\n\nq1 Q0 d 7 +2.5 tag\n",
        "query_id\tdoc_id\tscore\trun\nq1\td\t2.5\ttag\nq1\ta/b.c\t1\ttag\nq2\te\t0.5\ttag\n",
        "tag\tq1\td\t1\t2.5\ntag\tq1\ta/b.c\t2\t1.0\ntag\tq2\te\t1\t0.5\n",
    ],
)
def test_a_run_is_read_by_its_scores_whatever_stands_in_the_other_columns(tmp_path: Path, text: str) -> None:
    run = read_run(put(tmp_path, text))
    assert (run.tag, run.frame.sort("query_id", "rank").rows()) == ("tag", RUN)


def test_a_run_without_tags_is_called_after_its_file(tmp_path: Path) -> None:
    assert read_run(put(tmp_path, "q1 Q0 d 1 2.5\n", "bm25.trec.gz")).tag == "bm25"


def test_a_table_of_many_runs_is_one_run_per_tag_and_tags_may_have_blanks(tmp_path: Path) -> None:
    runs = read_runs(put(tmp_path, "my run\tq1\td\t1\t2.5\nother\tq1\td\t1\t9\nmy run\tq1\te\t2\t1\n"))
    assert [(run.tag, len(run)) for run in runs] == [("my run", 2), ("other", 1)]
    with pytest.raises(InputError, match="holds 2 runs"):
        read_run(tmp_path / "file.txt")


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"q1 0 d 1\n")))
    qrels = read_qrels("-")
    assert (qrels.name, grades(qrels)) == ("stdin", [("q1", "d", 1)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("q1 0 d 1\nq1 0 e\n", r"file.txt:2: 3 columns where 4 are expected \(query iteration doc grade\): 'q1 0 e'"),
        ("# c\n\nq1 0 d 1\nq1 0 e 1 x\n", "file.txt:4: 5 columns"),
        ("q1 0 d 1\nq1 0 e good\n", "file.txt:2: grade 'good' is not a number"),
        ("q1 0 d 1\nq1 0 e 0.5\n", "file.txt:2: grade '0.5' is not a whole number"),
        ("q1 0 d 1\nq1 0 e 1_0\n", "file.txt:2: grade '1_0'"),
        ("q1 0 d 1\nq1 0 e 99999999999\n", "file.txt:2: grade '99999999999'"),
        (b"q1 0 d 1\nq1 0 caf\xe9 1\n", "file.txt:2: not UTF-8 .byte 0xe9 at offset 17"),
        ("q1 0 d 1\nq2 0 d 1\n\nq1 0 d 2\n", r"different grades.*\(.*file.txt:1, .*file.txt:4\)"),
        ("", "holds no rows"),
        ("# only a comment\n\n", "holds no rows"),
        ("query-id\tcorpus-id\tscore\n", "a header and no rows"),
        ("q1,0,d,1\n", "1 column: .*looks like CSV"),
        (gzip.compress(b"q1 0 d 1\n" * 99)[:-9], "gzip data is broken or cut short"),
    ],
)
def test_broken_qrels_are_refused_with_file_line_and_way_out(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_qrels(put(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("q1 Q0 d 1 2.5 t\nq1 Q0 e 2 high t\n", "file.txt:2: score 'high' is not a number"),
        ("q1 Q0 d 1 2.5 t\nq1 Q0 e 2 nan t\n", "file.txt:2: score 'nan' is not a number"),
        ("q1 Q0 d 1 2.5 t\nq1 Q0 e 2 1.5\n", "file.txt:2: 5 columns where 6"),
        ("q1 Q0 d 1 2.5 t\nq1 Q0  e 1 t\n", "file.txt:2: 5 columns where 6"),
        ("q1 Q0 d 1 2.5 7\nq1 Q0 e  2 7\n", "file.txt:2: 5 columns where 6"),
        ("q1 Q0 d 1 2.5 t\nq1 Q0 e t 2\n", "file.txt:2: 5 columns where 6"),
        ("t\tq1\td\t1\t2\nt\tq1\t\t2\t1\n", "file.txt:2: 4 columns where 5"),
        ("q1 Q0 d 1 2.5 t\nq1 Q0 e 2 1 t\nq1 Q0 d 3 .5 t\n", r"lists document 'd' twice.*\(.*file.txt:1, .*file.txt:3\)"),
        ("q1 d 1\n", "the first line has 3 columns"),
    ],
)
def test_broken_runs_are_refused_with_file_line_and_way_out(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_runs(put(tmp_path, text))


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.txt: cannot be read \(No such file"):
        read_qrels(tmp_path / "nothing.txt")


def test_duplicates_are_settled_when_a_rule_is_named(tmp_path: Path) -> None:
    assert grades(read_qrels(put(tmp_path, "q 0 d 1\nq 0 d 3\n"), duplicates="max")) == [("q", "d", 3)]
    run = read_run(put(tmp_path, "q Q0 d 1 3 t\nq Q0 d 2 1 t\n"), duplicates="collapse")
    assert (len(run), run.notes) == (1, {"collapsed": 1})


def test_the_fast_and_the_patient_reader_agree(data: Path) -> None:
    for name in ("trec_dl19/runs/bm25base_p.gz", "trec_dl19/runs_top20.tsv.gz", "cacm/runs/trec_cacm_searchresults"):
        text = b"".join(trec.content(data / name).splitlines(keepends=True)[:20_000])
        layout = trec.run_layout(text, name)
        assert trec.table(text, layout, name).equals(trec.patient(text, layout, name))


def test_real_qrels_and_runs_are_read_whole(data: Path) -> None:
    assert len(read_qrels(data / "trec_dl19/qrels.human.txt")) == 9260
    assert len(read_qrels(data / "trec_eval_tests/qrels.comment.test")) == 5890
    assert len(read_qrels(data / "trec_covid_r1/qrels.txt")) == 8691
    assert len(read_runs(data / "trec_covid_r1/runs_top20.tsv.gz")) == 143
    assert [run.tag for run in read_runs(data / "cacm/runs/trec_cacm_searchresults")] == ["RUN"]


def test_conflicting_labels_of_a_real_file_are_refused_and_counted_under_a_rule(data: Path) -> None:
    messy = data / "trec_dl19/llm_labels/llama3.2_umbrela_messy.txt"
    with pytest.raises(InputError, match="pairs with several different grades"):
        read_qrels(messy)
    assert read_qrels(messy, duplicates="first").notes["conflicts"] > 0


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_what_is_written_is_read_back_the_same(tmp_path: Path, name: str) -> None:
    rows = pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["b", "a"], "score": [0.1 + 0.2, -1e-300]})
    run = Run.of(rows, "t")
    write_run(run, tmp_path / name)
    assert read_run(tmp_path / name).frame.equals(run.frame)
    qrels = Qrels.of(pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["b", "a"], "grade": [3, None]}), "x")
    write_qrels(qrels, tmp_path / name)
    assert grades(read_qrels(tmp_path / name)) == [("q", "b", 3)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_ids_that_a_trec_file_cannot_hold_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    run = Run.of(pl.DataFrame({"query_id": ["q"], "doc_id": ["two words"], "score": [1.0]}), "t")
    with pytest.raises(InputError, match="cannot hold the doc_id 'two words'"):
        write_run(run, tmp_path / "out.txt")
    assert not list(tmp_path.iterdir())


def test_tags_that_clash_become_file_names(tmp_path: Path) -> None:
    def run(tag: str) -> Run:
        return Run.of(pl.DataFrame({"query_id": ["q"], "doc_id": ["d"], "score": [1.0]}), tag)

    files = [(run("t"), "x/a.trec"), (run("t"), "x/b.trec.gz"), (run("own"), "x/c.txt")]
    assert [one.tag for one in distinct_tags(files)] == ["a", "b", "own"]
    folders = [(run("t"), "x/a.trec"), (run("t"), "y/a.trec")]
    assert [one.tag for one in distinct_tags(folders)] == ["x/a.trec", "y/a.trec"]
    tables = [(run("t"), "a.tsv"), (run("u"), "a.tsv"), (run("t"), "b.tsv")]
    assert [one.tag for one in distinct_tags(tables)] == ["a:t", "u", "b"]
    with pytest.raises(InputError, match="give each file once"):
        distinct_tags([(run("t"), "a.tsv"), (run("t"), "a.tsv")])
