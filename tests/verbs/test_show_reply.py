"""show reply: the exact conversation behind a judgment, for a person and as JSON; show judgment with its details."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.calling import call
from servers.chat import ChatServer, rate_limited
from verbs.tiny import served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
PRICES = {"openai:tiny": {"input": 1.0, "output": 2.0, "cached_input": 0.5, "date": "2026-01-02", "source": "a page"}}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def digest(capsys: Capture) -> str:
    (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
    return str(row["request"])


def test_all_that_is_known_of_a_reply(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        server.next(rate_limited("0.01"), rate_limited("0.01"))
        write_config(shop, **served(server.url, route="shown") | {"at_once": 1}, prices=PRICES)
        call(capsys, "judge", "--limit", 1)
        body = server.bodies[-1]
    found = call(capsys, "show", "reply", digest(capsys), "--json").json
    system, user = found["asked"]["messages"]
    assert system["parts"][0]["text"] == body["messages"][0]["content"]
    kinds = [part["type"] for part in user["parts"]]
    assert kinds == ["text", "text", "image", "text"]
    assert user["parts"][2]["shrink"] == "jpeg:768:85"
    answered = found["answered"]
    assert json.loads(answered["text"])["verdict"] == "highly_relevant"
    assert (answered["finish"], answered["served"], answered["attempts"]) == ("stop", "tiny-2025-01-01", 3)
    cost = (answered["tokens_in"] - answered["tokens_cached"]) * 1 + answered["tokens_cached"] * 0.5 + answered["tokens_out"] * 2
    assert answered["cost_usd"] == pytest.approx(cost / 1e6)
    assert answered["price"]["date"] == "2026-01-02"
    assert [row["error"].partition("429")[1] for row in found["failed_attempts"]] == ["429", "429"]

    said = call(capsys, "show", "reply", digest(capsys)).out
    lines = said.splitlines()
    assert lines[0] == "model: openai:tiny"
    assert "── system ──" in lines
    assert f"[picture {user['parts'][2]['digest']}: jpeg, at most 768 px, quality 85]" in lines
    assert "── answer: answered, finish stop, by tiny-2025-01-01 ──" in lines
    assert answered["text"] in said
    assert f"tokens: in {answered['tokens_in']:,}" in said
    assert "date 2026-01-02" in said
    assert "attempts: 3" in said
    assert len([line for line in lines if line.startswith("before: ") and "429" in line]) == 2


def test_what_nobody_knows_is_said_to_be_unknown(shop: Path, capsys: Capture) -> None:
    (shop / "judge.yaml").write_text("- {say: {verdict: irrelevant}}\n", encoding="utf-8")
    write_config(shop, judge={"model": "scripted:judge.yaml"})
    call(capsys, "judge")
    said = call(capsys, "show", "reply", digest(capsys)).out
    assert "cost: unknown" in said
    assert "before: " not in said


def test_what_was_not_kept_says_so(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url), store={"where": "s.db", "keep": "replies"})
        call(capsys, "judge", "--limit", 1)
    said = call(capsys, "show", "reply", digest(capsys)).out
    assert "[not kept]" in said
    assert "highly_relevant" in said


def test_a_judgment_tells_its_details(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        panel = [{"model": "openai:tiny", "name": "one"}, {"model": "openai:tiny", "name": "two", "instructions": "Be strict."}]
        write_config(shop, judge={"panel": panel}, models=served(server.url)["models"])
        call(capsys, "judge")
    (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
    assert row["details"]["votes"] == {"one": 2, "two": 2}
    plain = call(capsys, "show", "judgment", "q1", "p01").rows
    assert plain[0][-1] == "details"
    assert json.loads(plain[1][-1]) == row["details"]
