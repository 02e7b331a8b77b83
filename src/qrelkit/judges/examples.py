"""Examples for few-shot judging, chosen by a stated rule, and always excluded from agreement.

`same_query`: judged documents of the query itself, the grades in turn (2506.17782 shows one known-relevant article).
`other_queries`: one draw for all queries, the grades in turn. Both are seeded. Unless another order is asked for, the most
similar example stands last, nearest to the question: similarity is the cosine of the sets of words of query and document.

Order and noise can be varied to see what they do to a judge, as with the demonstrations of SMMILE (`bench/smmile`): noise is
judged pairs of other queries among a query's own, right in themselves and of no help.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Literal, get_args

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.wire import digest_of
from qrelkit.judges.pointwise import Example

Order = Literal["similar_last", "similar_first", "relevant_first", "relevant_last", "as_drawn"]
ORDERS: tuple[Order, ...] = get_args(Order)
Ring = Sequence[tuple[str, tuple[str, str, int]]]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """The rule: how many, from where, which grades (all when empty), with which seed; and what a query without any does: it
    stops everything, or only its own pairs fail. `noise` are so many pairs of other queries more, of whatever grade."""

    n: int
    rule: Literal["same_query", "other_queries"] = "other_queries"
    grades: tuple[int, ...] = ()
    seed: int = 0
    missing: Literal["stop", "fail"] = "stop"
    order: Order = "similar_last"
    noise: int = 0


def draw_examples(qrels: Qrels, collection: Collection, query_ids: Sequence[str], draw: Draw) -> Mapping[str, Sequence[Example]]:
    """Examples per query. A query that cannot be given any raises Mismatch, or with `missing: fail` has an empty list, which a
    judge takes for a reason not to judge its pairs: a missing example is never passed over. Raises InputError for noise among
    examples that are all of other queries."""
    if draw.noise and draw.rule != "same_query":
        raise InputError(f"examples: noise is pairs of other queries, as all examples of rule {draw.rule} are; take same_query")
    there = qrels.graded
    there = there.filter(collection.contains(there["doc_id"]))
    judged = there.filter(pl.col("grade").is_in(draw.grades)) if draw.grades else there
    if draw.rule == "other_queries":
        shared = _load(_in_turn(judged, draw), collection)
        found = {query_id: in_order(collection.query(query_id).text, shared, draw.order) for query_id in query_ids}
    else:
        ring = _ring(there, draw)
        found = {query_id: _own(query_id, judged, ring, collection, draw) for query_id in query_ids}
    if draw.missing == "stop" and (bare := next((query_id for query_id, shown in found.items() if not shown), None)) is not None:
        raise Mismatch(f"{qrels.name} has no judged document for query {bare!r} that could be an example")
    return found


def _own(query_id: str, judged: pl.DataFrame, ring: Ring, collection: Collection, draw: Draw) -> list[Example]:
    rows = _in_turn(judged.filter(pl.col("query_id") == query_id), draw)
    rows += _noise(query_id, ring, draw) if rows else []
    return in_order(collection.query(query_id).text, _load(rows, collection), draw.order)


def _ring(judged: pl.DataFrame, draw: Draw) -> Ring:
    """All pairs in an order by digest of seed and pair, with the digests; none where no noise is wanted."""
    rows = judged.select("query_id", "doc_id", "grade").iter_rows() if draw.noise else ()
    return sorted((digest_of([draw.seed, row[0], row[1]]), row) for row in rows)


def _noise(query_id: str, ring: Ring, draw: Draw) -> list[tuple[str, str, int]]:
    """`draw.noise` rows of other queries: the next ones on the ring from the digest of seed and query, so that a new judgment
    rarely changes who is drawn. Raises Mismatch where there are fewer."""
    if not draw.noise:
        return []
    start = bisect(ring, digest_of([draw.seed, query_id]), key=itemgetter(0))
    places = chain(range(start, len(ring)), range(start))
    others = (row for _, row in map(ring.__getitem__, places) if row[0] != query_id)
    found = list(islice(others, draw.noise))
    if len(found) < draw.noise:
        raise Mismatch(
            f"examples: {draw.noise} pairs of noise are wanted for query {query_id!r}, other queries have {len(found)}"
        )
    return found


def pairs_shown(examples: Mapping[str, Sequence[Example]]) -> pl.DataFrame:
    """The pairs that were shown as examples, to be excluded from agreement: query_id, doc_id."""
    pairs = {(e.query.query_id, e.document.doc_id) for shown in examples.values() for e in shown}
    rows = sorted(pairs)
    return pl.DataFrame(
        {"query_id": [q for q, _ in rows], "doc_id": [d for _, d in rows]}, schema={"query_id": pl.String, "doc_id": pl.String}
    )


def _in_turn(judged: pl.DataFrame, draw: Draw) -> list[tuple[str, str, int]]:
    """`draw.n` rows, one grade after the other, each grade's rows in an order by digest of seed and pair: a new judgment
    rarely changes who is drawn, and so rarely makes everything be judged again."""
    rows = judged.select("query_id", "doc_id", "grade").rows()
    by_grade: dict[int, list[tuple[str, str, int]]] = {}
    for row in sorted(rows, key=lambda row: digest_of([draw.seed, row[0], row[1]])):
        by_grade.setdefault(row[2], []).append(row)
    turns = [rows_of[i] for i in range(draw.n) for _, rows_of in sorted(by_grade.items(), reverse=True) if i < len(rows_of)]
    return turns[: draw.n]


def _load(rows: Sequence[tuple[str, str, int]], collection: Collection) -> list[Example]:
    return [Example(query=collection.query(q), document=collection.document(d), grade=g) for q, d, g in rows]


def in_order(query: str, examples: Sequence[Example], order: Order) -> list[Example]:
    """Examples in an order, equal ones as they were: by likeness to the query's text, by grade, or as they are."""
    if order not in ORDERS:
        raise UnknownName("order of examples", order, ORDERS)
    if order == "as_drawn":
        return list(examples)
    if order.startswith("relevant"):
        return sorted(examples, key=lambda example: -example.grade if order == "relevant_first" else example.grade)
    likeness = _likeness(query)
    return sorted(examples, key=lambda example: -likeness(example) if order == "similar_first" else likeness(example))


def _likeness(query: str) -> Callable[[Example], float]:
    words = set(_WORD.findall(query.lower()))

    def cosine(example: Example) -> float:
        other = set(_WORD.findall(f"{example.query.text} {example.document.text}".lower()))
        return len(words & other) / math.sqrt(len(words) * len(other)) if words and other else 0.0

    return cosine
