"""retrieve: the queries of a collection and a retriever → a run; saved with how it was made, and made only once.

run.trec         the run
run.trec.json    its sidecar (`formats/sidecars.py`)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Retriever
from qrelkit.core.errors import InputError
from qrelkit.core.records import Query, counted
from qrelkit.core.rewriting import PRESETS, Combine, Rewrite
from qrelkit.core.run import Run
from qrelkit.core.wire import digest_of
from qrelkit.steps.made import Retrieved, made_once
from qrelkit.text.alike import letters


def retrieve(
    collection: Collection,
    retriever: Retriever,
    depth: int = 1000,
    *,
    rewrites: Mapping[str, Rewrite] | None = None,
    combine: str | Combine = "",
) -> Run:
    """The `depth` best documents for every query of the collection, with its rewrites where some are given.

    Raises InputError where the collection has no query, no query has a rewrite, or there is a rule to combine and none.
    """
    return retriever.search(asked(collection, rewrites, combine), depth)


def retrieve_to(
    path: str | Path,
    collection: Collection,
    retriever: Retriever,
    depth: int = 1000,
    *,
    tag: str = "",
    rewrites: Mapping[str, Rewrite] | None = None,
    combine: str | Combine = "",
    again: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Retrieved:
    """The same, written as a TREC file with its sidecar; a run that lies there and was made with the same settings is taken as
    it is, unless it is to be made `again`. Raises InputError as `retrieve` does."""
    queries = asked(collection, rewrites, combine)
    said = wanted(collection, retriever, queries, depth, tag or retriever.name)
    if rewrites is not None:
        said["rewrites"] |= written_by(queries, rewrites)
    found = made_once(path, said, lambda: retriever.search(queries, depth), tag=tag, again=again, clock=clock)
    assert found is not None
    return found


def asked(collection: Collection, rewrites: Mapping[str, Rewrite] | None = None, combine: str | Combine = "") -> list[Query]:
    """The queries of a collection as a retriever is asked them. One without a rewrite is asked as it is.

    Without a rule the texts are joined as `mean` says. Raises InputError where there is no query, none has a rewrite, or there is
    a rule and no rewrites.
    """
    queries = [collection.query(query_id) for query_id in collection.queries["query_id"].to_list()]
    if not queries:
        raise InputError(f"collection {collection.name!r} has no query to retrieve for; give it a topics or queries file")
    if rewrites is None:
        if combine:
            rule = combine.name if isinstance(combine, Combine) else combine
            raise InputError(f"the rule to combine {rule!r} joins queries with rewrites, and there are none (--rewrites FILE)")
        return queries
    return with_rewrites(queries, rewrites, combine)


def with_rewrites(queries: Sequence[Query], rewrites: Mapping[str, Rewrite], combine: str | Combine = "") -> list[Query]:
    """Queries that carry their rewrites and the rule that joins them.

    Raises InputError where no query has a rewrite, or a preset is to go by the method and they are of several.
    """
    here = [rewrites[query.query_id] for query in queries if query.query_id in rewrites]
    if not here:
        raise InputError(f"no query of the collection is among the {counted(len(rewrites), 'rewrite')}; do the ids match?")
    methods = sorted({rewrite.method for rewrite in here if rewrite.method})
    if combine in PRESETS and len(methods) > 1:
        several = " and ".join(methods)
        raise InputError(
            f"the rule {combine!r} differs by method, and the rewrites are of {several}: say {combine}:{methods[0]}, …"
        )
    rule = combine if isinstance(combine, Combine) else Combine.of(combine or "mean", methods[0] if methods else "")
    texts = {rewrite.query_id: rewrite.texts for rewrite in here}
    return [replace(query, rewrites=texts.get(query.query_id, ()), combine=rule) for query in queries]


def written_by(queries: Sequence[Query], rewrites: Mapping[str, Rewrite]) -> dict[str, Any]:
    """What is known of the rewrites of these queries and changes nothing: who wrote them how, what went wrong and was borne, and
    the queries whose rewrite says that it was made for another text."""
    here = [(query, rewrites[query.query_id]) for query in queries if query.query_id in rewrites]
    counts = Counter[str]()
    for _, rewrite in here:
        counts.update(rewrite.counts)
    return {
        "methods": sorted({rewrite.method for _, rewrite in here if rewrite.method}),
        "models": sorted({rewrite.model for _, rewrite in here if rewrite.model}),
        "counts": dict(sorted(counts.items())),
        "source": dict(getattr(rewrites, "source", {})),
        "of_another_text": [query.query_id for query, one in here if one.query and letters(one.query) != letters(query.text)],
    }


def wanted(collection: Collection, retriever: Retriever, queries: Sequence[Query], depth: int, tag: str) -> dict[str, Any]:
    """What a run is to be made of, with the digest of it all."""
    rule = next((query.combine for query in queries if query.combine is not None), None)
    rewritten = [query for query in queries if query.rewrites]
    said: dict[str, Any] = {
        "tag": tag,
        "depth": depth,
        "retriever": {"name": retriever.name, **retriever.settings},
        "collection": {"name": collection.name, "fingerprint": collection.fingerprint, "documents": len(collection)},
        "queries": {"count": len(queries), "digest": digest_of([[q.query_id, q.text, q.fingerprint] for q in queries])},
    }
    if rule is not None:
        said["rewrites"] = {
            "combine": rule.json(),
            "queries": len(rewritten),
            "without": [query.query_id for query in queries if not query.rewrites],
            "digest": digest_of([[query.query_id, query.rewrites] for query in rewritten]),
        }
    return said | {"digest": digest_of(said)}
