"""retrieve bm25: the words of queries and documents, weighed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import typer

from qrelkit.cli import saved
from qrelkit.cli.context import JSON

if TYPE_CHECKING:
    from qrelkit.core.collection import Collection


def bm25(
    collection: str = saved.COLLECTION,
    output: str = saved.OUTPUT,
    depth: int = saved.DEPTH,
    tag: str = saved.TAG,
    preset: str = typer.Option("", "--preset", help="Options of a benchmark: r2med, cmirb. Those given besides go before them."),
    analyzer: str | None = typer.Option(None, "--analyzer", help="How texts become terms: NAME or FILE.yaml; auto unless said."),
    k1: float | None = typer.Option(None, "--k1", help="0.9 unless said."),
    b: float | None = typer.Option(None, "--b", help="0.4 unless said."),
    idf: str | None = typer.Option(None, "--idf", help="lucene or gensim; lucene unless said."),
    query: str | None = typer.Option(None, "--query", help="How a query's terms weigh: bag or bm25; bag unless said."),
    zeros: str | None = typer.Option(None, "--zeros", help="Documents that score 0: drop or keep; drop unless said."),
    duplicates: str | None = typer.Option(None, "--duplicates", help="One given n times counts once, or n times: count."),
    changed: Literal["error", "last"] = saved.CHANGED,
    field: list[str] = typer.Option([], "--field", help="Search this column of the documents; may be repeated."),
    extra_texts: str = typer.Option("", "--extra-texts", metavar="FILE", help="JSONL of id and text to be searched besides."),
    rewrites: str = saved.REWRITES,
    combine: str = saved.COMBINE,
    method: str = saved.METHOD,
    thinking: str = saved.FAMILY,
    again: bool = saved.AGAIN,
    as_json: bool = JSON,
) -> None:
    """BM25, in English, German, Chinese or what is there."""
    from qrelkit.retrievers.bm25 import Bm25

    loaded = saved.loaded(collection, changed)
    said = {"analyzer": analyzer, "k1": k1, "b": b, "idf": idf, "query": query, "zeros": zeros, "duplicates": duplicates}
    given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    given |= {"fields": tuple(field)} if field else {}
    given |= {"extra_texts": _texts(extra_texts, loaded)} if extra_texts else {}
    retriever = Bm25.preset(preset, loaded, **given) if preset else Bm25(loaded, **given)
    written = saved.rewrites_of(rewrites, method, thinking)
    saved.save(output, loaded, retriever, depth, as_json=as_json, tag=tag, rewrites=written, combine=combine, again=again)


def _texts(path: str, collection: Collection) -> dict[str, str]:
    """Texts by document id. Raises InputError (file:line) for a line without them, and where none is of the collection."""
    from pathlib import Path

    from qrelkit.core.errors import InputError
    from qrelkit.formats.jsonl import read_jsonl

    found: dict[str, str] = {}
    for line in read_jsonl(Path(path)):
        doc_id, text = (line.value.get(name) for name in ("id", "text"))
        if not isinstance(doc_id, str) or not isinstance(text, str):
            raise InputError(f'{path}:{line.number}: needs an id and a text, such as {{"id": "d1", "text": "…"}}')
        found[doc_id] = f"{found[doc_id]} {text}" if doc_id in found else text
    known = set(collection.doc_ids.to_list())
    if not known & found.keys():
        raise InputError(f"{path}: none of its ids is a document of {collection.name}; do the ids match?")
    return found
