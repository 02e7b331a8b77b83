"""evaluate: measures of runs."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, COLUMNS, JSON, PARENTS, PROJECT, open_project, refuse_without_files


def evaluate(
    measures: list[str] = typer.Argument(None, metavar="[MEASURE]...", help="nDCG@10, AP, P(rel=2)@5, or trec_eval's names."),
    qrels: list[str] = typer.Option([], "--qrels", metavar="FILE", help="Judgments; several stand side by side (NAME=FILE)."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Runs; --runs a b c, - is stdin."),
    per_query: bool = typer.Option(False, "--per-query", help="The value of every query too."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Split by a column of --queries."),
    weight: str = typer.Option("", "--weight", metavar="COLUMN", help="Weight the means by a column of --queries."),
    leave_out_empty: bool = typer.Option(False, "--leave-out-empty", help="Leave out queries without a relevant document."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    columns: str = COLUMNS,
    duplicates: str = typer.Option("error", "--duplicates", help="Pairs judged differently twice: first, last, max or min."),
    form: str = typer.Option("", "--format", help="text (in a terminal), tsv (in a pipe), csv, latex or json."),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Score runs against judgments, as trec_eval does, with 95 % intervals by query.

    Without --qrels and --runs: those of the project, human, model and mixed grades side by side.
    """
    from qrelkit.cli.output import in_a_pipe, put, put_json, put_text, say
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import column_map, column_of, distinct_runs, named_qrels, rule, weight_of
    from qrelkit.project.line import line_of
    from qrelkit.steps.evaluate import evaluate as score
    from qrelkit.steps.run import known

    names, weights, wanted = column_map(columns), weight_of(queries, weight), measures
    named = named_qrels(qrels, rule(duplicates), names)
    systems = distinct_runs(runs, collapse=collapse, parents=parents, columns=names)
    if not qrels and not runs:
        refuse_without_files(collapse=collapse, parents=parents, columns=columns, duplicates=duplicates != "error")
        with open_project(project) as opened:
            done = known(line_of(opened))
            weights = weights or opened.weights()
        named, systems, wanted = dict(done.views), list(done.line.runs), measures or list(done.line.measures)
    elif not (qrels and runs and measures):
        raise InputError("evaluate needs measures, --qrels and --runs; in a project it needs none of them")
    found = score(
        wanted,
        systems,
        named,
        by=column_of(queries, by) if by else None,
        weights=weights,
        per_query=per_query,
        leave_out_empty=leave_out_empty,
    )
    for warning in found.warnings:
        say(f"warning: {warning}")
    if as_json or form == "json":
        put_json(found.json())
    elif per_query:
        for _, tag, measure, query, value in found.per_query.iter_rows():
            put(f"{tag}\t{measure}\t{query}\t{'' if value is None else f'{value:.4f}'}")
    else:
        put_text(found, form or ("tsv" if in_a_pipe() else "text"))
