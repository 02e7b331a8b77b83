"""rerank: a first run and somebody who looks closer → the run in a better order.

    Reranker     a cross-encoder, an endpoint: scores the documents of a query     order by score
    Judge        any assessor, through the driver                                  order by expected grade, else by grade
    Listwise     a language model, window by window                                its order

The first `depth` documents of every query are looked at. Those that tie, and those that got nothing (a pair without a grade: it
is counted, and never a 0), stay in the order of the first run: ungraded ones below all graded ones. `rest="append"` keeps what
lies deeper below all that, in its order; `rest="drop"` leaves it out (as R2MED does). A query that was not answered at all keeps
the order and the scores of the first run, and stands in `notes["failed"]`.

Scores are the reranker's, in float32, and a score that would tie or rise is lowered by the least step that makes it fall: so the
order is that of any reader. What has no score of its own follows the lowest of its query in such steps.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Judge, Model, Reranker, Store
from qrelkit.core.errors import InputError, Mismatch, ModelError, OutOfBudget, PluginError, Rejected, UnknownName, Unreachable
from qrelkit.core.pool import Pool
from qrelkit.core.records import Document, Query, counted
from qrelkit.core.run import Run, falling
from qrelkit.core.wire import digest_of
from qrelkit.formats.trec import read_run
from qrelkit.retrievers.listwise import Listing, Listwise
from qrelkit.steps.derived import came_from, of_runs, refuse_same
from qrelkit.steps.drive import drive
from qrelkit.steps.judge import judge
from qrelkit.steps.made import Retrieved, made_once
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

Rest = Literal["append", "drop"]
DEPTH = 100
GIVE_UP = 5  # queries in a row, the first ones, that nobody answered
LARGEST = 3e38  # within float32
PAIR = ["query_id", "doc_id"]
VALUES = {"query_id": pl.String, "doc_id": pl.String, "value": pl.Float64}


@dataclass(kw_only=True)
class Asking:
    """What a judge or a list-maker is asked with, as `judge` takes it; `tally` is what came of it."""

    store: Store
    models: Mapping[str, Model] = field(default_factory=dict)
    at_once: int | None = 16
    budget_usd: float | None = None
    terms: Terms = Terms()
    progress: Callable[[Tally], None] | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def dials(self) -> dict[str, Any]:
        names = ("store", "models", "at_once", "budget_usd", "terms", "progress")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Values:
    """What a reranker says of pairs: query_id, doc_id, value (null: nothing), the higher the better; and what went wrong."""

    frame: pl.DataFrame
    failed: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def rerank(
    collection: Collection,
    run: Run,
    reranker: Reranker | Judge | Listwise,
    depth: int = DEPTH,
    *,
    rest: Rest = "append",
    tag: str = "",
    at_once: int = 1,
    asking: Asking | None = None,
) -> Run:
    """The run with the first `depth` documents of every query in the reranker's order.

    A judge or a list-maker needs `asking`; a `Reranker` is asked about `at_once` queries at a time. Where asking stopped early,
    `asking.tally.stopped` says so and what was not answered keeps its order. Raises Mismatch for what the collection does not
    have, InputError for a depth or rest that cannot be, ModelError where nobody answers.
    """
    checked(depth, rest)
    top = run.cut(depth)
    refuse_strangers(collection, top)
    if isinstance(reranker, Reranker):
        values = scored(collection, top, reranker, at_once)
    elif asking is None:
        raise InputError(f"{reranker.name} is asked by conversation: give asking=Asking(store=…, models=…)")
    elif isinstance(reranker, Listwise):
        values = listed(collection, top, reranker, asking)
    else:
        values = graded(collection, top, depth, reranker, asking)
    notes = {
        "retriever": {**settings_of(reranker), "depth": depth, "rest": rest},
        "first": {"tag": run.tag, "queries": run.frame["query_id"].n_unique(), "documents": len(run)},
        "failed": dict(values.failed),
        "counts": dict(values.counts),
    }
    ordered = reordered(run, values.frame, depth, rest)
    return Run(Run.of(ordered, run.tag).frame, tag or tag_of(run, reranker), notes)


def rerank_to(
    path: str | Path,
    first: str | Path,
    collection: Collection,
    reranker: Reranker | Judge | Listwise,
    depth: int = DEPTH,
    *,
    rest: Rest = "append",
    tag: str = "",
    at_once: int = 1,
    asking: Asking | None = None,
    again: bool = False,
) -> Retrieved | None:
    """The same of a run in a file, written as a TREC file with its sidecar. What lies there, made of the same in the same way
    with every query answered, is taken as it is. A judge's is always made, of the judgments in the store. None, and nothing is
    written, where asking stopped early (`asking.tally.stopped`). Raises InputError also where `path` is the first run."""
    checked(depth, rest)
    refuse_same(path, [first])
    run = read_run(first)
    refuse_strangers(collection, run.cut(depth))

    def make() -> Run | None:
        made = rerank(collection, run, reranker, depth, rest=rest, tag=tag, at_once=at_once, asking=asking)
        return None if asking is not None and (asking.tally.stopped or asking.tally.waiting) else made

    queries = [collection.query(query_id) for query_id in run.frame["query_id"].unique(maintain_order=True)]
    wanted = {
        "tag": tag or tag_of(run, reranker),
        "depth": depth,
        "rest": rest,
        "retriever": settings_of(reranker),
        "collection": {"name": collection.name, "fingerprint": collection.fingerprint, "documents": len(collection)},
        "queries": {"count": len(queries), "digest": digest_of([[q.query_id, q.text, q.fingerprint] for q in queries])},
    }
    judged = not isinstance(reranker, Reranker | Listwise)
    return made_once(path, of_runs(wanted, [came_from(first, run)]), make, again=again or judged)


def checked(depth: int, rest: str) -> None:
    """Raises InputError, or UnknownName, for a depth or a rest that cannot be."""
    if depth < 1:
        raise InputError(f"depth must be at least 1, not {depth}")
    if rest not in get_args(Rest):
        raise UnknownName("way with the rest of a run", rest, get_args(Rest))


def refuse_strangers(collection: Collection, run: Run) -> None:
    """Raises Mismatch for queries and documents of a run that the collection does not have."""
    queries, documents = (run.frame[name].unique(maintain_order=True) for name in PAIR)
    of_others = queries.filter(~queries.is_in(collection.queries["query_id"].implode()))
    unknown = documents.filter(~collection.contains(documents))
    for ids, noun in ((of_others, "query"), (unknown, "document")):
        if len(ids):
            said = f"{counted(len(ids), noun)} not in {collection.name}, such as {ids[0]!r}"
            raise Mismatch(f"run {run.tag!r} has {said}; give the collection that it was made on")


def settings_of(reranker: Reranker | Judge | Listwise) -> dict[str, Any]:
    """Everything that its order depends on besides queries and documents."""
    return {"name": reranker.name, **reranker.settings}


def tag_of(run: Run, reranker: Reranker | Judge | Listwise) -> str:
    """The first stage's tag and who looked closer: `bm25+bge-reranker-v2-m3`."""
    return f"{run.tag}+{'_'.join(reranker.name.split())}"


