"""The section on what it cost: requests and tokens, then money and time; a row per stage and their sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qrelkit.reports import words
from qrelkit.reports.tables import Cell, Row, Said, Section, Table

LEAD = (
    "All calls with these settings. What was already known was answered by the store, and what was shared by an equal request on "
    "its way: both are free."
)
REQUESTS = {"asked": "requests", "known": "already known", "joined": "shared", "failed": "failed"}
TOKENS = {
    "tokens_in": "tokens in",
    "tokens_cached": "of them cached",
    "tokens_image": "of them images",
    "tokens_out": "tokens out",
    "tokens_reasoning": "of them reasoning",
}
ALWAYS = ("asked", "known", "failed", "tokens_in", "tokens_out")  # the others only where there are any
MADE: Mapping[str, str] = {
    "judge": "judgment",
    "guide": "guideline",
    "describe": "description",
}


def costs(stages: Sequence[Said], said: Said) -> Iterator[Section]:
    """An unknown price makes the sum a lower bound, or unknown."""
    total = _total(stages)
    rows = [(stage["stage"], stage, False) for stage in stages] + ([("all", total, True)] if len(stages) > 1 else [])
    notes = [f"The price of {words.plural(total['unpriced'], 'reply', 'replies')} is unknown; it is not taken as 0."]
    yield Section(
        key="cost",
        title="What it cost",
        lead=LEAD,
        tables=[_requests(rows), _money(rows, stages)],
        notes=notes if total["unpriced"] else [],
    )


def _total(stages: Sequence[Said]) -> dict[str, Any]:
    sums: dict[str, Any] = {}
    for key in (*REQUESTS, *TOKENS, "seconds"):
        sums[key] = sum(stage.get(key) or 0 for stage in stages)
    known = [stage["cost_usd"] for stage in stages if stage.get("cost_usd") is not None]
    unpriced = [stage.get("unpriced") or int(stage.get("cost_usd") is None) for stage in stages]
    sums |= {"cost_usd": sum(known), "unpriced": sum(unpriced)}
    for key in ("saved_usd", "batch_saves_usd"):
        found = [stage[key] for stage in stages if stage.get(key) is not None]
        sums[key] = sum(found) if found else None
    return sums


def _requests(rows: Sequence[tuple[str, Said, bool]]) -> Table:
    there = {k: name for k, name in (REQUESTS | TOKENS).items() if k in ALWAYS or any(row.get(k) for _, row, _ in rows)}
    body = tuple(Row(name, tuple(Cell(words.count(row.get(key))) for key in there), total) for name, row, total in rows)
    return Table("Requests and tokens", ("stage", *there.values()), body)


def _money(rows: Sequence[tuple[str, Said, bool]], stages: Sequence[Said]) -> Table:
    """Columns that no stage says anything for are left out."""
    columns: dict[str, tuple[str, Callable[[str, Said], str]]] = {
        "made": ("for", _for),
        "each_usd": ("each", lambda name, row: _usd(row, "each_usd")),
        "per_1000_usd": ("per 1,000", lambda name, row: _usd(row, "per_1000_usd")),
        "saved_usd": ("saved by the store", lambda name, row: _usd(row, "saved_usd")),
        "batch_saves_usd": ("batch would save", lambda name, row: _usd(row, "batch_saves_usd")),
    }
    there = [made for key, made in columns.items() if any(stage.get(key) is not None for stage in stages)]

    def made(name: str, row: Said, total: bool) -> Row:
        cost, time = words.money(row.get("cost_usd"), row.get("unpriced") or 0), words.duration(row.get("seconds"))
        return Row(name, (Cell(cost), *(Cell(cell(name, row)) for _, cell in there), Cell(time)), total)

    return Table("Money and time", ("stage", "cost", *(head for head, _ in there), "time"), tuple(made(*row) for row in rows))


def _for(stage: str, row: Said) -> str:
    if row.get("made") is None:
        return ""
    one = MADE.get(stage, "")
    return words.plural(row["made"], one) if one else words.count(row["made"])


def _usd(row: Said, key: str) -> str:
    """Money, or that it is unknown; the sum says nothing of what has no sum."""
    return words.money(row[key]) if key in row else ""
