"""retrieve: runs from a collection."""

from __future__ import annotations

import typer

from qrelkit.cli.context import JSON


def retrieve(
    retriever: str = typer.Argument(..., help="bm25"),
    collection: str = typer.Argument(..., metavar="COLLECTION", help="A folder, or irds:ID."),
    depth: int = typer.Option(1000, "--depth", help="Documents per query."),
    output: str = typer.Option(..., "-o", "--output", metavar="RUN", help="Where the TREC run goes (- is stdout)."),
    tag: str = typer.Option("", "--tag", help="The run's name; the retriever's by default."),
    analyzer: str = typer.Option("auto", "--analyzer", help="How texts become terms."),
    k1: float = typer.Option(0.9, "--k1"),
    b: float = typer.Option(0.4, "--b"),
    as_json: bool = JSON,
) -> None:
    """Retrieve documents for every query of a collection and write a TREC run."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from qrelkit.cli.output import put, put_json, say
    from qrelkit.core.plugins import find
    from qrelkit.core.run import Run
    from qrelkit.formats.trec import write_run
    from qrelkit.steps.load import load
    from qrelkit.steps.retrieve import retrieve as search

    build = find("retrievers", retriever)
    loaded = load(collection)
    found = search(loaded, build(loaded, k1=k1, b=b, analyzer=analyzer), depth)
    run = Run(found.frame, tag or found.tag, found.notes)
    if output == "-":
        with TemporaryDirectory() as folder:
            write_run(run, Path(folder) / "run.trec")
            put((Path(folder) / "run.trec").read_text(encoding="utf-8"))
    else:
        write_run(run, output)
    say(repr(run))
    if as_json and output != "-":
        put_json({"tag": run.tag, "queries": run.frame["query_id"].n_unique(), "documents": len(run), "output": output})
