"""The first sentences of a report: who won, how sure, and would other grades have said the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrelkit.reports import words
from qrelkit.reports.comparisons import DECIDED_AT, least_p
from qrelkit.reports.decisions import ranked, turned
from qrelkit.reports.tables import as_stat, systems

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
    queries = duel.get("queries")
    if queries is not None and (least := least_p(queries, len(here))) >= DECIDED_AT:
        told = f"{words.plural(queries, 'query', 'queries')} are too few for the test to tell"
        return [f"{lead}is open: {told} (p cannot fall below {words.p_value(least)})."]
    p = words.p_value(duel["p_holm"])
    told = f"p {p}" if p.startswith("<") else f"p = {p}"
    lead += "is hardly chance" if duel in beaten else "may well be chance"
    tail = f"; it is told apart from {len(beaten)} of {len(mine)} other systems" if len(mine) > 1 else ""
    return [f"{lead} ({told} after Holm’s correction){tail}."]


def corrected(found: Mapping[str, Any]) -> list[str]:
    """Plain sentences on a decision: who ranks first once the judge is corrected, by how much, and what the judge alone says.

    They claim of the first two systems what their verdict does, and no more.
    """
    order, measure = ranked(found), found["measure"]
    labels = f"{found['labels']:,} of {words.plural(found['pairs_judged'], 'pair')}"
    first, told = order[0], _told(found["systems"][order[0]]["corrected"])
    judge = found["judge"]
    alone = {tag: row["judge_only"]["value"] for tag, row in found["systems"].items()}
    named = max(alone, key=lambda tag: alone[tag] if alone[tag] is not None else float("-inf"))
    same = "the same" if named == first else "another"
    return [
        f"{first} ({told}) ranks first in {measure}, by {judge}’s grades corrected with people’s of {labels}.",
        *_settled(found, order),
        f"By {judge} alone, the answer would be {same}: {named} ({_told(found['systems'][named]['judge_only'])}).",
    ]


def _settled(found: Mapping[str, Any], order: Sequence[str]) -> list[str]:
    """The verdict on the first two, and over how many systems the first one is settled."""
    if len(order) < 2:
        return []
    first, second = order[:2]
    mine = [v for v in found["comparisons"] if first in (v["a"], v["b"])]
    beaten = [v for v in mine if v["verdict"] == f"{first} is better"]
    duel = next(v for v in mine if second in (v["a"], v["b"]))
    stat = duel["corrected"] if duel["a"] == first else turned(duel["corrected"])
    by = f"({words.number(stat['value'], 4, sign=True)} {words.limits(stat, sign=True)}".strip() + ")"
    if duel in beaten:
        told = f"That it is better than {second} {by} is settled"
    elif duel["verdict"] != "undecided":
        told = f"Yet it is settled that {duel['verdict']} {by}"
    elif duel.get("labels_more") is None:
        told = f"Whether it is better than {second} {by} is undecided, and the difference too small to be worth settling"
    else:
        more = words.plural(duel["labels_more"], "more label")
        told = f"Whether it is better than {second} {by} is undecided; about {more} would settle it"
    return [told + (f". It is better than {len(beaten)} of {len(mine)} other systems." if len(mine) > 1 else ".")]


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
