"""doctor --model: an examination from the command line; what a project needs decides what is a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import Said, call
from qrelkit.project.examining import needs_of
from qrelkit.project.project import Project
from qrelkit.steps.heard import Needs
from servers.examined import Examined
from verbs.tiny import write_config, write_tiny

Capture = pytest.CaptureFixture[str]
NAME = "openai:tiny-vl"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Examined]:
    with Examined(images=0, context=6000) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def verdicts(said: Said) -> dict[str, str]:
    return {one["what"]: one["verdict"] for one in said.json["examination"]["findings"]}


def test_no_project_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Examined, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    found = call(capsys, "doctor", "--model", NAME)
    assert found.code == 0
    assert found.rows[0] == ["check", "", "found"]
    assert found.rows[1][:2] == ["answers", "ok"]
    assert len(found.rows) == 1 + 17
    assert "asking openai:tiny-vl, at most 12 calls" in found.err
    assert len(server.bodies) <= 12
    assert list(tmp_path.iterdir()) == []  # no store was opened


def test_keys_of_the_configuration_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    with Examined() as server:
        base = f'models={{"{NAME}": {{base_url: "{server.url}"}}}}'
        prices = f'prices={{"{NAME}": {{input: 1, output: 1}}}}'
        found = call(capsys, "doctor", "--model", NAME, "--set", base, "--set", prices, "--json")
    assert (found.code, found.json["checks"]) == (0, [])
    assert verdicts(found)["price"] == "ok"
    assert found.json["examination"]["cost_usd"] > 0


def test_the_checks_of_the_project_come_first_and_the_store_stays_as_it_was(
    shop: Path, server: Examined, capsys: Capture
) -> None:
    found = call(capsys, "doctor", "--model", NAME, "--json")
    assert found.code == 0
    assert "store" in [check["what"] for check in found.json["checks"]]
    with Project.open(shop) as project:
        assert project.store.attempts().height == project.store.spending().height == 0
        assert project.store.spent_usd() == 0.0
    again = call(capsys, "doctor", "--model", NAME, "--json")
    assert verdicts(again) == verdicts(found)
    assert (
        len({body["messages"][-1]["content"] for body in server.bodies if "response_format" in body}) == 2
    )  # new words each time


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        ({"route": "text"}, None),
        ({"route": "shown"}, "pictures"),
        ({"panel": [{"model": NAME, "route": "shown"}, {"model": "lexical"}]}, "pictures"),
        ({"instructions": "Do as you are told. " * 2000}, "context"),
    ],
)
def test_what_the_project_needs_and_does_not_get_is_a_fault(
    shop: Path, server: Examined, capsys: Capture, judge: dict[str, Any], fault: str | None
) -> None:
    write_config(shop, judge={"model": NAME} | judge)
    found = call(capsys, "doctor", "--model", NAME, "--json")
    assert [name for name, verdict in verdicts(found).items() if verdict == "WRONG"] == ([fault] if fault else [])
    assert found.code == (1 if fault else 0)


def test_needs_are_read_from_the_stages_that_ask_the_model(shop: Path, server: Examined) -> None:
    def needs(**config: Any) -> Needs:
        write_config(shop, **config)
        with Project.open(shop) as project:
            return needs_of(project, NAME)

    plain = needs(judge={"model": "lexical"})
    assert plain.context_tokens is not None
    assert 200 < plain.context_tokens < 2000
    assert (plain.images, plain.token_probabilities, plain.samples, plain.price) == (0, False, False, False)
    wanted = needs(judge={"model": NAME, "samples": 3, "sampling": {"token_probabilities": True}}, budget_usd=1)
    assert (wanted.token_probabilities, wanted.samples, wanted.price) == (True, True, True)
    grouped = needs(judge={"model": NAME, "per_request": 4})
    assert grouped.context_tokens is not None
    assert grouped.context_tokens > plain.context_tokens
    assert needs(judge={"model": NAME, "route": "shown"}).images == 1  # every product has one picture
    described = needs(judge={"model": NAME, "route": "described"}).context_tokens
    assert described is not None
    assert described > plain.context_tokens
    assert needs(describe={"model": NAME}) == Needs(images=1)
    assert needs(runs=[]).context_tokens is None


def test_what_is_no_model_cannot_be_examined(shop: Path, capsys: Capture) -> None:
    assert "provider:name" in call(capsys, "doctor", "--model", "lexical").error
    assert "set OPENAI_API_KEY" in call(capsys, "doctor", "--model", "openai:gpt-4o").err


def test_a_faulty_model_ends_with_1(shop: Path, capsys: Capture) -> None:
    (shop / "answers.yaml").write_text("- say: yes\n", encoding="utf-8")
    found = call(capsys, "doctor", "--model", "scripted:answers.yaml")
    assert found.code == 1
    assert ["answers", "WRONG"] in [row[:2] for row in found.rows]
