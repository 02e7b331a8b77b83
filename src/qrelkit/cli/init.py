"""init: a qrelkit.yaml to start from."""

from __future__ import annotations

from pathlib import Path

import typer


def init(
    collection: str = typer.Option("", "--collection", help="Folder or irds:ID of the collection."),
    runs: list[str] = typer.Option([], "--runs", help="Run files or patterns."),
    qrels: str = typer.Option("", "--qrels", help="Human judgments, if they do not lie beside the collection."),
    model: str = typer.Option("lexical", "--model", help="The judge: provider:name, or lexical."),
    scale: str = typer.Option("product-3", "--scale", help="product-3, binary, trec-0-3, likert-0-4 or answer-1-4."),
    folder: str = typer.Argument(".", help="Where to write qrelkit.yaml."),
) -> None:
    """Write a commented qrelkit.yaml. Never overwrites one."""
    from qrelkit.cli.output import say
    from qrelkit.project.init import write_config

    runs_of = list(runs) or ["runs/*.trec"]
    path = write_config(Path(folder), collection=collection, runs=runs_of, qrels=qrels, model=model, scale=scale)
    say(f"wrote {path}; look through it, then: qrelkit run")
