"""judge: pairs in, judgments out. Known pairs never become conversations.

A pair is known when the store has a judgment of this judge (its settings' digest) for the same query with the same guideline
version and examples, and the same document with the same images and descriptions. That is one column join; only the rest
are rendered. `failed` pairs (no reply came) are asked again; the other outcomes without a grade were paid for and are asked
again only by name, as the next sample.

A judge that takes several documents of a query per request (its settings say `per_request` and `seed`) is given groups. They
are drawn over the whole pool, before known pairs are removed: who is judged beside whom depends on no rank and on no history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Judge, Model, Store
from qrelkit.core.errors import UnknownName
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import PAID, Judgment, Pair
from qrelkit.core.wire import digest_of
from qrelkit.formats.tables import write_table
from qrelkit.formats.trec import write_qrels
from qrelkit.judges.several import gives_probabilities, looks_at_images
from qrelkit.steps.drive import drive
from qrelkit.steps.forgotten import forgotten, last_keys
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

BATCH = 500  # judgments written together; a crash costs none of them, since their replies are in the ledger
PAIR = ["query_id", "doc_id"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The outcome of `judge`: one row per pair of the pool in `frame` (query_id, doc_id, grade, outcome, sample, new, and
    `expected` where the judge gives probabilities), how the driver fared, and how many judgments of older versions the
    store holds for these pairs (`stale`)."""

    judge: Judge
    frame: pl.DataFrame
    tally: Tally
    stale: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def ungraded(self) -> int:
        """Pairs without a grade, those not asked yet included. None of them is ever a 0."""
        return int(self.frame["grade"].null_count())

    @property
    def known(self) -> int:
        """Pairs that cost nothing: their judgments were in the store."""
        return self.frame.filter(pl.col("outcome").is_not_null() & ~pl.col("new")).height

    def qrels(self, name: str = "") -> Qrels:
        """These judgments as qrels; ungraded pairs keep their outcome."""
        rows = self.frame.filter(pl.col("outcome").is_not_null())
        return Qrels.of(rows.with_columns(origin=pl.lit(name or self.judge.name)), name or self.judge.name)

    def write(self, path: str) -> None:
        """Writes the grades as TREC qrels and, as `path`.ungraded.tsv, the pairs without one and why: none is ever a 0."""
        qrels = self.qrels()
        write_qrels(Qrels(qrels.graded, qrels.name), path)
        write_table(qrels.frame.filter(pl.col("grade").is_null()).select(*PAIR, "outcome"), f"{path}.ungraded.tsv")

    def __repr__(self) -> str:
        return f"Judged({self.frame.height:,} pairs, {self.known:,} known, {self.ungraded:,} ungraded, by {self.judge.name})"


def judge(
    pool: Pool,
    judge: Judge,
    collection: Collection,
    *,
    store: Store,
    models: Mapping[str, Model] | None = None,
    at_once: int | None = 16,
    budget_usd: float | None = None,
    terms: Terms = Terms(),
    retry: Sequence[str] = (),
    limit: int | None = None,
    progress: Callable[[Tally], None] | None = None,
) -> Judged:
    """Judges every pair of the pool that is not known yet, the pairs of one query together.

    `retry` names paid outcomes to be asked again; `limit` asks at most so many pairs (`within`). Every judgment is in the
    store when this returns, however it ends; `Judged.tally.stopped` says whether it ended early.
    """
    state = standing(pool, judge, collection, store, retry)
    grouped = in_groups(state, judge.settings.get("per_request", 1), judge.settings.get("seed", 0))
    todo = within(grouped.filter(pl.col("todo")), limit)
    store.add_judge(judge.key, judge.name, judge.settings)
    new: list[Judgment] = []
    saved = 0

    def save() -> None:
        nonlocal saved
        store.add_judgments(judge.key, new[saved:])
        saved = len(new)

    def done(judgments: Sequence[Judgment]) -> None:
        new.extend(judgments)
        if len(new) - saved >= BATCH:
            save()

    tally = Tally()
    flows = (judge.flow(group) for group in _groups(todo, collection))
    try:
        dials: dict[str, Any] = {"at_once": at_once, "budget_usd": budget_usd, "progress": progress, "tally": tally}
        drive(flows, models=models or {}, store=store, done=done, terms=replace(terms, what=f"judge {judge.key}"), **dials)
    finally:  # however it ends: what was said is kept, and what it cost
        save()
        store.add_spending("judge", judge.key, tally.numbers())
    if not (tally.stopped or tally.waiting):
        store.settle()  # every reply has become a judgment: a store that keeps only grades may let the words go
    return _judged(state, new, judge, tally, store)


