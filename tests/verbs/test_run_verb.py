"""run: what is still missing of the whole line in one command; the plan first, one question, and it goes on where it stopped."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qrelkit as qk
from cli.calling import call
from qrelkit.project.line import line_of
from servers.chat import ChatServer
from verbs.tiny import PAIRS, images_of, served, texts_of, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
WHOLE = {"guide": {"model": "openai:tiny"}, "describe": {"model": "openai:tiny"}}
PRICES = {"tiny": {"input": 1.0, "output": 2.0}}
GUIDELINE = {"translation": "", "specificity": "broad", "requirements": [], "notes": {}}


def answer(body: dict[str, Any]) -> str:
    """One server for all: guidelines, descriptions, verdicts."""
    if "translation, specificity, requirements and notes" in texts_of(body):
        return json.dumps(GUIDELINE)
    if images_of(body):
        return "A garment, drawn on white, of one colour."
    return verdict(body).replace(" for ", " is looked at for " + "this and that, " * 20)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=answer) as running:
        yield running


def test_the_whole_line_and_then_nothing(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url, route="described"), **WHOLE, prices=PRICES)
    found = call(capsys, "run", "--yes", "--json")
    assert found.code == 0, found.err
    assert len(server.bodies) == 3 + 10 + PAIRS
    assert "report: " in found.err
    assert {"headline", "scores", "agreement", "expansion", "cost", "provenance"} <= set(found.json)
    page = (shop / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert json.loads((shop / "report.json").read_text(encoding="utf-8"))["scores"]
    again = call(capsys, "run", "--json")  # nothing to ask: no --yes needed
    assert (again.code, len(server.bodies)) == (0, 3 + 10 + PAIRS)


def test_the_plan_says_what_is_asked_and_what_it_may_cost(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url, route="described"), **WHOLE, prices=PRICES)
    found = call(capsys, "run", "--dry-run", "--json")
    assert (found.code, server.bodies) == (0, [])
    stages = {stage["stage"]: stage for stage in found.json}
    assert {name: (s["items"], s["known"], s["todo"]) for name, s in stages.items()} == {
        "guide": (3, 0, 3), "describe": (10, 0, 10), "judge": (PAIRS, 0, PAIRS)
    }  # fmt: skip
    assert all(0 < s["usd"][0] < s["usd"][1] for s in stages.values())
    assert all(s["seconds"] is None for s in stages.values())
    assert not (shop / "report.html").exists()
    shown = call(capsys, "run", "--dry-run")
    assert shown.out == ""
    assert "after ten calls" in shown.err


def test_the_estimate_holds_what_was_spent(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url), prices=PRICES)
    (stage,) = call(capsys, "run", "--dry-run", "--json").json
    call(capsys, "run", "--yes")
    with qk.Project.open() as project:
        assert stage["usd"][0] <= project.store.spent_usd() <= stage["usd"][1]


def test_an_unknown_price_is_said_and_never_zero(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url))
    assert "price unknown" in call(capsys, "run", "--dry-run").err
    assert call(capsys, "run", "--dry-run", "--json").json[0]["usd"] is None


def test_an_unknown_price_with_a_budget_is_refused(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url))
    for argv in ("judge --budget-usd 1", "run --yes --budget-usd 1"):
        found = call(capsys, *argv.split())
        assert (found.code, server.bodies) == (1, [])
        assert "a budget needs prices and none is known for openai:tiny" in found.err
        assert "prices:" in found.err


def test_without_a_yes_nothing_is_asked(shop: Path, server: ChatServer, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(shop, **served(server.url))
    found = call(capsys, "run")
    assert (found.code, server.bodies) == (1, [])
    assert "--yes" in found.err
    terminal = io.StringIO("n\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)
    assert call(capsys, "run").code == 1
    assert server.bodies == []
    terminal.write("y\n")
    terminal.seek(2)
    assert call(capsys, "run").code == 0
    assert len(server.bodies) == PAIRS


def test_a_budget_stops_it_and_the_next_run_goes_on(shop: Path, server: ChatServer, capsys: Capture) -> None:
    dear = {"tiny": {"input": 1000.0, "output": 1000.0}}  # about half a dollar per pair, and a request may cost 2
    write_config(shop, **served(server.url), prices=dear, budget_usd=5)
    first = call(capsys, "run", "--yes", "--json")
    asked = len(server.bodies)
    assert first.code == 5
    assert 0 < asked < PAIRS
    with qk.Project.open() as project:
        assert 0 < project.store.spent_usd() <= 5
    write_config(shop, **served(server.url), prices=dear, budget_usd=50)
    assert call(capsys, "run", "--yes").code == 0
    assert len(server.bodies) == PAIRS


def test_the_first_ten_calls_count_towards_the_budget(shop: Path, server: ChatServer, capsys: Capture) -> None:
    server.answer = verdict
    # a thousandth of a dollar per token out: a reply may cost $0.02 and costs about $0.014
    config = served(server.url, sampling={"max_tokens": 20}) | {"at_once": 1}
    write_config(shop, **config, prices={"tiny": {"input": 0, "output": 1000}}, budget_usd=0.2)
    found = call(capsys, "run", "--yes")
    assert found.code == 5, found.err
    assert "stopped: the next request might exceed the budget" in found.err
    assert 10 <= len(server.bodies) < PAIRS
    with qk.Project.open() as project:
        assert 0.1 < project.store.spent_usd() <= 0.2


def test_without_a_project(shop: Path, capsys: Capture) -> None:
    (shop / "qrelkit.yaml").unlink()
    argv = "run runs/words.trec runs/sight.trec --collection shop --qrels shop/qrels.txt --yes --json"
    found = call(capsys, *argv.split())
    assert found.code == 0, found.err
    assert list(found.json["scores"])
    argv = "run --collection shop --qrels shop/qrels.txt runs/words.trec runs/sight.trec --yes --json"
    other = call(capsys, *argv.split())
    assert other.code == 0
    assert other.json["runs"] == found.json["runs"]


def test_without_a_project_and_without_people(shop: Path, server: ChatServer, capsys: Capture) -> None:
    (shop / "qrelkit.yaml").unlink()
    (shop / "shop" / "qrels.txt").unlink()
    found = call(capsys, *["run", "runs/words.trec", "runs/sight.trec", "--collection", "shop", "--json"])
    assert found.code == 0, found.err
    assert not found.json.get("agreement")


def test_one_run_alone(shop: Path, capsys: Capture) -> None:
    (shop / "runs" / "sight.trec").unlink()
    found = call(capsys, "run", "--json")
    assert found.code == 0, found.err
    assert not found.json.get("pairs")


def test_a_folder_or_a_file_names_the_project(shop: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)
    assert call(capsys, "run", shop / "qrelkit.yaml").code == 0
    assert (shop / "report.html").exists()
    assert call(capsys, "judge", "--project", shop, "--json").json["known"] == PAIRS


def test_local_only_refuses_a_host_that_is_not_listed(shop: Path, server: ChatServer, capsys: Capture) -> None:
    away = served("http://models.example/v1")
    write_config(shop, **away, local_only=True)
    for argv in ("judge", "run --yes", "run --dry-run"):
        found = call(capsys, *argv.split())
        assert found.code == 1
        assert "the host models.example is not allowed" in found.error
    write_config(shop, **served(server.url), local_only=True, allow_hosts=["10.9.9.9"])
    assert "not allowed" in call(capsys, "judge").error
    assert server.bodies == []
    write_config(shop, **served(server.url), local_only=True)  # the loopback interface is local by itself
    assert call(capsys, "judge").code == 0


def test_local_only_without_a_base_url_means_openai(shop: Path, capsys: Capture) -> None:
    write_config(shop, judge={"model": "openai:gpt-4o-mini"}, local_only=True)
    assert "the host api.openai.com is not allowed" in call(capsys, "judge").error


def test_from_python(shop: Path, server: ChatServer) -> None:
    write_config(shop, **served(server.url))
    with qk.Project.open() as project:
        line = line_of(project)
        (stage,) = qk.plan(line)
        assert (stage.items, stage.known, stage.todo) == (PAIRS, 0, PAIRS)
        done = qk.run(line)
        assert done.judged is not None
        assert done.judged.ungraded == 0
        assert done.scores is not None
        assert done.scores.qrels == ["qrels", "openai:tiny", "mixed"]
        assert qk.plan(line)[0].todo == 0


def test_another_projects_store_is_replayed_without_asking(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url))
    assert call(capsys, "judge").code == 0
    asked = len(server.bodies)
    found = call(capsys, "judge", "--model", "replay:.qrelkit/store.db", "--set", "store=other.db", "--json")
    assert (found.code, found.json["outcomes"]) == (0, {"graded": PAIRS}), found.err
    assert len(server.bodies) == asked
    found = call(capsys, "judge", "--model", "replay:nowhere.db", "--set", "store=other.db")
    assert (found.code, "no such store" in found.error) == (1, True)


def test_the_probe_makes_ten_calls_also_of_queries_pictures_and_repeated_samples(
    shop: Path, server: ChatServer, capsys: Capture
) -> None:
    from qrelkit.steps.plan import plan, probe

    write_config(shop, **served(server.url, samples=5))
    with qk.Project.open() as project:
        line = line_of(project)
        tally = probe(line, plan(line))
    assert tally is not None
    assert (tally.asked, len(server.bodies)) == (10, 10)
    queries = shop / "shop" / "queries.jsonl"
    rows = [json.loads(text) for text in queries.read_text(encoding="utf-8").splitlines()]
    queries.write_text("".join(json.dumps({**row, "image": "images/p01.png"}) + "\n" for row in rows), encoding="utf-8")
    write_config(shop, **served(server.url, route="described"), describe={"model": "openai:tiny"})
    with qk.Project.open() as project:
        line = line_of(project)
        stages = plan(line)
        assert stages[0].usd is None  # a model without a known price is never free
        probe(line, stages)
    assert len(server.bodies) == 20
