"""Queries with a real passage each, that query2doc (arXiv 2303.07678) shows a model before it writes.

    demonstrations.jsonl     {"query": …, "passage": …}, one per line
    a collection's qrels     pairs with a grade above 0, one per query, drawn by a seed

A query is never shown itself, nor a passage that answers it: a copy of the query (`text/alike.py`), or of one of its relevant
documents, is passed over, and the next demonstration takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Query
from qrelkit.core.wire import digest_of
from qrelkit.formats.jsonl import read_jsonl
from qrelkit.text.alike import letters, likeness
from qrelkit.text.leaving import MayLeave, leaving_document

DRAWN = 50  # from which every query gets the first few that may be shown to it
Gold = Callable[[str], Iterable[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """A query and a passage that answers it."""

    query: str
    passage: str


def _unknown(query_id: str) -> Iterable[str]:
    return ()


class Demonstrations:
    """At most `n` of a pool for every query, in its order. `gold` gives the texts that answer a query, where that is known."""

    def __init__(self, pool: Sequence[Demonstration], n: int = 4, gold: Gold = _unknown) -> None:
        self.pool, self.n, self.gold = tuple(pool), n, gold

    @cached_property
    def digest(self) -> str:
        """Of the pool and how many are shown."""
        return digest_of([self.n, [[one.query, one.passage] for one in self.pool]])

    def of(self, query: Query) -> list[Demonstration]:
        """What this query's model is shown; nothing where all of the pool is about this query."""
        asked, gold = letters(query.text), [letters(text) for text in self.gold(query.query_id)]
        shown: list[Demonstration] = []
        for one, (its_query, its_passage) in zip(self.pool, self._letters, strict=True):
            if len(shown) == self.n:
                break
            if not likeness(its_query, asked) and not any(likeness(its_passage, text) for text in gold):
                shown.append(one)
        return shown

    @cached_property
    def _letters(self) -> list[tuple[str, str]]:
        return [(letters(one.query), letters(one.passage)) for one in self.pool]


def read_demonstrations(path: str | Path) -> list[Demonstration]:
    """The demonstrations of a JSONL file. Raises InputError (file:line) for a line without a query and a passage."""
    found = []
    for line in read_jsonl(Path(path)):
        query, passage = line.value.get("query"), line.value.get("passage")
        if not (isinstance(query, str) and isinstance(passage, str) and query.strip() and passage.strip()):
            raise InputError(f'{path}:{line.number}: a demonstration is {{"query": …, "passage": …}}, both texts')
        found.append(Demonstration(query=query, passage=passage))
    if not found:
        raise InputError(f"{path}: holds no demonstration")
    return found


def drawn_from(collection: Collection, qrels: Qrels, *, seed: int = 0, may_leave: MayLeave = None) -> list[Demonstration]:
    """Relevant pairs of the collection, one of each query, in an order by digest of seed and pair; Mismatch without any."""
    rows = _relevant(collection, qrels)
    rows = rows.filter(pl.col("query_id").is_in(collection.queries["query_id"].implode()))
    pairs = sorted(rows.rows(), key=lambda pair: digest_of([seed, *pair]))
    first = dict(reversed(pairs))
    chosen = [(query_id, doc_id) for query_id, doc_id in pairs if first[query_id] == doc_id][:DRAWN]
    if not chosen:
        raise Mismatch(f"{qrels.name} has no relevant document of {collection.name} to be shown; name a file of demonstrations")
    return [
        Demonstration(query=collection.query(q).text, passage=leaving_document(collection.document(d), may_leave).text)
        for q, d in chosen
    ]


def gold_of(collection: Collection, qrels: Iterable[Qrels]) -> Gold:
    """The texts of a query's relevant documents, read when they are asked for."""
    ids: dict[str, list[str]] = {}
    for one in qrels:
        for query_id, doc_id in _relevant(collection, one).iter_rows():
            ids.setdefault(query_id, []).append(doc_id)
    return lambda query_id: [document.text for document in collection.documents(dict.fromkeys(ids.get(query_id, ())))]


def _relevant(collection: Collection, qrels: Qrels) -> pl.DataFrame:
    rows = qrels.graded.filter(pl.col("grade") > 0)
    return rows.filter(collection.contains(rows["doc_id"])).select("query_id", "doc_id")
