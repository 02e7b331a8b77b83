"""In words: what may be concluded, and what may not."""

from __future__ import annotations

import math

from qrelkit.steps.conclusions import SHOWN, Conclusions, Difference, of_differences, of_ranking

BEYOND = "that it would be so elsewhere"


def difference(a: str, b: str, value: float, *, sure: bool, half: float = 0.02) -> Difference:
    return Difference(a=a, b=b, value=value, low=value - half, high=value + half, sure=sure)


def test_the_better_system_comes_first_with_its_lead() -> None:
    found = of_differences([difference("A", "B", -0.05, sure=True)], "by P@5", BEYOND)
    assert found.may == ("that B is better than A (+0.0500 [+0.0300, +0.0700]), by P@5",)
    assert found.may_not == (BEYOND,)


def test_what_is_open_is_not_called_equal() -> None:
    found = of_differences([difference("A", "B", 0.01, sure=False)], "by P@5", BEYOND)
    assert found.may == ()
    assert found.may_not[0] == "which of A and B is better, nor that they are equal (+0.0100 [-0.0100, +0.0300])"


def test_what_it_is_by_is_said_once_and_the_largest_first() -> None:
    rows = [difference("A", "B", 0.03, sure=True), difference("A", "C", 0.09, sure=True)]
    assert of_differences(rows, "by P@5", BEYOND).may == (
        "that A is better than C (+0.0900 [+0.0700, +0.1100]), by P@5",
        "that A is better than B (+0.0300 [+0.0100, +0.0500])",
    )


def test_many_are_counted_and_the_closest_of_the_open_ones_are_told() -> None:
    sure = [difference("A", f"B{i}", 0.1 + i / 100, sure=True) for i in range(SHOWN + 2)]
    open_ = [difference("C", f"D{i}", 0.001 * (i + 1), sure=False) for i in range(SHOWN + 3)]
    found = of_differences([*sure, *open_], "by P@5", BEYOND)
    assert len(found.may) == SHOWN + 1
    assert found.may[-1] == f"the same of 2 more of the {2 * SHOWN + 5} pairs of systems"
    assert found.may_not[0].startswith("which of C and D0 is better")
    assert found.may_not[SHOWN:] == ("the one or the other of 3 more pairs of systems", BEYOND)


def test_a_difference_without_an_interval_has_none_in_its_words() -> None:
    row = Difference(a="A", b="B", value=0.1, low=-math.inf, high=math.inf, sure=False)
    assert of_differences([row], "", BEYOND).may_not[0].endswith("nor that they are equal (+0.1000)")


def test_every_sentence_is_a_line() -> None:
    assert Conclusions(may=("that it rains",), may_not=("that it pours",)).text() == (
        "You may conclude that it rains.\nYou may not conclude that it pours."
    )


def test_where_nothing_may_be_concluded_that_is_said_first() -> None:
    assert Conclusions(may_not=(BEYOND,)).text().splitlines() == [
        "You may not conclude anything about which system is better.",
        f"You may not conclude {BEYOND}.",
    ]


def test_json_has_both_sides() -> None:
    assert Conclusions(may=("x",), may_not=("y",)).json() == {"may": ["x"], "may_not": ["y"]}


def test_two_orders_are_as_alike_as_the_low_end_of_tau() -> None:
    for low, word in ((0.95, "nearly alike"), (0.75, "much alike"), (0.2, "alike in parts only")):
        assert f"an order that is {word} (tau 0.960, at least {low:.3f})" in of_ranking(0.96, low, {}, ("A", "A")).may[0]
    found = of_ranking(0.3, -0.1, {10: (0.5, 0.1)}, ("A", "B"))
    assert found.may == ()
    assert found.may_not[:3] == (
        "that both put the systems in like orders (tau 0.300, perhaps -0.100)",
        "which system is the best: one puts A first, the other B",
        "that the best 10 are in the same order (tau 0.500, perhaps 0.100)",
    )
