"""The report's section on cost: requests and tokens, then money and time."""

from __future__ import annotations

from typing import Any

from qrelkit.reports.report import Report
from qrelkit.reports.sections import outline
from qrelkit.reports.tables import Section, Table

OLD = {"asked": 2, "known": 0, "joined": 0, "failed": 0, "tokens_in": 1, "tokens_out": 1, "seconds": 1.0}


def section(*stages: dict[str, Any]) -> Section:
    (found,) = outline(Report.of(cost=list(stages)))
    return found


def row(table: Table, name: str) -> dict[str, str]:
    cells = next(r.cells for r in table.rows if r.name == name)
    return dict(zip(table.head[1:], map(str, cells), strict=True))


def test_an_unknown_price_is_unknown_and_makes_the_sum_a_lower_bound() -> None:
    known = {"stage": "guide", **OLD, "cost_usd": 0.25, "unpriced": 0}
    unknown = {"stage": "judge", **OLD, "cost_usd": None, "unpriced": 2}
    found = section(known, unknown)
    costs = [row(found.tables[1], name)["cost"] for name in ("guide", "judge", "all")]
    assert costs == ["$0.2500", "unknown", "at least $0.2500"]
    assert found.notes == ["The price of 2 replies is unknown; it is not taken as 0."]
    alone = section(unknown, {**unknown, "stage": "describe"})
    assert row(alone.tables[1], "all")["cost"] == "unknown"


def test_a_price_of_nothing_asked_is_nothing() -> None:
    stage = {**OLD, "stage": "judge", "asked": 0, "cost_usd": 0.0, "unpriced": 0}
    assert row(section(stage).tables[1], "judge")["cost"] == "$0.00"


def test_what_a_stage_made_has_a_price_each() -> None:
    told = {"made": 1_000, "each_usd": 0.0005, "per_1000_usd": 0.5, "saved_usd": 0.02, "batch_saves_usd": 0.25}
    found = section({**OLD, **told, "stage": "judge", "cost_usd": 0.5, "unpriced": 0})
    assert row(found.tables[1], "judge") == {
        "cost": "$0.5000", "for": "1,000 judgments", "each": "$0.0005", "per 1,000": "$0.5000",
        "saved by the store": "$0.0200", "batch would save": "$0.2500", "time": "1.0 s",
    }  # fmt: skip


def test_what_is_reckoned_from_an_unknown_price_is_unknown_and_the_sum_keeps_to_what_is_known() -> None:
    known = {**OLD, "stage": "guide", "cost_usd": 0.5, "unpriced": 0, "made": 1, "each_usd": 0.5, "per_1000_usd": 500.0}
    unknown = {**OLD, "stage": "judge", "cost_usd": None, "unpriced": 2, "made": 2, "each_usd": None, "per_1000_usd": None}
    table = section(known, unknown).tables[1]
    assert (row(table, "judge")["each"], row(table, "judge")["for"]) == ("unknown", "2 judgments")
    assert (row(table, "all")["each"], row(table, "all")["for"]) == ("", "")  # a judgment and a guideline have no mean


def test_only_classes_of_tokens_that_there_were_have_a_column() -> None:
    assert section({**OLD, "stage": "judge", "cost_usd": 0.0, "unpriced": 0}).tables[0].head == (
        "stage", "requests", "already known", "failed", "tokens in", "tokens out"
    )  # fmt: skip
    several = {"tokens_cached": 60, "tokens_image": 30, "tokens_reasoning": 1_234}
    found = row(section({**OLD, **several, "stage": "judge", "cost_usd": 0.0, "unpriced": 0}).tables[0], "judge")
    assert (found["of them cached"], found["of them images"], found["of them reasoning"]) == ("60", "30", "1,234")
