"""What a project does with its files: reviews, weights, runs to repair, columns by other names; and what it refuses."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cli.calling import call
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted
from qrelkit.core.run import Run
from qrelkit.measures.parse import grades_for_means, parse_measure
from qrelkit.measures.rank import Judged, Ranked
from qrelkit.project.project import Project
from servers.chat import ChatServer
from verbs.tiny import served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """A project whose pool the good assessor has judged."""
    with ChatServer(answer=verdict) as server:
        monkeypatch.chdir(write_tiny(tmp_path, **served(server.url)))
        assert call(capsys, "judge").code == 0
    return tmp_path


def frame(*rows: tuple[object, ...], names: str = "query_id doc_id grade") -> pl.DataFrame:
    return pl.DataFrame(rows, schema=names.split(), orient="row")


# reviews beside a file


def test_a_review_is_laid_over_the_file_of_the_same_assessor_pair_by_pair(shop: Path, capsys: Capture) -> None:
    (shop / "ann.qrels").write_text("q1 0 p01 2\nq1 0 p03 1\nq2 0 p04 2\n", encoding="utf-8")
    write_config(shop, qrels={"ann": "ann.qrels"})
    sheet = "query_id,doc_id,grade\nq1,p03,0\nq1,p09,1\nq2,p04,cannot_judge\n"
    (shop / "sheet.csv").write_text(sheet, encoding="utf-8")
    assert call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann").code == 0
    with Project.open() as project:
        human = project.human()
    assert list(human) == ["ann"]
    rows = human["ann"].frame.select("query_id", "doc_id", "grade", "outcome", "origin").rows()
    assert sorted(rows) == [
        ("q1", "p01", 2, "graded", "ann"),  # stays
        ("q1", "p03", 0, "graded", "ann"),  # the review wins
        ("q1", "p09", 1, "graded", "ann"),  # new
        ("q2", "p04", None, "refused", "ann"),  # the review takes it back
    ]


def test_a_merged_pair_keeps_its_origin() -> None:
    old = Qrels.of(frame(("q", "a", 1), ("q", "b", 1)), "old")
    new = Qrels.of(frame(("q", "b", 2)), "new")
    assert old.updated(new).frame.select("doc_id", "grade", "origin").rows() == [("a", 1, "old"), ("b", 2, "new")]
    assert old.updated(new).name == "old"


# grades and ids


@pytest.mark.parametrize("grades", [[1.0, 0.9], [1.0, float("nan")], ["1", "0.9"], ["1", "good"], [1, 2**31]])
def test_a_grade_that_is_no_whole_number_is_refused(grades: list[object]) -> None:
    rows = pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["a", "b"], "grade": grades})
    with pytest.raises(InputError, match=r"qrels 'x': the grade of query 'q', document 'b' is .*, not a whole number"):
        Qrels.of(rows, "x")


@pytest.mark.parametrize("grades", [[1.0, None], [True, None], ["1", None], [1, None]])
def test_a_whole_grade_and_none_stay_what_they_are(grades: list[object]) -> None:
    rows = pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["a", "b"], "grade": grades})
    assert Qrels.of(rows, "x").frame["grade"].to_list() == [1, None]


def test_a_frame_of_pandas_with_fractions_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    rows = pandas.DataFrame({"qid": ["q"], "docno": ["a"], "label": [0.9]})
    with pytest.raises(InputError, match=r"is 0\.9, not a whole number"):
        Qrels.from_pandas(rows)


@pytest.mark.parametrize("column", ["query_id", "doc_id"])
def test_a_row_without_an_id_is_refused(column: str) -> None:
    rows = pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["a", "b"], "grade": [1, 1], "score": [2.0, 1.0]})
    rows = rows.with_columns(pl.when(pl.col("doc_id") == "a").then(pl.col(column)).alias(column))
    with pytest.raises(InputError, match=rf"qrels 'x' has 1 row without a {column}; the first is row 2"):
        Qrels.of(rows, "x")
    with pytest.raises(InputError, match=rf"run 'x' has 1 row without a {column}; the first is row 2"):
        Run.of(rows, "x")


# agree, evaluate, compare, expand without files


def test_agree_in_a_project_minds_its_options(judged: Path, capsys: Capture) -> None:
    """Seven pairs; only q3 p08 (people 0, the assessor 1) differs. Traffic is 6, 1 and 2 or whatever the queries say."""
    plain = call(capsys, "agree", "--json").json
    assert plain["n"] == 7
    split = call(capsys, "agree", "--queries", "shop/queries.jsonl", "--by", "language", "--json").json
    assert set(split["by"]) == {"de", "en"}
    weighed = call(capsys, "agree", "--queries", "shop/queries.jsonl", "--weight", "traffic", "--json").json
    assert weighed["exact"]["value"] != plain["exact"]["value"]
    (judged / "seen.qrels").write_text("q3 0 p08 0\n", encoding="utf-8")
    left = call(capsys, "agree", "--exclude", "seen.qrels", "--json").json
    assert (left["n"], left["excluded"], left["exact"]["value"]) == (6, 1, 1.0)
    assert call(capsys, "agree", "--scale", "trec-0-3", "--json").json["confusion"]["labels"] == [0, 1, 2, 3]


def test_agree_in_a_project_can_clip(judged: Path, capsys: Capture) -> None:
    (judged / "ann.qrels").write_text("q1 0 p01 1\nq1 0 p03 1\nq3 0 p08 0\n", encoding="utf-8")
    config = (judged / "qrelkit.yaml").read_text(encoding="utf-8").removesuffix("}")
    (judged / "qrelkit.yaml").write_text(config + ', "qrels": {"ann": "ann.qrels"}}', encoding="utf-8")
    assert "scale" in call(capsys, "agree", "--scale", "binary").error
    # the assessor says 2, 1, 1 of them: the 2 becomes a 1
    found = call(capsys, "agree", "--scale", "binary", "--clip", "--json").json
    assert (found["clipped"], found["exact"]["value"]) == (1, pytest.approx(2 / 3))


def test_agree_in_a_project_takes_its_weight(judged: Path, capsys: Capture) -> None:
    asked = call(capsys, "agree", "--queries", "shop/queries.jsonl", "--weight", "traffic", "--json").json
    config = (judged / "qrelkit.yaml").read_text(encoding="utf-8").removesuffix("}")
    (judged / "qrelkit.yaml").write_text(config + ', "weight": "traffic"}', encoding="utf-8")
    assert call(capsys, "agree", "--json").json == asked


@pytest.mark.parametrize("verb", ["evaluate", "compare", "expand -o out.qrels"])
@pytest.mark.parametrize("option", ["--collapse", "--parents variants.csv"])
def test_what_is_about_files_is_refused_without_them(shop: Path, capsys: Capture, verb: str, option: str) -> None:
    (shop / "variants.csv").write_text("variant,parent\np02,p01\n", encoding="utf-8")
    said = call(capsys, *verb.split(), *option.split()).error
    assert f"{option.split()[0]} is about files named on the command line" in said
    assert f"`{option.split()[0][2:]}:` in qrelkit.yaml" in said


def test_columns_and_duplicates_are_refused_without_files(shop: Path, capsys: Capture) -> None:
    assert "--columns is about files" in call(capsys, "evaluate", "--columns", "score=s").error
    assert "--columns is about files" in call(capsys, "compare", "--columns", "score=s").error
    assert "--duplicates is about files" in call(capsys, "evaluate", "--duplicates", "max").error


# keys of a project


def test_a_project_collapses_its_runs(shop: Path, capsys: Capture) -> None:
    (shop / "twice.trec").write_text("q1 Q0 p01 1 3 t\nq1 Q0 p01 2 2 t\nq1 Q0 p02 3 1 t\n", encoding="utf-8")
    (shop / "variants.csv").write_text("variant,parent\np02,p01\n", encoding="utf-8")
    write_config(shop, runs=["twice.trec"])
    assert "--collapse" in call(capsys, "pool").error
    assert call(capsys, "pool", "--collapse", "--json").json["pairs"] == 2
    assert call(capsys, "pool", "--parents", "variants.csv", "--json").json["pairs"] == 1
    assert call(capsys, "pool", "twice.trec", "--collapse", "--json").json["pairs"] == 2
    write_config(shop, runs=["twice.trec"], collapse=True)
    assert call(capsys, "pool", "--json").json["pairs"] == 2
    write_config(shop, runs=["twice.trec"], parents="variants.csv")
    assert call(capsys, "pool", "--json").json["pairs"] == 1


def test_a_project_maps_the_columns_of_its_tables(shop: Path, capsys: Capture) -> None:
    (shop / "dense.csv").write_text("topic_no,sku,sim\nq1,p10,3\nq1,p01,2\n", encoding="utf-8")
    (shop / "ann.csv").write_text("topic_no,sku,grade\nq1,p01,2\n", encoding="utf-8")
    columns = {"query_id": "topic_no", "doc_id": "sku", "score": "sim"}
    write_config(shop, runs=["runs/*.trec", "dense.csv"], qrels={"ann": "ann.csv"}, columns=columns)
    with Project.open() as project:
        assert [run.tag for run in project.runs()] == ["sight", "words", "dense"]
        assert project.human()["ann"].frame["doc_id"].to_list() == ["p01"]
    assert "unknown column of runs and qrels 'doc'" in call(capsys, "pool", "--set", "columns={doc: sku}").error


def test_the_weight_of_a_project_is_a_column_of_its_queries(shop: Path) -> None:
    def weights(**config: str) -> dict[str, float] | None:
        write_config(shop, **config)
        with Project.open() as project:
            return project.weights()

    assert weights() is None
    found = weights(weight="traffic")
    assert found is not None
    assert set(found) == {"q1", "q2", "q3"}
    with pytest.raises(UnknownName, match=r"unknown column of the queries of shop \(weight:\) 'trafic'; did you mean 'traffic'"):
        weights(weight="trafic")
    with pytest.raises(InputError, match=r"weight: language: the language of query 'q1' is 'en', and no number"):
        weights(weight="language")


def test_a_project_without_weight_needs_no_collection() -> None:
    from qrelkit.project.config import Config

    assert Project(Config()).weights() is None


def test_evaluate_and_compare_in_a_project_take_its_weight(shop: Path, capsys: Capture) -> None:
    asked = call(capsys, "evaluate", "--queries", "shop/queries.jsonl", "--weight", "traffic", "--json").json
    differ = call(capsys, "compare", "--queries", "shop/queries.jsonl", "--weight", "traffic", "--json").json
    assert call(capsys, "evaluate", "--json").json != asked
    write_config(shop, weight="traffic")
    assert call(capsys, "evaluate", "--json").json == asked
    assert call(capsys, "compare", "--json").json == differ


# measures


@pytest.mark.parametrize("text", ["nDCG@1O", "nDCG(dcg=exp)@1O", "P@five", "P@", "ndcg@-1"])
def test_a_wrong_cutoff_is_said_to_be_one(text: str) -> None:
    cutoff = text.partition("@")[2]
    with pytest.raises(InputError, match=f"the cut-off is a rank, a whole number from 1, not '{cutoff}'") as error:
        parse_measure(text)
    assert "did you mean" not in str(error.value)


def test_a_wrong_share_is_said_to_be_one() -> None:
    with pytest.raises(InputError, match="a recall between 0 and 1, not '0,1'"):
        parse_measure("IPrec@0,1")


def test_grades_stand_for_themselves_where_there_are_no_probabilities_and_that_is_said() -> None:
    expected, plain = parse_measure("nDCG(gain=expected)@10"), parse_measure("nDCG@10")
    human = Qrels.of(frame(("q", "a", 2), ("q", "b", 1)), "ann")
    run = Run.of(frame(("q", "b", 2.0), ("q", "a", 1.0), names="query_id doc_id score"), "r")
    judged = Judged(human)
    assert expected.of(Ranked(run, judged)).tolist() == plain.of(Ranked(run, judged)).tolist()
    said = "ann has no probabilities: its grades stand for themselves in nDCG(gain=expected)@10"
    assert grades_for_means(judged, [plain, expected]) == [said]
    assert grades_for_means(judged, [plain]) == []
    some = Judged(Qrels.of(human.frame.with_columns(expected=pl.Series([1.5, None])), "mixed"))
    assert grades_for_means(some, [expected]) == []
    assert some.expected is not None
    assert some.expected.tolist() == [1.5, 1.0]


# words


def test_one_is_singular() -> None:
    assert [counted(1, "query"), counted(2, "query"), counted(1000, "pair"), counted(0, "reply")] == [
        "1 query",
        "2 queries",
        "1,000 pairs",
        "0 replies",
    ]
    assert repr(Qrels.of(frame(("q", "a", 1)), "x")) == "Qrels(x: 1 query, 1 pair)"
    assert repr(Run.of(frame(("q", "a", 1.0), names="query_id doc_id score"), "x")) == "Run(x: 1 query, 1 document)"
