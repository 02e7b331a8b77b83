"""The plan of a whole line: what each stage has, knows and would ask, with money and hours as ranges.

`plan(line)` asks nothing. `probe` makes the first ten calls, so that hours can be said; they are kept like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Describer, GuideWriter, Judge, Model, Store
from qrelkit.core.guideline import Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Pair, Query
from qrelkit.core.run import Run
from qrelkit.core.wire import Flow
from qrelkit.models.estimates import AT_LEAST, Range, share_of
from qrelkit.models.prices import measured
from qrelkit.steps.describe import describe, images_of, images_to_describe
from qrelkit.steps.forgotten import forgotten
from qrelkit.steps.guide import guide, newest, texts_of
from qrelkit.steps.judge import in_groups, judge, standing
from qrelkit.steps.pool import pool
from qrelkit.steps.stages import SAMPLED, SEEN, Asked, Means, Stage, first_rounds, part
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

PROBES = 10  # calls from which hours are estimated
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
    at_once: int | None = 16
    budget_usd: float | None = None
    terms: Terms = Terms()
    excluded: Callable[[Pool], pl.DataFrame | None] = lambda pool: None
    weights: Mapping[str, float] | None = None
    by: pl.DataFrame | None = None
    seed: int = 0

    @property
    def pool(self) -> Pool:
        return pool(self.runs, self.depth)


def plan(line: Line, latency_s: float | None = None, *, retry: Sequence[str] = (), limit: int | None = None) -> list[Stage]:
    """What is known and what would be asked, stage by stage, the judge's last. `latency_s` is that of one call, once probed;
    `retry` and `limit` are those of `judge`."""
    means = Means(store=line.store, at_once=line.at_once, size=lru_cache(maxsize=None)(measured), latency_s=latency_s)
    stages: list[Stage] = []
    pooled, unguided = line.pool, list[str]()
    if line.guide_writer is not None:
        stage, unguided = _guiding(line, line.guide_writer, pooled, means)
        stages.append(stage)
    descriptions: dict[str, str] | None = None
    if line.describer is not None:
        stage, descriptions = _describing(line, line.describer, pooled, means)
        stages.append(stage)
    assessor = line.judge(pooled, descriptions, True)
    state = standing(pooled, line.judge(pooled, None, False), line.collection, line.store, retry)
    new = pl.col("todo") | pl.col("query_id").is_in(unguided)  # a new guideline makes all its pairs new
    new &= ~pl.col("doc_id").is_in(forgotten(line.store).implode())
    return [*stages, _judging(line, assessor, state.with_columns(todo=new), means, limit)]


def _guiding(line: Line, writer: GuideWriter, pooled: Pool, means: Means) -> tuple[Stage, list[str]]:
    """The stage, and the queries without a guideline."""
    wanted = queries_of(line, pooled)
    known = newest(line.store, line.guidelines, texts=texts_of(wanted))
    todo = [query for query in wanted if query.query_id not in known]
    some, before = todo[:SAMPLED], [query for query in wanted if query.query_id in known][:SEEN]
    return (
        _stage(line, "guide", writer, len(wanted), len(todo), [writer.flow(q) for q in some], map(writer.flow, before), means),
        [query.query_id for query in todo],
    )


def _describing(line: Line, describer: Describer, pooled: Pool, means: Means) -> tuple[Stage, dict[str, str]]:
    """The stage, and the descriptions, with something that stands in for those still to be made."""
    told = dict(line.store.descriptions(describer.key))
    gone = forgotten(line.store)
    wanted = images_to_describe(line.collection, pooled.frame["doc_id"], pooled.frame["query_id"], gone)
    there = pl.col("digest").is_in(list(told))
    missing, known = wanted.filter(~there), wanted.filter(there)
    some, before = (images_of(rows.head(n), line.collection) for rows, n in ((missing, SAMPLED), (known, SEEN)))
    flows = [describer.flow(image) for image in some]
    stage = _stage(line, "describe", describer, wanted.height, missing.height, flows, map(describer.flow, before), means)
    return stage, told | dict.fromkeys(missing["digest"], STAND_IN)


def _stage(
    line: Line,
    name: str,
    who: GuideWriter | Describer,
    items: int,
    todo: int,
    flows: Sequence[Flow[Any]],
    before: Iterable[Flow[Any]],
    means: Means,
) -> Stage:
    """A stage of one request per thing, by one model or by none."""
    model = who.settings.get("model", "")
    stage = Stage(name=name, by=who.name, items=items, todo=todo)
    if not todo or model not in line.models:
        return stage
    rounds = first_rounds(flows)
    asked = Asked(model=line.models[model], rounds=rounds, items=len(flows), todo=(todo, todo), before=first_rounds(before))
    return replace(stage, parts=(part(asked, means),))


def _judging(line: Line, assessor: Judge, state: pl.DataFrame, means: Means, limit: int | None) -> Stage:
    """The stage of the judge; one that consists of several has a part for each of them that asks a model."""
    todo = min(int(state["todo"].sum()), state.height if limit is None else limit)
    parts = []
    for member, (low, high) in _members(assessor, line.store) if todo else ():
        if (model := member.settings.get("model", "")) in line.models:
            groups, before = _some_groups(line, state, member, SAMPLED), _some_groups(line, state, member, SEEN, known=True)
            asked = Asked(
                model=line.models[model],
                rounds=first_rounds(map(member.flow, groups)),
                items=sum(map(len, groups)),
                todo=(low * todo, high * todo),
                before=first_rounds(map(member.flow, before)),
            )
            parts.append(part(asked, means))
    return Stage(name="judge", by=assessor.name, items=state.height, todo=todo, parts=tuple(parts))


def _members(judge: Judge, store: Store, share: Range = (1.0, 1.0)) -> Iterator[tuple[Judge, Range]]:
    """The judges that ask, each with the share of the pairs it is asked about: of a cascade the later ones only some, none
    to all unless it has judged enough pairs for the store to know."""
    members: Sequence[Judge] = getattr(judge, "judges", ())
    if not members:
        yield judge, share
        return
    cascade = judge.settings.get("kind") == "cascade"
    decided = store.judgments(judge.key)["details"].tail(2_000).to_list() if cascade else []
    stages = [orjson.loads(told)["stage"] for told in decided if told]
    names = [member.name for member in members]
    for place, member in enumerate(members):
        went_on: Range = (1.0, 1.0)
        if cascade and place:
            late = sum(stage in names[place:] for stage in stages)
            went_on = share_of(late, len(stages)) if len(stages) >= AT_LEAST else (0.0, 1.0)
        yield from _members(member, store, (share[0] * went_on[0], share[1] * went_on[1]))


def _some_groups(line: Line, state: pl.DataFrame, judge: Judge, count: int, *, known: bool = False) -> list[list[Pair]]:
    """Some of the groups that are asked together, of pairs still to do or of known ones."""
    there = ~pl.col("doc_id").is_in(forgotten(line.store).implode())
    wanted = state.with_columns(todo=~pl.col("todo") & there) if known else state
    settings = judge.settings
    groups = in_groups(wanted, settings.get("per_request", 1), settings.get("seed", 0)).filter("todo")
    chosen = groups["group"].unique(maintain_order=True)
    chosen = chosen.sample(min(count, len(chosen)), seed=line.seed)
    rows = groups.filter(pl.col("group").is_in(chosen.implode())).select("group", "query_id", "doc_id")
    return [
        [Pair(query=line.collection.query(q), document=line.collection.document(d)) for _, q, d in group]
        for _, group in groupby(rows.iter_rows(), key=lambda row: row[0])
    ]


def queries_of(line: Line, pooled: Pool) -> list[Query]:
    return [line.collection.query(q) for q in pooled.frame["query_id"].unique(maintain_order=True)]


def probe(line: Line, stages: Sequence[Stage]) -> Tally | None:
    """The first ten calls of the first stage that asks a model, all at once: they take about as long as one. None where
    no stage asks any; whether it was stopped is in the tally."""
    first = next((stage for stage in stages if stage.todo and stage.asks), None)
    if first is None:
        return None
    dials: dict[str, Any] = {"store": line.store, "models": line.models, "at_once": PROBES, "budget_usd": line.budget_usd}
    dials["terms"] = line.terms
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
