"""guide: each query's requirements and what the grades mean for it."""

from __future__ import annotations

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project


def guide(
    model: str = typer.Option(None, "--model", help="Who writes, e.g. openai:gpt-4o-mini."),
    prompt: str = typer.Option(None, "--prompt", help="A shipped prompt or a file of yours."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Have a model write each query's guideline, as YAML that you can edit. Never overwrites an edited one."""
    from qrelkit.cli.output import money, progress, put_json, say
    from qrelkit.core.records import Query
    from qrelkit.steps.guide import guide as write
    from qrelkit.steps.guide import newest

    with open_project(project, change, guide__model=model, guide__prompt=prompt, budget_usd=budget_usd) as opened:
        writer, folder = opened.guide_writer(), opened.at(opened.config.guidelines)
        queries: list[Query] = [opened.collection.query(q) for q in opened.collection.queries["query_id"]]
        known = newest(opened.store, folder)
        todo = sum(q.query_id not in known for q in queries)
        say(f"{len(queries):,} queries, {len(queries) - todo:,} have a guideline, {todo:,} to ask of {writer.name}")
        if dry_run:
            return
        models = opened.models(opened.config.guide.model if opened.config.guide else writer.name)
        with progress("guide", todo) as show:
            dials = {"at_once": opened.at_once, "budget_usd": opened.budget_usd(), "terms": opened.terms(), "progress": show}
            done = write(queries, writer, store=opened.store, models=models, folder=folder, **dials)  # type: ignore[arg-type]
    say(f"{done.written:,} written to {folder}, {money(done.tally.cost_usd, done.tally.unpriced)}")
    if done.unread:
        say(f"{len(done.unread):,} could not be had: {', '.join(done.unread[:5])}")
    if as_json:
        put_json({"queries": len(queries), "written": done.written, "unread": list(done.unread), "cost_usd": done.tally.cost_usd})
    raise typer.Exit(ending(done.tally.stopped, len(done.unread)))
