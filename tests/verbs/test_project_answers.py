"""pool, agree, expand, evaluate, compare and report inside a project, and each as a function of qrelkit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import qrelkit as qk
from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import JUDGED, PAIRS, TRUTH, served, verdict, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """A project whose pool the good assessor has judged; its server is down by now."""
    with ChatServer(answer=verdict) as server:
        monkeypatch.chdir(write_tiny(tmp_path, **served(server.url)))
        assert call(capsys, "judge").code == 0
    return tmp_path


def test_pool(judged: Path, capsys: Capture) -> None:
    assert call(capsys, "pool", "--json").json == {"queries": 3, "pairs": PAIRS, "depth": 4, "runs": 2}
    assert call(capsys, "pool", "runs/words.trec", "--depth", 2, "--json").json["pairs"] == 6
    # of the 15 pairs 7 are judged
    assert call(capsys, "pool", "--holes-of", "shop/qrels.txt", "--json").json["pairs"] == PAIRS - len(JUDGED)
    call(capsys, "pool", "-o", "pool.tsv")
    lines = (judged / "pool.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "query_id\tdoc_id\ttags\tbest_rank"
    assert "q1\tp01\tsight words\t1" in lines


def test_agree(judged: Path, capsys: Capture) -> None:
    found = call(capsys, "agree", "--json").json
    # people: q1 p01 2, p03 1, p09 0; q2 p04 2, p06 0; q3 p07 2, p08 0. The assessor says 1 of the last.
    assert (found["assessor"], found["n"]) == ("openai:tiny", 7)
    assert found["exact"]["value"] == pytest.approx(6 / 7)
    assert found["confusion"]["labels"] == [0, 1, 2]


def test_expand(judged: Path, capsys: Capture) -> None:
    found = call(capsys, "expand", "-o", "mixed.qrels", "--json")
    assert (found.code, found.json["judged"], found.json["new"]) == (0, 7, 8)
    grades = {tuple(row.split()[0::2]): int(row.split()[3]) for row in (judged / "mixed.qrels").read_text("utf-8").splitlines()}
    people = {(q, d): g for q, d, g in JUDGED}
    assert {pair[:2] for pair in grades} >= set(people)
    assert len(grades) == PAIRS


def test_evaluate_shows_people_model_and_both(judged: Path, capsys: Capture) -> None:
    found = call(capsys, "evaluate", "P@2", "--no-ranges", "--json").json
    assert list(found["qrels"]) == ["qrels", "openai:tiny", "mixed"]
    # words, first two: q1 p01 p02, q2 p06 p04, q3 p07 p09; people know p01, p04, p07, the model p02 and p09 too
    values = {name: tree["scores"]["words"]["P@2"]["value"] for name, tree in found["qrels"].items()}
    assert values == pytest.approx({"qrels": 3 / 6, "openai:tiny": 5 / 6, "mixed": 5 / 6})
    plain = call(capsys, "evaluate", "P@2", "--qrels", "shop/qrels.txt", "--runs", "runs/words.trec", "--json").json
    assert plain["scores"]["words"] == found["scores"]["words"]


def test_compare(judged: Path, capsys: Capture) -> None:
    (pair,) = call(capsys, "compare", "P@2", "--json").json["pairs"]
    assert {pair["a"], pair["b"]} == {"words", "sight"}
    assert call(capsys, "compare", "--json").json["measure"] == "nDCG@10"


def test_report(judged: Path, capsys: Capture) -> None:
    assert call(capsys, "report", "-o", "out/page.html").code == 0
    page = (judged / "out" / "page.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)  # self-contained
    beside = json.loads((judged / "out" / "page.json").read_text(encoding="utf-8"))
    shown = call(capsys, "report", "--json").json
    assert beside["scores"] == shown["scores"]
    text = call(capsys, "report", "--text").out
    assert "nDCG@10" in text
    assert "openai:tiny" in text


def test_the_report_says_how_much_was_spent_whenever_it_is_written(judged: Path, capsys: Capture) -> None:
    (stage,) = call(capsys, "report", "--json").json["cost"]
    assert stage["asked"] == PAIRS


def test_nothing_asks_a_model(judged: Path, capsys: Capture) -> None:
    for argv in ("agree", "expand -o out.qrels", "evaluate", "compare", "report", "run", "judge", "show project", "doctor"):
        assert call(capsys, *argv.split()).code == 0, argv  # the server is down


def test_tables_are_split_by_a_column_of_the_queries(judged: Path, capsys: Capture) -> None:
    config = json.loads((judged / "qrelkit.yaml").read_text(encoding="utf-8"))
    (judged / "qrelkit.yaml").write_text(json.dumps(config | {"by": ["language"]}), encoding="utf-8")
    found = call(capsys, "report", "--json").json
    assert set(found["by"]["language"]) == {"de", "en"}
    # words puts p06 (0) before p04 (2) for the German query, sight the other way round
    assert found["by"]["language"]["de"]["sight"]["nDCG@10"]["value"] == 1
    asked = ("evaluate", "--by", "language", "--queries", "shop/queries.jsonl", "--json")
    assert set(call(capsys, *asked).json["by"]["values"]) == {"de", "en"}


def test_before_anything_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """What needs the judge says so; what people's grades allow is done by them alone."""
    monkeypatch.chdir(write_tiny(tmp_path))
    for argv in (["agree"], ["expand", "-o", "out.qrels"]):
        found = call(capsys, *argv)
        assert (found.code, "qrelkit judge" in found.error) == (1, True), (argv, found.err)
    for verb in ("report", "evaluate", "compare"):
        assert call(capsys, verb).code == 0, verb
    (tmp_path / "shop" / "qrels.txt").unlink()
    found = call(capsys, "evaluate")
    assert (found.code, "qrelkit judge" in found.error) == (1, True), found.err


