"""describe: images in, texts out; once per image (its bytes) and describer, whatever the number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Describer, Model, Store
from qrelkit.core.records import Image
from qrelkit.core.wire import Flow
from qrelkit.steps.drive import drive
from qrelkit.steps.forgotten import forgotten
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

BATCH = 200
NONE_GONE = pl.Series("doc_id", [], dtype=pl.String)


@dataclass(frozen=True, kw_only=True)
class Described:
    """`texts`: image digest → description; `missing`: images that could not be described; `known`: were in the store."""

    texts: Mapping[str, str]
    missing: int
    known: int
    tally: Tally

    def __repr__(self) -> str:
        return f"Described({len(self.texts):,} images, {self.known:,} known, {self.missing:,} without a description)"


def describe(
    collection: Collection,
    describer: Describer,
    *,
    store: Store,
    models: Mapping[str, Model] | None = None,
    doc_ids: pl.Series | None = None,
    query_ids: pl.Series | None = None,
    limit: int | None = None,
    at_once: int | None = 16,
    budget_usd: float | None = None,
    terms: Terms = Terms(),
    progress: Callable[[Tally], None] | None = None,
) -> Described:
    """Describes every image of documents and queries (all, or those named) that this describer has not described yet."""
    known = store.descriptions(describer.key)
    wanted = images_to_describe(collection, doc_ids, query_ids, forgotten(store))
    todo = wanted.filter(~pl.col("digest").is_in(list(known)))
    todo = todo.head(todo.height if limit is None else limit)
    new: dict[str, str] = {}
    saved: set[str] = set()

    def save() -> None:
        rest = {digest: text for digest, text in new.items() if digest not in saved}
        store.add_descriptions(describer.key, rest)
        saved.update(rest)

    def done(result: tuple[str, str | None]) -> None:
        digest, text = result
        if text is not None:
            new[digest] = text
            if len(new) - len(saved) >= BATCH:
                save()

    tally = Tally()
    flows = (_named(describer, image) for image in images_of(todo, collection))
    try:
        dials: dict[str, Any] = {"at_once": at_once, "budget_usd": budget_usd, "progress": progress, "tally": tally}
        dials["terms"] = replace(terms, what=f"describe {describer.key}")
        drive(flows, models=models or {}, store=store, done=done, **dials)
    finally:  # however it ends: what was said is kept, and what it cost
        save()
        store.add_spending("describe", describer.key, tally.numbers())
    if not (tally.stopped or tally.waiting or len(new) < todo.height):
        store.settle()
    digests = set(wanted["digest"])
    texts = {digest: text for digest, text in (known | new).items() if digest in digests}
    return Described(texts=texts, missing=len(digests) - len(texts), known=len(texts) - len(new), tally=tally)


def images_to_describe(
    collection: Collection,
    doc_ids: pl.Series | None = None,
    query_ids: pl.Series | None = None,
    gone: pl.Series = NONE_GONE,
) -> pl.DataFrame:
    """The distinct images of the documents and queries (all, or those named): digest, and a doc_id or query_id that has it.

    Documents that are `gone` (`steps/forgotten.py`) and those that are not in the collection have none.
    """
    if doc_ids is not None:  # only theirs are looked at: a digest may cost reading a file
        asked = doc_ids.unique(maintain_order=True)
        doc_ids = asked.filter(collection.contains(asked) & ~asked.is_in(gone.implode()))
    images = collection.images(doc_ids).select("digest", "doc_id").filter(~pl.col("doc_id").is_in(gone.implode()))
    asking = collection.queries["query_id"] if query_ids is None else query_ids.unique(maintain_order=True)
    of_queries = [(image.digest, query_id) for query_id in asking for image in collection.query(query_id).images]
    wished = pl.DataFrame(of_queries, schema={"digest": pl.String, "query_id": pl.String}, orient="row")
    return pl.concat([images, wished], how="diagonal").unique("digest", keep="first", maintain_order=True)


def images_of(todo: pl.DataFrame, collection: Collection) -> Iterator[Image]:
    """The images of rows of `images_to_describe`."""
    for digest, doc_id, query_id in todo.select("digest", "doc_id", "query_id").iter_rows():
        images = collection.query(query_id).images if doc_id is None else collection.document(doc_id).images
        yield next(image for image in images if image.digest == digest)


def _named(describer: Describer, image: Image) -> Flow[tuple[str, str | None]]:
    text = yield from describer.flow(image)
    return image.digest, text
