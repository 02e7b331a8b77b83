"""Bad input through the command line: one line with file and line and exit code 1, or counted and listed. Never a traceback."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

import pytest

from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
QRELS = b"q1 0 p01 2\nq1 0 p03 1\nq2 0 p04 2\nq3 0 p07 2\n"
RUN = b"q1 Q0 p01 1 9 a\nq1 Q0 p02 2 8 a\nq2 Q0 p04 1 9 a\nq3 Q0 p07 1 9 a\n"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound project, with sound.qrels and sound.trec beside it."""
    monkeypatch.chdir(write_tiny(tmp_path))
    (tmp_path / "sound.qrels").write_bytes(QRELS)
    (tmp_path / "sound.trec").write_bytes(RUN)
    return tmp_path


# qrels and runs


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("bad.qrels", QRELS + b"q3 0 p08\n", r"bad\.qrels:5: 3 columns where 4 are expected"),
        ("bad.qrels", QRELS + b"\nq3 0 p08 1 2 3\n", r"bad\.qrels:6: 6 columns where 4"),
        ("bad.qrels", QRELS + b"q3 0 p08 high\n", r"bad\.qrels:5: grade 'high' is not a number"),
        ("bad.qrels", QRELS + b"q3 0 p08 1.5\n", r"bad\.qrels:5: grade '1\.5' is not a whole number"),
        ("bad.qrels", QRELS + b"q3 0 p08 99999999999\n", r"bad\.qrels:5: grade"),
        ("bad.qrels", QRELS + b"q1 0 p01 0\n", r"bad\.qrels: 1 pair with several different grades.*bad\.qrels:1, bad\.qrels:5"),
        ("bad.qrels", b"", r"bad\.qrels: holds no rows"),
        ("bad.qrels", b"\n\n", r"bad\.qrels: holds no rows"),
        ("bad.qrels", b"query-id\tcorpus-id\tscore\n", r"bad\.qrels: holds a header and no rows"),
        ("bad.qrels", QRELS + "q3 0 p\xfc 1\n".encode("latin-1"), r"bad\.qrels:5: not UTF-8"),
        ("bad.qrels", "q1 0 p01 1\n".encode("utf-16"), r"bad\.qrels"),
        ("bad.qrels", b"query,doc,rel\nq1,p01,1\n", r"bad\.qrels: the first line has 1 column.*looks like CSV"),
        ("bad.qrels", gzip.compress(QRELS)[:-9], r"bad\.qrels: the gzip data is broken"),
        ("bad.csv", b"query_id,doc_id\nq1,p01\n", r"bad\.csv: .*'grade'"),
        ("bad.csv", b"query_id,doc_id,grade\nq1,p01,2\nq1,p02\n", r"bad\.csv:3: has 2 fields where the header has 3"),
        ("bad.csv", b"query_id,doc_id,grade\nq1,p01,two\n", r"bad\.csv:2: .*two"),
        ("bad.csv", b'query_id,doc_id,grade\nq1,"p01,2\n', r"bad\.csv:2"),
        ("bad.csv", b"query_id,doc_id,grade\nq1,p01,2\nq1,p01,1\n", r"bad\.csv: .*several different grades"),
        ("bad.csv", b"", r"bad\.csv"),
        ("bad.csv", b"query_id,doc_id,grade\n", r"bad"),
        ("bad.csv", "query_id,doc_id,grade\nq1,p\xfc,2\n".encode("latin-1"), r"bad\.csv:2: .*not UTF-8"),
        ("bad.jsonl", b'{"query_id": "q1", "doc_id": "p01", "grade": 1}\n{broken\n', r"bad\.jsonl:2: is not JSON"),
        ("bad.jsonl", b'["q1", "p01", 1]\n', r"bad\.jsonl:1: is not a JSON object"),
        ("bad.parquet", b"PAR1 and nothing else", r"bad\.parquet"),
    ],
)
def test_qrels(shop: Path, capsys: Capture, name: str, data: bytes, complaint: str) -> None:
    (shop / name).write_bytes(data)
    found = call(capsys, "evaluate", "P@2", "--qrels", name, "--runs", "sound.trec")
    assert found.code == 1
    assert re.match(complaint, found.error) or re.search(complaint, found.error), found.error


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("bad.trec", RUN + b"q3 Q0 p08\n", r"^bad\.trec:5: 3 columns where 6 are expected"),
        ("bad.trec", RUN + b"q3 Q0 p08 2 high a\n", r"^bad\.trec:5: score 'high' is not a number"),
        ("bad.trec", RUN + b"q3 Q0 p08 2 nan a\n", r"^bad\.trec:5: score 'nan' is not a number"),
        ("bad.trec", RUN + b"q1 Q0 p01 3 7 a\n", r"^bad\.trec: run 'a' lists document 'p01' twice.*bad\.trec:1, bad\.trec:5"),
        ("bad.trec", b"", r"^bad\.trec: holds no rows"),
        ("bad.trec", RUN + "q3 Q0 p\xe9 2 1 a\n".encode("latin-1"), r"^bad\.trec:5: not UTF-8"),
        (
            "bad.trec",
            b"x9 Q0 p01 1 9 a\n",
            r"run 'a' and qrels 'sound\.qrels' share no query: the run has x9, the qrels q1",
        ),
        ("bad.trec", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), r"^bad\.trec"),
        ("bad.tsv", b"a\tq1\tp01\t1\t9\na\tq1\tp02\t2\n", r"^bad\.tsv:2: "),
        ("bad.tsv", b"a\tq1\tp01\t1\t9\na\tq1\tp01\t2\t8\n", r"^bad\.tsv: run 'a' lists document 'p01' twice"),
        ("bad.csv", b"query_id,doc_id,place\nq1,p01,1\n", r"^bad\.csv: a run needs a column 'score' or 'rank'"),
        ("bad.csv", b"query_id,doc_id,score\nq1,p01,\n", r"^bad\.csv: .*without a usable score"),
        ("nowhere.trec", None, r"^nowhere\.trec: cannot be read"),
        (".", None, r"^\.: cannot be read"),
    ],
)
def test_runs(shop: Path, capsys: Capture, name: str, data: bytes | None, complaint: str) -> None:
    if data is not None:
        (shop / name).write_bytes(data)
    found = call(capsys, "evaluate", "P@2", "--qrels", "sound.qrels", "--runs", name)
    assert found.code == 1
    assert re.search(complaint, found.error), found.error


