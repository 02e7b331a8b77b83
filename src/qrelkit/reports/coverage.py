"""The section on what is judged and what is not: holes, the expansion, and how far systems would move outside the pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qrelkit.reports import tables, words
from qrelkit.reports.tables import Cell, Row, Said, Section, Table

EXPANSION = ("judged", "relevant", "new", "new_relevant", "ungraded")
SHOWN = 20  # systems whose holes are shown and not folded away


def judged(holes: Said | None, said: Said) -> Iterator[Section]:
    """Holes per system, what the expansion counted, each system left out of the pool, and why pairs have no grade."""
    made: list[Table] = []
    more: list[Table] = []
    if holes:
        flat = {tag: dict(_flat(counts)) for tag, counts in holes.items()}
        table = tables.plain_rows("What of each system’s answers is judged", "system", flat)
        (made if len(flat) <= SHOWN else more).append(table)
    expansion = said.get("expansion") or {}
    if expansion:
        counts = {words.named(key): expansion[key] for key in EXPANSION if key in expansion}
        sources = f" of {expansion['human']} by {expansion['assessor']}" if {"human", "assessor"} <= set(expansion) else ""
        made.append(tables.mapping(f"Expansion{sources}", "pairs", "count", counts))
        if expansion.get("per_query"):
            more.append(tables.plain_rows("Expansion per query", "query", expansion["per_query"]))
    left = expansion.get("leave_out") or {}
    if left.get("holes"):
        made.append(_shifts(left))
        more.append(_left_out(left))
    if said.get("ungraded"):
        made.append(tables.mapping("Pairs without a grade, by reason", "reason", "pairs", said["ungraded"]))
    lead = "A hole is a retrieved pair that nobody judged. A pair without a grade stays without one: it is never counted as 0."
    notes = [*(expansion.get("warnings") or ()), *([f"No system is left out: {left['reason']}."] if left.get("reason") else ())]
    yield Section(key="holes", title="What is judged, and what is not", lead=lead, tables=made, more=more, notes=notes)


def _flat(counts: Said) -> Iterator[tuple[str, Any]]:
    for key, value in counts.items():
        if isinstance(value, Mapping):
            yield from ((f"{words.named(key)} by {name}", n) for name, n in value.items())
        else:
            yield words.named(key), value


def _form(form: str) -> str:
    return "holes as 0" if form == "0" else f"holes by {form}"


def _shifts(left: Said) -> Table:
    """How far systems move on average and at most, per way to treat the holes that they leave."""
    rows = tuple(
        Row(
            _form(form),
            (
                *(Cell(words.number(shift["value_shift"][of])) for of in ("mean", "max")),
                Cell(words.number(shift["rank_shift"]["mean"], 2)),
                Cell(words.count(shift["rank_shift"]["max"])),
            ),
        )
        for form, shift in left["holes"].items()
    )
    head = ("", "value moves by", "at most", "rank moves by", "at most")
    note = f"{left['measure']} under {left['human']}, had the {left['unit']} not been in the pool of depth {left['depth']}"
    return Table(f"One {left['unit']} left out at a time", head, rows, note)


def _left_out(left: Said) -> Table:
    """Every run as it is and left out, best first."""
    forms = list(left["holes"])
    team = ["team"] if left["unit"] == "team" else []
    head = ["system", *team, "pairs it alone brought", left["measure"], "rank"]
    head += [name for form in forms for name in (_form(form), "rank")]
    rows = []
    for run in left["runs"]:
        cells = [run["team"]] if team else []
        cells += [words.count(run["pairs"]), words.number(run["value"]), words.count(run["rank"])]
        for form in forms:
            cells += [words.number(run["holes"][form]["value"]), words.count(run["holes"][form]["rank"])]
        rows.append(Row(run["tag"], tuple(map(Cell, cells))))
    return Table(f"Each {left['unit']} left out", tuple(head), tuple(rows))
