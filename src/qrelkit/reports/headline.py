"""The first sentences of a report: who won, how sure, and would other grades have said the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrelkit.reports import words
from qrelkit.reports.sections import DECIDED_AT, systems
from qrelkit.reports.tables import as_stat

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


def headline(scores: Scores, measure: str, pairs: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Plain sentences on `measure`; the first view counts, the others are compared with it.

    A view without a number says nothing. Systems with the same mean are said to tie.
    """
    order = [tag for tag in systems(scores, measure) if _mean(scores, next(iter(scores)), tag, measure) is not None]
    if not order:
        return []
    first, *others = scores
    winners = _winners(scores, first, measure)
    told = " and ".join(f"{tag} ({_told(scores[first][tag][measure])})" for tag in winners)
    if len(order) == 1:
        return [f"{order[0]} reaches {measure} {_told(scores[first][order[0]][measure])} {words.view(first)}."]
    if len(winners) > 1:
        out = [f"{told} tie in {measure} {words.view(first)}."]
    else:
        out = [f"{told} scores highest in {measure} {words.view(first)}.", *_sure(order, measure, pairs)]
    return out + [sentence for view in others if (sentence := _elsewhere(scores, view, measure, winners))]


def _sure(order: Sequence[str], measure: str, pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Is the winner told apart from the next, and from how many of all?"""
    winner, second = order[:2]
    here = [p for p in pairs if p.get("measure", measure) == measure and p.get("p_holm") is not None]
    mine = [p for p in here if winner in (p["a"], p["b"])]
    beaten = [p for p in mine if p["p_holm"] < DECIDED_AT]
    duel = next((p for p in mine if {p["a"], p["b"]} == {winner, second}), None)
    if duel is None:
        return []
    turn = 1 if duel["a"] == winner else -1
    ends = sorted(turn * duel[name] for name in ("low", "high") if duel.get(name) is not None)
    interval = f" [{words.number(ends[0], 3)}, {words.number(ends[1], 3)}]" if len(ends) == 2 else ""
    lead = f"Its lead over {second}, {words.number(turn * duel['diff'], 4)}{interval}, "
    p = words.p_value(duel["p_holm"])
    told = f"p {p}" if p.startswith("<") else f"p = {p}"
    lead += "is hardly chance" if duel in beaten else "may well be chance"
    tail = f"; it is told apart from {len(beaten)} of {len(mine)} other systems" if len(mine) > 1 else ""
    return [f"{lead} ({told} after Holm’s correction){tail}."]


def _elsewhere(scores: Scores, view: str, measure: str, winners: Sequence[str]) -> str:
    """Would this view have named the same winner?"""
    found = _winners(scores, view, measure)
    if not found:
        return ""
    told = " and ".join(f"{tag} ({_told(scores[view][tag][measure])})" for tag in found)
    how = words.view(view)
    how = how[0].upper() + how[1:]
    if set(found) == set(winners):
        return f"{how}, the answer would be the same: {told}."
    return f"{how}, the answer would be another: {told}."


def _winners(scores: Scores, view: str, measure: str) -> list[str]:
    means = {tag: mean for tag in scores[view] if (mean := _mean(scores, view, tag, measure)) is not None}
    return [tag for tag, mean in means.items() if mean == max(means.values())]


def _mean(scores: Scores, view: str, tag: str, measure: str) -> float | None:
    value: float | None = as_stat(scores[view].get(tag, {}).get(measure)).get("value")
    return value


def _told(stat: Mapping[str, Any]) -> str:
    stat = as_stat(stat)
    return f"{words.number(stat['value'], 3)} {words.limits(stat)}".strip()
