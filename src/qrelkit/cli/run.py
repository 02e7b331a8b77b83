"""run: everything that is still missing of the whole line, in one command."""

from __future__ import annotations

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project, warn_of_images


def run(
    runs: list[str] = typer.Argument(None, metavar="[qrelkit.yaml | RUN]...", help="A project, or run files."),
    collection: str = typer.Option(None, "--collection", help="Folder or irds:ID of the collection (with run files)."),
    qrels: str = typer.Option(None, "--qrels", help="Human judgments (with run files)."),
    model: str = typer.Option(None, "--model", help="The judge: provider:name, or lexical."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask before models are asked."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Judge, agree, expand, evaluate, compare and report: shows the plan first, asks once, goes on where it stopped."""
    from dataclasses import replace
    from pathlib import Path

    from qrelkit.cli.output import progress, put_json, say
    from qrelkit.cli.plan import confirmed, show_plan
    from qrelkit.project.line import line_of
    from qrelkit.project.reporting import report_of, write_report
    from qrelkit.steps.plan import plan, probe
    from qrelkit.steps.run import run as do
    from qrelkit.steps.stages import refuse_unpriced

    given = list(runs or [])
    if len(given) == 1 and given[0].endswith((".yaml", ".yml")):
        project, given = given[0], []
    options = {"judge__model": model, "budget_usd": budget_usd, "collection": collection, "runs": given}
    with open_project(project, change, qrels={"human": qrels} if qrels else None, **options) as opened:
        line = line_of(opened)
        stages = plan(line)
        show_plan(stages, as_json=as_json and dry_run, budget_usd=line.budget_usd, between=line.terms.between)
        if opened.config.judge.route != "text":
            warn_of_images(opened)
        refuse_unpriced(stages, line.models, line.budget_usd)
        if dry_run:
            return
        confirmed(stages, yes)
        before = opened.store.spent_usd()
        probed = probe(line, stages)
        if probed is not None and probed.stopped:
            say("stopped; what was answered is kept, and the same command goes on from here")
            raise typer.Exit(ending(probed.stopped))
        if line.budget_usd is not None:  # the probe's calls count; 0 would mean no budget
            line = replace(line, budget_usd=max(line.budget_usd - (opened.store.spent_usd() - before), 1e-9))
        if probed is not None and probed.asked:
            stages = plan(line, probed.seconds)
            show_plan([stage for stage in stages if stage.asks], budget_usd=line.budget_usd, between=line.terms.between)
        done = do(line, progress)
        if not done.views:
            say("stopped before anything was judged; the same command goes on from here")
            raise typer.Exit(ending(done.stopped, 1))
        report = report_of(done, opened)
        page, beside = write_report(report, Path(opened.at(opened.config.report)))
    if as_json:
        put_json(report.json())
    for sentence in report.json().get("headline", []):
        say(sentence)
    say(f"report: {page} (and {beside.name})")
    raise typer.Exit(ending(done.stopped, done.judged.ungraded if done.judged else 0))