def standing(pool: Pool, judge: Judge, collection: Collection, store: Store, retry: Sequence[str] = ()) -> pl.DataFrame:
    """How the pool stands with a judge: query_id, doc_id, query_key, doc_key, grade, outcome, sample, stale, todo.

    One join against the store; nothing is rendered or asked. Raises UnknownName for an outcome that cannot be retried,
    and for queries and documents that the collection does not have. A forgotten document need not be there: what was graded
    of it stands, and it is never to do.
    """
    for outcome in retry:
        if outcome not in PAID:
            raise UnknownName("outcome to be asked again", outcome, PAID)
    rows, gone = store.known(judge.key), forgotten(store)
    frame = with_keys(pool.frame.select(PAIR), judge, collection, last_keys(rows, gone), gone)
    keys = [*PAIR, "query_key", "doc_key"]
    older = rows.join(frame, on=keys, how="anti").join(frame, on=PAIR, how="semi").height
    state = frame.join(rows.select(*keys, "grade", "outcome", "sample"), on=keys, how="left", maintain_order="left")
    again = pl.col("outcome").is_in(["failed", *retry])
    return state.with_columns(
        todo=(pl.col("outcome").is_null() | again) & ~pl.col("doc_id").is_in(gone.implode()),
        sample=pl.when(pl.col("outcome").is_in(list(retry))).then(pl.col("sample") + 1).otherwise(pl.col("sample").fill_null(0)),
        stale=pl.lit(older),
    )


def with_keys(pairs: pl.DataFrame, judge: Judge, collection: Collection, kept: pl.DataFrame, gone: pl.Series) -> pl.DataFrame:
    """Adds query_key and doc_key: one digest per distinct query and document, not per pair. Documents that are `gone` have the
    key that is `kept` of them, or none."""
    queries = collection.queries.select("query_id", "fingerprint").join(pairs, on="query_id", how="semi")
    missing = pairs.join(queries, on="query_id", how="anti")["query_id"].unique()
    if len(missing):
        raise UnknownName("query", str(missing[0]), collection.queries["query_id"].to_list())
    query_keys = [judge.query_key(q, f, [i.digest for i in collection.query(q).images]) for q, f in queries.iter_rows()]
    doc_ids = pairs.filter(~pl.col("doc_id").is_in(gone.implode()))["doc_id"].unique(maintain_order=True)
    images: dict[str, list[str]] = {}
    shown = collection.images(doc_ids if looks_at_images(judge.settings) else doc_ids.head(0))  # may read files for digests
    prints = collection.fingerprints(doc_ids, shown)
    for doc_id, digest in shown.sort("doc_id", "position").select("doc_id", "digest").iter_rows():
        images.setdefault(doc_id, []).append(digest)
    doc_keys = [judge.doc_key(d, f, images.get(d, ())) for d, f in zip(doc_ids, prints, strict=True)]
    by_query = pl.DataFrame({"query_id": queries["query_id"], "query_key": query_keys}, schema_overrides={"query_key": pl.String})
    by_doc = pl.DataFrame({"doc_id": doc_ids, "doc_key": doc_keys}, schema_overrides={"doc_key": pl.String})
    keyed = pairs.join(by_query, on="query_id", how="left", maintain_order="left")
    keyed = keyed.join(by_doc, on="doc_id", how="left", maintain_order="left")
    keyed = keyed.join(kept, on=[*PAIR, "query_key"], how="left", maintain_order="left")
    return keyed.with_columns(doc_key=pl.coalesce("doc_key", "kept_key", pl.lit(""))).drop("kept_key")


def in_groups(state: pl.DataFrame, per_request: int, seed: int = 0) -> pl.DataFrame:
    """Adds `group`: which rows are asked together; those of a group stand side by side, and queries keep their order.

    With `per_request` above 1 the documents of a query are put in an order by digest of seed and pair, and every `per_request`
    of them are a group. Queries without anything to ask are left out then: nobody needs their groups.
    """
    if per_request == 1:
        return state.with_row_index("group")
    asked = state.join(state.filter("todo"), on="query_id", how="semi", maintain_order="left")
    order = [digest_of([seed, query_id, doc_id]) for query_id, doc_id in asked.select(PAIR).iter_rows()]
    asked = asked.with_columns(order=pl.Series(order, dtype=pl.String), query=pl.col("query_id").rle_id())
    asked = asked.with_columns(query=pl.col("query").min().over("query_id")).sort("query", "order")
    place = pl.int_range(pl.len()).over("query_id") // per_request
    return asked.with_columns(group=pl.struct("query", place.alias("place")).rle_id()).drop("order", "query")


