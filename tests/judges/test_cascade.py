"""The cascade: who is asked, who decides, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from judges.talking import Told, answer_each, echo, pairs
from qrelkit.core.doors import Judge
from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.guideline import SCALES
from qrelkit.judges.cascade import Cascade, Unsure
from qrelkit.judges.panel import Panel

SURE = {"d1": (0.1, 0.0, 0.9), "d2": (0.4, 0.6, 0.0), "d3": (0.8, 0.1, 0.1)}


def cheap(**more: Any) -> Told:
    return Told("cheap", {"d1": 2, "d2": 1, "d3": 0, "d4": (None, "unparsable")}, cost=0.01, **more)


def dear(**more: Any) -> Told:
    return Told("dear", {"d1": 0, "d2": 2, "d3": 2, "d4": (None, "refused")}, cost=1.0, **more)


def test_only_the_unsure_go_on() -> None:
    first, second = cheap(), dear()
    both = Cascade([first, second], Unsure(grades=(1,)))
    _, judged = answer_each(both.flow(pairs(3)), echo)
    assert [j.grade for j in judged] == [2, 2, 0]
    assert second.asked == ["dear d2 0"]
    assert [j.details for j in judged] == [
        {"stage": "cheap", "first": 2},
        {"stage": "dear", "first": 1},
        {"stage": "cheap", "first": 0},
    ]
    assert [j.cost_usd for j in judged] == [0.01, 1.01, 0.01]
    assert judged[1].reason == "dear says so"


def test_below_reads_the_largest_probability() -> None:
    second = dear()
    both = Cascade([cheap(sure=SURE, samples=3), second], Unsure(below=0.8))
    _, judged = answer_each(both.flow(pairs(3)), echo)
    assert second.asked == ["dear d2 0"]  # .9 and .8 are not below .8
    assert [j.grade for j in judged] == [2, 2, 0]


def test_what_has_no_grade_always_goes_on_and_the_last_word_stands() -> None:
    _, judged = answer_each(Cascade([cheap(), dear()]).flow(pairs(4)[3:]), echo)
    (judgment,) = judged
    assert (judgment.grade, judgment.outcome) == (None, "refused")
    assert judgment.details == {"stage": "dear", "first": None}


def test_a_request_that_failed_is_not_asked_of_the_dear_one() -> None:
    """A network that is down says nothing of the pair. What failed without a request (no label for it) does go on."""
    first, second = Told("cheap", {"d1": (None, "failed"), "d2": 0}), dear()
    _, (judgment, _) = answer_each(Cascade([first, second]).flow(pairs(2)), echo)
    assert (judgment.outcome, judgment.details, second.asked) == ("failed", {"stage": "cheap", "first": None}, [])
    unsure = Unsure()
    assert not unsure.about(judgment)
    assert unsure.about(replace(judgment, request=""))


def test_three_stages() -> None:
    third = Told("third", {"d2": 0, "d4": 1})
    middle = Told("middle", {"d2": 1, "d4": 2})
    _, judged = answer_each(Cascade([cheap(), middle, third], Unsure(grades=(1,))).flow(pairs(4)), echo)
    assert [(j.grade, (j.details or {})["stage"]) for j in judged] == [(2, "cheap"), (0, "third"), (0, "cheap"), (2, "middle")]


def test_where_nobody_is_unsure_nobody_else_is_asked() -> None:
    second = dear()
    rounds, _ = answer_each(Cascade([cheap(), second]).flow(pairs(3)), echo)
    assert (len(rounds), second.asked) == (1, [])


def test_it_is_a_judge_with_a_key_of_its_own() -> None:
    both = Cascade([cheap(), dear()], Unsure(grades=(1,)))
    assert isinstance(both, Judge)
    assert both.name == "cheap→dear"
    assert both.models == ("test:cheap", "test:dear")
    assert (both.settings["model"], both.settings["models"]) == ("test:cheap", ["test:cheap", "test:dear"])
    others = [Cascade([cheap(), dear()]), Cascade([dear(), cheap()], Unsure(grades=(1,))), Panel([cheap(), dear()])]
    assert len({both.key, *(other.key for other in others)}) == 4
    assert both.key == Cascade([cheap(), dear()], Unsure(grades=(1,)), name="mine").key
    assert both.query_key("q1", "a", ()) != both.query_key("q1", "b", ())
    assert both.doc_key("d1", "a", ()) != both.doc_key("d1", "b", ())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="cheap gives none"):
        Cascade([cheap(), dear()], Unsure(below=0.8))
    with pytest.raises(InputError, match="at least two"):
        Cascade([cheap()])
    with pytest.raises(InputError, match="two judges of the cascade are called 'cheap'"):
        Cascade([cheap(), cheap()])
    with pytest.raises(Mismatch, match="unsure"):
        Cascade([cheap(), dear()], Unsure(grades=(3,)))
    with pytest.raises(Mismatch, match="different scales"):
        Cascade([cheap(), dear(scale=SCALES["binary"].json())])
