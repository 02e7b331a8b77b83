"""Exit codes (DESIGN §7): 0 done, 1 the user can fix it, 2 wrong usage, 4 some pairs ungraded, 5 budget. 130 is in faults/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
GRADE = {"say": {"reasoning": "so", "verdict": "irrelevant"}}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def script(folder: Path, *rules: object) -> str:
    """A scripted model with these rules."""
    (folder / "answers.yaml").write_text(json.dumps(rules), encoding="utf-8")
    return "scripted:answers.yaml"


def test_0_done(shop: Path, capsys: Capture) -> None:
    assert call(capsys, "judge").code == 0
    assert call(capsys, "--help").code == 0
    assert call(capsys, "--version").out.startswith("qrelkit 0.")


@pytest.mark.parametrize(
    "argv",
    ["load nowhere", "judge --model nobody:x", "evaluate P@2 --qrels nowhere --runs runs/words.trec", "judge --set depth=0"],
)
def test_1_the_user_can_fix_it(shop: Path, capsys: Capture, argv: str) -> None:
    found = call(capsys, *argv.split())
    assert found.code == 1
    assert found.error


def test_1_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    for verb in ("judge", "guide", "describe", "pool", "run", "report", "doctor", "agree", "evaluate", "compare"):
        found = call(capsys, verb)
        assert (found.code, "qrelkit init" in found.error) == (1, True), verb


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "evalute",
        "judge --nope",
        "retrieve bm25 shop -o x --depth many",
        "retrieve bm25",
        "expand",
        "show",
    ],
)
def test_2_wrong_usage(shop: Path, capsys: Capture, argv: str) -> None:
    found = call(capsys, *argv.split())
    assert found.code == 2
    assert "Usage: qrelkit" in found.err
    assert found.out == ""


def test_4_some_pairs_have_no_grade(shop: Path, capsys: Capture) -> None:
    model = script(shop, {"when": "number p04", "say": "I will not say.", "outcome": "refused"}, GRADE)
    found = call(capsys, "judge", "--model", model, "--json")
    assert (found.code, found.json["ungraded"], found.json["outcomes"]) == (4, 1, {"graded": 14, "refused": 1})
    assert call(capsys, "run", "--model", model, "--yes").code == 4


def test_4_queries_without_a_guideline(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "guide", "--model", script(shop, {"say": "no idea"}), "--json")
    assert (found.code, found.json["unread"]) == (4, ["q1", "q2", "q3"])


def test_4_images_without_a_description(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "describe", "--model", script(shop, {"say": "", "outcome": "refused"}), "--json")
    assert (found.code, found.json["missing"]) == (4, 10)


def test_4_expanded_with_ungraded_pairs(shop: Path, capsys: Capture) -> None:
    (shop / "model.csv").write_text("query_id,doc_id,grade\nq1,p02,2\nq1,p10,\n", encoding="utf-8")
    asked = ("expand", "shop/qrels.txt", "--with", "model.csv", "-o", "out.qrels", "--json")
    found = call(capsys, *asked)
    assert (found.code, found.json["ungraded"], found.json["new"]) == (4, 1, 1)
    assert "p10" not in (shop / "out.qrels").read_text(encoding="utf-8")
    filled = call(capsys, *asked, "--zero-fill")
    assert (filled.code, filled.json["zero_filled"], filled.json["ungraded"]) == (0, 1, 1)
    assert "q1 0 p10 0" in (shop / "out.qrels").read_text(encoding="utf-8")
    assert "zero_fill" in (shop / "out.qrels.origins.tsv").read_text(encoding="utf-8")


def test_5_the_budget_is_reached(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        prices = {"tiny": {"input": 1000.0, "output": 1000.0}}  # a thousandth of a dollar per token
        write_config(shop, **served(server.url), prices=prices)
        found = call(capsys, "judge", "--budget-usd", 3, "--json")
        assert found.code == 5
        assert 0 < found.json["outcomes"]["graded"] < 15
        assert found.json["outcomes"]["not asked"] == found.json["ungraded"]
