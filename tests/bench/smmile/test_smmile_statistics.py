"""Counts, clustered intervals, pairs and splits; numbers by hand, or by scipy where said."""

from __future__ import annotations

import math
import random

import polars as pl
import pytest

from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.bench.smmile.statistics import (
    accuracy,
    facts,
    mcnemar,
    order_free,
    paired,
    recency,
    spread,
    strata,
    wilson,
)
from qrelkit.core.errors import InputError


def rows(answers: dict[str, list[bool | None]]) -> pl.DataFrame:
    """One row per answer of each base problem."""
    flat = [(f"{base}_{i}", base, value) for base, values in answers.items() for i, value in enumerate(values)]
    return pl.DataFrame(flat, schema={"problem_id": pl.String, "base_id": pl.String, "correct": pl.Boolean}, orient="row")


def test_counts_micro_and_macro() -> None:
    # a: 3 of 4, b: 0 of 2: micro 3/6, macro (3/4 + 0)/2 = .375
    found = accuracy(rows({"a": [True, True, True, False], "b": [False, False]}))
    assert (found.correct, found.n, found.bases, found.unanswered) == (3, 6, 2, 0)
    assert found.micro.value == 0.5
    assert found.macro.value == 0.375
    # deviations from .5: a +1, b -1; √(2/1 · (1 + 1)) / 6 = 1/3
    assert found.se_clustered == pytest.approx(1 / 3)
    assert found.se_iid == pytest.approx(math.sqrt(0.25 / 6))
    assert found.micro.n == 2


def test_rows_without_an_answer_are_wrong_in_one_number_and_left_out_of_the_other() -> None:
    found = accuracy(rows({"a": [True, None], "b": [True], "c": [False]}))
    assert (found.correct, found.n, found.unanswered) == (2, 4, 1)
    assert found.micro.value == 0.5
    assert found.completed.value == pytest.approx(2 / 3)


def test_a_single_base_has_no_interval_and_nothing_has_a_reason() -> None:
    assert math.isnan(accuracy(rows({"a": [True, False]})).micro.low)
    assert accuracy(rows({})).micro.reason == "there is no row"
    assert accuracy(rows({"a": [None]})).completed.reason == "no row has an answer"


def test_wilson_is_what_scipy_says() -> None:
    from scipy.stats import binomtest

    for right, n in ((0, 111), (36, 111), (111, 111), (1, 2)):
        expected = binomtest(right, n).proportion_ci(0.95, "wilson")
        found = wilson(right, n)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_mcnemar_counts_by_hand() -> None:
    # 5 changes, all gains: 2 · (1/2)^5 = 1/16
    assert mcnemar(5, 0) == pytest.approx(1 / 16)
    assert mcnemar(0, 0) == 1
    assert mcnemar(24, 5) == pytest.approx(0.0005, abs=5e-5)  # GPT-4o in the research notes
    assert mcnemar(20, 16) == pytest.approx(0.6177, abs=5e-5)  # LLaVA-7B


def test_pairs_are_of_problems_answered_in_both() -> None:
    first = rows({"a": [True, False, None], "b": [False]})
    second = rows({"a": [True, True, True], "b": [True]})
    found = paired(first, second)
    assert (found.n, found.first, found.second, found.gained, found.lost) == (3, 1, 3, 2, 0)
    assert found.difference.value == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="no problem in common"):
        paired(first, rows({"z": [True]}))


def problem(name: str, *answers: str, gold: str = "yes", base: str = "", **tags: str) -> Problem:
    shown = tuple(Triplet(question="?", answer=answer) for answer in answers)
    return Problem(problem_id=name, base_id=base, demonstrations=shown, query=Triplet(question="?", answer=gold, tags=tags))


def test_facts_of_problems() -> None:
    found = facts(
        Problems(
            name="x",
            revision="1",
            problems=[problem("p", "yes", "no", "no", kind="CT"), problem("q", "no", kind="MRI"), problem("r", "yes", "yes")],
        )
    )
    assert found["first_matches"].to_list() == [True, False, True]
    assert found["last_matches"].to_list() == [False, False, True]
    assert found["has_both"].to_list() == [True, False, False]
    assert found["nearest_match"].to_list() == [3, None, 1]
    assert found["tag_kind"].to_list() == ["CT", "MRI", None]


def permuted() -> pl.DataFrame:
    """Base a: right when the last demonstration matches; base b: right in one of two either way; base c has one kind only."""
    problems = [
        problem("a1", "no", "yes", base="a"),
        problem("a2", "yes", "no", base="a"),
        problem("b1", "no", "yes", base="b"),
        problem("b2", "yes", "no", base="b"),
        problem("c1", "no", "yes", base="c"),
        problem("d1", "no", "no", base="d"),
    ]
    correct = {"a1": True, "a2": False, "b1": True, "b2": True, "c1": False, "d1": True}
    known = pl.DataFrame({"problem_id": list(correct), "correct": list(correct.values())})
    return facts(Problems(name="x", revision="1", problems=problems)).join(known, on="problem_id")