def test_duplicates_can_be_settled_by_name(shop: Path, capsys: Capture) -> None:
    (shop / "bad.qrels").write_bytes(QRELS + b"q1 0 p01 0\n")
    (shop / "bad.trec").write_bytes(RUN + b"q1 Q0 p01 3 7 a\n")
    asked = ("evaluate", "RR", "--qrels", "bad.qrels", "--runs", "bad.trec", "--collapse", "--json", "--duplicates")
    assert call(capsys, *asked, "max").json["scores"]["a"]["RR"]["value"] == 1
    assert call(capsys, *asked, "last").json["scores"]["a"]["RR"]["value"] == pytest.approx(2 / 3)


def test_queries_that_only_one_side_has_are_counted_and_listed(shop: Path, capsys: Capture) -> None:
    (shop / "other.trec").write_bytes(b"q1 Q0 p01 1 9 a\nx9 Q0 p01 1 9 a\n")
    found = call(capsys, "evaluate", "P@2", "--qrels", "sound.qrels", "--runs", "other.trec")
    assert found.code == 0
    assert "no document for 2 of 3 queries, which count 0: q2, q3" in found.err
    assert "1 queries without qrels, which are left out: x9" in found.err


def test_a_scale_that_does_not_fit_the_qrels(shop: Path, capsys: Capture) -> None:
    (shop / "shop" / "qrels.txt").write_bytes(QRELS + b"q3 0 p08 3\n")
    call(capsys, "judge")
    for argv in ("agree", "expand -o out.qrels", "report", "run"):
        found = call(capsys, *argv.split())
        assert found.code == 1, argv
        assert "grades [3] outside scale 'product-3' (0, 1, 2)" in found.err, argv
    checks = call(capsys, "doctor", "--json")
    assert checks.code == 1
    assert [c["what"] for c in checks.json if not c["sound"]] == ["scale fits them"]
    found = call(capsys, "agree", "sound.qrels", "shop/qrels.txt", "--scale", "binary")
    assert (found.code, "scale 'binary'" in found.error) == (1, True)


def test_agreement_without_a_shared_pair(shop: Path, capsys: Capture) -> None:
    (shop / "other.qrels").write_bytes(b"z 0 z 1\n")
    found = call(capsys, "agree", "other.qrels", "sound.qrels")
    assert found.code == 1
    assert "share no pair" in found.error
    assert "query 'z', document 'z'" in found.error


