"""describe: images as text, for assessors that cannot see them."""

from __future__ import annotations

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project, warn_of_images


def describe(
    model: str = typer.Option(None, "--model", help="Who describes: a multimodal model, or palette (no model)."),
    pooled: bool = typer.Option(False, "--pooled", help="Only images of documents in the pool of the runs."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Describe every image once, whatever the number of queries."""
    from qrelkit.cli.output import money, progress, put_json, say
    from qrelkit.steps.describe import describe as write
    from qrelkit.steps.describe import images_to_describe
    from qrelkit.steps.forgotten import forgotten
    from qrelkit.steps.pool import pool

    with open_project(project, change, describe__model=model, budget_usd=budget_usd) as opened:
        describer, config = opened.describer(), opened.config
        pairs = pool(opened.runs(), config.depth).frame if pooled else None
        only = {"doc_ids": pairs["doc_id"], "query_ids": pairs["query_id"]} if pairs is not None else {}
        wanted = images_to_describe(opened.collection, **only, gone=forgotten(opened.store))["digest"]
        todo = len(set(wanted) - set(opened.store.descriptions(describer.key)))
        say(f"{len(wanted):,} images, {len(wanted) - todo:,} known, {todo:,} to describe by {describer.name}")
        warn_of_images(opened)
        if dry_run:
            return
        with progress("describe", todo) as show:
            dials = {"at_once": opened.at_once, "budget_usd": opened.budget_usd(), "terms": opened.terms(), **only}
            models = opened.models(config.describe.model if config.describe else describer.name)
            done = write(opened.collection, describer, store=opened.store, models=models, progress=show, **dials)  # type: ignore[arg-type]
    say(f"{len(done.texts):,} described, {done.missing:,} could not be, {money(done.tally.cost_usd, done.tally.unpriced)}")
    if as_json:
        put_json({"images": len(wanted), "described": len(done.texts), "missing": done.missing, "known": done.known})
    raise typer.Exit(ending(done.tally.stopped, done.missing))
