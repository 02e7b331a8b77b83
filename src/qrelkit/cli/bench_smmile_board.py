"""bench smmile board: models side by side, with intervals, paired tests and the order of examples; as a table, JSON or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.bench_smmile_run import HUB, REVISION
from qrelkit.cli.context import JSON, PROJECT, SET, open_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl


FOLDERS = typer.Option([], "--folder", metavar="DIR", help="A folder benchmark that runs were asked; may be repeated.")


def board(
    paths: list[str] = typer.Argument(
        ..., metavar="PATH...", help="Published result files, answers of runs, or folders of them."
    ),
    folders: list[str] = FOLDERS,
    hub: str = HUB,
    revision: str = REVISION,
    judge: str = typer.Option("", "--judge", metavar="MODEL", help="Have a model judge the open answers (provider:name)."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop judging before more than this is spent."),
    project: str = PROJECT,
    change: list[str] = SET,
    page: str = typer.Option("", "--page", metavar="FILE.html", help="Write the page here."),
    seed: int = typer.Option(0, "--seed", help="Of what chance would do."),
    as_json: bool = JSON,
) -> None:
    """Counts, intervals by base problem, in context against zero-shot, recency and strata; what is wrong with a file is said."""
    from dataclasses import replace
    from pathlib import Path

    from qrelkit.bench.smmile.board import board as made
    from qrelkit.cli.bench_smmile_run import problems_of
    from qrelkit.cli.context import ending
    from qrelkit.cli.output import put_json, say, warn
    from qrelkit.core.files import write_whole
    from qrelkit.project.config import rules_of

    rules = rules_of(project)
    problems = [problems_of(folder, "", "", rules) for folder in folders]
    problems += [problems_of("", hub, revision, rules)] if hub else []
    found, stopped, unjudged = made(paths, problems, seed=seed), "", 0
    if judge:
        frame, stopped, unjudged = verdicts(found.answers, judge, project, change, budget_usd)
        found = replace(found, answers=frame)
    said = found.json()
    if page:
        write_whole(found.html().encode("utf-8"), Path(page))
        say(f"the page is in {page}")
    if as_json:
        put_json(said)
    else:
        _show(said)
        warn(said["corrections"])
    raise typer.Exit(ending(stopped, unjudged))


def _show(said: Mapping[str, Any]) -> None:
    from qrelkit.cli.output import put_table

    put_table(
        ("dataset", "model", "mode", "metric", "correct", "n", "accuracy", "low", "high", "by base", "unanswered"),
        [row for dataset, one in said["datasets"].items() for row in _rows(dataset, one)],
    )


def _rows(dataset: str, said: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for cell in said["accuracy"]:
        ends = tuple("" if end is None else f"{100 * end:.1f}" for end in (cell["micro"]["low"], cell["micro"]["high"]))
        shares = (f"{100 * cell['micro']['value']:.2f}", *ends, f"{100 * cell['macro']['value']:.2f}")
        yield (dataset, cell["model"], cell["mode"], cell["metric"], cell["correct"], cell["n"], *shares, cell["unanswered"])


def verdicts(
    frame: pl.DataFrame, judge: str, project: str, change: Sequence[str], budget_usd: float | None
) -> tuple[pl.DataFrame, str, int]:
    """The answers with a model's verdicts, why judging stopped early, if it did, and how many answers have no verdict."""
    from qrelkit.bench.smmile.judged import AnswerJudge, cases_of, judge_answers
    from qrelkit.cli.output import progress

    with open_project(project, [*change, f"judge.model={judge}"], budget_usd=budget_usd) as opened:
        model = opened.model(judge)
        with progress("judge", cases_of(frame).height) as show:
            dials: dict[str, Any] = {"at_once": opened.at_once, "budget_usd": opened.budget_usd(), "terms": opened.terms()}
            models = {model.name: model}
            done = judge_answers(frame, AnswerJudge(model.name), store=opened.store, models=models, progress=show, **dials)
    return done.frame, done.tally.stopped, done.unreadable
