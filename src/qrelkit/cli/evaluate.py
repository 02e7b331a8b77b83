"""evaluate: measures of runs."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, COLUMNS, JSON, PARENTS, PROJECT, open_project, refuse_without_files


def evaluate(
    measures: list[str] = typer.Argument(None, metavar="[MEASURE]...", help="nDCG@10, AP, P(rel=2)@5, or trec_eval's names."),
    qrels: list[str] = typer.Option([], "--qrels", metavar="FILE", help="Judgments; several stand side by side (NAME=FILE)."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Runs; --runs a b c, - is stdin."),
    judge: str = typer.Option("", "--judge", metavar="FILE", help="A judge's grades of all pairs, to be corrected by --human."),
    human: str = typer.Option("", "--human", metavar="FILE", help="People's grades of some; FILE.prob.tsv: how they were drawn."),
    estimand: str = typer.Option(
        "these", "--estimand", help="The mean over these queries (these), or queries like these (like)."
    ),
    per_query: bool = typer.Option(False, "--per-query", help="The value of every query too."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Split by a column of --queries."),
    weight: str = typer.Option("", "--weight", metavar="COLUMN", help="Weight the means by a column of --queries."),
    leave_out_empty: bool = typer.Option(False, "--leave-out-empty", help="Leave out queries without a relevant document."),
    ranges: bool = typer.Option(
        None, "--ranges/--no-ranges", help="Also how far documents without a grade could move each number (in a project: yes)."
    ),
    scale: str = typer.Option("", "--scale", help="--ranges: the grades they could have; else 0 to the highest there is."),
    depth: int = typer.Option(None, "--depth", help="--ranges: which they are: the runs' down to this rank; else all."),
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
    from qrelkit.cli.deciding import put_corrected
    from qrelkit.cli.output import in_a_pipe, put, put_json, put_text, say
    from qrelkit.core.errors import InputError
    from qrelkit.core.guideline import Scale
    from qrelkit.core.pool import Pool
    from qrelkit.formats.files import column_map, column_of, distinct_runs, group_of, named_qrels, rule, weight_of
    from qrelkit.measures.bounds import Unjudged
    from qrelkit.project.line import line_of
    from qrelkit.steps.evaluate import evaluate as score
    from qrelkit.steps.run import known

    names, weights, wanted = column_map(columns), weight_of(queries, weight), measures
    named = named_qrels(qrels, rule(duplicates), names)
    systems = distinct_runs(runs, collapse=collapse, parents=parents, columns=names)
    if judge or human:
        if qrels or not (judge and human and systems and measures):
            raise InputError("--judge and --human go together, with measures and --runs, and without --qrels")
        put_corrected(
            measures,
            systems,
            (judge, human),
            names,
            estimand,
            "json" if as_json else form,
            by=group_of(queries, by),
            weights=weights,
        )
        return
    pool, grades = Pool.of(systems, depth) if systems and depth is not None else None, Scale.read(scale) if scale else None
    ranges = bool(scale or depth) if ranges is None and runs else ranges is not False
    if not qrels and not runs:
        refuse_without_files(collapse=collapse, parents=parents, columns=columns, duplicates=duplicates != "error")
        with open_project(project) as opened:
            done = known(line_of(opened))
            weights = weights or opened.weights()
        named, systems, wanted = dict(done.views), list(done.line.runs), measures or list(done.line.measures)
        pool, grades = (done.pool if depth is None else Pool.of(systems, depth)), grades or done.line.scale
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
        ranges=Unjudged.over(named.values(), grades, pool) if ranges else None,
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
