"""review: human grades by spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project

if TYPE_CHECKING:
    from qrelkit.project.project import Project


def review(
    to: str = typer.Option("", "--to", metavar="SHEET.csv", help="Write a blind sheet of pooled pairs."),
    source: str = typer.Option("", "--from", metavar="SHEET.csv", help="Read the grades of a filled sheet."),
    assessor: str = typer.Option("", "--assessor", help="Who graded the sheet (with --from)."),
    n: int = typer.Option(0, "-n", min=0, help="How many pairs (all of the pool by default)."),
    choose: str = typer.Option(
        "", "--choose", metavar="RULE", help="Draw the pairs by chance: decision, uncertainty, spread, label or uniform."
    ),
    between: list[str] = typer.Option([], "--between", metavar="TAG...", help="The systems to decide between (all of them)."),
    measure: str = typer.Option("", "--measure", help="The measure that decides (the project's first)."),
    seed: int = typer.Option(0, "--seed", help="Seed of the order, and of the choice with -n."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Hand pairs to a person in a spreadsheet, and bring the grades back.

    With --choose, the pairs are those that tell most, drawn by chance, so that their grades correct the judge's for all others.
    """
    from qrelkit.cli.output import put_json, say, warn
    from qrelkit.core.errors import InputError
    from qrelkit.core.records import counted
    from qrelkit.project.review import read_sheet, write_sheet
    from qrelkit.steps.forgotten import without_forgotten
    from qrelkit.steps.pool import pool

    if bool(to) == bool(source) or (source and not assessor):
        raise InputError("give either --to SHEET.csv, or --from SHEET.csv --assessor NAME")
    if choose and not (to and n):
        raise InputError("--choose RULE draws pairs for a sheet: give --to SHEET.csv and -n, how many")
    if (between or measure) and not choose:
        raise InputError("--between and --measure say what --choose RULE draws for: give it")
    with open_project(project, change) as opened:
        if choose:
            draw_sheet(opened, Path(to), rule=choose, n=n, between=between, measure=measure, seed=seed)
            return
        if to:
            pairs = without_forgotten(pool(opened.runs(), opened.config.depth).frame, opened.store)
            rows = write_sheet(Path(to), pairs, opened.collection, opened.scale, seed=seed, n=n or None)
            say(f"{counted(rows, 'pair')} in {to}; type the grades, then: qrelkit review --from {to} --assessor NAME")
            return
        result = read_sheet(Path(source), assessor, collection=opened.collection, scale=opened.scale, store=opened.store)
    for problem in result.problems:
        say(problem)
    warn(result.warnings)
    counts = f"{result.added:,} new, {result.corrected:,} corrected, {result.known:,} known"
    say(f"{assessor}: {counts}, {counted(result.blank, 'row')} blank")
    if as_json:
        names = ("added", "corrected", "blank", "known", "drawn", "problems", "warnings")
        put_json({name: getattr(result, name) for name in names})
    if result.problems:
        raise typer.Exit(1)


def draw_sheet(project: Project, path: Path, *, rule: str, n: int, between: list[str], measure: str, seed: int) -> None:
    """Writes a sheet of pairs drawn by chance, and its probabilities beside it."""
    from qrelkit.cli.output import say
    from qrelkit.core.records import counted
    from qrelkit.formats.samples import probabilities_path
    from qrelkit.project.choosing import draw
    from qrelkit.project.review import write_sheet

    drawing = draw(project, path, rule=rule, n=n, between=between, measure=measure, seed=seed)
    rows = write_sheet(path, drawing.frame, project.collection, project.scale, seed=seed, drawing=drawing)
    say(f"{counted(rows, 'pair')} in {path}; type the grades, then: qrelkit review --from {path} --assessor NAME")
    say(f"the probabilities are in {probabilities_path(path)}: keep it beside the sheet, and from whoever grades")
