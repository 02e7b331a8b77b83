"""pool: the pairs to be judged."""

from __future__ import annotations

from typing import Any

import typer

from qrelkit.cli.context import COLLAPSE, JSON, PARENTS, PROJECT, SET, open_project


def pool(
    runs: list[str] = typer.Argument(None, metavar="[RUN]...", help="Run files; those of the project by default."),
    more: list[str] = typer.Option([], "--runs", metavar="FILE...", help="Run files too, as other commands name them."),
    depth: int = typer.Option(None, "--depth", help="How far down each run."),
    holes: str = typer.Option("", "--holes-of", metavar="QRELS", help="Only pairs without a grade in these qrels."),
    labels: list[str] = typer.Option([], "-n", metavar="N", help="Only so many pairs; with --compare several: 500,1000."),
    method: str = typer.Option("", "--method", help="Which N: depth (unless said), fused, mtf, bandit, random."),
    feedback: str = typer.Option("", "--feedback", metavar="QRELS", help="The grades that mtf and bandit learn from."),
    relevant_from: int = typer.Option(None, "--relevant-from", help="The lowest grade that is relevant to them."),
    seed: int = typer.Option(0, "--seed", help="Seed of mtf, bandit and random."),
    compare: bool = typer.Option(False, "--compare", help="The methods side by side, at equal numbers of labels."),
    measure: str = typer.Option("", "--measure", help="With --compare: the measure that ranks the systems."),
    qrels: str = typer.Option("", "--qrels", metavar="FILE", help="With --compare: the labels, as if they were yet to be paid."),
    form: str = typer.Option("", "--format", help="With --compare: text, tsv, csv, latex or json."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    output: str = typer.Option("", "-o", "--output", metavar="FILE", help="Write the pairs as TSV, JSONL, CSV or Parquet."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Pool the runs: the union of their first documents, with why each is there; with -n, as many as can be paid for."""
    import os

    from qrelkit.cli.output import put_json, put_table, say
    from qrelkit.cli.pooled import budgets_of, compared, refuse_for, show_compared
    from qrelkit.formats.files import read_any_qrels
    from qrelkit.formats.tables import write_table
    from qrelkit.steps.pool import pool as pool_runs

    budgets = budgets_of(labels, several=compare)
    if compare:
        refuse_for(
            "has no part in --compare, which chooses among all pairs that are graded", depth=depth, holes_of=holes, output=output
        )
    else:
        refuse_for("goes with --compare", measure=measure, qrels=qrels, format=form)
    if not budgets:
        refuse_for("goes with -n N, the number of labels", method=method, feedback=feedback, relevant_from=relevant_from)
    repair = {"collapse": collapse or None, "parents": os.path.abspath(parents) if parents else None}
    told = read_any_qrels(feedback) if feedback else None
    with open_project(project, change, runs=[*more, *(runs or [])], depth=depth, **repair) as opened:
        chance: dict[str, Any] = {"feedback": told, "relevant_from": relevant_from or opened.scale.relevant_from, "seed": seed}
        if compare:
            found = compared(opened, budgets, measure=measure, qrels=qrels, method=method, **chance)
            show_compared(found, "json" if as_json else form)
            return
        n, without = (budgets[0] if budgets else None), (read_any_qrels(holes) if holes else None)
        pooled = pool_runs(opened.runs(), opened.config.depth, holes_of=without, n=n, method=method or "depth", **chance)
    say(repr(pooled))
    if output:
        write_table(pooled.frame.with_columns(tags=pooled.frame["tags"].list.join(" ")), output)
    elif as_json:
        chosen = {"chosen_by": pooled.chosen_by} if pooled.chosen_by else {}
        queries = pooled.frame["query_id"].n_unique()
        put_json({"queries": queries, "pairs": len(pooled), "depth": pooled.depth, "runs": pooled.runs} | chosen)
    else:
        per_query = pooled.frame.group_by("query_id", maintain_order=True).len()
        put_table(("query_id", "pairs"), per_query.rows())
