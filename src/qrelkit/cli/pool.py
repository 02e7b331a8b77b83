"""pool: the pairs to be judged."""

from __future__ import annotations

import typer

from qrelkit.cli.context import COLLAPSE, JSON, PARENTS, PROJECT, SET, open_project


def pool(
    runs: list[str] = typer.Argument(None, metavar="[RUN]...", help="Run files; those of the project by default."),
    depth: int = typer.Option(None, "--depth", help="How far down each run."),
    holes: str = typer.Option("", "--holes-of", metavar="QRELS", help="Only pairs without a grade in these qrels."),
    collapse: bool = COLLAPSE,
    parents: str = PARENTS,
    output: str = typer.Option("", "-o", "--output", metavar="FILE", help="Write the pairs as TSV, JSONL, CSV or Parquet."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Pool the runs: the union of their first documents, with why each is there."""
    import os

    from qrelkit.cli.output import put_json, put_table, say
    from qrelkit.formats.files import read_any_qrels
    from qrelkit.formats.tables import write_table
    from qrelkit.steps.pool import pool as pool_runs

    repair = {"collapse": collapse or None, "parents": os.path.abspath(parents) if parents else None}
    with open_project(project, change, runs=list(runs or []), depth=depth, **repair) as opened:
        pooled = pool_runs(opened.runs(), opened.config.depth, holes_of=read_any_qrels(holes) if holes else None)
    say(repr(pooled))
    if output:
        write_table(pooled.frame.with_columns(tags=pooled.frame["tags"].list.join(" ")), output)
    elif as_json:
        queries = pooled.frame["query_id"].n_unique()
        put_json({"queries": queries, "pairs": len(pooled), "depth": pooled.depth, "runs": pooled.runs})
    else:
        per_query = pooled.frame.group_by("query_id", maintain_order=True).len()
        put_table(("query_id", "pairs"), per_query.rows())
