"""report in a project: nothing to correct, a sample of people's grades, and all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.calling import call
from servers.chat import ChatServer
from verbs.test_review_verb import fill, truth
from verbs.tiny import served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Iterator[Path]:
    """A judged shop with seven grades of people that nobody drew by chance."""
    monkeypatch.chdir(write_tiny(tmp_path))
    with ChatServer(answer=verdict) as server:
        write_config(tmp_path, **served(server.url))
        assert call(capsys, "judge").code == 0
        yield tmp_path


def graded(shop: Path, capsys: Capture, name: str, n: int) -> None:
    """A sheet of n pairs, drawn evenly, comes back with ann's grades."""
    assert call(capsys, "review", "--to", name, "--choose", "uniform", "-n", n).code == 0
    fill(shop / name, truth)
    assert call(capsys, "review", "--from", name, "--assessor", "ann").code == 0


def test_grades_that_nobody_drew_correct_nothing_and_the_report_says_why(shop: Path, capsys: Capture) -> None:
    said = call(capsys, "report", "--json").json
    assert list(said["decision"]) == ["reason"]
    assert "was drawn by chance" in said["decision"]["reason"]
    assert list(said["scores"]) == ["qrels", "openai:tiny", "mixed"]
    assert said["scores"]["qrels"]["words"]["P@2"]["range"][1] > said["scores"]["qrels"]["words"]["P@2"]["value"]  # 8 holes
    assert "as qrels grades them" in str(said["conclusions"]) or said["conclusions"]["may"] == []
    assert said["expansion"]["leave_out"]["holes"]["openai:tiny"]["n"] == 2  # two runs
    text = call(capsys, "report", "--text").out
    assert "! The judge is not corrected by people: none of the 7 pairs" in text
    assert "One run left out at a time (nDCG@10 under qrels, had the run not been in the pool of depth 4)" in text


def test_a_sample_decides_and_its_holes_are_no_zeros(shop: Path, capsys: Capture) -> None:
    (shop / "shop" / "qrels.txt").unlink()
    graded(shop, capsys, "some.csv", 9)
    said = call(capsys, "report", "--json").json
    decision = said["decision"]
    assert (decision["design"], decision["estimand"], decision["labels"], decision["pairs_judged"]) == (
        "by pair", "these queries", 9, 15,
    )  # fmt: skip
    assert "9 of 15 pairs graded by people (sampled pairs)" in decision["heading"]
    assert said["headline"][0].endswith("by openai:tiny’s grades corrected with people’s of 9 of 15 pairs.")
    assert list(said["scores"]) == ["openai:tiny", "mixed"]  # people's nine with six holes as 0 would be misleading
    assert "correlation" not in said
    assert any("that openai:tiny is right" in words for words in said["conclusions"]["may_not"])
    assert call(capsys, "report").code == 0
    assert "<h3>You may not conclude</h3>" in (shop / "report.html").read_text(encoding="utf-8")


def test_once_people_graded_everything_their_grades_lead_again(shop: Path, capsys: Capture) -> None:
    graded(shop, capsys, "all.csv", 50)
    said = call(capsys, "report", "--json").json
    assert said["decision"]["design"] == "census"
    # both assessors' grades together: sight's P@2 is 1/2 (p09, p01), 1 (p04, p05, which only ann graded) and 1/2 (p08, p07)
    (first, *_), scores = said["scores"], said["scores"]
    assert scores[first]["sight"]["P@2"]["value"] == pytest.approx(2 / 3)
    assert "range" not in scores[first]["sight"]["P@2"]
    assert first in said["correlation"]["qrels"]
    assert "scores highest in nDCG@10" in said["headline"][0]
    assert "! People graded all 15 pairs, so nothing has to be corrected." in call(capsys, "report", "--text").out