def test_recency_is_paired_within_bases() -> None:
    last = recency(permuted())["last"]
    # rows with both kinds: a1 a2 b1 b2 c1; matching last: a1 right, b1 right, c1 wrong; not: a2 wrong, b2 right
    assert (last.match, last.match_correct, last.no_match, last.no_match_correct) == (3, 2, 2, 1)
    # a: 1 − 0, b: 1 − 1: mean ½, sd √½, se ½
    assert last.paired.value == 0.5
    assert last.paired_se == pytest.approx(0.5)
    assert last.paired.n == 2


def test_spread_over_the_orders_of_a_base() -> None:
    found = spread(permuted())  # a: mixed, sd ½; b: right in both, sd 0
    assert (found["mixed"].value, found["sd"].value, found["sd"].n) == (0.5, 0.25, 2)
    assert found["mixed"].high == wilson(1, 2).high
    assert math.isnan(spread(rows({"a": [True]}))["mixed"].value)


def test_strata_have_their_n_and_say_where_it_is_small() -> None:
    found = strata(permuted(), "last_matches")
    assert found.select("last_matches", "n", "bases", "correct", "few").rows() == [(False, 3, 3, 2, True), (True, 3, 3, 2, True)]
    assert strata(permuted(), "nearest_match")["nearest_match"].to_list() == [1, 2, None]


def test_strata_are_the_accuracies_of_their_rows_within_every_group() -> None:
    """Against `accuracy`, one group and stratum after the other: the plain version of one pass over all columns."""
    chance = random.Random(3)
    made = [
        {
            "problem_id": f"{base}_{i}",
            "base_id": f"b{base}",
            "kind": chance.choice(["x", "y", None]),
            "model": model,
            "correct": chance.choice([True, False, None]),
        }
        for model in ("m", "n")
        for base in range(20)
        for i in range(chance.randint(1, 4))
    ]
    frame = pl.DataFrame(made)
    found = strata(frame, "kind", ["model"])
    assert found.height == 6
    for row in found.iter_rows(named=True):
        part = frame.filter((pl.col("model") == row["model"]) & pl.col("kind").eq_missing(pl.lit(row["kind"])))
        one = accuracy(part)
        assert (row["n"], row["bases"], row["correct"]) == (one.n, one.bases, one.correct)
        ends = (one.micro.value, one.micro.low, one.micro.high)
        assert (row["accuracy"], row["low"], row["high"]) == pytest.approx(ends, abs=1e-12)


def test_bases_that_are_all_alike_do_not_make_an_interval_of_no_width() -> None:
    # 0 of 4 rows in 2 bases: Wilson's of 0 of 2, as if each base were one row
    none = accuracy(rows({"a": [False, False], "b": [False, False]}))
    assert (none.se_clustered, none.micro.low) == (0, 0)
    assert none.micro.high == none.macro.high == wilson(0, 2).high
    # every base half right, 3 bases of 2: Wilson's of ½ in 3
    half = accuracy(rows({name: [True, False] for name in "abc"}))
    n, z = 3, 1.959963984540054
    assert half.micro.high == pytest.approx(0.5 + z / (1 + z * z / n) * math.sqrt(0.25 / n + z * z / (4 * n * n)))
    single = accuracy(rows({"a": [True], "b": [False], "c": [False]}))
    assert (single.micro.low, single.micro.high) == (single.iid.low, single.iid.high), "one row per base: nothing to cluster"


def test_a_difference_that_is_the_same_everywhere_has_no_interval() -> None:
    same = rows({"a": [True], "b": [False]})
    found = paired(same, same).difference
    assert (found.value, math.isnan(found.low)) == (0, True)
    assert "same in every base" in found.reason


def test_the_control_deals_answers_anew_inside_each_base() -> None:
    found = order_free(permuted(), "last_matches", draws=400, seed=1)
    # of a the difference is +1 or −1, of b always 0: the mean is ±½
    assert set(found.tolist()) == {0.5, -0.5}
    assert abs(found.mean()) < 0.1


def test_the_control_is_of_the_place_that_is_asked_about() -> None:
    """One base of six orders, one right: two last demonstrations match, one first one does.

    last: the right one is among the two (½ − 0) with 1/3, else 0 − ¼; first: 1 with 1/6, else −1/5."""
    orders = [("yes", "no"), ("no", "yes"), ("no", "no", "yes"), ("no", "yes", "no")]
    orders += [("no", "yes", "no", "no"), ("no", "no", "yes", "no")]
    problems = [problem(f"a{i}", *answers, base="a") for i, answers in enumerate(orders)]
    known = pl.DataFrame({"problem_id": [p.problem_id for p in problems], "correct": [True] + 5 * [False]})
    frame = facts(Problems(name="x", revision="1", problems=problems)).join(known, on="problem_id")
    last, first = (order_free(frame, by, draws=3000, seed=2) for by in ("last_matches", "first_matches"))
    assert set(last.round(12).tolist()) == {0.5, -0.25}
    assert (last > 0).mean() == pytest.approx(1 / 3, abs=0.03)
    assert set(first.round(12).tolist()) == {1.0, -0.2}
    assert (first > 0).mean() == pytest.approx(1 / 6, abs=0.03)
    assert math.isnan(order_free(frame.filter(pl.col("last_matches")), "last_matches", draws=3)[0])