# what is said of the documents


def scored(collection: Collection, top: Run, reranker: Reranker, at_once: int = 1) -> Values:
    """The scores of a reranker, `at_once` queries at a time. Raises its error where it concerns every query (a wrong key), and
    where none of the first queries is answered."""
    parts, failed = [pl.DataFrame(schema=VALUES)], dict[str, str]()
    for query_id, doc_ids, scores in _scores(collection, top, reranker, at_once):
        if isinstance(scores, ModelError):
            failed[query_id] = str(scores)
            if isinstance(scores, OutOfBudget) or (isinstance(scores, Rejected) and scores.fatal):
                raise scores
        else:
            parts.append(pl.DataFrame({"query_id": query_id, "doc_id": doc_ids, "value": scores}, schema=VALUES))
        if len(parts) == 1 and len(failed) >= GIVE_UP:
            break
    if failed and len(parts) == 1:
        raise Unreachable(f"{reranker.name}: none of {counted(len(failed), 'query')} was reranked: {next(iter(failed.values()))}")
    return Values(frame=pl.concat(parts), failed=failed)


def _scores(
    collection: Collection, top: Run, reranker: Reranker, at_once: int
) -> Iterator[tuple[str, list[str], list[float] | ModelError]]:
    """Query, its documents and their scores, or why there are none, in order; texts are read no earlier than they are needed."""

    def ask(query: Query, documents: Sequence[Document]) -> list[float] | ModelError:
        try:
            return _checked_scores(reranker, query, documents)
        except ModelError as error:
            return error

    waiting: deque[tuple[str, list[str], Future[list[float] | ModelError]]] = deque()
    with ThreadPoolExecutor(at_once) as threads:
        try:
            for query, documents in by_query(collection, top):
                doc_ids = [document.doc_id for document in documents]
                waiting.append((query.query_id, doc_ids, threads.submit(ask, query, documents)))
                if len(waiting) >= 2 * at_once:
                    query_id, ids, answer = waiting.popleft()
                    yield query_id, ids, answer.result()
            while waiting:
                query_id, ids, answer = waiting.popleft()
                yield query_id, ids, answer.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _checked_scores(reranker: Reranker, query: Query, documents: Sequence[Document]) -> list[float]:
    scores = [float(score) for score in reranker.scores(query, documents)]
    if len(scores) != len(documents):
        raise PluginError(f"{reranker.name} gave {len(scores)} scores for {len(documents)} documents of query {query.query_id!r}")
    if not np.isfinite(scores).all():
        raise Rejected(f"{reranker.name}: a score of query {query.query_id!r} is no finite number")
    return scores


