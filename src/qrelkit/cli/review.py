"""review: human grades by spreadsheet."""

from __future__ import annotations

from pathlib import Path

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project


def review(
    to: str = typer.Option("", "--to", metavar="SHEET.csv", help="Write a blind sheet of pooled pairs."),
    source: str = typer.Option("", "--from", metavar="SHEET.csv", help="Read the grades of a filled sheet."),
    assessor: str = typer.Option("", "--assessor", help="Who graded the sheet (with --from)."),
    n: int = typer.Option(0, "-n", min=0, help="How many pairs (all of the pool by default)."),
    seed: int = typer.Option(0, "--seed", help="Seed of the order, and of the choice with -n."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Hand pairs to a person in a spreadsheet, and bring the grades back."""
    from qrelkit.cli.output import put_json, say
    from qrelkit.core.errors import InputError
    from qrelkit.core.records import counted
    from qrelkit.project.review import read_sheet, write_sheet
    from qrelkit.steps.forgotten import without_forgotten
    from qrelkit.steps.pool import pool

    if bool(to) == bool(source) or (source and not assessor):
        raise InputError("give either --to SHEET.csv, or --from SHEET.csv --assessor NAME")
    with open_project(project, change) as opened:
        if to:
            pairs = without_forgotten(pool(opened.runs(), opened.config.depth).frame, opened.store)
            rows = write_sheet(Path(to), pairs, opened.collection, opened.scale, seed=seed, n=n or None)
            say(f"{counted(rows, 'pair')} in {to}; type the grades, then: qrelkit review --from {to} --assessor NAME")
            return
        result = read_sheet(Path(source), assessor, collection=opened.collection, scale=opened.scale, store=opened.store)
    for problem in result.problems:
        say(problem)
    counts = f"{result.added:,} new, {result.corrected:,} corrected, {result.known:,} known"
    say(f"{assessor}: {counts}, {counted(result.blank, 'row')} blank")
    if as_json:
        put_json({k: getattr(result, k) for k in ("added", "corrected", "blank", "known", "problems")})
    if result.problems:
        raise typer.Exit(1)
