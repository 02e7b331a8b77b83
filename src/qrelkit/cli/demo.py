"""demo: the whole line on an embedded catalogue, without a key."""

from __future__ import annotations

from pathlib import Path

import typer

from qrelkit.cli.context import DRY_RUN


def demo(
    folder: str = typer.Option("qrelkit-demo", "--folder", help="Where catalogue, runs, store and report go."),
    model: str = typer.Option("lexical", "--model", help="The judge and describer: lexical (no model), or provider:name."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask before a model is asked."),
    dry_run: bool = DRY_RUN,
) -> None:
    """Retrieve, describe, judge, agree, compare and report on a catalogue generated here. Needs no key and no network."""
    from qrelkit.cli.output import progress, put, say
    from qrelkit.cli.plan import confirmed, show_plan
    from qrelkit.project.demo import SYSTEMS, play, prepare, stages, tell

    with prepare(Path(folder), model) as project:
        line, planned = stages(project)
        put(f"The demo   {line.collection!r}, generated here; three systems:")
        for tag, what in SYSTEMS.items():
            put(f"           {tag:8} {what}")
        put("Plan       judging happens three times: with the pictures, without, and with pictures swapped as a control")
        show_plan(planned)
        if dry_run:
            return
        confirmed(planned, yes)
        story = play(project, line, lambda name, todo: progress(name, todo, quiet=model == "lexical"))
        if story is None:
            say("stopped; what was answered is kept, and the same command goes on from here")
            raise typer.Exit(130)
        tell(story, put)
    put(f"Report     {story.page}")
    put("Your turn  qrelkit run RUN.trec... --collection FOLDER --qrels QRELS --model openai:gpt-4o-mini")
    say("           (the collection is a folder with corpus.jsonl and queries.jsonl or topics.tsv; see README)")