def graded(collection: Collection, top: Run, depth: int, assessor: Judge, asking: Asking) -> Values:
    """Expected grades where the judge gives probabilities, else grades; what has none is counted by its outcome."""
    done = judge(Pool.of([top], depth), assessor, collection, **asking.dials)
    asking.tally = done.tally
    value = "expected" if "expected" in done.frame.columns else "grade"
    frame = done.frame.select(*PAIR, value=pl.when(pl.col("grade").is_not_null()).then(pl.col(value)).cast(pl.Float64))
    silent = frame.group_by("query_id", maintain_order=True).agg(asked=pl.len(), given=pl.count("value")).filter(given=0)
    failed = {query_id: f"none of its {counted(asked, 'document')} has a grade" for query_id, asked, _ in silent.iter_rows()}
    counts = {name: count for name, count in done.outcomes.items() if name != "graded"}
    return Values(frame=frame, failed=failed, counts=counts)


def listed(collection: Collection, top: Run, lister: Listwise, asking: Asking) -> Values:
    """The places in a list-maker's order, from −1 down; a query whose windows were not all answered has none."""
    found: list[Listing] = []

    flows = (lister.flow(query, documents) for query, documents in by_query(collection, top))
    dials = asking.dials | {"terms": replace(asking.terms, what=f"rerank {lister.key}"), "tally": asking.tally}
    try:
        drive(flows, done=found.append, **dials)
    finally:
        asking.store.add_spending("rerank", lister.key, asking.tally.numbers())
    counts: Counter[str] = Counter()
    for listing in found:
        counts.update(listing.counts)
    answered = [listing for listing in found if not listing.error]
    rows = [(one.query_id, doc_id, -place) for one in answered for place, doc_id in enumerate(one.order, 1)]
    frame = pl.DataFrame(rows, schema=VALUES, orient="row")
    return Values(frame=frame, failed={one.query_id: one.error for one in found if one.error}, counts=counts)


def by_query(collection: Collection, top: Run) -> Iterator[tuple[Query, list[Document]]]:
    """Each query with its documents, in the order of the run."""
    for query_id, doc_ids in top.frame.group_by("query_id", maintain_order=True).agg("doc_id").iter_rows():
        yield collection.query(query_id), list(collection.documents(doc_ids))


# the new order


def reordered(run: Run, values: pl.DataFrame, depth: int, rest: Rest) -> pl.DataFrame:
    """query_id, doc_id, score in the order that the head of this file says, every query's scores falling in float32."""
    frame = (run if rest == "append" else run.cut(depth)).frame.with_columns(query=pl.col("query_id").rle_id())
    rows = frame.join(values, on=PAIR, how="left", maintain_order="left")
    rows = rows.with_columns(deep=pl.col("rank") > depth)
    rows = rows.sort("query", "deep", "value", "rank", descending=[False, False, True, False], nulls_last=True)
    lowest = pl.col("value").min().over("query")
    rows = rows.with_columns(score=pl.coalesce("value", lowest, "score").clip(-LARGEST, LARGEST))
    steps = rows.select("query", key=pl.Series(_steps(rows["score"].to_numpy())), place=pl.int_range(pl.len()).over("query"))
    falls = (pl.col("key") - pl.col("place")).cum_max().over("query") + pl.col("place")
    return rows.select(*PAIR, score=pl.Series(_scores_at(steps.select(falls).to_series().to_numpy())))


def _steps(scores: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Whole numbers, one apart for neighbouring float32 numbers, that rise as the scores fall (−0 is no number of its own)."""
    key = falling(scores).astype(np.int64)
    return key - (key > 0x7FFFFFFF)


def _scores_at(steps: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The scores that `_steps` numbers so."""
    bits = np.where(steps > 0x7FFFFFFF, steps + 1, steps ^ 0x7FFFFFFF).astype(np.uint32)
    return bits.view(np.float32).astype(np.float64)
