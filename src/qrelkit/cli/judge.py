"""judge: a model's verdict on every pooled pair that is not known yet."""

from __future__ import annotations

from typing import Any

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project, warn_of_images


def judge(
    model: str = typer.Option(None, "--model", help="The assessor: provider:name, labels:FILE, or lexical (no model)."),
    route: str = typer.Option(None, "--route", help="text, described (images as text) or shown (images themselves)."),
    per_request: int = typer.Option(None, "--per-request", min=1, help="Ask about so many documents of a query at once."),
    approved: bool = typer.Option(None, "--approved", help="Use the newest approved guidelines."),
    retry: str = typer.Option("", "--retry", metavar="OUTCOME,…", help="Ask these again: refused, unparsable, …"),
    limit: int = typer.Option(None, "--limit", min=0, help="Ask at most so many pairs now."),
    batch: bool = typer.Option(False, "--batch", help="Hand over to the provider's batch endpoint; a later judge collects."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    output: str = typer.Option("", "-o", "--output", metavar="OUT.qrels", help="Write TREC qrels; what has no grade beside it."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Judge the pool of the project's runs. Known pairs cost nothing; stop anywhere and go on later."""
    from qrelkit.cli.output import money, progress, put_json, put_table, say
    from qrelkit.cli.plan import planned, show_plan
    from qrelkit.project.judging import sees_images
    from qrelkit.steps.judge import judge as ask
    from qrelkit.steps.judge import standing
    from qrelkit.steps.pool import pool

    options = {"judge__model": model, "judge__route": route, "judge__per_request": per_request, "judge__approved": approved}
    # a model that is named here judges alone, whatever the file says
    alone = ["judge.cascade=[]", "judge.panel=[]", "judge.unsure=null"] if model else []
    outcomes = [o for o in retry.split(",") if o]
    with open_project(project, [*alone, *change], **options, budget_usd=budget_usd) as opened:
        config = opened.config
        pairs = pool(opened.runs(), config.depth)
        assessor = opened.judge(pairs)
        state = standing(pairs, assessor, opened.collection, opened.store, outcomes)
        todo = int(state["todo"].sum())
        say(f"{pairs!r}: {len(pairs) - todo:,} known, {todo:,} to ask of {assessor.name}")
        if sees_images(config.judge):
            warn_of_images(opened)
        if dry_run:
            return show_plan(planned(opened, outcomes, limit), as_json, budget_usd=opened.budget_usd(), between=config.between)
        dials: dict[str, Any] = {"at_once": opened.at_once, "budget_usd": opened.budget_usd(), "terms": opened.terms(batch=batch)}
        dials |= {"retry": outcomes, "limit": limit}
        with progress("judge", todo if limit is None else min(todo, limit)) as show:
            models = opened.judge_models()
            done = ask(pairs, assessor, opened.collection, store=opened.store, models=models, progress=show, **dials)
    if output:
        done.write(output)
    cost = "paid for when collected" if batch and not done.tally.cost_usd else money(done.tally.cost_usd, done.tally.unpriced)
    say(f"{done!r} · {done.tally.asked:,} requests · {cost}")
    for sentence in done.tally.batches:
        say(sentence)
    for warning in done.tally.warnings:
        say(f"warning: {warning}")
    if as_json:
        tally = done.tally
        counts = {"pairs": len(pairs), "known": done.known, "ungraded": done.ungraded, "waiting": tally.waiting}
        spent = {"cost_usd": tally.cost_usd, "unpriced": tally.unpriced, "asked": tally.asked, "stopped": tally.stopped}
        told = {"batches": tally.batches, "warnings": tally.warnings}
        put_json({**counts, "outcomes": done.outcomes, "stale": done.stale, **spent, **told})
    else:
        put_table(("outcome", "pairs"), list(done.outcomes.items()))
    raise typer.Exit(ending(done.tally.stopped, done.ungraded))
