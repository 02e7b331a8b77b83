"""forget: erases what holds a document; says first what that is."""

from __future__ import annotations

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project


def forget(
    doc_ids: list[str] = typer.Argument(help="The ids of the documents."),
    yes: bool = typer.Option(False, "--yes", help="Do it; without this it only says what there is."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Erase every text, image and reply that holds a document; its grades stay."""
    from qrelkit.cli.output import put_json, put_table, say
    from qrelkit.project.forget import forget as erase
    from qrelkit.project.forget import traces

    with open_project(project, change) as opened:
        found = traces(opened, doc_ids)
        erased = erase(opened, found) if yes else None
    if as_json:
        put_json({**found.json(), "erased": erased})
    else:
        counts = {"judgments": found.judgments, "requests": found.requests, "images": len(found.images)}
        counts |= {"descriptions": found.descriptions, "indexes": len(found.indexes)}
        put_table(("what there is of them", "count"), list(counts.items()))
        if erased is not None:
            put_table(("lost its content", "count"), list(erased.items()))
    for name in found.yours:
        say(f"yours, and left to you: {name}")
    if found.shared_images:
        say(f"{found.shared_images:,} of their images belong to other documents or queries too, and stay")
    if found.example:
        say("one of them is an example that the judge is shown: another is drawn from now on, and all pairs are judged anew")
    for batch in found.batches:
        say(f"batch {batch} is on its way and may hold them: what comes back of them is not kept, but the provider has it")
    if not yes:
        say("nothing was erased; do it with --yes")
