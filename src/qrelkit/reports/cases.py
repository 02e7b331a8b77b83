"""The section `differences`: the queries on which systems differ most, and what each of them put first.

Queries and rows are chosen by column work; texts and pictures are read only for the few rows that are shown.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import QrelkitError
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Document
from qrelkit.core.run import Run
from qrelkit.core.wire import Shrink

PAIR = ["query_id", "doc_id"]
THUMBNAIL = Shrink(max_side_px=160, format="jpeg", quality=80)
SIDE_BY_SIDE = 4  # systems shown per query; of more, the best two and the worst two
TEXT_CHARACTERS = 300


@dataclass(kw_only=True)
class Shelf:
    """Documents as they are shown. `left` is how many pictures may still go into the page, each showing counted; `failed`
    names the documents whose picture could not be read."""

    collection: Collection | None
    left: int
    failed: list[str] = field(default_factory=list)
    _pictures: dict[str, str | None] = field(default_factory=dict)

    def shown(self, doc_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Title, short text and picture of each document; ids that the collection does not have show nothing else."""
        found: dict[str, dict[str, Any]] = {doc_id: {"title": "", "text": "", "image": None} for doc_id in doc_ids}
        if self.collection is None:
            return found
        ids = pl.Series("doc_id", list(found), dtype=pl.String)
        for document in self.collection.documents(ids.filter(self.collection.contains(ids))):
            body = document.text.removeprefix(document.title).strip()
            found[document.doc_id] = {"title": document.title, "text": short(body), "image": self._picture(document)}
        return found

    def _picture(self, document: Document) -> str | None:
        """The first picture as a data URI; None where there is none, it cannot be read, or there are enough already."""
        if not document.images or not self.left:
            return None
        image = document.images[0]
        if image.digest not in self._pictures:
            from qrelkit.images.shrink import media_type, shrink

            try:
                data = shrink(image.read(), THUMBNAIL, image.name or document.doc_id)
                self._pictures[image.digest] = f"data:{media_type(THUMBNAIL)};base64,{base64.b64encode(data).decode('ascii')}"
            except (QrelkitError, OSError):  # the page says how many; the document is shown without
                self._pictures[image.digest] = None
                self.failed.append(document.doc_id)
        shown = self._pictures[image.digest]
        self.left -= shown is not None
        return shown


def cases(
    values: pl.DataFrame,
    runs: Sequence[Run],
    qrels: Mapping[str, Qrels],
    judgments: pl.DataFrame,
    shelf: Shelf,
    *,
    queries: int,
    documents: int,
) -> list[dict[str, Any]]:
    """The `queries` with the largest spread of `values` (tag, query_id, value) between systems, largest first.

    Each shows the first `documents` of up to four systems, best first, with every assessor's grade (null: asked and
    ungraded) and the newest outcome and reason in `judgments` (query_id, doc_id, outcome, reason).
    """
    chosen = _contrasts(values, queries)
    if not chosen.height:
        return []
    rows = _answers(chosen, runs, qrels, judgments, documents)
    seen = shelf.shown(rows["doc_id"].unique(maintain_order=True).to_list())
    out = []
    for (query_id,), systems in chosen.group_by("query_id", maintain_order=True):
        mine = rows.filter(pl.col("query_id") == query_id)
        by_tag = {tag: mine.filter(pl.col("tag") == tag).iter_rows(named=True) for tag in systems["tag"]}
        shown = {tag: [_card(row, seen[row["doc_id"]], list(qrels)) for row in found] for tag, found in by_tag.items()}
        scores = dict(systems.select("tag", "value").iter_rows())
        out.append({"query_id": query_id, **_asked(str(query_id), shelf.collection), "scores": scores, "documents": shown})
    return out


def _contrasts(values: pl.DataFrame, queries: int) -> pl.DataFrame:
    """query_id, tag, value of the systems to be shown, for the queries with the largest spread."""
    known = values.filter(pl.col("value").is_not_null())
    spread = known.group_by("query_id").agg(spread=pl.col("value").max() - pl.col("value").min())
    widest = spread.filter(pl.col("spread") > 0).sort("spread", "query_id", descending=[True, False]).head(queries)
    order = known.join(widest, on="query_id").sort("spread", "query_id", "value", "tag", descending=[True, False, True, False])
    place = order.with_columns(place=pl.int_range(pl.len()).over("query_id"), systems=pl.len().over("query_id"))
    half = SIDE_BY_SIDE // 2
    ends = (pl.col("place") < half) | (pl.col("place") >= pl.col("systems") - (SIDE_BY_SIDE - half))
    return place.filter(ends).select("query_id", "tag", "value")


def _answers(
    chosen: pl.DataFrame, runs: Sequence[Run], qrels: Mapping[str, Qrels], judgments: pl.DataFrame, documents: int
) -> pl.DataFrame:
    """The first documents of the chosen systems: query_id, tag, doc_id, rank, grade0, asked0, …, outcome, reason."""
    parts = [run.cut(documents).frame.select(*PAIR, "rank", tag=pl.lit(run.tag)) for run in runs]
    none = pl.DataFrame(schema={"query_id": pl.String, "doc_id": pl.String, "rank": pl.UInt32, "tag": pl.String})
    rows = pl.concat([none, *parts]).join(chosen.select("query_id", "tag"), on=["query_id", "tag"], how="semi")
    for i, found in enumerate(qrels.values()):
        grades = found.frame.select(*PAIR, pl.col("grade").alias(f"grade{i}"), pl.lit(True).alias(f"asked{i}"))
        rows = rows.join(grades, on=PAIR, how="left")
    newest = judgments.select(*PAIR, "outcome", "reason").unique(PAIR, keep="last", maintain_order=True)
    return rows.join(newest, on=PAIR, how="left").sort("query_id", "tag", "rank")


def _card(row: Mapping[str, Any], seen: Mapping[str, Any], assessors: Sequence[str]) -> dict[str, Any]:
    grades = {name: row[f"grade{i}"] for i, name in enumerate(assessors) if row[f"asked{i}"]}
    said = {"grades": grades, "outcome": row["outcome"] or "", "reason": row["reason"] or ""}
    return {"doc_id": row["doc_id"], "rank": row["rank"], **seen, **said}


def _asked(query_id: str, collection: Collection | None) -> dict[str, Any]:
    """Text and columns of a query, where the collection has it."""
    if collection is None or query_id not in collection.queries["query_id"]:
        return {"query": "", "columns": {}}
    query = collection.query(query_id)
    return {"query": query.text, "columns": dict(query.columns)}


def short(text: str) -> str:
    """The beginning of a text, cut between words, with … where something was cut."""
    flat = " ".join(text.split())
    if len(flat) <= TEXT_CHARACTERS:
        return flat
    cut = flat[:TEXT_CHARACTERS]
    return (cut.rpartition(" ")[0] or cut) + " …"
