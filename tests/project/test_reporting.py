"""What the report takes from the store: the rows that count, and what was spent whenever it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from qrelkit.core.records import Judgment
from qrelkit.project.reporting import current, taken
from qrelkit.steps.judge import Judged
from qrelkit.steps.tally import Tally
from qrelkit.stores.memory import MemoryStore


@dataclass
class Keyed:
    """As much of a judge, describer or writer as is looked at here."""

    key: str


@dataclass
class Line:
    store: MemoryStore
    guide_writer: Keyed | None = None
    describer: Keyed | None = None


@dataclass
class Done:
    line: Line
    judged: Judged | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)


def said(doc_id: str, reason: str, query_key: str, doc_key: str = "d", grade: int | None = 1, **more: Any) -> Judgment:
    outcome = "graded" if grade is not None else "failed"
    return Judgment(
        query_id="q", doc_id=doc_id, grade=grade, outcome=outcome, reason=reason, query_key=query_key, doc_key=doc_key, **more
    )


def judged(*pairs: tuple[str, str]) -> Judged:
    """The judge "k" as it stands: (doc_id, query_key) of each pair."""
    rows = [("q", doc_id, query_key, "d") for doc_id, query_key in pairs]
    frame = pl.DataFrame(rows, schema=["query_id", "doc_id", "query_key", "doc_key"], orient="row")
    return Judged(judge=Keyed("k"), frame=frame, tally=Tally())  # type: ignore[arg-type]


def test_reasons_are_those_of_the_guideline_that_counts() -> None:
    store = MemoryStore()
    store.add_judge("k", "gpt", {})
    store.add_judgments("k", [said("a", "first guideline", "v1"), said("b", "first guideline", "v1")])
    store.add_judgments("k", [said("a", "edited guideline", "v2"), said("a", "edited document", "v1", "d2")])
    # the edit was taken back: v1 counts again, though its rows are the oldest
    assert current(judged(("a", "v1"), ("b", "v1")), store)["reason"].to_list() == ["first guideline", "first guideline"]
    assert current(judged(("a", "v2"), ("b", "v2")), store)["reason"].to_list() == ["edited guideline"]  # b is not judged by it


def test_a_pair_has_the_row_that_its_grade_is_from() -> None:
    store = MemoryStore()
    store.add_judge("k", "gpt", {})
    store.add_judgments("k", [said("a", "old", "v1"), said("a", "new", "v1", sample=1), said("a", "no reply", "v1", grade=None)])
    assert current(judged(("a", "v1")), store)["reason"].to_list() == ["new"]


def test_what_was_spent_before_counts_and_this_call_stands_in_where_nothing_is_stored() -> None:
    store = MemoryStore()
    store.add_spending("judge", "k", {"asked": 12, "cost_usd": 0.5})
    store.add_spending("judge", "k", {"asked": 3, "unpriced": 3})
    store.add_spending("judge", "another judge", {"asked": 99})
    store.add_spending("guide", "w", {"asked": 2, "seconds": 1.5})
    line = Line(store, guide_writer=Keyed("w"), describer=Keyed("d"))
    tallies = {"describe": Tally(asked=7), "judge": Tally(stopped="budget", errors={"HTTP 500": 1})}
    found = taken(Done(line, judged(), tallies))  # type: ignore[arg-type]
    assert list(found) == ["guide", "describe", "judge"]
    assert (found["guide"].asked, found["guide"].seconds, found["describe"].asked) == (2, 1.5, 7)
    assert (found["judge"].asked, found["judge"].cost_usd, found["judge"].unpriced) == (15, pytest.approx(0.5), 3)
    assert (found["judge"].stopped, found["judge"].errors) == ("budget", {"HTTP 500": 1})  # what this call warns of stays


def test_a_line_that_asked_nothing_took_nothing() -> None:
    assert taken(Done(Line(MemoryStore()))) == {}  # type: ignore[arg-type]