# collections


def corpus(shop: Path) -> Path:
    return shop / "shop" / "corpus.jsonl"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{broken\n", r"shop/corpus\.jsonl:11: is not JSON"),
        (b'["p11"]\n', r"shop/corpus\.jsonl:11: is not a JSON object"),
        (b'{"text": "no id"}\n', r"shop/corpus\.jsonl:11: has no id"),
        (b'{"id": "p11"}\n', r"shop/corpus\.jsonl:11: document 'p11' has no 'text'"),
        (b'{"id": "p11", "text": 7}\n', r"shop/corpus\.jsonl:11: text is int, not a string"),
        (b'{"id": "", "text": "x"}\n', r"shop/corpus\.jsonl:11: id is ''"),
        (b'{"id": "p01", "text": "another"}\n', r"shop/corpus\.jsonl:11: .*'p01'.*shop/corpus\.jsonl:1\b"),
        ('{"id": "p11", "text": "sch\xf6n"}\n'.encode("latin-1"), r"shop/corpus\.jsonl:11: is not UTF-8"),
        (b'{"id": "p11", "text": "x", "image": 7}\n', r"shop/corpus\.jsonl:11: an image is a path"),
    ],
)
def test_a_line_of_the_corpus(shop: Path, capsys: Capture, line: bytes, complaint: str) -> None:
    with corpus(shop).open("ab") as file:
        file.write(line)
    for argv in ("load shop", "judge"):
        found = call(capsys, *argv.split())
        assert found.code == 1
        assert re.search(complaint, found.error), found.error


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("corpus.jsonl", b"", r"shop: has no document"),
        ("queries.jsonl", b"", r"15 pairs .* not in the collection; the first is query 'q1'"),
        ("queries.jsonl", b'{"id": "q1", "text": "a"}\n{"id": "q1", "text": "b"}\n', r"queries\.jsonl:2: .*'q1'"),
        ("queries.jsonl", b'{"id": "q1"}\n', r"queries\.jsonl:1: query 'q1' has no 'text'"),
    ],
)
def test_a_file_of_the_collection(shop: Path, capsys: Capture, name: str, data: bytes, complaint: str) -> None:
    (shop / "shop" / name).write_bytes(data)
    found = call(capsys, "judge")
    assert found.code == 1
    assert re.search(complaint, found.error), found.error


def test_a_folder_that_is_no_collection(shop: Path, capsys: Capture) -> None:
    assert "has no corpus.jsonl" in call(capsys, "load", "runs").error
    assert "no such file or folder" in call(capsys, "load", "shpo").error
    (shop / "topics.tsv").write_text("q1\tred\tdress\n", encoding="utf-8")
    corpus(shop).rename(shop / "corpus.jsonl")
    assert re.search(r"topics\.tsv:1: has 2 tabs", call(capsys, "load", ".").error)


@pytest.mark.parametrize("kind", ["document", "query"])
def test_ids_of_a_run_that_the_collection_does_not_have(shop: Path, capsys: Capture, kind: str) -> None:
    line = {"document": b"q1 Q0 p99 1 999 words\n", "query": b"q9 Q0 p01 1 9 words\n"}[kind]
    with (shop / "runs" / "words.trec").open("ab") as file:
        file.write(line)
    found = call(capsys, "judge")
    assert found.code == 1
    assert {"document": "'p99'", "query": "'q9'"}[kind] in found.err.splitlines()[-1]
    checks = call(capsys, "doctor", "--json")
    assert checks.code == 1
    assert [c["what"] for c in checks.json if not c["sound"]] == ["runs fit the collection"]


def test_ids_of_qrels_that_the_collection_does_not_have_are_counted(shop: Path, capsys: Capture) -> None:
    (shop / "shop" / "qrels.txt").write_bytes(QRELS + b"q1 0 p99 1\nq9 0 p01 1\n")
    facts = call(capsys, "load", "shop", "--json").json["qrels"]["qrels"]
    assert (facts["unknown_documents"], facts["unknown_queries"]) == (1, 1)
    (shop / "shop" / "qrels.txt").write_bytes(b"q1 0 p01\n")
    found = call(capsys, "load", "shop", "--json")
    assert found.code == 0
    assert "error" in found.json["qrels"]["qrels"]
    assert call(capsys, "run", "--yes").code == 1


# a document of 1 MB


