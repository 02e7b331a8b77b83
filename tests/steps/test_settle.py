"""Verdicts that stay valid under peeking, Holm over several systems, and what settling will take."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.steps.settle import MOST, Verdict, limits, settle
from steps.few_labels import Study, ladder, mirrored, ranked

ENDLESS = 1e9  # degrees of freedom of a normal distribution


# however often one looks


def test_of_two_equal_systems_few_looks_call_the_judges_darling_better() -> None:
    """Simulated: 120 studies of two systems that are exactly equal, a judge who loves one of them, three looks at each. Every
    verdict is wrong, and 5 % may be: 6 of 120, give or take 1.96 · √(120 · .05 · .95) = 4.7."""
    wrong = 0
    for trial in range(120):
        study = mirrored(np.random.default_rng([2026, trial]))
        (verdict,) = settle("P@3", study.runs, study.judge, study.sampled((15, 15, 15), "P@3", seed=trial))
        wrong += bool(verdict.better)
    assert wrong <= 10


def test_the_judge_alone_would_have_been_wrong_of_nearly_all_of_them() -> None:
    """The same studies: by the judge's grades the darling leads, so that there is something to correct."""
    led = 0
    for trial in range(20):
        study = mirrored(np.random.default_rng([2026, trial]))
        sums = [
            run.frame.filter(pl.col("rank") <= 3).join(study.judge.frame, on=["query_id", "doc_id"])["grade"].clip(0, 1).sum()
            for run in study.runs
        ]
        led += sums[0] > sums[1]
    assert led >= 19


def test_a_verdict_counts_the_labels_of_the_look_that_ended_it_and_stands() -> None:
    study = ladder(3)
    runs = [study.runs[0], study.runs[2]]
    rounds = (15,) * 7
    people = study.sampled(rounds, "nDCG@5")
    (verdict,) = settle("nDCG@5", runs, study.judge, people)
    assert verdict.better == "good"
    assert verdict.labels < sum(rounds)
    assert (verdict.more, verdict.minutes()) == (0, 0.0)
    assert abs(verdict.z) > verdict.needed
    look = verdict.labels // 15
    (then,) = settle("nDCG@5", runs, study.judge, until(people, look))
    (before,) = settle("nDCG@5", runs, study.judge, until(people, look - 1))
    assert then == verdict
    assert (before.better, before.labels, before.words) == ("", 15 * (look - 1), "undecided")


def until(people: Qrels, last: int) -> Qrels:
    return Qrels(people.frame.filter(pl.col("round") <= last), people.name)


def test_the_order_of_the_systems_changes_no_verdict() -> None:
    study = ladder(3)
    people = study.sampled((15,) * 7, "nDCG@5")
    first, last = study.runs[0], study.runs[2]
    (one,), (other,) = (settle("nDCG@5", runs, study.judge, people) for runs in ([first, last], [last, first]))
    assert (one.better, one.labels) == (other.better, other.labels)
    assert one.z == pytest.approx(-other.z)


def test_a_complete_human_grading_settles_what_differs_at_all() -> None:
    study = ladder(1)
    found = settle("nDCG@5", study.runs, study.judge, study.people)
    assert [v.words for v in found] == ["good is better", "good is better", "fair is better"]
    assert {v.labels for v in found} == {len(study.people)}


@pytest.mark.parametrize("measure", ["P@3", "nDCG@5"])
def test_equal_systems_that_are_wholly_graded_are_not_told_apart_by_rounding(measure: str) -> None:
    study = mirrored(np.random.default_rng(1))
    for people in (study.people, study.sampled((200, 40), measure)):
        (verdict,) = settle(measure, study.runs, study.judge, people)
        assert (verdict.words, verdict.more, verdict.z) == ("undecided", None, 0.0)


# several systems


def test_holm_is_shared_by_the_pairs_that_are_still_open() -> None:
    """By hand: information 1 of half 1 gives this look 1/2 of 5 %. Holm: the largest |z| must pass 2.5 % / 3, the next 2.5 % / 2,
    the last 2.5 %, two-sided: 2.638, 2.498, 2.241. So 4.0 and 2.55 end (2.55 would not pass a third), and 2.2 stays open."""
    two_sided = [NormalDist().inv_cdf(1 - 0.025 / k / 2) for k in (3, 2, 1)]
    assert two_sided == pytest.approx([2.638, 2.498, 2.241], abs=0.001)
    z = np.array([[2.55, -4.0, 2.2]])
    needed = limits(z, np.ones((1, 3)), np.array([ENDLESS]), half=np.ones(3))
    assert needed[0] == pytest.approx([two_sided[1], two_sided[0], two_sided[2]], abs=1e-6)
    assert (np.abs(z) > needed).tolist() == [[True, True, False]]


