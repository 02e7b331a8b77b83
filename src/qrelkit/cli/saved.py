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

CHANGED = typer.Option("error", "--changed", help="A document given again with other content.")
LOCAL_ONLY = typer.Option(False, "--local-only", help="Ask no other machine than this one.")
ALLOW_HOST = typer.Option([], "--allow-host", metavar="HOST", help="Ask no other host (an address, or localhost).")


def loaded(collection: str, changed: str) -> Collection:
    """The collection, with what becomes of a document that is given again with other content."""
    from qrelkit.steps.load import load

    return load(collection, **({} if changed == "error" else {"duplicates": changed}))


def rewrites_of(path: str, method: str = "", family: str = "") -> Mapping[str, Rewrite] | None:
    """The rewrites of a file; None without one. What went wrong with them is said.

    Raises InputError for an option that is about rewrites where there is no file.
    """
    from qrelkit.core.errors import InputError

    if not path:
        if method or family:
            raise InputError(f"--{'method' if method else 'thinking'} is about rewrites, and there are none (--rewrites FILE)")
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
    from qrelkit.core.records import counted

    run = found.run
    say(repr(run) + (" lay there already, made with the same settings" if found.known else ""))
    notes = found.said.get("notes", {})
    without, failed = notes.get("without_hits", []), notes.get("failed", {})
    warn([f"nothing was found for {counted(len(without), 'query')}, such as {without[0]}"] if without else [])
    warn([f"no answer to {counted(len(failed), 'query')}, such as {first}: {failed[first]}" for first in [*failed][:1]])
    rewrites, cut = found.said.get("rewrites", {}), notes.get("cut", 0)
    lacking, other = rewrites.get("without", []), rewrites.get("of_another_text", [])
    warn([f"asked without a rewrite: {counted(len(lacking), 'query')}, such as {lacking[0]}"] if lacking else [])
    made = f"rewrites that say they were made for another text: of {counted(len(other), 'query')}"
    warn([f"{made}, such as {other[0]}; do the ids match?"] if other else [])
    warn([f"cut before it was sent, being too long for the model: {counted(cut, 'text')}"] if cut else [])
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
