"""Guidelines, descriptions and what stages took, in every store."""

from __future__ import annotations

import orjson
import polars as pl

from qrelkit.core.guideline import QueryGuideline, Requirement
from qrelkit.stores import frames

# guidelines and descriptions


def guideline(query_id: str, note: str, approved: str = "") -> QueryGuideline:
    wish = Requirement(name="colour", value="red", importance="must_have")
    return QueryGuideline(query_id=query_id, query="red shoe", requirements=(wish,), notes={"relevant": note}, approved=approved)


def test_a_guideline_comes_back_as_it_was(store):
    one = guideline("q", "is red", "ann")
    assert store.add_guidelines([one], "written") == 1
    (row,) = store.guidelines().rows(named=True)
    assert QueryGuideline.read(orjson.loads(row["content"]) | {"query_id": row["query_id"], "approved": row["approved"]}) == one
    assert (row["version"], row["origin"], row["created"]) == (one.version, "written", row["created"])
    assert row["created"].startswith("2026-01-01T00:00:0")


def test_the_same_guideline_is_stored_once_and_an_approval_is_a_new_row(store):
    assert store.add_guidelines([guideline("q", "a"), guideline("q", "a"), guideline("p", "a")], "written") == 2
    assert store.add_guidelines([guideline("q", "a"), guideline("p", "a")], "file") == 0
    assert store.add_guidelines([guideline("q", "a", "ann")], "file") == 1
    assert store.guidelines().select("query_id", "approved", "origin").rows() == [
        ("q", "", "written"),
        ("p", "", "written"),
        ("q", "ann", "file"),
    ]


def test_going_back_to_an_older_guideline_makes_it_the_newest(store):
    for note in ("a", "b", "a"):
        assert store.add_guidelines([guideline("q", note)], "edited") == 1
    versions = store.guidelines()["version"].to_list()
    assert versions[0] == versions[2] != versions[1]


def test_the_newest_description_of_an_image_counts(store):
    store.add_descriptions("palette", {"i1": "red", "i2": "blue"})
    store.add_descriptions("palette", {"i1": "dark red\0"})
    store.add_descriptions("other", {"i1": "a shoe"})
    store.add_descriptions("other", {})
    assert store.descriptions("palette") == {"i1": "dark red\ufffd", "i2": "blue"}
    assert store.descriptions("other") == {"i1": "a shoe"}
    assert store.descriptions("nobody") == {}


# what was spent


def test_what_was_spent_is_added_up_per_stage_and_key(store):
    first = {"asked": 8, "known": 2, "joined": 1, "failed": 3, "tokens_in": 100, "tokens_out": 10, "tokens_cached": 50}
    first |= {"tokens_reasoning": 4, "tokens_image": 20, "saved_usd": 0.125, "busy_s": 0.75}
    store.add_spending("judge", "k", first | {"cost_usd": 0.5, "unpriced": 1, "seconds": 1.5})
    store.add_spending("judge", "k", {"asked": 4, "known": 9, "cost_usd": 0.25, "seconds": 0.5, "busy_s": 0.25, "done": 13})
    store.add_spending("describe", "k", {"asked": 1})
    store.add_spending("guide", "other", {})
    found = store.spending()
    assert found.schema == pl.Schema(frames.SPENDING)
    assert found.rows() == [
        ("describe", "k", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0),
        ("guide", "other", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0),
        ("judge", "k", 12, 11, 1, 3, 100, 10, 50, 4, 20, 1, 0.75, 0.125, 2.0, 1.0),
    ]


def test_spending_may_be_asked_of_some_keys(store):
    for key in ("a", "b", "c"):
        store.add_spending("judge", key, {"asked": 1})
    assert store.spending(["a", "c", "nobody"])["key"].to_list() == ["a", "c"]
    assert store.spending([]).schema == store.spending(["nobody"]).schema == pl.Schema(frames.SPENDING)
    assert store.spending([]).is_empty()