def within(todo: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """The first groups that have at most `limit` rows together; at least one of them, unless `limit` is 0. None is all."""
    if limit is None or limit >= todo.height:
        return todo
    until = todo.group_by("group", maintain_order=True).len().with_columns(rows=pl.col("len").cum_sum())
    whole = until.filter((pl.col("rows") <= limit) | (pl.int_range(pl.len()) < min(limit, 1)))
    return todo.join(whole, on="group", how="semi", maintain_order="left")


def _groups(todo: pl.DataFrame, collection: Collection) -> Iterator[list[Pair]]:
    """The pairs as records, lazily, group by group."""
    columns = todo.select("group", *PAIR, "query_key", "doc_key", "sample")
    for query_id, rows in groupby(columns.iter_rows(), key=lambda row: row[1]):
        query, own = collection.query(query_id), list(rows)
        documents = collection.late_documents(row[2] for row in own)
        for _, group in groupby(own, key=lambda row: row[0]):
            yield [
                Pair(query=query, document=next(documents), query_key=query_key, doc_key=doc_key, sample=sample)
                for _, _, _, query_key, doc_key, sample in group
            ]


def found(state: pl.DataFrame, judge: Judge, store: Store) -> Judged:
    """The outcome of `judge` for a pool as it stands (`standing`), nothing asked."""
    return _judged(state, [], judge, Tally(), store)


def _grades_with_probabilities(judge: Judge) -> list[int]:
    """The values of the judge's scale, where it gives a probability per grade (samples, its tokens' own, votes)."""
    if not gives_probabilities(judge.settings):
        return []
    return [grade["value"] for grade in judge.settings["scale"]["grades"]]


def expected_grades(rows: pl.DataFrame, values: Sequence[int]) -> pl.DataFrame:
    """query_id, doc_id, expected: Σ probability · grade of each judgment that has probabilities (one per grade of the scale)."""
    told = rows.filter(pl.col("probabilities").is_not_null()).unique(PAIR, keep="last", maintain_order=True)
    weighted = pl.col("probabilities").list.to_array(len(values)).arr.to_struct().struct.unnest()
    names = [f"field_{i}" for i in range(len(values))]
    expected = pl.sum_horizontal(pl.col(name) * value for name, value in zip(names, values, strict=True))
    return told.select(*PAIR, weighted).select(*PAIR, expected=expected)


def _judged(state: pl.DataFrame, new: Iterable[Judgment], judge: Judge, tally: Tally, store: Store) -> Judged:
    rows = [(j.query_id, j.doc_id, j.grade, j.outcome, True) for j in new]
    schema = {"query_id": pl.String, "doc_id": pl.String, "grade": pl.Int32, "outcome": pl.String, "new": pl.Boolean}
    fresh = pl.DataFrame(rows, schema=schema, orient="row")
    frame = state.join(fresh, on=PAIR, how="left", suffix="_new", maintain_order="left").with_columns(
        grade=pl.when("new").then("grade_new").otherwise("grade").cast(pl.Int32),
        outcome=pl.when("new").then("outcome_new").otherwise("outcome"),
        new=pl.col("new").fill_null(False),
    )
    counts = frame.group_by(pl.col("outcome").fill_null("not asked")).len().sort("outcome")
    stale = int(state["stale"][0]) if state.height else 0
    frame = frame.select(*PAIR, "grade", "outcome", "sample", "new", "query_key", "doc_key")
    if values := _grades_with_probabilities(judge):
        current = store.judgments(judge.key).join(frame, on=[*PAIR, "query_key", "doc_key"], how="semi")
        frame = frame.join(expected_grades(current, values), on=PAIR, how="left", maintain_order="left")
        frame = frame.with_columns(expected=pl.coalesce("expected", pl.col("grade").cast(pl.Float64)))
    return Judged(judge=judge, frame=frame, tally=tally, stale=stale, outcomes=dict(counts.iter_rows()))
