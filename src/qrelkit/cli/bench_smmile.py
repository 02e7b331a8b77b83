"""bench smmile: published SMMILE results read and scored again, with what is wrong with them said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.bench_smmile_board import board, verdicts
from qrelkit.cli.bench_smmile_make import demo, make
from qrelkit.cli.bench_smmile_run import run
from qrelkit.cli.context import JSON, PROJECT, SET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrelkit.bench.smmile.summary import Imported

smmile = typer.Typer(help="SMMILE: does a multimodal model learn from its examples?", no_args_is_help=True, rich_markup_mode=None)
for command in (run, make, board, demo):
    smmile.command()(command)
COLUMNS = ("file", "n", "exact", "strict", "judge", "choice", "failed", "errors", "done")


@smmile.callback(invoke_without_command=True)
def scores(
    context: typer.Context,
    path: str = typer.Option("", "--import", metavar="FILE.csv|DIR", help="Published results: a file, or all of a folder."),
    judge: str = typer.Option("", "--judge", metavar="MODEL", help="Have a model judge the open answers (provider:name)."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop judging before more than this is spent."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Score published results again, exactly: exact match, letters, verdicts, and errors counted apart."""
    if context.invoked_subcommand is not None:
        return
    from qrelkit.bench.smmile.summary import import_published
    from qrelkit.cli.context import ending
    from qrelkit.cli.output import put_json, put_table, warn
    from qrelkit.core.errors import InputError

    if not path:
        raise InputError("bench smmile needs --import FILE.csv or --import DIR")
    found, stopped, unjudged = import_published(path), "", 0
    if judge:
        found, stopped, unjudged = _judged(found, judge, project, change, budget_usd)
    said = found.json()
    if as_json:
        put_json(said)
    else:
        put_table(COLUMNS, [_row(file) for file in said.get("files", [said])])
        warn(said["corrections"])
    raise typer.Exit(ending(stopped, unjudged))


def _judged(
    found: Imported, judge: str, project: str, change: Sequence[str], budget_usd: float | None
) -> tuple[Imported, str, int]:
    """The same with a model's verdicts in place of those beside the files, why judging stopped early, if it did, and how many
    answers have no verdict."""
    from dataclasses import replace

    frame, stopped, unjudged = verdicts(found.answers.frame, judge, project, change, budget_usd)
    return replace(found, answers=replace(found.answers, frame=frame)), stopped, unjudged


def _row(file: Mapping[str, Any]) -> tuple[Any, ...]:
    """A file's line: counts, and what is right of the completed set."""
    done, judged = file["completed"], file.get("judge")
    right = done["exact_flexible" if file["form"] == "open" else "correct"]
    name = file["file"].replace("/result_", "/").removesuffix(".csv")
    exact, strict = file.get("exact_flexible"), file.get("exact_strict")
    choice, failed = file.get("correct"), file.get("extraction_failed")
    verdicts = judged and judged["correct"]
    return name, file["n"], exact, strict, verdicts, choice, failed, file["api_error"], f"{right} of {done['n']}"
