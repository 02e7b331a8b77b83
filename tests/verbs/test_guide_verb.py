"""guide: a model writes each query's guideline, a person edits one, and only that query is judged again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import qrelkit as qk
from cli.calling import call
from qrelkit.stores.memory import MemoryStore
from servers.chat import ChatServer
from verbs.tiny import QUERIES, TRUTH, pair_of, served, texts_of, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


def guideline(colour: str) -> dict[str, object]:
    return {
        "translation": "in English",
        "specificity": "specific",
        "requirements": [{"name": "colour", "value": colour, "importance": "must_have"}],
        "notes": {"irrelevant": "another thing", "acceptable_substitute": "nearly", "highly_relevant": "exactly"},
    }


def write_scripts(folder: Path) -> None:
    """Two models: one writes guidelines (q2's first answer cannot be read), the other judges."""
    rules = [
        {"when": "red dress", "say": guideline("red")},
        {"when": "could not be read", "say": guideline("black")},
        {"when": "schwarze stiefel", "say": "Boots, in black."},
        {"say": guideline("any")},
    ]
    (folder / "writer.yaml").write_text(json.dumps(rules), encoding="utf-8")
    rules = [{"when": d, "say": {"reasoning": d, "verdict": "highly_relevant"}} for d in TRUTH["q1"]]
    rules += [{"say": {"reasoning": "no", "verdict": "irrelevant"}}]
    (folder / "judge.yaml").write_text(json.dumps(rules), encoding="utf-8")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_tiny(tmp_path, guide={"model": "scripted:writer.yaml"}, judge={"model": "scripted:judge.yaml"})
    write_scripts(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(path: Path, **changes: object) -> None:
    value = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")


def test_a_guideline_per_query_as_yaml(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "guide", "--json")
    assert found.code == 0, found.err
    assert (found.json["queries"], found.json["written"], found.json["unread"]) == (3, 3, [])
    assert sorted(p.name for p in (shop / "guidelines").iterdir()) == ["q1.yaml", "q2.yaml", "q3.yaml"]
    written = yaml.safe_load((shop / "guidelines" / "q1.yaml").read_text(encoding="utf-8"))
    assert written == {"query_id": "q1", "query": "red dress", "approved": "", **guideline("red")}
    shown = yaml.safe_load(call(capsys, "show", "guideline", "q2").out)
    assert shown["requirements"][0]["value"] == "black"  # it was asked once more and then read


def test_twice_asks_nothing(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    again = call(capsys, "guide", "--json")
    assert "3 have a guideline, 0 to ask" in again.err
    assert again.json["written"] == 0


def test_after_an_edit_only_that_query_is_judged_again(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    assert call(capsys, "judge", "--json").json["stale"] == 0
    edit(shop / "guidelines" / "q1.yaml", specificity="broad")
    found = call(capsys, "judge", "--json")
    assert "10 known, 5 to ask" in found.err
    assert found.json["stale"] == 5
    rows = call(capsys, "show", "judgment", "q1", "p01", "--json").json
    assert len({row["guideline"] for row in rows}) == 2  # the older verdict is kept
    assert "15 known, 0 to ask" in call(capsys, "judge").err


def test_guide_does_not_overwrite_an_edit(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    file = shop / "guidelines" / "q1.yaml"
    edit(file, specificity="broad")
    before = file.read_bytes()
    assert call(capsys, "guide").code == 0
    assert file.read_bytes() == before
    assert yaml.safe_load(call(capsys, "show", "guideline", "q1").out)["specificity"] == "broad"


def test_a_deleted_file_comes_back_as_its_newest_version(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    file = shop / "guidelines" / "q1.yaml"
    edit(file, specificity="broad")
    call(capsys, "judge")
    file.unlink()
    call(capsys, "guide")
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["specificity"] == "broad"


def test_approved_takes_the_newest_approved_version(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    file = shop / "guidelines" / "q1.yaml"
    edit(file, specificity="medium", approved="ann")
    found = call(capsys, "judge", "--approved", "--json")  # the other queries have no approved one: they are not judged
    assert (found.code, found.json["outcomes"]) == (4, {"failed": 10, "graded": 5})
    edit(file, specificity="broad", approved="")
    assert "5 known, 10 to ask" in call(capsys, "judge", "--approved").err
    assert "5 to ask" in call(capsys, "judge", "--limit", 0).err


def test_going_back_to_an_older_version_finds_its_judgments(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    file = shop / "guidelines" / "q1.yaml"
    before = file.read_bytes()
    call(capsys, "judge")
    edit(file, specificity="broad")
    call(capsys, "judge")
    file.write_bytes(before)
    assert "15 known, 0 to ask" in call(capsys, "judge").err


def test_the_judge_is_told_the_requirements(shop: Path, capsys: Capture) -> None:
    call(capsys, "guide")
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url))
        assert call(capsys, "judge").code == 0
        assert all("colour: " in texts_of(body) for body in server.bodies)
        assert any("colour: black" in texts_of(body) for body in server.bodies if pair_of(body)[0] == "q2")
        count = len(server.bodies)
        write_config(shop, **served(server.url, guided=False))
        assert call(capsys, "judge").code == 0
        assert not any("colour: " in texts_of(body) for body in server.bodies[count:])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("query_id: [", "q1.yaml"),
        ("query_id: q1\nrequirments: []\n", "did you mean 'requirements'"),
        ("query_id: q1\nrequirements: [{name: colour, value: red, importance: must}]\n", "must_have"),
        ("query_id: q1\nrequirements: [colour]\n", "requirements need name, value and importance"),
        ("just a word\n", "is not a mapping"),
        ("query: red dress\n", "query_id"),
    ],
)
def test_an_edited_file_that_cannot_be_read_is_named(shop: Path, capsys: Capture, text: str, complaint: str) -> None:
    call(capsys, "guide")
    (shop / "guidelines" / "q1.yaml").write_text(text, encoding="utf-8")
    found = call(capsys, "judge")
    assert found.code == 1
    assert "q1.yaml" in found.err
    assert complaint in found.err.splitlines()[-1]
    assert found.err.count("qrelkit: ") == 1


def test_dry_run_asks_and_writes_nothing(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "guide", "--dry-run")
    assert "3 to ask" in found.err
    assert not (shop / "guidelines").exists()


def test_from_python(shop: Path) -> None:
    with qk.Project.open() as project:
        queries = [project.collection.query(q) for q in QUERIES]
        models = project.models("scripted:writer.yaml")
        store = MemoryStore()
        done = qk.guide(queries, project.guide_writer(), store=store, models=models)
        assert repr(done) == "Guided(3 queries, 3 written now, 0 unread)"
        assert done.guidelines["q1"].requirements[0].value == "red"
        assert qk.guide(queries, project.guide_writer(), store=store, models=models).tally.asked == 0


def test_queries_that_were_not_asked_are_not_unread(shop: Path, capsys: Capture) -> None:
    with ChatServer() as server:
        write_config(shop, **served(server.url), guide={"model": "openai:tiny"}, prices={"tiny": {"input": 9000, "output": 9000}})
        found = call(capsys, "guide", "--budget-usd", 0.01, "--json")
        assert (found.code, server.bodies) == (5, [])
        assert found.json["unread"] == []
