"""The report for a terminal: the same tables as the page, in plain columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from qrelkit.reports import words
from qrelkit.reports.report import Report
from qrelkit.reports.sections import opening, outline
from qrelkit.reports.tables import Table

WIDTH = 100


def text(report: Report, *, more: bool = False) -> str:
    """The report as plain text; with `more` also the long tables that the page folds away."""
    return "\n".join(_clean(line).rstrip() for line in _lines(report, more)) + "\n"


def _lines(report: Report, more: bool) -> Iterator[str]:
    said = report.sections
    title = said.get("title", "Report")
    yield from (title, "=" * len(title), opening(report), "")
    for sentence in said.get("headline", ()):
        yield from textwrap.wrap(sentence, WIDTH)
    for warning in said.get("warnings", ()):
        yield from textwrap.wrap(f"! {warning}", WIDTH, subsequent_indent="  ")
    for section in outline(report):
        yield from ("", section.title, "-" * len(section.title))
        yield from textwrap.wrap(section.lead, WIDTH)
        for table in [*section.tables, *(section.more if more else ())]:
            yield from ("", *lines(table))
        for start, sentences in (("You may conclude", section.may), ("You may not conclude", section.may_not)):
            yield from [""] if sentences else []
            for sentence in sentences:
                yield from textwrap.wrap(f"{start} {sentence}.", WIDTH, subsequent_indent="  ")
        yield from [""] if section.may_not and section.notes else []
        for note in section.notes:
            yield from textwrap.wrap(f"! {note}", WIDTH, subsequent_indent="  ")
    if "differences" in said:
        yield from ("", "Queries where systems differ most", "-" * 33)
        yield from map(_difference, said["differences"])
    yield from ("", f"{words.moment(said.get('created', ''))} · qrelkit {said.get('version', '')}".strip(" ·"))


def lines(table: Table) -> list[str]:
    """A table as lines: names to the left, cells to the right, columns as wide as needed."""
    body = [[row.name, *map(str, row.cells)] for row in table.rows]
    wide = [max(map(len, column)) for column in zip(table.head, *body, strict=True)]
    caption = f"{table.caption} ({table.note})" if table.note else table.caption

    def line(cells: list[str]) -> str:
        return "  ".join([cells[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(cells[1:], wide[1:], strict=True))])

    return [caption, line(list(table.head)), "  ".join("─" * w for w in wide), *map(line, body)]


def _difference(entry: Mapping[str, Any]) -> str:
    scores = ", ".join(f"{tag} {words.number(value)}" for tag, value in entry.get("scores", {}).items())
    return f"{entry['query_id']}  {entry.get('query', '')}: {scores}"


def _clean(line: str) -> str:
    """Without control characters: a document's text must not steer the reader's terminal."""
    return "".join(c if c.isprintable() else " " for c in line)
