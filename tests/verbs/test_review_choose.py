"""review --choose: pairs drawn by chance go out blind, and come back as a sample; probe in a project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import qrelkit as qk
from cli.calling import call
from qrelkit.project.review import sample
from servers.chat import ChatServer
from verbs.test_review_verb import fill, read, truth
from verbs.tiny import PAIRS, served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Iterator[Path]:
    """A judged shop that people graded nothing of."""
    monkeypatch.chdir(write_tiny(tmp_path))
    (tmp_path / "shop" / "qrels.txt").unlink()
    with ChatServer(answer=verdict) as server:
        write_config(tmp_path, **served(server.url))
        assert call(capsys, "judge").code == 0
        yield tmp_path


def probabilities(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, separator="\t", schema_overrides={"query_id": pl.String, "doc_id": pl.String})


def test_the_sheet_is_blind_and_its_probabilities_lie_beside_it(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "review", "--to", "sheet.csv", "--choose", "decision", "-n", 6, "--between", "words", "sight")
    assert (found.code, len(read(shop / "sheet.csv"))) == (0, 6)
    assert "keep it beside the sheet" in found.err
    beside = probabilities(shop / "sheet.prob.tsv")
    assert beside.columns == ["query_id", "doc_id", "probability", "round"]
    assert beside["round"].to_list() == [1] * 6
    assert beside["probability"].is_between(0, 1).all()
    rows = read(shop / "sheet.csv")
    assert {(row["query_id"], row["doc_id"]) for row in rows} == set(beside.select("query_id", "doc_id").iter_rows())
    assert len({row["drawing"] for row in rows}) == 1
    assert rows[0]["drawing"].startswith("decision:")
    text = (shop / "sheet.csv").read_text(encoding="utf-8-sig")
    assert not any(word in text for word in ("words", "sight", "tiny", *map(str, beside["probability"])))


def test_rounds_of_drawn_grades_are_a_sample(shop: Path, capsys: Capture) -> None:
    for number, name in enumerate(("one.csv", "two.csv"), 1):
        call(capsys, "review", "--to", name, "--choose", "uncertainty", "-n", 5)
        fill(shop / name, truth)
        found = call(capsys, "review", "--from", name, "--assessor", "ann", "--json").json
        assert (found["added"], found["drawn"], found["warnings"]) == (5, 5, [])
        with qk.Project.open() as project:
            human, warnings = sample(project)
        assert human is not None
        assert (len(human), human.frame["round"].max(), warnings) == (5 * number, number, [])
    first = human.frame.filter(round=1).select("query_id", "doc_id", "probability").sort("query_id", "doc_id")
    assert first.equals(probabilities(shop / "one.prob.tsv").select(first.columns).sort("query_id", "doc_id"))
    assert call(capsys, "review", "--from", "one.csv", "--assessor", "ann", "--json").json["known"] == 5
    call(capsys, "review", "--to", "rest.csv", "--choose", "uniform", "-n", 50)
    assert len(read(shop / "rest.csv")) == PAIRS - 10
    assert set(probabilities(shop / "rest.prob.tsv")["probability"]) == {1.0}


def test_a_sheet_that_lost_its_probabilities_keeps_its_grades_and_says_what_they_are_not(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv", "--choose", "decision", "-n", 5)
    fill(shop / "sheet.csv", truth)
    (shop / "sheet.prob.tsv").rename(shop / "elsewhere.tsv")
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json")
    assert (found.code, found.json["added"], found.json["drawn"]) == (0, 5, 0)
    assert "cannot stand for the pairs that were not drawn" in found.json["warnings"][0]
    assert "sheet.prob.tsv" in found.err
    with qk.Project.open() as project:
        human, warnings = sample(project)
        assert human is None
        assert "left out of the correction" in warnings[0]
        assert len(project.human()["ann"]) == 5
    (shop / "elsewhere.tsv").rename(shop / "sheet.prob.tsv")
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json").json
    assert (found["added"], found["corrected"], found["known"], found["drawn"]) == (5, 0, 0, 5)
    with qk.Project.open() as project:
        human, warnings = sample(project)
    assert (human is not None and len(human), warnings) == (5, [])


def test_a_changed_grade_of_a_drawn_pair_is_a_correction(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv", "--choose", "label", "-n", 4)
    fill(shop / "sheet.csv", lambda row: 0)
    call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
    fill(shop / "sheet.csv", lambda row: 2)
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json").json
    assert (found["added"], found["corrected"], found["drawn"]) == (0, 4, 4)
    with qk.Project.open() as project:
        human, _ = sample(project)
    assert human is not None
    assert (human.frame["grade"].to_list(), human.frame["round"].to_list()) == ([2] * 4, [1] * 4)


def test_grades_that_were_not_drawn_are_no_sample_unless_they_are_all(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "few.csv", "-n", 4)
    fill(shop / "few.csv", truth)
    call(capsys, "review", "--from", "few.csv", "--assessor", "ann")
    with qk.Project.open() as project:
        human, (warning,) = sample(project)
    assert human is None
    assert warning.startswith(
        f"none of the 4 pairs that people graded was drawn by chance, so they do not stand for the {PAIRS - 4}"
    )
    call(capsys, "review", "--to", "sheet.csv", "--choose", "uniform", "-n", 3)
    assert not {(r["query_id"], r["doc_id"]) for r in read(shop / "sheet.csv")} & {
        (r["query_id"], r["doc_id"]) for r in read(shop / "few.csv")
    }
    call(capsys, "review", "--to", "all.csv")
    fill(shop / "all.csv", truth)
    call(capsys, "review", "--from", "all.csv", "--assessor", "ann")
    with qk.Project.open() as project:
        human, warnings = sample(project)
    assert (human is not None and len(human), warnings) == (PAIRS, [])


def test_two_sheets_that_are_out_at_once_are_two_drawings(shop: Path, capsys: Capture) -> None:
    for name in ("one.csv", "two.csv"):
        call(capsys, "review", "--to", name, "--choose", "uniform", "-n", 6)
        fill(shop / name, truth)
    drawn = [set(probabilities(shop / f"{name}.prob.tsv").select("query_id", "doc_id").iter_rows()) for name in ("one", "two")]
    assert drawn[0] != drawn[1]
    for name in ("two.csv", "one.csv"):
        call(capsys, "review", "--from", name, "--assessor", "ann")
    with qk.Project.open() as project:
        human, _ = sample(project)
    assert human is not None
    rounds = {(q, d): r for q, d, r in human.frame.select("query_id", "doc_id", "round").iter_rows()}
    assert rounds == dict.fromkeys(drawn[0], 2) | dict.fromkeys(drawn[1], 1)


def test_a_spread_asks_for_a_panel(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "review", "--to", "sheet.csv", "--choose", "spread", "-n", 4)
    assert "two judges or more" in found.error
    assert not (shop / "sheet.prob.tsv").exists()
    config = json.loads((shop / "qrelkit.yaml").read_text(encoding="utf-8"))
    config["judge"] = {"panel": [{"model": "openai:tiny", "name": "it's one"}, {"model": "lexical", "name": "two"}]}
    (shop / "qrelkit.yaml").write_text(json.dumps(config), encoding="utf-8")
    assert call(capsys, "judge").code == 0
    assert call(capsys, "review", "--to", "sheet.csv", "--choose", "spread", "-n", 4).code == 0
    assert len(read(shop / "sheet.csv")) == 4


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ("--to s.csv --choose decision", "-n, how many"),
        ("--to s.csv -n 3 --between words", "give it"),
        ("--to s.csv -n 3 --choose best", "unknown rule 'best'"),
        ("--to s.csv -n 3 --choose decision --between word", "unknown system 'word'; did you mean 'words'"),
        ("--to s.csv -n 3 --choose decision --measure nDCF@3", "nDCF"),
    ],
)
def test_what_cannot_be_drawn(shop: Path, capsys: Capture, argv: str, complaint: str) -> None:
    found = call(capsys, "review", *argv.split())
    assert found.code == 1
    assert complaint in found.error
    assert not (shop / "s.csv").exists()


# probe in a project


def test_a_project_is_probed_with_what_people_graded_of_drawn_pairs(shop: Path, capsys: Capture) -> None:
    config = json.loads((shop / "qrelkit.yaml").read_text(encoding="utf-8"))
    (shop / "qrelkit.yaml").write_text(json.dumps(config | {"systems": {"sight": "openai:gpt-4o"}}), encoding="utf-8")
    found = call(capsys, "probe", "--json")
    assert (found.code, found.json["lead"], found.json["warnings"]) == (0, None, [])
    assert found.json["judge"]["rank"] == 1
    call(capsys, "review", "--to", "sheet.csv", "--choose", "decision", "-n", 8)
    fill(shop / "sheet.csv", truth)
    call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
    found = call(capsys, "probe", "P@2", "--json").json
    assert (found["measure"], found["labels"], found["excluded"]) == ("P@2", 8, False)  # the judge says what ann says


def test_files_are_probed_too(shop: Path, capsys: Capture) -> None:
    call(capsys, "judge", "-o", "gpt-4o.qrels")
    (shop / "runs" / "rerank-gpt.trec").write_text("q1 Q0 p01 1 9 rerank-gpt\nq2 Q0 p04 1 9 rerank-gpt\n", encoding="utf-8")
    runs = [shop / "runs" / f"{tag}.trec" for tag in ("words", "sight", "rerank-gpt")]
    found = call(capsys, "probe", "nDCG@10", "--runs", *runs, "--judge", "gpt-4o.qrels", "--human", "gpt-4o.qrels")
    assert (found.code, "sorted-by-gpt-4o" in found.out) == (0, True)
    assert "rerank-gpt is of a judge's own model family" in found.err
    assert "needs a measure" in call(capsys, "probe", "--runs", runs[0]).error