# from Python


def test_from_python(judged: Path) -> None:
    collection = qk.load("shop")
    assert repr(collection) == "Collection(shop: 3 queries, 10 documents, 10 images)"
    runs = [qk.read_run("runs/words.trec"), qk.read_run("runs/sight.trec")]
    people = collection.qrels["qrels"]
    assert repr(qk.pool(runs, depth=4)) == "Pool(3 queries, 15 pairs, depth 4, 2 runs)"
    model = qk.Qrels.of(truth_frame(runs), "model")
    agreement = qk.agree(model, [people])
    assert agreement.figures.estimates["exact"].value == pytest.approx(6 / 7)
    expansion = qk.expand(people, model, pool=qk.pool(runs, depth=4))
    assert expansion.counts["new"] == 8
    scores = qk.evaluate(["P@2", qk.parse_measure("nDCG@10")], runs, {"people": people, "mixed": expansion.qrels})
    assert scores.estimate("words", "P@2", qrels="mixed").value == pytest.approx(5 / 6)
    ranking = qk.compare("P@2", runs, [people, model])
    assert ranking.queries == 3
    for found in (agreement, expansion, scores, ranking, runs[0], people):
        assert "\n" not in repr(found)


def test_files_go_out_and_come_back(judged: Path) -> None:
    run, people = qk.read_run("runs/words.trec"), qk.read_qrels("shop/qrels.txt")
    qk.write_run(run, "copy.trec.gz")
    qk.write_qrels(people, "copy.qrels")
    assert qk.read_run("copy.trec.gz").frame.equals(run.frame)
    assert qk.read_qrels("copy.qrels").frame.drop("origin").equals(people.frame.drop("origin"))


def test_pandas_goes_out_and_comes_back(judged: Path) -> None:
    pytest.importorskip("pandas")
    run, people = qk.read_run("runs/words.trec"), qk.read_qrels("shop/qrels.txt")
    assert list(run.to_pandas().columns) == ["qid", "docno", "score", "rank", "name"]
    assert qk.Run.from_pandas(run.to_pandas(), "words").frame.equals(run.frame)
    assert qk.Qrels.from_pandas(people.to_pandas()).grades == people.grades


def test_every_public_name_is_there() -> None:
    for name in qk.__all__:
        assert getattr(qk, name) is not None
    assert set(dir(qk)) == set(qk.__all__)


def truth_frame(runs: list[qk.Run]):  # type: ignore[no-untyped-def]
    import polars as pl

    frame = qk.pool(runs, depth=4).frame.select("query_id", "doc_id")
    return frame.with_columns(grade=pl.Series([TRUTH[q].get(d, 0) for q, d in frame.iter_rows()]))
