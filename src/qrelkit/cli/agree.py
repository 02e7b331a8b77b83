"""agree: an assessor beside people."""

from __future__ import annotations

import typer

from qrelkit.cli.context import JSON


def agree(
    assessor: str = typer.Argument(..., metavar="ASSESSOR.qrels", help="The assessor's grades."),
    humans: list[str] = typer.Argument(..., metavar="HUMAN.qrels...", help="Human grades; the first is the reference."),
    clip: bool = typer.Option(False, "--clip", help="Bring grades outside the human scale to its ends, and count them."),
    scale: str = typer.Option("", "--scale", help="The grade scale; that of the human grades by default."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Also split by a column of --queries."),
    exclude: str = typer.Option("", "--exclude", metavar="QRELS", help="Leave these pairs out (examples shown, tuning pairs)."),
    as_json: bool = JSON,
) -> None:
    """Agreement with people: kappas, alpha, confusion, with 95 % intervals by query."""
    from qrelkit.cli.output import put, put_json, say
    from qrelkit.core.guideline import Scale
    from qrelkit.formats.files import column_of, read_any_qrels
    from qrelkit.steps.agree import agree as measure

    found = measure(
        read_any_qrels(assessor),
        [read_any_qrels(path) for path in humans],
        clip=clip,
        scale=Scale.read(scale) if scale else None,
        exclude=read_any_qrels(exclude).frame.select("query_id", "doc_id") if exclude else None,
        by=dict(column_of(queries, by).iter_rows()) if by else None,
    )
    if as_json:
        put_json(found.json())
        return
    for warning in found.warnings:
        say(f"warning: {warning}")
    put(found.text())
