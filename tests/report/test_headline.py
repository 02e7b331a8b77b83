"""The first sentences, for each way it can end."""

from __future__ import annotations

from qrelkit.reports.headline import headline
from report.example_report import pairs, stat


def test_winner_lead_and_the_other_views() -> None:
    scores = {
        "human": {"x": {"AP": stat(0.4)}, "y": {"AP": stat(0.3)}},
        "model": {"x": {"AP": stat(0.5)}, "y": {"AP": stat(0.6)}},
        "mixed": {"x": {"AP": stat(0.45)}, "y": {"AP": stat(0.35)}},
    }
    duel = {"a": "y", "b": "x", "measure": "AP", "diff": -0.1, "low": -0.15, "high": -0.05, "p_holm": 0.01}
    first, lead, model, mixed = (s.replace("\N{NO-BREAK SPACE}", " ") for s in headline(scores, "AP", [duel]))
    assert first == "x (0.400 [0.350, 0.450]) scores highest in AP by human grades."
    assert lead == "Its lead over y, 0.1000 [0.050, 0.150], is hardly chance (p = 0.010 after Holm’s correction)."
    assert model == "By the model’s grades alone, the answer would be another: y (0.600 [0.550, 0.650])."
    assert mixed == "With the holes filled by the model, the answer would be the same: x (0.450 [0.400, 0.500])."


def test_a_lead_that_may_be_chance_says_so() -> None:
    means = {"bm25": 0.5, "dense-clip": 0.59, "fused-rrf": 0.64}
    scores = {"human": {tag: {"nDCG@10": stat(mean)} for tag, mean in means.items()}}
    lead = headline(scores, "nDCG@10", pairs())[1]
    assert "may well be chance (p = 0.081 after Holm’s correction); it is told apart from 1 of 2 other systems." in lead


def test_a_tie_is_called_a_tie() -> None:
    scores = {"human": {"x": {"AP": stat(0.4)}, "y": {"AP": stat(0.4)}}}
    assert headline(scores, "AP", []) == [
        "x (0.400 [0.350,\N{NO-BREAK SPACE}0.450]) and y (0.400 [0.350,\N{NO-BREAK SPACE}0.450]) tie in AP by human grades."
    ]


def test_one_system_wins_nothing_and_no_number_says_nothing() -> None:
    assert headline({"human": {"x": {"AP": stat(0.4)}}}, "AP")[0].startswith("x reaches AP 0.400")
    assert headline({"human": {"x": {"AP": {"value": None, "reason": "no query"}}}}, "AP") == []
