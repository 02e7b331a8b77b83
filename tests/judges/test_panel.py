"""The panel: several judges, one grade. The expected grades are counted by hand."""

from __future__ import annotations

import pytest

from judges.talking import Said, Told, answer_each, echo, pairs
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Judgment
from qrelkit.judges.cascade import Cascade, Unsure
from qrelkit.judges.panel import Panel

NONE: Said = (None, "refused")
FAILED: Said = (None, "failed")


def joined(*votes: Said, rule: str = "majority", quorum: float = 0.5) -> Judgment:
    members = [Told(name, {"d1": vote}) for name, vote in zip("abcdef", votes, strict=False)]
    _, (judgment,) = answer_each(Panel(members, rule=rule, quorum=quorum).flow(pairs(1)), echo)
    return judgment


@pytest.mark.parametrize(
    ("rule", "votes", "grade"),
    [
        ("majority", (2, 2, 0), 2),
        ("majority", (0, 2), 0),  # a tie: the lower
        ("majority", (0, 1, 2), 0),
        ("majority", (2, 2, 1, 1), 1),
        ("median", (0, 2, 2), 2),
        ("median", (0, 2), 0),  # two middle ones: the lower
        ("median", (0, 1, 2, 2), 1),
        ("mean", (0, 2, 2), 1),  # 1.33
        ("mean", (1, 2), 1),  # 1.5: half-way goes down
        ("mean", (1, 2, 2), 2),  # 1.67
        ("mean", (0, 0, 1, 1), 0),  # 0.5
    ],
)
def test_rules(rule: str, votes: tuple[int, ...], grade: int) -> None:
    assert joined(*votes, rule=rule).grade == grade


def test_the_spread_is_kept() -> None:
    judgment = joined(2, 0, 2, NONE)
    assert judgment.details == {
        "votes": {"a": 2, "b": 0, "c": 2, "d": "refused"},
        "requests": {"a": "r1:a", "b": "r1:b", "c": "r1:c", "d": "r1:d"},
    }
    assert judgment.probabilities == pytest.approx((1 / 3, 0, 2 / 3))
    assert judgment.reason == "a: a says so"
    assert judgment.cost_usd == 2.0


@pytest.mark.parametrize(
    ("votes", "quorum", "grade", "outcome"),
    [
        ((2, NONE), 0.5, 2, "graded"),  # one of two is half
        ((2, NONE, NONE), 0.5, None, "refused"),
        ((2, NONE, FAILED), 0.5, None, "failed"),  # asked again by the next run
        ((2, 1, FAILED), 0.5, 1, "graded"),
        ((2, 1, NONE), 1.0, None, "refused"),
        ((NONE, NONE), 0.0, None, "refused"),  # nobody voted: there is nothing to count
    ],
)
def test_quorum(votes: tuple[Said, ...], quorum: float, grade: int | None, outcome: str) -> None:
    judgment = joined(*votes, quorum=quorum)
    assert (judgment.grade, judgment.outcome) == (grade, outcome)
    assert (judgment.details or {})["votes"].keys() == {*"abcdef"[: len(votes)]}


def test_members_are_asked_together_and_each_is_sent_its_own_replies() -> None:
    members = [Told("a", {"d1": 2, "d2": 0}), Told("b", {"d1": 2, "d2": 1}, rounds=3), Told("c", {"d1": 0, "d2": 1}, rounds=0)]
    rounds, judged = answer_each(Panel(members).flow(pairs(2)), echo)
    assert [[echo(request) for request in asked] for asked in rounds] == [
        ["a d1 0", "a d2 0", "b d1 0", "b d2 0"],
        ["b d1 1", "b d2 1"],
        ["b d1 2", "b d2 2"],
    ]
    assert [j.grade for j in judged] == [2, 1]


def test_judges_that_ask_nothing_make_a_panel_that_asks_nothing() -> None:
    rounds, judged = answer_each(Panel([Told("a", {"d1": 1}, rounds=0), Told("b", {"d1": 1}, rounds=0)]).flow(pairs(1)), echo)
    assert (rounds, judged[0].grade) == ([], 1)


def test_a_cascade_may_sit_on_a_panel() -> None:
    cascade = Cascade([Told("cheap", {"d1": 1}), Told("dear", {"d1": 2})], Unsure(grades=(1,)))
    panel = Panel([cascade, Told("b", {"d1": 2}), Told("c", {"d1": 0})])
    rounds, (judgment,) = answer_each(panel.flow(pairs(1)), echo)
    assert [len(asked) for asked in rounds] == [3, 1]
    assert (judgment.details or {})["votes"] == {"cheap→dear": 2, "b": 2, "c": 0}
    assert panel.name == "majority of cheap→dear, b, c"
    assert panel.models == ("test:cheap", "test:dear", "test:b", "test:c")


def test_a_panel_is_a_stage_that_says_how_sure_it_is() -> None:
    panel = Panel([Told("a", {"d1": 2, "d2": 2}), Told("b", {"d1": 2, "d2": 1}), Told("c", {"d1": 2, "d2": 2})])
    boss = Told("boss", {"d2": 0})
    _, judged = answer_each(Cascade([panel, boss], Unsure(below=0.8)).flow(pairs(2)), echo)
    assert [j.grade for j in judged] == [2, 0]


def test_the_group_size_of_its_members_is_its_own() -> None:
    assert "per_request" not in Panel([Told("a", {}), Told("b", {})]).settings
    mixed = Panel([Told("a", {}), Told("b", {}, per_request=3, seed=7), Told("c", {}, per_request=5, seed=7)])
    assert (mixed.settings["per_request"], mixed.settings["seed"]) == (5, 7)


def test_what_cannot_be_is_refused() -> None:
    two = [Told("a", {}), Told("b", {})]
    with pytest.raises(UnknownName, match="did you mean 'median'"):
        Panel(two, rule="medain")
    with pytest.raises(InputError, match="quorum"):
        Panel(two, quorum=2)
    with pytest.raises(InputError, match="two judges of the panel are called 'a'"):
        Panel([two[0], two[0]])


def test_its_conversations_are_closed_with_it() -> None:
    closed: list[str] = []

    class Closing(Told):
        def flow(self, group):  # type: ignore[no-untyped-def]
            try:
                return (yield from super().flow(group))
            finally:
                closed.append(self.name)

    flow = Panel([Closing("a", {"d1": 1}), Closing("b", {"d1": 1})]).flow(pairs(1))
    next(flow)
    flow.close()
    assert closed == ["a", "b"]
