"""The plan of a whole line: what each stage has, knows and would ask, with money and hours as ranges.

`plan(line)` asks nothing. `probe` makes the first ten calls, so that hours can be said; they are kept like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Describer, GuideWriter, Judge, Model, Store
from qrelkit.core.guideline import Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Pair, Query
from qrelkit.core.run import Run
from qrelkit.core.wire import Reply, Request
from qrelkit.steps.describe import describe, images_of, images_to_describe
from qrelkit.steps.guide import guide, newest, texts_of
from qrelkit.steps.judge import judge, standing
from qrelkit.steps.pool import pool
from qrelkit.steps.tally import Tally

PROBES = 10  # calls from which hours are estimated
SAMPLED = 20  # requests from which tokens are estimated
WORDS_OUT = (40, 400)  # tokens that a reply may take, where its schema asks for reasoning: the range of the estimate
STAND_IN = "A picture of a product, described in three or four sentences. " * 4  # for a description not made yet
Watch = Callable[[str, int], AbstractContextManager[Callable[[Tally], None] | None]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """All that the line needs, as objects. `judge(pool, descriptions, draft)` makes the judge when what it rests on is there;
    for an estimate before that, `descriptions` stand in for the store's and a `draft` does without missing guidelines."""

    collection: Collection
    runs: Sequence[Run]
    human: Mapping[str, Qrels]
    store: Store
    judge: Callable[[Pool, Mapping[str, str] | None, bool], Judge]
    models: Mapping[str, Model] = field(default_factory=dict)
    guide_writer: GuideWriter | None = None
    describer: Describer | None = None
    guidelines: Path | None = None
    scale: Scale | None = None
    measures: Sequence[str] = ("nDCG@10",)
    depth: int = 20
    at_once: int = 16
    budget_usd: float | None = None
    excluded: Callable[[Pool], pl.DataFrame | None] = lambda pool: None
    weights: Mapping[str, float] | None = None
    by: pl.DataFrame | None = None
    seed: int = 0

    @property
    def pool(self) -> Pool:
        return pool(self.runs, self.depth)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the plan. `usd` and `seconds` are (low, high); None where they cannot be known yet, never 0 for unknown."""

    name: str
    by: str
    items: int
    todo: int
    usd: tuple[float, float] | None = (0.0, 0.0)
    seconds: tuple[float, float] | None = (0.0, 0.0)

    @property
    def known(self) -> int:
        return self.items - self.todo


def plan(line: Line, latency_s: float | None = None) -> list[Stage]:
    """What is known and what would be asked, stage by stage. `latency_s` is that of one call, once probed."""
    stages, pooled, unguided = [], line.pool, []
    if line.guide_writer is not None:
        wanted = queries_of(line, pooled)
        known = newest(line.store, line.guidelines, texts=texts_of(wanted))
        todo = [query for query in wanted if query.query_id not in known]
        unguided = [query.query_id for query in todo]
        asked = _first_requests(line.guide_writer.flow(query) for query in todo[:SAMPLED])
        count = pooled.frame["query_id"].n_unique()
        stages.append(_stage(line, line.guide_writer, "guide", count, len(todo), asked, latency_s))
    descriptions: dict[str, str] | None = None
    if line.describer is not None:
        descriptions = dict(line.store.descriptions(line.describer.key))
        wanted_images = images_to_describe(line.collection, pooled.frame["doc_id"], pooled.frame["query_id"])
        missing = wanted_images.filter(~pl.col("digest").is_in(list(descriptions)))
        asked = _first_requests(line.describer.flow(image) for image in images_of(missing.head(SAMPLED), line.collection))
        stages.append(_stage(line, line.describer, "describe", wanted_images.height, missing.height, asked, latency_s))
        descriptions |= dict.fromkeys(missing["digest"], STAND_IN)
    assessor = line.judge(pooled, descriptions, True)
    state = standing(pooled, line.judge(pooled, None, False), line.collection, line.store)
    state = state.filter(pl.col("todo") | pl.col("query_id").is_in(unguided))  # a new guideline makes all its pairs new
    asked = _first_requests(assessor.flow([pair]) for pair in _some_pairs(line, state))
    stages.append(_stage(line, assessor, "judge", len(pooled), state.height, asked, latency_s))
    return stages


def _stage(
    line: Line,
    who: GuideWriter | Describer | Judge,
    name: str,
    items: int,
    todo: int,
    asked: Sequence[Sequence[Request]],
    latency_s: float | None,
) -> Stage:
    """One row of the plan. Where a model is to be asked and no question could be made up yet, its price is unknown, not 0."""
    if not todo or not asked:
        unknown = None if todo and who.settings.get("model") in line.models else (0.0, 0.0)
        return Stage(name=name, by=who.name, items=items, todo=todo, usd=unknown, seconds=unknown)
    from qrelkit.models.prices import tokens_of_request

    model, each = line.models[asked[0][0].model], len(asked[0])  # several samples are several requests
    tokens_in = sum(tokens_of_request(first[0]) for first in asked) / len(asked)
    most = asked[0][0].settings.max_tokens or WORDS_OUT[1]
    costs = [model.cost_usd(Reply(text="", tokens_in=int(tokens_in), tokens_out=min(words, most))) for words in WORDS_OUT]
    usd = None if None in costs else (0.9 * todo * each * (costs[0] or 0.0), 1.2 * todo * each * (costs[1] or 0.0))
    rounds = todo * each / min(line.at_once, todo * each)
    seconds = None if latency_s is None else (0.7 * rounds * latency_s, 2.0 * rounds * latency_s)
    return Stage(name=name, by=who.name, items=items, todo=todo, usd=usd, seconds=seconds)


def _first_requests(flows: Iterator[Any]) -> list[Sequence[Request]]:
    """The first round of each conversation; those that ask nothing give none."""
    out = []
    for flow in flows:
        first = next(flow, None)
        if first:
            out.append(first)
        flow.close()
    return out


def queries_of(line: Line, pooled: Pool) -> list[Query]:
    return [line.collection.query(q) for q in pooled.frame["query_id"].unique(maintain_order=True)]


def _some_pairs(line: Line, state: pl.DataFrame) -> Iterator[Any]:
    some = state.sample(min(SAMPLED, state.height), seed=line.seed)
    for query_id, doc_id in some.select("query_id", "doc_id").iter_rows():
        yield Pair(query=line.collection.query(query_id), document=line.collection.document(doc_id))


def probe(line: Line, stages: Sequence[Stage]) -> Tally | None:
    """The first ten calls of the first stage that asks a model, all at once: they take about as long as one. None where
    no stage asks any; whether it was stopped is in the tally."""
    first = next((stage for stage in stages if stage.todo and stage.usd != (0.0, 0.0)), None)
    if first is None:
        return None
    dials: dict[str, Any] = {"store": line.store, "models": line.models, "at_once": PROBES, "budget_usd": line.budget_usd}
    if first.name == "guide" and line.guide_writer is not None:
        wanted = queries_of(line, line.pool)
        known = newest(line.store, line.guidelines, texts=texts_of(wanted))
        todo = [query for query in wanted if query.query_id not in known]
        tally = guide(todo[:PROBES], line.guide_writer, folder=line.guidelines, **dials).tally
    elif first.name == "describe" and line.describer is not None:
        pooled = line.pool.frame
        only: dict[str, Any] = {"doc_ids": pooled["doc_id"], "query_ids": pooled["query_id"], "limit": PROBES}
        tally = describe(line.collection, line.describer, **only, **dials).tally
    else:
        assessor = line.judge(line.pool, None, False)
        limit = max(1, PROBES // int(assessor.settings.get("samples", 1)))
        tally = judge(line.pool, assessor, line.collection, limit=limit, **dials).tally
    return tally
