"""judge: a model's verdict on every pooled pair that is not known yet."""

from __future__ import annotations

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project, warn_of_images


def judge(
    model: str = typer.Option(None, "--model", help="The assessor: provider:name, or lexical (no model)."),
    route: str = typer.Option(None, "--route", help="text, described (images as text) or shown (images themselves)."),
    approved: bool = typer.Option(None, "--approved", help="Use the newest approved guidelines."),
    retry: str = typer.Option("", "--retry", metavar="OUTCOME,…", help="Ask these again: refused, unparsable, out_of_range."),
    limit: int = typer.Option(None, "--limit", min=0, help="Ask at most so many pairs now."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    output: str = typer.Option("", "-o", "--output", metavar="OUT.qrels", help="Write TREC qrels; what has no grade beside it."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Judge the pool of the project's runs. Known pairs cost nothing; stop anywhere and go on later."""
    from qrelkit.cli.output import money, progress, put_json, put_table, say
    from qrelkit.steps.judge import judge as ask
    from qrelkit.steps.judge import standing
    from qrelkit.steps.pool import pool

    options = {"judge__model": model, "judge__route": route, "judge__approved": approved, "budget_usd": budget_usd}
    outcomes = [o for o in retry.split(",") if o]
    with open_project(project, change, **options) as opened:
        config = opened.config
        pairs = pool(opened.runs(), config.depth)
        assessor = opened.judge(pairs)
        state = standing(pairs, assessor, opened.collection, opened.store, outcomes)
        todo = int(state["todo"].sum())
        say(f"{pairs!r}: {len(pairs) - todo:,} known, {todo:,} to ask of {assessor.name}")
        if config.judge.route != "text":
            warn_of_images(opened)
        if dry_run:
            return
        dials = {"at_once": config.at_once, "budget_usd": config.budget_usd, "retry": outcomes, "limit": limit}
        with progress("judge", todo) as show:
            models = opened.models(config.judge.model)
            done = ask(pairs, assessor, opened.collection, store=opened.store, models=models, progress=show, **dials)  # type: ignore[arg-type]
    if output:
        done.write(output)
    say(f"{done!r} · {done.tally.asked:,} requests · {money(done.tally.cost_usd, done.tally.unpriced)}")
    for warning in done.tally.warnings:
        say(f"warning: {warning}")
    if as_json:
        put_json(
            {"pairs": len(pairs), "known": done.known, "ungraded": done.ungraded, "outcomes": done.outcomes, "stale": done.stale}
        )
    else:
        put_table(("outcome", "pairs"), list(done.outcomes.items()))
    raise typer.Exit(ending(done.tally.stopped, done.ungraded))
