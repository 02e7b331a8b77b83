"""expand: human grades where there are any, a model's in the holes."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, JSON, PARENTS, PROJECT, open_project, refuse_without_files


def expand(
    human: str = typer.Argument("", metavar="[HUMAN.qrels]", help="Human grades: these always win."),
    assessor: str = typer.Option("", "--with", metavar="ASSESSOR.qrels", help="Who fills the holes."),
    runs: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Fill only what these runs retrieved."),
    depth: int = typer.Option(20, "--depth", help="How far down each run."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    policy: str = typer.Option("human_first", "--policy", help="human_first, or calibrated: what its grades mean to people."),
    measures: list[str] = typer.Option([], "--measures", metavar="MEASURE...", help="Measures of the runs (nDCG@10)."),
    teams: list[str] = typer.Option(
        [], "--teams", metavar="TAG=TEAM...", help="Leave out a team at a time (or FILE: tag, team)."
    ),
    relevant_from: int = typer.Option(None, "--relevant-from", help="The lowest grade that counts as relevant (1)."),
    queries: str = typer.Option("", "--queries", metavar="FILE", help="A table of queries with further columns."),
    by: str = typer.Option("", "--by", metavar="COLUMN", help="Also count within each value of a column of --queries."),
    zero_fill: bool = typer.Option(False, "--zero-fill", help="Give pairs without a grade a 0, and list them in the sidecar."),
    output: str = typer.Option(
        ..., "-o", "--output", metavar="OUT.qrels", help="TREC qrels; origins go to OUT.qrels.origins.tsv."
    ),
    project: str = PROJECT,
    as_json: bool = JSON,
) -> None:
    """Expand qrels: every pair keeps its origin, and a missing grade is never 0.

    Without files: the project's human judgments, the holes of its pool filled by its judge.
    """
    from qrelkit.cli.output import in_a_pipe, put, put_json, put_table, warn
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import distinct_runs, group_of, read_any_qrels
    from qrelkit.project.line import line_of
    from qrelkit.steps.calibration import calibrate
    from qrelkit.steps.expand import expand as fill
    from qrelkit.steps.leave_out import read_teams
    from qrelkit.steps.pool import pool
    from qrelkit.steps.run import known

    if not runs:
        refuse_without_files(collapse=collapse, parents=parents)
    if (human or assessor) and not runs and (measures or teams):
        raise InputError("--measures and --teams are about runs: name them with --runs")
    options = {"relevant_from": relevant_from, "zero_fill": zero_fill, "teams": read_teams(teams)}
    if human and assessor:
        systems = distinct_runs(runs, collapse=collapse, parents=parents)
        options |= {"pool": pool(systems, depth) if runs else None, "runs": systems, "measures": measures or ["nDCG@10"]}
        found = fill(read_any_qrels(human), read_any_qrels(assessor), policy=policy, **options)  # type: ignore[arg-type]
    elif human or assessor:
        raise InputError("expand needs both: HUMAN.qrels and --with ASSESSOR.qrels; in a project it needs neither")
    else:
        with open_project(project) as opened:
            done = known(line_of(opened))
        if done.judged is None:
            raise InputError("nothing is judged yet: `qrelkit judge` comes first")
        if not done.line.human:
            raise InputError("the project has no human judgments to expand; `qrelkit judge -o FILE` writes the model's alone")
        people, model, line = next(iter(done.line.human.values())), done.judged.qrels(), done.line
        excluded = line.excluded(done.pool)  # what the judge was shown is not what it knows
        learnt = calibrate(people, model, scale=line.scale, exclude=excluded) if policy == "calibrated" else policy
        options |= {"pool": done.pool, "runs": line.runs, "measures": measures or line.measures, "scale": line.scale}
        found = fill(people, model, policy=learnt, **options)  # type: ignore[arg-type]
    found.write(output)
    groups = found.by(group_of(queries, by) or {})
    rows = [(name, *counts.values()) for name, counts in groups.items()]
    if as_json:
        put_json(found.json() | ({"by": groups} if by else {}))
    elif in_a_pipe():
        warn(found.warnings)
        put_table(found.per_query.columns, found.per_query.rows())
    else:
        put(found.text())
        if by:
            put_table((by, "judged", "relevant", "new", "new relevant", "ungraded"), rows)
    if found.counts["ungraded"] and not zero_fill:
        raise typer.Exit(4)
