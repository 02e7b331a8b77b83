"""The section on the decision: the judge corrected by the few grades that people gave, and a verdict for every two systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qrelkit.reports import tables, words
from qrelkit.reports.comparisons import FOLDED, SHOWN, in_order, left_out, name
from qrelkit.reports.tables import BEST, Cell, Plot, Row, Said, Section, Table

SIDES = {"judge_only": "judge only", "human_only": "people only", "corrected": "corrected"}
PLOTTED = 40  # systems drawn


def corrects(found: Said | None) -> bool:
    """Whether people graded a sample, so that something had to be corrected: not everything, and not nothing."""
    return bool(found) and (found or {}).get("design") not in (None, "census", "nobody")


def ranked(found: Said) -> list[str]:
    """The tags by the value to rank by, best first."""
    return sorted(found["systems"], key=lambda tag: -(found["systems"][tag].get("shrunk") or 0.0))


def decision(found: Said, said: Said) -> Iterator[Section]:
    """Systems under the judge, under people and corrected; verdicts; what may be concluded. None where nothing is corrected."""
    if not corrects(found):
        return
    systems = {tag: found["systems"][tag] for tag in ranked(found)}
    drawn = tuple((tag, tuple(row.get(side) for side in SIDES)) for tag, row in list(systems.items())[:PLOTTED])
    verdicts = [{**v, "diff": v["corrected"].get("value"), **_ends(v["corrected"])} for v in found["comparisons"]]
    ordered, order = in_order(verdicts, next(iter(systems)))
    folded = ordered[SHOWN : SHOWN + FOLDED]
    made = [_systems(found, systems), _verdicts("Verdicts", ordered[:SHOWN], found)]
    yield Section(
        key="decision",
        title="Decision",
        lead=f"{found['judge']} graded every pair, people some of them, drawn by chance; what people say of these corrects what "
        f"{found['judge']} says of all. People only: what their grades tell without it. {_often(found)}{order}",
        plot=Plot(found["measure"], tuple(SIDES.values()), drawn),
        tables=made,
        more=[_verdicts("Further verdicts", folded, found)] if folded else [],
        **words.concluded(found.get("conclusions")),
        notes=[*_trust(found), *(found.get("warnings") or ()), *left_out(ordered)],
    )


def _systems(found: Said, systems: Mapping[str, Said]) -> Table:
    """The systems by each side, and the value to rank by."""
    top = max((row.get("shrunk") or 0.0) for row in systems.values())

    def cells(row: Said) -> tuple[Cell, ...]:
        best = len(systems) > 1 and row.get("shrunk") == top
        return (*(tables.cell(row.get(side)) for side in SIDES), Cell(words.number(row.get("shrunk")), best=best))

    rows = tuple(Row(tag, cells(row)) for tag, row in systems.items())
    note = f"95 % intervals; {BEST} is the first by the value to rank by"
    return Table(str(found["heading"]), ("system", *SIDES.values(), "to rank by"), rows, note)


def _verdicts(caption: str, ordered: Sequence[Said], found: Said) -> Table:
    """Every two systems: the corrected difference, the judge's own, the verdict, and what it still takes."""
    by_tags = {(v["a"], v["b"]): v for v in found["comparisons"]}

    def judged(pair: Said) -> Cell:
        same = (pair["a"], pair["b"]) in by_tags
        return tables.cell(pair["judge_only"] if same else turned(pair["judge_only"]), sign=True)

    rows = tuple(
        Row(name(p), (tables.cell({**p, "value": p["diff"]}, sign=True), judged(p), Cell(p["verdict"]), _labels(p)))
        for p in ordered
    )
    return Table(f"{caption} in {found['measure']}", ("systems", "corrected", "judge only", "verdict", "labels"), rows)


def _labels(pair: Said) -> Cell:
    """After how many labels a comparison was settled, or how many it still takes, and how long these take."""
    if pair["verdict"] != "undecided":
        return Cell(words.count(pair["labels"]), "were enough")
    if pair.get("labels_more") is None:
        return Cell("too many", "not worth it")
    minutes = pair["minutes_more"]
    return Cell(f"{pair['labels_more']:,} more", f"about {minutes:.0f} min" if minutes < 120 else f"about {minutes / 60:.0f} h")


def turned(stat: Said) -> dict[str, Any]:
    """The difference the other way round."""
    ends = {"value": "value", "low": "high", "high": "low"}
    return {**stat, **{end: None if stat.get(other) is None else -stat[other] for end, other in ends.items()}}


def _ends(stat: Said) -> dict[str, Any]:
    return {end: stat.get(end) for end in ("low", "high")}


def _often(found: Said) -> str:
    """When there is a verdict, and what it holds for."""
    if found.get("sequential"):
        return "A verdict holds however often one looks, for all pairs of systems together; the intervals are each their own."
    return "A verdict is given where a 95 % interval leaves 0 out."


def _trust(found: Said) -> list[str]:
    """What the ranking trusts, and the bias that may be left."""
    if found["design"] != "by pair":
        return []
    bend = found.get("bend") or 0.0
    bias = f"; sampled pairs may leave a bias of about {bend:.4f} in a value" if bend > 0.00005 else ""
    return [f"Ranked with {words.share(found['trust'], 1)} of the correction{bias}."]
