"""A decision: the three differences, a verdict, what it still takes, and the words; in every form."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest

from qrelkit.steps.corrected import LIKE
from qrelkit.steps.decision import LADDER, Decision, decide
from qrelkit.steps.settle import SECONDS
from steps.few_labels import Study, ladder

PROMISED = {"a", "b", "judge_only", "human_only", "corrected", "verdict", "labels", "labels_more", "minutes_more"}
STATISTIC = {"value", "low", "high", "n"}


def two(**options: Any) -> Decision:
    study = ladder(3)
    people = study.sampled((15,) * 7, "nDCG@5")
    return decide("nDCG@5", [study.runs[0], study.runs[2]], study.judge, people, **options)


def three(**options: Any) -> Decision:
    study = ladder(3)
    return decide("nDCG@5", study.runs, study.judge, study.sampled((15,) * 4, "nDCG@5"), **options)


# JSON


@pytest.mark.parametrize("options", [{}, {"sequential": True}, {"plan": True}, {"sequential": True, "plan": True}])
def test_json_has_what_scripts_rely_on(options: dict[str, bool]) -> None:
    found = two(**options).json()
    assert set(found) >= PROMISED
    assert (found["a"], found["b"]) == ("good", "poor")
    assert all(set(found[side]) == STATISTIC for side in ("judge_only", "human_only", "corrected"))
    assert found["verdict"] == "good is better"
    assert (found["labels_more"], found["minutes_more"]) == (0, 0.0)
    assert ("plan" in found) is options.get("plan", False)
    assert found["sequential"] is options.get("sequential", False)


def test_json_is_plain_numbers_and_words() -> None:
    import orjson

    found = three(sequential=True, plan=True, by={f"q{i:02d}": "de" if i < 5 else "en" for i in range(12)}).json()
    assert orjson.loads(orjson.dumps(found))["by"].keys() == {"de", "en"}


def test_every_two_systems_have_the_same_form_and_the_first_two_stand_on_top() -> None:
    found = three(sequential=True).json()
    assert [(c["a"], c["b"]) for c in found["comparisons"]] == [("good", "fair"), ("good", "poor"), ("fair", "poor")]
    assert all(set(c) - {"reason"} == PROMISED for c in found["comparisons"])
    assert {name: found[name] for name in PROMISED} == {n: v for n, v in found["comparisons"][0].items() if n in PROMISED}


def test_without_people_the_human_sides_are_null_with_a_reason() -> None:
    study = ladder(3)
    found = decide("nDCG@5", study.runs[:2], study.judge, plan=True).json()
    assert found["judge_only"]["value"] is not None
    for side in ("human_only", "corrected"):
        assert (found[side]["value"], found[side]["reason"]) == (None, "nobody graded a pair yet")
    assert (found["verdict"], found["labels"]) == ("undecided", 0)
    assert found["labels_more"] > 0
    assert found["conclusions"]["may"] == []


def test_what_is_not_worth_it_has_no_number_and_says_so() -> None:
    study = ladder(3)
    (told,) = decide("nDCG@5", study.runs[:2], study.judge, plan=True, most=1).json()["comparisons"]
    assert (told["verdict"], told["labels_more"], told["minutes_more"]) == ("undecided", None, None)
    assert told["reason"] == "not worth it"


# verdicts


def test_without_peeking_a_verdict_is_that_the_interval_leaves_0_out() -> None:
    for row, verdict in zip(three().corrected.differences.iter_rows(named=True), three().verdicts, strict=True):
        better = row["a"] if row["corrected_low"] > 0 else row["b"] if row["corrected_high"] < 0 else ""
        assert verdict.better == better


def test_of_the_same_labels_peeking_settles_no_more_than_one_look() -> None:
    """The 5 % are shared by the looks and by the pairs of systems."""
    once, often = (sum(bool(v.better) for v in found.verdicts) for found in (three(), three(sequential=True)))
    assert once >= often


def test_queries_like_these_are_harder_than_these() -> None:
    these, like = (three(estimand=e).corrected.differences["corrected_sd"] for e in ("these queries", LIKE))
    assert (like > these).all()


# the plan


def test_the_plan_rises_and_costs_its_pace() -> None:
    study = ladder(3)
    plan = decide("nDCG@5", study.runs, study.judge, plan=True, seconds=30).plan
    assert [step["labels_more"] for step in plan] == list(LADDER)
    assert plan[0]["minutes_more"] == 12.5  # 25 labels of 30 s
    settled = [step["settled"] for step in plan]
    assert settled == sorted(settled)
    assert 0 <= settled[0] <= settled[-1] <= 3


def test_a_pace_is_said_to_be_measured_or_assumed() -> None:
    study = ladder(3)
    asked: tuple[str, Any, Any] = ("nDCG@5", study.runs[:2], study.judge)
    assert f"at {SECONDS:.0f} s a label, assumed" in decide(*asked, plan=True).text()
    measured = decide(*asked, plan=True, seconds=12.4)
    assert "at 12 s a label, as measured" in measured.text()
    more = measured.json()["labels_more"]
    assert measured.json()["minutes_more"] == round(more * 12.4 / 60, 1)


# words and tables


def test_the_text_ends_with_what_may_and_may_not_be_concluded() -> None:
    found = two(sequential=True, warnings=("the judge is of the family of a system",))
    *_, warning, may, may_not = found.text().splitlines()
    assert warning == "! the judge is of the family of a system"
    assert may.startswith("You may conclude that good is better than poor (+0.")
    assert may.endswith("by nDCG@5 over these queries, at 95 % however often one looked, from 105 human grades.")
    assert may_not == ("You may not conclude that it would be so on other queries: the estimand is the mean over these 12.")


def test_of_one_look_the_words_say_so() -> None:
    assert "each at 95 %, from 105 human grades" in two().text()
    assert "however often" not in two().text()


def test_several_systems_share_their_error_and_the_plan_is_a_ladder() -> None:
    text = three(sequential=True, plan=True).text()
    assert "pairs settled of 3 (all together at 95 %, Holm)" in text
    assert "good is better than poor (" in text
    conclusions = three(sequential=True).conclusions
    assert "all pairs together" in conclusions.may[0]


def test_groups_have_their_own_tables() -> None:
    text = two(by={f"q{i:02d}": "de" if i < 5 else "en" for i in range(12)}).text()
    assert "── de ─" in text
    assert "── en ─" in text
    assert "mean over these queries (5)" in text


def test_csv_has_a_line_for_every_two_systems_with_its_verdict() -> None:
    found = three(sequential=True)
    table = pl.read_csv(io.StringIO(found.csv()))
    assert table.columns[:2] == ["a", "b"]
    assert {"judge", "human", "corrected", "corrected_low", "corrected_high", "verdict", "labels", "labels_more"} <= set(
        table.columns
    )
    assert table["verdict"].to_list() == [v.words for v in found.verdicts]


def test_latex_has_a_row_for_every_two_systems_and_escapes_names() -> None:
    study = ladder(3)
    odd = Study(study.people, study.judge, [*study.runs[:2], type(study.runs[2])(study.runs[2].frame, "poor_&_last")])
    table = decide("nDCG@5", odd.runs, odd.judge, study.sampled((40,), "nDCG@5")).latex()
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 3
    assert {row.replace(r"\&", "").count("&") for row in rows} == {4}
    assert r"poor\_\&\_last" in table


def test_a_decision_says_itself_in_one_line() -> None:
    assert repr(two(sequential=True)) == "Decision(1 of 1 pairs of systems settled, 105 labels)"