def test_what_is_settled_frees_its_share_for_the_next_look() -> None:
    """By hand: looks at information 1 and 3 of half 1 spend 1/2 and 3/4 of 5 %: 2.5 % and then 1.25 %. At the second look one
    pair of three is closed, so the larger |z| must pass 1.25 % / 2 = .625 % and the other 1.25 %."""
    z = np.array([[0.0, 4.0, 0.0], [2.6, 0.0, 2.9]])
    needed = limits(z, np.array([[1.0] * 3, [3.0] * 3]), np.array([ENDLESS] * 2), half=np.ones(3))
    half_share, full_share = (NormalDist().inv_cdf(1 - 0.0125 / k / 2) for k in (2, 1))
    assert needed[1, [2, 0]] == pytest.approx([half_share, full_share], abs=1e-6)


def test_few_labels_ask_for_more_than_many_do() -> None:
    """Student's t has heavier tails the fewer degrees of freedom."""
    two_systems = np.array([[2.0]]), np.array([[1.0]])
    few, many = (limits(*two_systems, np.array([df]), half=np.ones(1))[0, 0] for df in (5.0, ENDLESS))
    assert few > many > 1.96


# the plan


def test_without_people_all_is_open_and_the_judges_difference_says_what_it_takes() -> None:
    study = ladder(0)
    found = settle("nDCG@5", study.runs, study.judge)
    assert [(v.a, v.b) for v in found] == [("good", "fair"), ("good", "poor"), ("fair", "poor")]
    assert [(v.better, v.labels, v.words) for v in found] == [("", 0, "undecided")] * 3
    more = [v.more for v in found]
    assert None not in more
    assert more[1] == min(more)  # the best against the worst is the easiest


def test_the_smaller_the_difference_the_more_labels() -> None:
    """A has the judge's best documents first in 12, 11, 9 and 7 of 12 queries, B in the others: the differences shrink, what a
    label can move stays."""
    study = ladder(5)
    best = {q: best_first(study, q) for q in study.judge.frame["query_id"].unique().sort()}
    more = []
    for ahead in (12, 11, 9, 7):
        sides = [
            {q: order if (i < ahead) == first else order[::-1] for i, (q, order) in enumerate(best.items())} for first in (1, 0)
        ]
        (verdict,) = settle("P@5", [ranked(sides[0], "A"), ranked(sides[1], "B")], study.judge)
        more.append(verdict.more)
    assert more == sorted(more)
    assert len(set(more)) == 4


def best_first(study: Study, query: str) -> list[int]:
    rows = study.judge.frame.filter(pl.col("query_id") == query).sort("grade", descending=True, maintain_order=True)
    return [int(d[1:]) for d in rows["doc_id"]]


def test_what_takes_too_many_labels_is_not_worth_it() -> None:
    study = ladder(0)
    one, two = study.runs[0], study.runs[1]
    (far,) = settle("nDCG@5", [one, two], study.judge, most=5)
    assert (far.more, far.minutes(), far.words) == (None, None, "undecided")
    assert far.text() == "good or fair: undecided, and not worth it: more than 5 further labels for so small a difference"
    (equal,) = settle("nDCG@5", [one, ranked(orders(study, "good"), "copy")], study.judge)
    assert equal.more is None
    assert f"more than {MOST:,} further labels" in equal.text()


def orders(study: Study, tag: str) -> dict[str, list[int]]:
    frame = next(run.frame for run in study.runs if run.tag == tag).sort("query_id", "rank")
    return {str(q[0]): [int(d[1:]) for d in rows["doc_id"]] for q, rows in frame.group_by("query_id", maintain_order=True)}


def test_minutes_and_words_follow_the_pace() -> None:
    open_ = Verdict(a="A", b="B", better="", labels=40, more=30, z=1.0, needed=2.5)
    assert open_.minutes(20) == 10.0  # 30 labels of 20 s
    assert open_.text(20) == "A or B: undecided, about 30 more labels (10 min)"
    assert open_.text(600) == "A or B: undecided, about 30 more labels (5.0 h)"
    won = Verdict(a="A", b="B", better="B", labels=1040, more=0, z=-3.0, needed=2.5)
    assert (won.words, won.text()) == ("B is better", "B is better than A (1,040 labels)")


# what cannot be settled


def test_one_system_is_not_enough() -> None:
    study = ladder(0)
    with pytest.raises(InputError, match="settling needs at least two runs, not 1"):
        settle("nDCG@5", study.runs[:1], study.judge)


def test_a_measure_that_pairs_cannot_estimate_needs_whole_queries() -> None:
    study = ladder(0)
    with pytest.raises(InputError, match="grade whole queries for it"):
        settle("RR", study.runs, study.judge, study.sampled((20,), "nDCG@5"))


def test_whole_queries_settle_too() -> None:
    study = ladder(2, queries=20)
    people = Qrels(study.people.frame.filter(pl.col("query_id") < "q12"), "people")
    found = {(v.a, v.b): v for v in settle("nDCG@5", study.runs, study.judge, people)}
    assert found["good", "poor"].words == "good is better"
    assert found["good", "poor"].labels == people.frame.height
