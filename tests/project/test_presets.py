"""Presets: keys by a name, which what is said beside them overrides; and a project that judges with `article`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.calling import call
from qrelkit.core.errors import UnknownName
from qrelkit.judges.article import Articles
from qrelkit.judges.pointwise import Pointwise
from qrelkit.project.config import JudgeConfig, checked
from qrelkit.project.judging import each_judge
from qrelkit.project.line import excluded
from qrelkit.project.presets import PRESETS
from qrelkit.project.project import Project
from qrelkit.steps.pool import pool
from sources.tiny_cases import write_layout
from verbs.tiny import write_run

FEVER, FALL, BARE = "10.1016/S0140-6736(12)60001-2", "10.1/fall", "10.1/bare"


def judge_of(**said: Any) -> JudgeConfig:
    return checked({"judge": said}, "qrelkit.yaml").judge


def test_a_preset_is_its_keys_said_one_by_one() -> None:
    named = judge_of(preset="article", model="test:m")
    assert named == judge_of(model="test:m", **PRESETS["article"]).model_copy(update={"preset": "article"})
    assert (named.prompt, named.route, named.images, named.max_document_chars, named.max_side_px) == (
        *("article@1", "shown", 8, 60_000, 768),
    )
    assert named.guided is False
    assert named.examples is not None
    drawn = {"n": 1, "rule": "same_query", "grades": [1], "seed": 0, "missing": "fail"}
    assert named.examples.model_dump() == {**drawn, "order": "similar_last", "noise": 0}
    assert (named.sampling.max_tokens, named.sampling.temperature) == (100, 0.0)


def test_what_is_said_beside_a_preset_counts_and_of_nested_keys_each_by_itself() -> None:
    some = judge_of(preset="article", images=2, guided=True, sampling={"temperature": 0.5}, examples={"seed": 7})
    assert (some.images, some.guided, some.route) == (2, True, "shown")
    assert (some.sampling.max_tokens, some.sampling.temperature) == (100, 0.5)
    assert some.examples is not None
    assert (some.examples.n, some.examples.seed, some.examples.missing) == (1, 7, "fail")
    assert judge_of(preset="article", examples=None).examples is None


def test_an_unknown_preset_is_named_with_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="unknown preset of a judge 'artcle'; did you mean 'article'"):
        judge_of(preset="artcle")


def test_judges_within_a_judge_take_a_preset_over_or_have_their_own() -> None:
    around = judge_of(preset="article", images=3, cascade=[{"model": "test:a"}, {"model": "test:b", "images": 5}])
    assert [(one.model, one.prompt, one.images) for one in each_judge(around)] == [
        ("test:a", "article@1", 3),
        ("test:b", "article@1", 5),
    ]
    inside = judge_of(route="text", panel=[{"model": "test:a", "preset": "article"}, {"model": "test:b"}])
    assert [(one.route, one.prompt) for one in each_judge(inside)] == [("shown", "article@1"), ("text", "")]


# a project


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Case 1 is whole, 2 has no article to be its example (the relevant one is gone), 3 lacks an image, 4 has no text."""
    write_layout(tmp_path)
    (tmp_path / "runs").mkdir()
    write_run(tmp_path / "runs" / "words.trec", "words", dict.fromkeys("1234", f"{FEVER} {FALL} {BARE}"))
    rules = [{"when": "Title: A fall", "say": {"verdict": "relevant"}}, {"say": {"verdict": "not_relevant"}}]
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    config = {
        "collection": "clef",
        "runs": ["runs/*.trec"],
        "scale": "binary",
        "judge": {"preset": "article", "model": "scripted:judge.yaml"},
    }
    (tmp_path / "qrelkit.yaml").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_with_the_preset_looks_at_articles_and_shows_each_case_its_example(clinic: Path) -> None:
    with Project.open(clinic) as project:
        pairs = pool(project.runs(), 20)
        judge = project.judge(pairs)
        assert isinstance(judge, Pointwise)
        assert judge.look == Articles(route="shown", images=8, max_document_chars=60_000)
        shown = {query: [example.document.doc_id for example in examples] for query, examples in judge.examples.items()}
        assert shown == {"1": [FEVER], "2": [], "3": [], "4": []}
        left_out = excluded(project, pairs)
        assert left_out is not None
        assert left_out.rows() == [("1", FEVER)]  # the pair of the example never counts as agreement


def test_what_is_missing_fails_its_own_case_and_the_others_are_judged(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, "judge", "--json", "-o", "out.qrels")
    assert (said.code, said.json["outcomes"]) == (4, {"failed": 9, "graded": 3})
    lines = (clinic / "out.qrels").read_text(encoding="utf-8").split("\n")
    assert sorted(line.split()[2:] for line in lines if line) == [[BARE, "0"], [FALL, "1"], [FEVER, "0"]]
    reasons = [call(capsys, "show", "judgment", case, FALL, "--json").json[-1]["reason"] for case in "234"]
    assert reasons == [
        "query 2 has no judged document that could be its example",
        "case 3 lacks images that it names: CaseQueryImages2013/3_2.jpg",
        "case 4 has no text",
    ]


def test_a_missing_example_stops_everything_where_that_is_wanted(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, "judge", "--set", "judge.examples.missing=stop")
    assert said.code != 0
    assert "has no judged document for query '2' that could be an example" in said.error


def test_an_unknown_look_of_a_prompt_is_refused(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = call(capsys, "show", "prompt", "article").out
    (clinic / "mine.jinja").write_text(source.replace("look: articles", "look: artikles"), encoding="utf-8")
    said = call(capsys, "judge", "--set", "judge.prompt=mine.jinja")
    assert "unknown look in the front matter of prompt mine 'artikles'; did you mean 'articles'" in said.error
