"""Sections and tables of a report, already in words. The page and the terminal only lay them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qrelkit.reports import words

Stat = Mapping[str, Any]
Said = Mapping[str, Any]  # a section of the report, or all of them
BEST = "★"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its number, what stands small below it (an interval, a reason), and whether it is the best of its column.

    `range` is how far the number could move if the documents without a grade got one. `share` (0 to 1) tints the cells of a
    confusion matrix; the same share is in `note`, so that colour says nothing alone.
    """

    text: str
    note: str = ""
    best: bool = False
    share: float | None = None
    range: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.text, self.note, self.range, BEST if self.best else "") if part)


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its name and its cells; a `total` closes a table."""

    name: str
    cells: tuple[Cell, ...]
    total: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`head[0]` is what the rows' names are; `note` is said below the caption; `matrix` is a confusion matrix."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""
    matrix: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """Dots with whiskers: `rows` are (name, one stat or None per lane); `lanes` are what the dots of a row stand for."""

    caption: str
    lanes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Stat | None, ...]], ...]
    sign: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section: `lead` says how to read it, `more` is folded away on the page.

    `may` and `may_not` go on from “You may conclude” and “You may not conclude”; they stand below the tables.
    """

    key: str
    title: str
    lead: str = ""
    plot: Plot | None = None
    tables: Sequence[Table] = ()
    more: Sequence[Table] = ()
    may: Sequence[str] = ()
    may_not: Sequence[str] = ()
    notes: Sequence[str] = ()


def measures(said: Said) -> list[str]:
    """The named measures, or else all that occur in the scores, in order of appearance."""
    named = said.get("measures")
    found = (measure for view in said["scores"].values() for row in view.values() for measure in row)
    return list(named) if named else list(dict.fromkeys(found))


def systems(scores: Said, measure: str) -> list[str]:
    """The tags, best first by the first view's `measure`; those without a number last."""
    first = next(iter(scores.values()))
    tags = list(dict.fromkeys(tag for view in scores.values() for tag in view))

    def place(tag: str) -> float:
        value = as_stat(first.get(tag, {}).get(measure)).get("value")
        return float("-inf") if value is None else float(value)

    return sorted(tags, key=place, reverse=True)


def as_stat(value: Any) -> Stat:
    """A stat, also from a bare number or None."""
    return value if isinstance(value, Mapping) else {"value": value}


def cell(stat: Any, *, best: bool = False, sign: bool = False) -> Cell:
    """A stat with its interval below it, or n/a with its reason."""
    stat = as_stat({} if stat is None else stat)
    note = words.limits(stat, sign=sign) or str(stat.get("reason", ""))
    return Cell(words.number(stat.get("value"), sign=sign), note, best, range=words.holes(stat))


def stats(
    caption: str,
    corner: str,
    columns: Sequence[str],
    rows: Mapping[str, Mapping[str, Any]],
    *,
    rank: bool = False,
    note: str = "",
    sign: bool = False,
) -> Table:
    """A table of stats: `rows` by name, then by column. With `rank` the highest of each column is marked (all of a tie, none
    where only one row has a number)."""
    values = {c: [v for r in rows.values() if (v := as_stat(r.get(c)).get("value")) is not None] for c in columns}
    top = {c: max(v) if rank and len(v) > 1 else None for c, v in values.items()}

    def made(row: Mapping[str, Any], column: str) -> Cell:
        value = as_stat(row.get(column)).get("value")
        return cell(row.get(column), best=value is not None and value == top[column], sign=sign)

    body = tuple(Row(name, tuple(made(row, column) for column in columns)) for name, row in rows.items())
    return Table(caption, (corner, *columns), body, note)


def counted(rows: Mapping[str, Mapping[str, Any]], unit: str = "query") -> str:
    """What the stats were counted from: `40 queries`, `38 to 40 queries`; empty where they do not say."""
    sizes = {stat["n"] for row in rows.values() for stat in map(as_stat, row.values()) if stat.get("n")}
    if not sizes:
        return ""
    many = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    low, high = min(sizes), max(sizes)
    return words.plural(low, unit, many) if low == high else f"{low:,} to {high:,} {many}"


def mapping(caption: str, corner: str, column: str, values: Mapping[str, Any]) -> Table:
    """Two columns: names and counts."""
    rows = tuple(Row(words.OUTCOMES.get(name, name), (Cell(words.count(n)),)) for name, n in values.items())
    return Table(caption, (corner, column), rows)


def plain_rows(caption: str, corner: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Whatever rows hold, one column per key: stats with their interval, counts with commas, shares with three digits."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))

    def made(value: Any) -> Cell:
        if isinstance(value, Mapping):
            return cell(value)
        if value is None or isinstance(value, float):
            return Cell(words.number(value, 3))
        return Cell(words.count(value) if isinstance(value, int) else str(value))

    body = tuple(Row(name, tuple(made(row.get(column)) for column in columns)) for name, row in rows.items())
    return Table(caption, (corner, *map(words.named, columns)), body)
