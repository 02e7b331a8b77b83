"""rewrite: queries and a rewriter → hypothetical documents to search with. What was answered before is not asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Model, Rewriter, Store
from qrelkit.core.errors import InputError
from qrelkit.core.records import Document, Query, counted
from qrelkit.core.rewriting import Rewrite
from qrelkit.core.run import Run
from qrelkit.core.wire import Flow, Request
from qrelkit.formats.sidecars import sha256_of
from qrelkit.models.prices import measured
from qrelkit.steps.drive import drive
from qrelkit.steps.forgotten import forgotten
from qrelkit.steps.made import versions
from qrelkit.steps.stages import SAMPLED, SEEN, Asked, Means, Stage, first_rounds, part
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

Documents = Callable[[str], Sequence[Document]]


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """`rewrites` by query id, in order of the queries; those that were not reached before a stop are missing."""

    rewrites: Mapping[str, Rewrite]
    queries: int
    tally: Tally

    @cached_property
    def without(self) -> list[str]:
        """Queries that were gone through and have no text to search with."""
        return [query_id for query_id, rewrite in self.rewrites.items() if not rewrite.texts]

    @cached_property
    def counts(self) -> dict[str, int]:
        """What went wrong and was borne, over all queries."""
        total = Counter[str]()
        for rewrite in self.rewrites.values():
            total.update(rewrite.counts)
        return dict(sorted(total.items()))

    def __repr__(self) -> str:
        texts = sum(len(rewrite.texts) for rewrite in self.rewrites.values())
        of = counted(self.queries, "query")
        return f"Rewritten({len(self.rewrites):,} of {of}, {counted(texts, 'text')}, {len(self.without):,} without one)"


def rewrite(
    queries: Sequence[Query],
    rewriter: Rewriter,
    *,
    store: Store,
    models: Mapping[str, Model] | None = None,
    first: Run | None = None,
    collection: Collection | None = None,
    at_once: int | None = 16,
    budget_usd: float | None = None,
    terms: Terms = Terms(),
    progress: Callable[[Tally], None] | None = None,
) -> Rewritten:
    """Has every query rewritten. A rewriter that shows what a first search found (LameR) needs that run and its collection.

    Raises InputError where they are missing.
    """
    documents = documents_of(rewriter, first, collection, store)
    found: dict[str, Rewrite] = {}

    def done(result: tuple[str, Rewrite]) -> None:
        found[result[0]] = result[1]

    tally = Tally()
    try:
        dials: dict[str, Any] = {"at_once": at_once, "budget_usd": budget_usd, "progress": progress, "tally": tally}
        dials["terms"] = replace(terms, what=f"rewrite {rewriter.key}")
        drive(_flows(queries, rewriter, documents), models=models or {}, store=store, done=done, **dials)
    finally:
        store.add_spending("rewrite", rewriter.key, tally.numbers())
    in_order = {query.query_id: found[query.query_id] for query in queries if query.query_id in found}
    return Rewritten(rewrites=in_order, queries=len(queries), tally=tally)


def planned(
    queries: Sequence[Query],
    rewriter: Rewriter,
    *,
    store: Store,
    models: Mapping[str, Model],
    first: Run | None = None,
    collection: Collection | None = None,
    at_once: int | None = 16,
) -> Stage:
    """What `rewrite` would ask, with money and time as ranges: a query is known where all its requests have a reply."""
    rounds = first_rounds(_flows(queries, rewriter, documents_of(rewriter, first, collection, store)))
    answered = store.replies([request.digest for asked in rounds for request in asked]).keys()
    new: list[Sequence[Request]] = []
    known: list[Sequence[Request]] = []
    for asked in rounds:
        (known if all(request.digest in answered for request in asked) else new).append(asked)
    stage = Stage(name="rewrite", by=rewriter.name, items=len(queries), todo=len(new))
    model = models.get(rewriter.settings.get("model", ""))
    if model is None or not new:
        return stage
    some, todo = new[:SAMPLED], (float(len(new)), float(len(new)))
    told = Asked(model=model, rounds=some, items=len(some), todo=todo, before=known[:SEEN])
    return replace(stage, parts=(part(told, Means(store=store, at_once=at_once, size=measured)),))


def made_of(rewriter: Rewriter, collection: Collection, first: str | Path = "") -> dict[str, Any]:
    """What the sidecar of a file of rewrites says: the rewriter's settings whole (model, prompt, sampling, thinking, what it
    showed), the collection, the first search, and the versions."""
    said: dict[str, Any] = {
        "rewriter": {"name": rewriter.name, "key": rewriter.key, **rewriter.settings},
        "collection": {"name": collection.name, "fingerprint": collection.fingerprint},
    }
    if first:
        said["first"] = {"file": Path(first).name, "sha256": sha256_of(first)}
    return said | {"made_with": versions()}


def documents_of(rewriter: Rewriter, first: Run | None, collection: Collection | None, store: Store) -> Documents:
    """Query id → the best documents of a first search, as many as the rewriter shows; forgotten ones are not among them."""
    depth = int(rewriter.settings.get("documents", 0))
    if not depth:
        return lambda query_id: ()
    if first is None or collection is None:
        raise InputError(f"{rewriter.name} shows what a first search found: give it a run (--first RUN) and its collection")
    gone = forgotten(store)
    shown = first.frame.filter(~pl.col("doc_id").is_in(gone.implode())).group_by("query_id", maintain_order=True).head(depth)
    missing = shown.filter(~collection.contains(shown["doc_id"]))
    if missing.height:
        raise InputError(
            f"the first run {first.tag} has {missing['doc_id'][0]!r}, which is not in collection {collection.name!r}"
        )
    ids: dict[str, list[str]] = dict(shown.group_by("query_id", maintain_order=True).agg("doc_id").iter_rows())
    return lambda query_id: list(collection.documents(ids.get(query_id, ())))


def _flows(queries: Sequence[Query], rewriter: Rewriter, documents: Documents) -> Iterator[Flow[tuple[str, Rewrite]]]:
    return (_named(rewriter, query, documents) for query in queries)


def _named(rewriter: Rewriter, query: Query, documents: Documents) -> Flow[tuple[str, Rewrite]]:
    written = yield from rewriter.flow(query, documents(query.query_id))
    return query.query_id, written
