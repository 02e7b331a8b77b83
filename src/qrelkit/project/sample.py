"""Conversations as they would be sent, for somebody to look at beforehand. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any

import polars as pl

from qrelkit.core.doors import Judge, Model
from qrelkit.core.records import Pair
from qrelkit.core.wire import Reply, Request
from qrelkit.steps.describe import images_of, images_to_describe
from qrelkit.steps.forgotten import forgotten
from qrelkit.steps.guide import newest, texts_of
from qrelkit.steps.judge import in_groups, standing
from qrelkit.steps.loop import run_alone
from qrelkit.steps.plan import Line, queries_of
from qrelkit.steps.stages import first_rounds
from qrelkit.stores.memory import MemoryStore

STILL_TO_COME = "[a description that is still to be written]"


def samples(line: Line, count: int) -> Iterator[tuple[str, Request]]:
    """The first request of `count` conversations of each stage and model, those that are still to be held first."""
    if line.guide_writer is not None:
        queries = queries_of(line, line.pool)
        known = newest(line.store, line.guidelines, texts=texts_of(queries))
        new_first = sorted(queries, key=lambda query: query.query_id in known)[:count]
        yield from (("guide", request) for request in _asked(map(line.guide_writer.flow, new_first)))
    told: dict[str, str] = {}
    if line.describer is not None:
        told = dict(line.store.descriptions(line.describer.key))
        pairs = line.pool.frame
        wanted = images_to_describe(line.collection, pairs["doc_id"], pairs["query_id"], forgotten(line.store))
        rows = wanted.with_columns(known=pl.col("digest").is_in(list(told))).sort("known", maintain_order=True).head(count)
        yield from (("describe", request) for request in _asked(map(line.describer.flow, images_of(rows, line.collection))))
        told |= dict.fromkeys(wanted.filter(~pl.col("digest").is_in(list(told)))["digest"], STILL_TO_COME)
    state = standing(line.pool, line.judge(line.pool, None, False), line.collection, line.store)
    for judge in _each(line.judge(line.pool, told or None, True)):
        flows = (judge.flow(group) for group in _groups(line, judge, state, count))
        yield from (("judge", request) for request in _asked(flows))


def _asked(flows: Iterable[Any]) -> list[Request]:
    return [together[0] for together in first_rounds(flows) if together]


def _each(judge: Judge) -> Iterator[Judge]:
    """The judge, or those that it consists of."""
    members = getattr(judge, "judges", ())
    return chain.from_iterable(map(_each, members)) if members else iter((judge,))


def _groups(line: Line, judge: Judge, state: pl.DataFrame, count: int) -> Iterator[list[Pair]]:
    """The first groups that would be asked about; where nothing is left to ask, of what was asked."""
    there = ~pl.col("doc_id").is_in(forgotten(line.store).implode())
    some = state if state["todo"].any() else state.with_columns(todo=there)
    groups = in_groups(some, judge.settings.get("per_request", 1), judge.settings.get("seed", 0)).filter("todo")
    first = groups["group"].unique(maintain_order=True).head(count)
    rows = groups.filter(pl.col("group").is_in(first.implode())).select("group", "query_id", "doc_id")
    for _, group in groupby(rows.iter_rows(), key=lambda row: row[0]):
        yield [Pair(query=line.collection.query(q), document=line.collection.document(d)) for _, q, d in group]


def as_asked(request: Request) -> dict[str, Any]:
    """A request in the form in which a store shows a conversation."""
    store = MemoryStore()
    store.add_replies([(request, Reply(text=""))])
    found = store.conversation(request.digest)
    assert found is not None
    return found[0]


def body_of(model: Model, request: Request) -> str | None:
    """What would be posted, byte for byte, as text; None for a model of this process. Pictures are read and encoded for it."""
    body = getattr(model, "body", None)
    return None if body is None else bytes(run_alone(body(request))).decode("utf-8", "replace")
