"""The reply reader: every row is a reply as models write them, beside what a careful person would read."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.guideline import SCALES, Grade, Scale
from qrelkit.core.wire import Reply
from qrelkit.judges.read_reply import read_reply, read_verdicts, verdict_probabilities

PRODUCT, TREC = SCALES["product-3"], SCALES["trec-0-3"]
UNSURE = Scale(
    name="unsure",
    grades=(Grade(value=0, label="no", meaning="no"), Grade(value=1, label="yes", meaning="yes")),
    cannot_judge=True,
)


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ('{"reasoning": "meets all", "verdict": "highly_relevant"}', 2),
        ('```json\n{"reasoning": "r", "verdict": "irrelevant"}\n```', 0),
        ('Let me see.\n{"reasoning": "r", "verdict": "acceptable_substitute"}', 1),
        ('{"verdict": 2}', 2),
        ('{"verdict": "2"}', 2),
        ('{"verdict": 2.0}', 2),
        ('{"verdict": "Highly Relevant"}', 2),
        ('{"verdict": "highly_relevant (2)"}', 2),
        ("It meets all points.\nVERDICT: highly_relevant", 2),
        ("verdict: 1.", 1),
        ("irrelevant", 0),
        ("**1**", 1),
        ('<think>Perhaps "verdict": 2? No.</think>{"verdict": "irrelevant"}', 0),
    ],
)
def test_reads_a_verdict_where_it_was_asked_for(text: str, grade: int) -> None:
    assert read_reply(text, PRODUCT).grade == grade


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("…published in 2021; not relevant at all", "unparsable"),  # peers read a 1 here (anchors-code A2)
        ("score: 10", "unparsable"),
        ("Final: 1. (3 would need a date)", "unparsable"),
        ('{"verdict": 7}', "out_of_range"),
        ('{"verdict": -1}', "out_of_range"),
        ('{"verdict": 1.5}', "out_of_range"),
        ('{"verdict": "1; 2"}', "unparsable"),
        ('{"verdict": null}', "unparsable"),
        ('{"verdict": true}', "unparsable"),
        ('{"grade": 2}', "unparsable"),
        ('{"reasoning": "it says highly_relevant", ', "unparsable"),
        ("", "unparsable"),
        ("VERDICT: highly_relevant\nbut then again it is not", "unparsable"),  # said earlier, taken back: nothing is guessed
        ("cannot_judge", "unparsable"),  # this scale does not offer it
        ("٢", "unparsable"),  # a digit of another script is not what was asked for
        ("1e0", "unparsable"),
    ],
)
def test_what_is_no_verdict_has_no_grade(text: str, outcome: str) -> None:
    verdict = read_reply(text, PRODUCT)
    assert (verdict.grade, verdict.outcome) == (None, outcome)


def test_a_quoted_document_cannot_give_the_verdict() -> None:
    reply = 'The document claims {"verdict": "highly_relevant"}.\n{"reasoning": "it praises itself", "verdict": "irrelevant"}'
    assert read_reply(reply, PRODUCT).grade == 0


def test_cannot_judge_is_a_refusal_where_the_scale_offers_it() -> None:
    verdict = read_reply('{"reasoning": "too blurred", "verdict": "cannot judge"}', UNSURE)
    assert (verdict.grade, verdict.outcome, verdict.reason) == (None, "refused", "too blurred")


def test_a_truncated_reply_counts_only_when_its_object_is_complete() -> None:
    assert read_reply(Reply(text="VERDICT: 1", outcome="truncated"), PRODUCT).outcome == "unparsable"
    assert read_reply(Reply(text='{"verdict": 1}', outcome="truncated"), PRODUCT).grade == 1


def test_provider_outcomes_are_kept() -> None:
    assert read_reply(Reply(text="I cannot help", outcome="refused"), PRODUCT).outcome == "refused"
    failed = read_reply(Reply(text="", outcome="failed", error="connection reset"), PRODUCT)
    assert (failed.outcome, failed.reason) == ("failed", "connection reset")


def test_a_prompt_may_name_its_own_marker() -> None:
    assert read_reply("M: 2 T: 1\n##final score: 3", TREC, marker="##final score:").grade == 3


def test_probabilities_come_from_the_place_where_the_verdict_begins() -> None:
    """Tokens as models write our JSON: labels take several, and the first tells them apart. .6 : .2 : .2 by hand."""
    log = {0: math.log(0.2), 1: math.log(0.6), 2: math.log(0.2)}
    tokens = (
        ('{"', {}),
        ("reasoning", {}),
        ('":"highly', {"highly": math.log(0.9)}),  # a word of a label in the reasoning
        ('","', {}),
        ("verdict", {}),
        ('": "', {}),
        ("accept", {"accept": log[1], "high": log[2], "irre": log[0], "the": math.log(0.01)}),
        ("able_substitute", {}),
        ('"}', {}),
    )
    probabilities = verdict_probabilities(Reply(text="…", token_probabilities=tokens), PRODUCT)
    assert probabilities == pytest.approx((0.2, 0.6, 0.2))


def test_probabilities_of_a_bare_number_and_after_a_marker() -> None:
    number = ((" 1", {" 1": math.log(0.5), "2": math.log(0.5)}),)
    assert verdict_probabilities(Reply(text="", token_probabilities=number), PRODUCT) == pytest.approx((0, 0.5, 0.5))
    marked = (("2 of 3.\n", {"2": 0.0}), ("VERDICT:", {}), (" irre", {" irre": math.log(0.8), " high": math.log(0.2)}))
    assert verdict_probabilities(Reply(text="", token_probabilities=marked), PRODUCT) == pytest.approx((0.8, 0, 0.2))


def test_no_probabilities_where_the_first_token_does_not_tell_the_labels_apart() -> None:
    alike = Scale(
        name="alike",
        grades=(Grade(value=0, label="relevance_none", meaning=""), Grade(value=1, label="relevance_full", meaning="")),
    )
    tokens = (('{"verdict": "', {}), ("relevance", {"relevance": math.log(0.9)}), ("_full", {}))
    assert verdict_probabilities(Reply(text="", token_probabilities=tokens), alike) is None
    assert verdict_probabilities(Reply(text="1"), PRODUCT) is None


def test_recorded_replies_of_a_small_model(data: Path) -> None:
    """4,410 raw replies of flan-t5-large: 4,408 verdicts as recorded beside them, 2 unreadable; 13 pairs have no reply."""
    file = data / "llmjudge_dl23" / "raw_outputs_flan-t5-large_umbrela_zeroshot.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    verdicts = {(r["qidx"], r["docidx"]): (read_reply(r["LLMs_output"], TREC, marker="##final score:"), r) for r in rows}
    outcomes = Counter(v.outcome for v, _ in verdicts.values())
    assert (len(rows), outcomes) == (4410, {"graded": 4408, "unparsable": 2})
    assert all(v.grade == r["final_relevance_score"] for v, r in verdicts.values() if v.outcome == "graded")
    human = (data / "llmjudge_dl23" / "qrels.human.test.txt").read_text(encoding="utf-8").splitlines()
    pairs = {(line.split()[0], line.split()[2]) for line in human}
    assert len(pairs - set(verdicts)) == 13


# a prompt that the server cut


def test_a_cut_prompt_is_an_outcome_of_its_own() -> None:
    said = Reply(text='{"verdict": "highly_relevant"}', outcome="truncated_input", error="it counted 900 tokens of about 4,000")
    found = read_reply(said, PRODUCT)
    assert (found.grade, found.outcome, found.reason) == (None, "truncated_input", "it counted 900 tokens of about 4,000")
    assert read_reply(Reply(text="", outcome="truncated_input"), PRODUCT).reason


# several documents in one reply


def told(*entries: object) -> str:
    return json.dumps({"verdicts": list(entries)})


ONE, TWO = {"number": 1, "reasoning": "r", "verdict": "irrelevant"}, {"number": 2, "verdict": "highly_relevant"}


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        (told(ONE, TWO), [0, 2]),
        (told(TWO, ONE), [0, 2]),  # the number decides, not the order
        (json.dumps([ONE, TWO]), [0, 2]),
        (f"```json\n{told(ONE, TWO)}\n```", [0, 2]),
        (f"Here they are:\n{told(ONE, TWO)}", [0, 2]),
        (f"<think>1, 2</think>{json.dumps([ONE, TWO], indent=1)}", [0, 2]),
        (told({"number": "1", "verdict": 1}, TWO), [1, 2]),
        (told(ONE), [0, None]),
        (told(ONE, ONE, TWO), [None, 2]),
        (told(ONE, {"number": 2}), [0, None]),
        (told(ONE, {**TWO, "verdict": "good"}), [0, None]),
        (told(ONE, TWO, {**TWO, "number": 3}), [None, None]),  # of two documents, there is no third
        (told({**ONE, "number": 0}, {**TWO, "number": 1}), [None, None]),
        (told({**ONE, "number": True}, TWO), [None, None]),
        (told({**ONE, "number": 1.5}, TWO), [None, None]),
        (told("irrelevant", "highly_relevant"), [None, None]),
        (told(), [None, None]),
        ("1: irrelevant\n2: highly_relevant", [None, None]),
        ('{"verdict": "irrelevant"}', [None, None]),
        (told(ONE, TWO)[:-8], [None, None]),
        ("", [None, None]),
    ],
)
def test_several_verdicts_in_one_reply(text: str, grades: list[int | None]) -> None:
    found = read_verdicts(text, PRODUCT, 2)
    assert [verdict.grade for verdict in found] == grades
    assert {verdict.outcome for verdict in found if verdict.grade is None} <= {"unparsable"}
    assert all(verdict.reason for verdict in found if verdict.grade is None)


def test_several_verdicts_have_their_own_outcomes() -> None:
    said = told(
        {"number": 1, "verdict": "7"},
        {"number": 2, "verdict": "cannot_judge", "reasoning": "dark"},
        {"number": 3, "verdict": "yes"},
    )
    assert [v.outcome for v in read_verdicts(said, UNSURE, 3)] == ["out_of_range", "refused", "graded"]


@pytest.mark.parametrize("outcome", ["refused", "failed", "truncated_input"])
def test_where_nothing_was_said_nothing_is_read(outcome: Any) -> None:
    found = read_verdicts(Reply(text=told(ONE, TWO), outcome=outcome, error="why"), PRODUCT, 2)
    assert [(v.grade, v.outcome) for v in found] == [(None, outcome)] * 2


def test_a_truncated_list_counts_only_when_it_is_whole() -> None:
    assert [v.grade for v in read_verdicts(Reply(text=told(ONE, TWO), outcome="truncated"), PRODUCT, 2)] == [0, 2]
    cut = read_verdicts(Reply(text=told(ONE, TWO)[:-5], outcome="truncated"), PRODUCT, 2)
    assert "max_tokens" in cut[0].reason
