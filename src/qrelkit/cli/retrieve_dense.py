"""retrieve dense: by the nearness of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import typer

from qrelkit.cli import saved
from qrelkit.cli.context import JSON, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = typer.Option(
    ..., "--model", metavar="MODEL", help="A key of the table (bge, e5, …), a name of the hub, a folder, or openai:NAME."
)
TASK = typer.Option("", "--task", metavar="TASK", help="Whose instruction the model is given, such as r2med/Biology.")
LIKE = typer.Option("", "--like", metavar="KEY", help="The known encoder that this one is used like.")
QUERY_PREFIX = typer.Option(None, "--query-prefix", metavar="TEXT", help="What stands before a query ('' for nothing).")
DOCUMENT_PREFIX = typer.Option(None, "--document-prefix", metavar="TEXT", help="What stands before a document.")
POOLING = typer.Option(None, "--pooling", metavar="HOW", help="How tokens become one vector: own, cls, mean, last.")
QUERY_TOKENS = typer.Option(None, "--query-tokens", min=1, help="Tokens of a query, at most.")
DOCUMENT_TOKENS = typer.Option(None, "--document-tokens", min=1, help="Tokens of a document, at most.")
SIMILARITY = typer.Option("", "--similarity", metavar="HOW", help="cos or dot; the encoder's by default.")
DTYPE = typer.Option("float16", "--dtype", help="How the documents' vectors are kept: float16 or float32.")
FIELD = typer.Option(["text"], "--field", help="What is encoded of a document; may be given several times.")

FEW, SAY_EVERY_S = 2048, 10.0


def dense(
    collection: str = saved.COLLECTION,
    output: str = saved.OUTPUT,
    model: str = MODEL,
    depth: int = saved.DEPTH,
    tag: str = saved.TAG,
    task: str = TASK,
    like: str = LIKE,
    query_prefix: str = QUERY_PREFIX,
    document_prefix: str = DOCUMENT_PREFIX,
    pooling: str = POOLING,
    query_tokens: int = QUERY_TOKENS,
    document_tokens: int = DOCUMENT_TOKENS,
    similarity: str = SIMILARITY,
    fields: list[str] = FIELD,
    changed: Literal["error", "last"] = saved.CHANGED,
    dtype: str = DTYPE,
    memory_mb: float = typer.Option(2000, "--memory-mb", help="Memory for the search."),
    base_url: str = typer.Option("", "--base-url", metavar="URL", help="Where openai:NAME is asked."),
    dimensions: int = typer.Option(None, "--dimensions", min=1, help="Of the vectors, where an endpoint can shorten them."),
    at_once: int = typer.Option(4, "--at-once", min=1, help="Requests on their way to an endpoint."),
    device: str = typer.Option("auto", "--device", help="Where a model of this process runs: auto, cpu, cuda, …"),
    offline: bool = typer.Option(False, "--offline", help="Take from the hub only what is on this machine."),
    trust: bool = typer.Option(False, "--trust-remote-code", help="Run the Python code that comes with the model."),
    allow_host: list[str] = saved.ALLOW_HOST,
    local_only: bool = saved.LOCAL_ONLY,
    project: str = PROJECT,
    rewrites: str = saved.REWRITES,
    combine: str = saved.COMBINE,
    method: str = saved.METHOD,
    thinking: str = saved.FAMILY,
    again: bool = saved.AGAIN,
    as_json: bool = JSON,
) -> None:
    """By the nearness of vectors: a sentence-transformers model, or an embeddings endpoint."""
    from qrelkit.cli.output import warn
    from qrelkit.models.embeddings import Embeddings
    from qrelkit.models.encoders import encoder
    from qrelkit.project.config import rules_of
    from qrelkit.project.local_only import hosts_asked
    from qrelkit.retrievers.dense import Dense

    stated = {"query": query_prefix, "document": document_prefix, "pooling": pooling}
    lengths = {"query_tokens": query_tokens, "document_tokens": document_tokens}
    place: dict[str, Any] = {"base_url": base_url, "dimensions": dimensions, "at_once": at_once}
    here: dict[str, Any] = {"device": device, "offline": offline, "trust": trust}
    config = rules_of(project)
    here["allow_hosts"] = hosts_asked(config, collection, allow_host, local_only)
    loaded = saved.loaded(collection, changed)
    built = encoder(model, task=task, like=like, stated={**stated, **lengths}, **place, **here)
    warn(built.notes)
    kept: dict[str, Any] = {"dtype": dtype, "similarity": similarity or None, "memory_mb": memory_mb}
    kept["may_leave"] = config.may_leave if isinstance(built, Embeddings) else None
    retriever = Dense(loaded, built, fields=fields, progress=_told(built.name), **kept)
    written = saved.rewrites_of(rewrites, method, thinking)
    saved.save(output, loaded, retriever, depth, as_json=as_json, tag=tag, rewrites=written, combine=combine, again=again)


def _told(name: str) -> Callable[[int, int], None]:
    """Says on stderr, at most every ten seconds, how many documents are encoded; nothing of a few."""
    import time

    from qrelkit.cli.output import say

    last = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal last
        if of > FEW and (done == of or time.monotonic() - last > SAY_EVERY_S):
            last = time.monotonic()
            say(f"{name}: {done:,} of {of:,} documents encoded")

    return tell
