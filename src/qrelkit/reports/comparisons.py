"""The section on which differences between systems can be trusted: every two systems under one set of grades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qrelkit.reports import tables, words
from qrelkit.reports.tables import Cell, Plot, Row, Said, Section, Table

DECIDED_AT = 0.05
SHOWN, FOLDED = 15, 300  # comparisons shown, and folded away below them; further ones are only in the JSON


def pairs(found: Sequence[Said], said: Said) -> Iterator[Section]:
    """Differences with their intervals and tests, and what may be concluded from them."""
    best = ""
    if "scores" in said:
        best = tables.systems(said["scores"], found[0].get("measure") or tables.measures(said)[0])[0]
    ordered, order = in_order(found, best)
    folded = ordered[SHOWN : SHOWN + FOLDED]
    made = [_differences("Differences", ordered[:SHOWN])] + ([_differences("Further differences", folded)] if folded else [])
    yield Section(
        key="pairs",
        title="Which differences can be trusted?",
        lead="Each two systems on the same queries: the mean difference, its 95 % interval, and how easily chance alone makes "
        f"one as large. A verdict is given where Holm’s correction over all comparisons leaves p below {DECIDED_AT}."
        f"{_too_few(found)}{order}",
        plot=_plot(ordered, found[0].get("measure") or "difference"),
        tables=made[:1],
        more=made[1:],
        **words.concluded(said.get("conclusions")),
        notes=[*left_out(ordered), *_uncorrected(said.get("decision"))],
    )


def in_order(found: Sequence[Said], best: str) -> tuple[list[Said], str]:
    """Better systems first in each comparison; the largest difference first, or, of many, the best system against its closest
    rivals first, and a sentence that says so."""
    ordered = sorted(map(_upright, found), key=lambda p: -(p.get("diff") or 0.0))
    if len(found) <= SHOWN or not best:
        return ordered, ""
    ordered.sort(key=lambda p: (p["a"] != best, p.get("diff") or 0.0))
    return ordered, f" First {best} against its closest rivals, then the closest of the others."


def _plot(ordered: Sequence[Said], measure: str) -> Plot:
    """The first differences as dots with whiskers."""
    rows = tuple((name(p), ({"value": p.get("diff"), **p},)) for p in ordered[:SHOWN])
    return Plot(f"{measure}, first system {words.MINUS} second", ("difference",), rows, sign=True)


def left_out(ordered: Sequence[Said]) -> list[str]:
    """What is said of the comparisons that no table shows."""
    left = len(ordered) - SHOWN - FOLDED
    return [f"{left:,} further differences are only in the report’s JSON."] if left > 0 else []


def name(pair: Said) -> str:
    """`a − b`."""
    return f"{pair['a']} {words.MINUS} {pair['b']}"


def least_p(queries: int, comparisons: int) -> float:
    """The lowest p that Holm’s correction can leave of the randomisation test: of the 2ⁿ patterns of signs of n queries two are
    as extreme as any, the observed one and its opposite."""
    return min(1.0, comparisons * 2.0 ** (1 - queries))


def _too_few(found: Sequence[Said]) -> str:
    """A sentence for where the test could not tell whatever the systems were like."""
    queries = found[0].get("queries")
    if queries is None or (least := least_p(queries, len(found))) < DECIDED_AT:
        return ""
    return f" {words.plural(queries, 'query', 'queries')} are too few for that test: p cannot fall below {words.p_value(least)}."


def _uncorrected(found: Said | None) -> list[str]:
    """Why people's grades correct no judge: there are too many of them, or none that was drawn by chance."""
    if found and found.get("design") == "census":
        return [f"People graded all {words.plural(found['pairs_judged'], 'pair')}, so nothing has to be corrected."]
    return [f"The judge is not corrected by people: {found['reason']}."] if found and found.get("reason") else []


def _upright(pair: Said) -> Said:
    """The comparison with its better system first."""
    if (pair.get("diff") or 0.0) >= 0:
        return pair
    low, high = (None if pair.get(end) is None else -pair[end] for end in ("high", "low"))
    return {**pair, "a": pair["b"], "b": pair["a"], "diff": -pair["diff"], "low": low, "high": high}


def _differences(caption: str, found: Sequence[Said]) -> Table:
    rows = tuple(
        Row(
            name(p),
            (
                tables.cell({**p, "value": p.get("diff")}, sign=True),
                *(Cell(words.p_value(p.get(test))) for test in ("p_t", "p_rand", "p_holm")),
                Cell(_verdict(p)),
            ),
        )
        for p in found
    )
    measures = " and ".join(dict.fromkeys(p["measure"] for p in found if p.get("measure")))
    head = ("systems", "difference", "p, t-test", "p, randomisation", "p, Holm", "verdict")
    return Table(f"{caption} in {measures}" if measures else caption, head, rows)


def _verdict(pair: Said) -> str:
    """What an upright comparison decides, in words."""
    if pair.get("p_holm") is None or pair.get("diff") is None or pair["p_holm"] >= DECIDED_AT:
        return "undecided"
    return f"{pair['a']} is better"
