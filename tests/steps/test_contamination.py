"""Contamination: demonstrations that are test queries, or their answers."""

from __future__ import annotations

import json
from pathlib import Path

import qrelkit as qk
from qrelkit.steps.contamination import Finding


def demonstration(query: str, passage: str) -> qk.Demonstration:
    return qk.Demonstration(query=query, passage=passage)


def query(query_id: str, text: str) -> qk.Query:
    return qk.Query(query_id=query_id, text=text)


def test_what_is_clean_has_no_finding() -> None:
    shown = [demonstration("how tall is a giraffe", "Giraffes are 5 m tall.")]
    assert qk.contamination(shown, [query("q1", "how long does a flea live")], [qk.Document(doc_id="d", text="Fleas …")]) == []


def test_the_same_but_for_case_blanks_and_marks() -> None:
    shown = [demonstration("x", "y"), demonstration("How long does a FLEA live?", "y")]
    found = qk.contamination(shown, [query("q0", "other"), query("q1", "how long does  a flea live")])
    assert found == [Finding(place=1, part="query", of="query", id="q1", how="same")]


def test_a_passage_that_stands_in_a_relevant_document_and_the_reverse() -> None:
    gold = [
        qk.Document(doc_id="d1", text="An adult flea lives on blood alone. It may live for 100 days."),
        qk.Document(doc_id="d2", text="It can well live for 100 days"),
    ]
    shown = [
        demonstration("x", "An adult flea lives on blood alone"),
        demonstration("x", "Really: it can well live for 100 days, often."),
    ]
    assert [(one.place, one.part, one.id, one.how) for one in qk.contamination(shown, [], gold)] == [
        (0, "passage", "d1", "contained"),
        (1, "passage", "d2", "contained"),  # itcanwelllivefor100days stands in the passage
    ]


def test_blocks_made_of_automir_s_own_queries_are_found_out(data: Path) -> None:
    """What AutoMIR did with 13 of 14 demonstrations (research/retrieval.md §2.9), built again from two of its tasks."""
    rows = []
    for name in ("DuBaike", "MedExam"):
        lines = (data / "automir" / f"{name}Retrieval" / "query.jsonl").read_text(encoding="utf-8").splitlines()
        rows += [{**json.loads(line), "name": name} for line in lines]
    queries = [query(f"{row['name']}:{row['id']}", row["text"]) for row in rows]
    gold = [qk.Document(doc_id=f"{row['name']}:{row['id']}", text=row["doc"]) for row in rows]
    taken = [rows[i] for i in (0, 7, 400, 900)]
    shown = [demonstration(f"{row['text']}。", row["doc"][:200]) for row in taken] + [
        demonstration("如何学习弹钢琴", "先学识谱。")
    ]
    found = qk.contamination(shown, queries, gold)
    assert {one.place for one in found if (one.part, one.of, one.how) == ("query", "query", "same")} == {0, 1, 2, 3}
    assert {one.place for one in found if (one.part, one.of) == ("passage", "document")} == {0, 1, 2, 3}
    assert all(f"{row['name']}:{row['id']}" in {one.id for one in found} for row in taken)
