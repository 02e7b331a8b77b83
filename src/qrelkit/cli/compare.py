"""compare: systems with each other, or their order under two sets of judgments."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, COLUMNS, JSON, PARENTS, PROJECT, open_project, refuse_without_files


def compare(
    measure: str = typer.Argument("", metavar="[MEASURE]", help="For example nDCG@10."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Two or more runs."),
    qrels: list[str] = typer.Option([], "--qrels", metavar="FILE", help="One: differences. Two: correlation of the rankings."),
    tops: str = typer.Option("10,20", "--tops", help="The k of top-k tau."),
    leave_out_empty: bool = typer.Option(False, "--leave-out-empty", help="Leave out queries without a relevant document."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Also within each value of a column of --queries."),
    weight: str = typer.Option("", "--weight", metavar="COLUMN", help="Weight the queries by a column of --queries."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    columns: str = COLUMNS,
    seed: int = typer.Option(0, "--seed", help="Seed of the randomisation test and of the intervals."),
    form: str = typer.Option("", "--format", help="text (in a terminal), tsv (in a pipe), csv, latex or json."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Compare systems (randomisation and t-test, Holm), or two rankings of them (tau-b, tau-AP, top-k tau).

    Without --runs and --qrels: the project's systems under its human judgments, or its judge's where there are none.
    """
    from qrelkit.cli.output import in_a_pipe, put_json, put_statistics, put_text, warn
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import column_map, distinct_runs, group_of, named_qrels, weight_of
    from qrelkit.project.line import line_of
    from qrelkit.steps.compare import compare as contrast
    from qrelkit.steps.run import known

    try:
        ks = [int(k) for k in tops.split(",")]
    except ValueError:
        raise InputError(f"--tops takes numbers such as 10,20; found {tops!r}") from None
    names, weights = column_map(columns), weight_of(queries, weight)
    named = list(named_qrels(qrels, columns=names).values())
    systems = distinct_runs(runs, collapse=collapse, parents=parents, columns=names)
    if not qrels and not runs:
        refuse_without_files(collapse=collapse, parents=parents, columns=columns)
        with open_project(project) as opened:
            done = known(line_of(opened))
            weights = weights or opened.weights()
        named, systems, measure = list(done.views.values())[:1], list(done.line.runs), measure or done.line.measures[0]
    elif not (qrels and runs and measure):
        raise InputError("compare needs a measure, --runs and --qrels; in a project it needs none of them")
    split = {"by": group_of(queries, by), "weights": weights}
    found = contrast(measure, systems, named, tops=ks, leave_out_empty=leave_out_empty, seed=seed, **split)  # type: ignore[arg-type]
    form = form or ("tsv" if in_a_pipe() else "text")
    if as_json or form == "json":
        put_json(found.json())
        return
    if form != "text":
        warn(found.warnings)
    if form == "tsv" and len(named) == 2:
        put_statistics(found.json())
    else:
        put_text(found, form)
