"""What the commands that make a run have in common: its options, its rewrites, and saying where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrelkit.core.collection import Collection
    from qrelkit.core.doors import Retriever
    from qrelkit.core.rewriting import Rewrite
    from qrelkit.steps.made import Retrieved

COLLECTION = typer.Argument(..., metavar="COLLECTION", help="A folder, or irds:ID.")
DEPTH = typer.Option(1000, "--depth", help="Documents per query.")
OUTPUT = typer.Option(..., "-o", "--output", metavar="RUN", help="Where the TREC run goes (- is stdout).")
TAG = typer.Option("", "--tag", help="The run's name; the retriever's by default.")
AGAIN = typer.Option(False, "--again", help="Make the run also where it lies there already, made with the same settings.")
REWRITES = typer.Option("", "--rewrites", metavar="FILE", help="Hypothetical documents to search with besides the query.")
COMBINE = typer.Option(
    "", "--combine", metavar="RULE", help="How they join: mean, rewrite, query+rewrite, 5*query+rewrite, weights:2, r2med, …"
)
METHOD = typer.Option("", "--method", help="What wrote them: hyde, query2doc, lamer, reasoning; by default what the file says.")
FAMILY = typer.Option("", "--thinking", metavar="FAMILY", help="Whose thinking is to be taken out of them: r1, qwq, huatuo, …")


def rewrites_of(path: str, method: str = "", family: str = "") -> Mapping[str, Rewrite] | None:
    """The rewrites of a file; None without one. What went wrong with them is said."""
    if not path:
        return None
    from collections import Counter

    from qrelkit.cli.output import warn
    from qrelkit.core.records import counted
    from qrelkit.formats.rewrites import read_rewrites

    found = read_rewrites(path, method=method, family=family)
    counts: Counter[str] = Counter()
    for rewrite in found.values():
        counts.update(rewrite.counts)
    warn([f"{path}: {counted(count, 'rewrite')} {what.replace('_', ' ')}" for what, count in counts.items() if count])
    return found


def save(
    output: str,
    collection: Collection,
    retriever: Retriever,
    depth: int,
    *,
    as_json: bool,
    **options: Any,
) -> Retrieved | None:
    """Makes the run, or finds that it is there, and says so; options are those of `retrieve_to`."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from qrelkit.cli.output import put
    from qrelkit.steps.retrieve import retrieve_to

    if output == "-":
        with TemporaryDirectory() as folder:
            found = retrieve_to(Path(folder) / "run.trec", collection, retriever, depth, **options)
            put(found.path.read_text(encoding="utf-8"))
        announce(found, "-", as_json=False)
        return found
    found = retrieve_to(output, collection, retriever, depth, **options)
    announce(found, output, as_json=as_json)
    return found


def announce(found: Retrieved, output: str, *, as_json: bool) -> None:
    """Says what was made: its size on stderr, and JSON on request."""
    from qrelkit.cli.output import put_json, say, warn

    run = found.run
    say(repr(run) + (" lay there already, made with the same settings" if found.known else ""))
    notes = found.said.get("notes", {})
    without, failed = notes.get("without_hits", []), notes.get("failed", {})
    warn([f"{len(without)} queries found nothing, such as {without[0]}"] if without else [])
    warn(
        [f"{len(failed)} queries were not answered, such as {next(iter(failed))}: {failed[next(iter(failed))]}"] if failed else []
    )
    lacking = found.said.get("rewrites", {}).get("without", [])
    warn([f"{len(lacking)} queries have no rewrite and were asked as they are, such as {lacking[0]}"] if lacking else [])
    if as_json:
        put_json(
            {
                "tag": run.tag,
                "queries": run.frame["query_id"].n_unique(),
                "documents": len(run),
                "output": output,
                "known": found.known,
                "retriever": {name: value for name, value in found.said.get("used", {}).items() if name != "recipe"},
                "digest": found.said.get("digest", ""),
            }
        )
