"""Money and hours at the command line: known before, counted after, never 0 for unknown, and never more than allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import qrelkit as qk
from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import PAIRS, served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
PRICES = {
    "date": "2026-11-01",
    "source": "https://example.org/pricing",
    "rates": {"EUR": 1.25},
    "models": {"tiny": {"input": 1.0, "output": 2.0, "batch": 0.5}},
}
DEAR = PRICES | {"models": {"tiny": {"input": 1000.0, "output": 1000.0}}}  # about half a dollar per pair


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=verdict) as running:
        yield running


def test_judge_shows_the_same_plan_as_run(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url), prices=PRICES)
    whole = call(capsys, "run", "--dry-run", "--json").json
    alone = call(capsys, "judge", "--dry-run", "--json")
    assert (alone.json, server.bodies) == (whole[-1:], [])
    (stage,) = alone.json
    assert (stage["stage"], stage["items"], stage["known"], stage["todo"]) == ("judge", PAIRS, 0, PAIRS)
    assert stage["batch_usd"] == pytest.approx([stage["usd"][0] / 2, stage["usd"][1] / 2])
    (model,) = stage["models"]
    assert (model["model"], model["fitted_to"], model["requests"][0]) == ("openai:tiny", 0, PAIRS)
    shown = call(capsys, "judge", "--dry-run", "--limit", "3").err
    assert "by batch" in shown
    assert call(capsys, "judge", "--dry-run", "--limit", "3", "--json").json[0]["todo"] == 3


def test_another_judge_is_planned_from_the_replies_to_earlier_ones(shop: Path, server: ChatServer, capsys: Capture) -> None:
    def judging(instructions: str, **more: Any) -> None:
        write_config(shop, **served(server.url, instructions=instructions) | more, prices=PRICES)

    judging("Look at the cut first.")
    before = call(capsys, "judge", "--dry-run", "--json").json[0]
    assert call(capsys, "judge").code == 0
    again = call(capsys, "judge", "--dry-run", "--json").json[0]
    assert (again["todo"], again["usd"], again["models"]) == (0, [0, 0], [])
    judging("Look at the price first.")
    assert call(capsys, "judge", "--dry-run", "--json").json[0]["models"][0]["fitted_to"] == 0  # 15 replies are too few
    assert call(capsys, "judge").code == 0
    judging("Look at the colour first.")
    found = call(capsys, "judge", "--dry-run", "--json").json[0]
    assert found["models"][0]["fitted_to"] == 2 * PAIRS
    assert found["seconds"] is not None
    assert found["usd"][1] - found["usd"][0] < 0.3 * (before["usd"][1] - before["usd"][0])
    assert f"fitted to replies in the store: {2 * PAIRS} of openai:tiny" in call(capsys, "judge", "--dry-run").err
    slow = {"models": {"openai:tiny": {"base_url": server.url, "requests_per_minute": 0.1}}, "between": "22:00-23:00"}
    judging("Look at the colour first.", **slow)
    (stage,) = call(capsys, "judge", "--dry-run", "--json").json
    # 15 requests, and 18 with those asked once more, at ten minutes each: 2.5 and 3 hours, in as many openings of an hour
    assert stage["seconds"] == pytest.approx([2.5 * 3600, 3 * 3600])
    assert "2.5–3.0 h in 3 × 22:00-23:00" in call(capsys, "judge", "--dry-run").err
    with qk.Project.open() as project:
        spent = project.store.spent_usd()
    judging("Look at the colour first.")
    assert call(capsys, "judge").code == 0
    with qk.Project.open() as project:
        assert found["usd"][0] <= project.store.spent_usd() - spent <= found["usd"][1]


def test_a_budget_in_another_currency_per_month_stops_and_is_counted_from_the_ledger(
    shop: Path, server: ChatServer, capsys: Capture
) -> None:
    budget = {"amount": 3.2, "currency": "EUR", "per": "month"}  # 4 dollars
    write_config(shop, **served(server.url), prices=DEAR, budget=budget)
    first = call(capsys, "judge")
    asked = len(server.bodies)
    assert first.code == 5
    assert 0 < asked < PAIRS
    with qk.Project.open() as project:
        spent = project.store.spent_usd()
        assert 0 < spent <= 4
        assert project.budget_usd() == pytest.approx(4 - spent)
        later = datetime(2099, 1, 1, tzinfo=UTC)
        assert project.budget_usd(later) == pytest.approx(4)  # another month
    found = call(capsys, "show", "project", "--json").json
    told = float(found["budget"].removeprefix("3.2 EUR per month: $").removesuffix(" left"))
    assert told == pytest.approx(4 - spent, abs=0.006)  # two decimals from a dollar on, else four
    assert call(capsys, "judge").code == 5  # the month is used up
    assert len(server.bodies) == asked
    write_config(shop, **served(server.url), prices=DEAR, budget={"amount": 40, "currency": "EUR", "per": "month"})
    assert call(capsys, "judge").code == 0
    assert len(server.bodies) == PAIRS


def test_a_budget_without_a_rate_says_the_way_out(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url), prices=PRICES, budget={"amount": 4, "currency": "GBP"})
    found = call(capsys, "run", "--yes")
    assert (found.code, server.bodies) == (1, [])
    assert "no rate for GBP: add it to the price file" in found.err


def test_a_budget_without_prices_is_refused_before_anybody_is_asked_to_agree(
    shop: Path, server: ChatServer, capsys: Capture
) -> None:
    write_config(shop, **served(server.url), budget_usd=5)
    for argv in ("run", "run --dry-run"):
        found = call(capsys, *argv.split())
        assert (found.code, server.bodies) == (1, [])
        assert "a budget needs prices and none is known for openai:tiny" in found.err
        assert "--yes" not in found.err


def test_a_budget_below_the_plan_is_said_with_it(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url), prices=DEAR, budget_usd=1)
    assert "the budget of $1.00 may be reached first" in call(capsys, "run", "--dry-run").err


@pytest.mark.parametrize("priced", [True, False])
def test_what_it_cost_is_told_everywhere(shop: Path, server: ChatServer, capsys: Capture, priced: bool) -> None:
    write_config(shop, **served(server.url), prices=PRICES if priced else {})
    assert call(capsys, "run", "--yes").code == 0
    (judge,) = json.loads((shop / "report.json").read_text(encoding="utf-8"))["cost"]
    assert (judge["asked"], judge["made"]) == (PAIRS, PAIRS)
    shown: dict[str, Any] = call(capsys, "show", "project", "--json").json
    store = next(c for c in call(capsys, "doctor", "--json").json if c["what"] == "store")["found"]
    prices = next(c for c in call(capsys, "doctor", "--json").json if c["what"] == "prices")["found"]
    if priced:
        assert judge["each_usd"] == pytest.approx(judge["cost_usd"] / PAIRS)
        assert judge["per_1000_usd"] == pytest.approx(1000 * judge["each_usd"])
        assert judge["batch_saves_usd"] == pytest.approx(judge["cost_usd"] / 2)  # all of it was online
        assert (shown["unpriced_replies"], shown["spent_usd"]) == (0, pytest.approx(judge["cost_usd"], abs=1e-4))
        assert prices == "1 model of 2026-11-01"
    else:
        assert [judge[key] for key in ("cost_usd", "each_usd", "per_1000_usd", "batch_saves_usd")] == [None] * 4
        assert (shown["spent"], shown["spent_usd"]) == (f"unknown for {PAIRS} replies", None)
        assert f"spent unknown for {PAIRS} replies" in store
        assert prices == "none; unknown for openai:tiny"
    assert shown["stages"][0].startswith(f"judge openai:tiny: {PAIRS} requests, ")
    assert "What it cost" in (shop / "report.html").read_text(encoding="utf-8")


def test_the_price_is_kept_with_each_reply(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url), prices=PRICES)
    assert call(capsys, "judge").code == 0
    with qk.Project.open() as project:
        digest = project.store.judgments()["request"][0]
        price = json.loads(project.store.replies([digest])[digest].price)
    assert (price["input"], price["date"], price["source"]) == (1.0, "2026-11-01", "https://example.org/pricing")
    assert price["batch"] == {"input": 0.5, "output": 1.0}
