"""compare: significant differences between systems, the correlation of two rankings, or a decision from few human grades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.context import COLLAPSE, COLUMNS, JSON, PARENTS, PROJECT, open_project, refuse_without_files

if TYPE_CHECKING:
    from qrelkit.steps.comparison import Differences, Ranking


def compare(
    names: list[str] = typer.Argument(None, metavar="[MEASURE] [TAG]...", help="For example nDCG@10; in a project systems too."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Two or more runs."),
    qrels: list[str] = typer.Option([], "--qrels", metavar="FILE", help="One: differences. Two: correlation of the rankings."),
    judge: str = typer.Option("", "--judge", metavar="FILE", help="A judge's grades of all pairs, to be corrected by --human."),
    human: str = typer.Option("", "--human", metavar="FILE", help="People's grades of some; FILE.prob.tsv: how they were drawn."),
    settle: bool = typer.Option(False, "--settle", help="Verdicts that stay valid however often one looks."),
    plan: bool = typer.Option(False, "--plan", help="Say how many labels and minutes settling takes."),
    estimand: str = typer.Option(
        "these", "--estimand", help="The mean over these queries (these), or queries like these (like)."
    ),
    most: int = typer.Option(1000, "--most", min=1, help="Further labels beyond which settling is not worth it."),
    seconds: float = typer.Option(None, "--seconds-per-label", min=0.1, help="A label's pace (the measured one, or 20)."),
    next_pairs: str = typer.Option("", "--next", metavar="FILE", help="Write the pairs to grade next, if anything is undecided."),
    n: int = typer.Option(20, "-n", min=1, help="How many pairs --next writes."),
    tops: str = typer.Option("10,20", "--tops", help="The k of top-k tau."),
    leave_out_empty: bool = typer.Option(False, "--leave-out-empty", help="Leave out queries without a relevant document."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Also within each value of a column of --queries."),
    weight: str = typer.Option("", "--weight", metavar="COLUMN", help="Weight the queries by a column of --queries."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    columns: str = COLUMNS,
    seed: int = typer.Option(0, "--seed", help="Seed of the randomisation test, of the intervals and of --next."),
    form: str = typer.Option("", "--format", help="text (in a terminal), tsv (in a pipe), csv, latex or json."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Compare systems (randomisation and t-test, Holm), two rankings of them, or correct a judge by few human grades and decide.

    Without --runs: the project's systems under its human judgments, or its judge's where there are none; with --settle or --plan
    its judge corrected by what people graded.
    """
    from qrelkit.cli.deciding import Asked, decide_files, decide_project
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import column_map, distinct_runs, group_of, named_qrels, weight_of
    from qrelkit.project.deciding import split_names, views_of
    from qrelkit.steps.compare import compare as contrast

    ks, renamed, form = ranks(tops), column_map(columns), "json" if as_json else form
    split: dict[str, Any] = {"by": group_of(queries, by), "weights": weight_of(queries, weight)}
    named = list(named_qrels(qrels, columns=renamed).values())
    systems = distinct_runs(runs, collapse=collapse, parents=parents, columns=renamed)
    measure, tags = split_names(names or [], [run.tag for run in systems] if runs else None)
    dials = {"settle": settle, "plan": plan, "estimand": estimand, "most": most, "next_pairs": next_pairs, "n": n, "seed": seed}
    asked = Asked(measure=measure, seconds=seconds, form=form, **dials)  # type: ignore[arg-type]
    if judge or human:
        if not (judge and runs and measure) or qrels:
            raise InputError("--judge (and --human, once people graded) go with a measure and --runs, and without --qrels")
        return decide_files(asked, systems, judge, human, renamed, split)
    if not qrels and not runs:
        refuse_without_files(collapse=collapse, parents=parents, columns=columns)
        with open_project(project) as opened:
            if settle or plan or next_pairs:
                return decide_project(asked, opened, tags, split)
            systems, named, measure, weights = views_of(opened, measure, tags)
        split["weights"] = split["weights"] or weights
    elif settle or plan or next_pairs:
        raise InputError("--settle, --plan and --next need --judge (and --human, once people graded), or a project")
    elif not (qrels and runs and measure):
        raise InputError("compare needs a measure, --runs and --qrels; in a project it needs none of them")
    found = contrast(measure, systems, named, tops=ks, leave_out_empty=leave_out_empty, seed=seed, **split)
    return put_found(found, form, two=len(named) == 2)


def ranks(tops: str) -> list[int]:
    """The k of top-k tau. InputError for what is no list of numbers."""
    from qrelkit.core.errors import InputError

    try:
        return [int(k) for k in tops.split(",")]
    except ValueError:
        raise InputError(f"--tops takes numbers such as 10,20; found {tops!r}") from None


def put_found(found: Differences | Ranking, form: str, *, two: bool) -> None:
    """Prints a comparison; with `two` qrels a pipe gets the statistics, a line each."""
    from qrelkit.cli.output import in_a_pipe, put_json, put_statistics, put_text, warn

    form = form or ("tsv" if in_a_pipe() else "text")
    if form == "json":
        return put_json(found.json())
    if form != "text":
        warn(found.warnings)
    if form == "tsv" and two:
        return put_statistics(found.json())
    return put_text(found, form)
