"""agree: an assessor beside people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.context import JSON, PROJECT, open_project

if TYPE_CHECKING:
    from qrelkit.steps.agreement import Agreement


def agree(
    assessor: str = typer.Argument("", metavar="[ASSESSOR.qrels]", help="The assessor's grades."),
    humans: list[str] = typer.Argument(None, metavar="[HUMAN.qrels]...", help="Human grades; the first is the reference."),
    clip: bool = typer.Option(False, "--clip", help="Bring grades outside the human scale to its ends, and count them."),
    scale: str = typer.Option("", "--scale", help="The grade scale; that of the human grades by default."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Also split by a column of --queries."),
    weight: str = typer.Option("", "--weight", metavar="COLUMN", help="Weight the queries by a column of --queries."),
    exclude: str = typer.Option("", "--exclude", metavar="QRELS", help="Leave these pairs out (examples shown, tuning pairs)."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Agreement with people: kappas, alpha, confusion, with 95 % intervals by query.

    Without files: the project's judge beside its human judgments, examples left out.
    """
    from qrelkit.cli.output import in_a_pipe, put, put_json, put_statistics, warn
    from qrelkit.core.guideline import Scale
    from qrelkit.formats.files import group_of, read_any_qrels, weight_of
    from qrelkit.steps.agree import agree as measure

    options: dict[str, Any] = {
        "clip": clip,
        "scale": Scale.read(scale) if scale else None,
        "exclude": read_any_qrels(exclude).frame.select("query_id", "doc_id") if exclude else None,
        "by": group_of(queries, by),
        "weights": weight_of(queries, weight),
    }
    if assessor:
        found = measure(read_any_qrels(assessor), [read_any_qrels(path) for path in humans or ()], **options)
    else:
        found = _in_project(project, options)
    if as_json:
        put_json(found.json())
        return
    if in_a_pipe():
        warn(found.warnings)
        put_statistics(found.json())
    else:
        put(found.text())


def _in_project(project: str, options: Mapping[str, Any]) -> Agreement:
    """The project's judge beside its people: what an option does not say, the project does. Pairs left out add up."""
    import polars as pl

    from qrelkit.core.errors import InputError
    from qrelkit.project.line import line_of
    from qrelkit.steps.agree import agree as measure
    from qrelkit.steps.run import judged_so_far

    with open_project(project) as opened:
        line = line_of(opened)
        judged = judged_so_far(line)
        if judged is None:
            raise InputError("nothing is judged yet: `qrelkit judge` comes first")
        if not line.human:
            raise InputError("the project has no human judgments: name them under `qrels:`, or bring them with review")
        left_out = [pairs for pairs in (line.excluded(line.pool), options["exclude"]) if pairs is not None]
        own = {
            "scale": options["scale"] or line.scale,
            "exclude": pl.concat(left_out).unique() if left_out else None,
            "weights": options["weights"] or opened.weights(),
            "seed": line.seed,
        }
        return measure(judged.qrels(), list(line.human.values()), **{**options, **own})
