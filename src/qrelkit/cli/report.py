"""report: the page of what has been judged so far."""

from __future__ import annotations

from pathlib import Path

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project


def report(
    output: str = typer.Option("", "-o", "--output", metavar="REPORT.html", help="Where the page goes; its JSON lies beside it."),
    text: bool = typer.Option(False, "--text", help="Print it as text instead."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Write the report of what is judged already; asks no model."""
    from qrelkit.cli.output import put, put_json, say
    from qrelkit.project.line import line_of
    from qrelkit.project.reporting import report_of, write_report
    from qrelkit.reports.text import text as plain
    from qrelkit.steps.run import known

    with open_project(project, change) as opened:
        found = report_of(known(line_of(opened)), opened)
        if as_json:
            put_json(found.json())
        elif text:
            put(plain(found))
        else:
            page, beside = write_report(found, Path(output) if output else opened.at(opened.config.report))
            say(f"wrote {page} and {beside.name}")