def test_a_document_of_a_megabyte_is_cut_for_the_judge_and_said_so(shop: Path, capsys: Capture) -> None:
    rows = [json.loads(line) for line in corpus(shop).read_text(encoding="utf-8").splitlines()]
    rows[0]["text"] = "Red summer dress, number p01. " + "word " * 200_000
    corpus(shop).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url))
        assert call(capsys, "judge").code == 0
        longest = max((json.dumps(body) for body in server.bodies), key=len)
        assert len(longest) < 50_000
        assert "was cut after 40000 characters" in longest
    assert call(capsys, "retrieve", "bm25", "shop", "-o", "out.trec").code == 0
    assert call(capsys, "review", "--to", "sheet.csv").code == 0
    assert call(capsys, "report").code == 0
    assert (shop / "report.html").stat().st_size < 500_000


# and nothing else breaks either


def test_ctrl_c_while_reading(shop: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        buffer = property(lambda self: self)

        def read(self) -> bytes:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    found = call(capsys, "evaluate", "P@2", "--qrels", "sound.qrels", "--runs", "-")
    assert found.code == 130
    assert found.out == ""


@pytest.mark.parametrize(
    "argv",
    [
        "evaluate P@2 --qrels sound.qrels --runs sound.trec sound.trec",
        "evaluate P@2 --qrels sound.qrels sound.qrels --runs sound.trec",
        "evaluate P@0 --qrels sound.qrels --runs sound.trec",
        "evaluate P --qrels sound.qrels --runs sound.trec",
        "evaluate nDCG@x --qrels sound.qrels --runs sound.trec",
        "evaluate P(rel=high)@2 --qrels sound.qrels --runs sound.trec",
        "evaluate P@2 --qrels sound.qrels --runs sound.trec --by language",
        "evaluate P@2 --qrels sound.qrels --runs sound.trec --queries shop/queries.jsonl --weight language",
        "compare P@2 --qrels sound.qrels --runs sound.trec",
        "compare P@2 --qrels sound.qrels --runs sound.trec runs/words.trec --tops ten",
        "compare P@2 --qrels sound.qrels a=sound.qrels b=sound.qrels --runs sound.trec runs/words.trec",
        "expand sound.qrels --with sound.qrels -o nowhere/out.qrels",
        "retrieve bm25 shop --depth 0 -o out.trec",
        "retrieve bm25 shop -o nowhere/out.trec",
        "retrieve bm25 shop -o out.trec --analyzer klingon",
        "pool -o pool.docx",
        "pool --depth 0",
        "pool -o nowhere/pool.tsv",
        "judge --budget-usd 0",
        "judge --model openai:",
        "judge --model gpt-4o",
        "judge --model openai:gpt-4o-mini",
        "judge --model scripted:nowhere.yaml",
        "judge --model replay:nowhere.jsonl",
        "judge --set judge.prompt=nowhere.jinja --model scripted:nowhere.yaml",
        "judge --set route",
        "judge --set measures=nDCG",
        "judge --set at_once=0",
        "judge --set store=shop",
        "review --from nowhere.csv --assessor ann",
        "review --to nowhere/sheet.csv",
        "run nowhere.yaml",
        "run nowhere.trec",
        "report -o shop",
        "show prompt nowhere.jinja",
        "load irds:no-such-thing",
        "init",
    ],
)
def test_one_line_says_what_is_wrong(shop: Path, capsys: Capture, argv: str) -> None:
    found = call(capsys, *argv.split())
    assert found.code == 1, found
    assert found.err.splitlines()[-1].startswith("qrelkit: "), found.err
    assert found.err.count("qrelkit: ") == 1
    assert found.out == ""


@pytest.mark.parametrize("where", [".qrelkit/store.db", "report.html"])
def test_a_file_in_the_way_that_is_no_store_or_report(shop: Path, capsys: Capture, where: str) -> None:
    file = shop / where
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"this is no database, and it is longer than a header of one would be" * 20)
    found = call(capsys, "run", "--yes")
    if where == "report.html":
        assert found.code == 0  # a report is made anew each time
    else:
        assert found.code == 1
        assert "store.db" in found.error


def test_numbers_below_zero_are_wrong_usage(shop: Path, capsys: Capture) -> None:
    assert call(capsys, "judge", "--limit", -1).code == 2
    assert call(capsys, "review", "--to", "sheet.csv", "-n", -1).code == 2
