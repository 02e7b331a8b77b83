"""Which documents were forgotten: they are asked about no more, and what was graded of them stands.

A store keeps it as stage `forget` of its spending, one key per document: only the id is left of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from qrelkit.core.doors import Store

STAGE = "forget"


def remember(store: Store, doc_ids: Iterable[str]) -> None:
    """From now on these documents are forgotten ones."""
    for doc_id in doc_ids:
        store.add_spending(STAGE, doc_id, {})


def forgotten(store: Store) -> pl.Series:
    """The ids of all documents that were forgotten."""
    rows = store.spending()
    return rows.filter(pl.col("stage") == STAGE)["key"].alias("doc_id")


def without_forgotten(rows: pl.DataFrame, store: Store) -> pl.DataFrame:
    """The rows whose `doc_id` is no forgotten one."""
    return rows.filter(~pl.col("doc_id").is_in(forgotten(store).implode()))


def last_keys(known: pl.DataFrame, gone: pl.Series) -> pl.DataFrame:
    """query_id, doc_id, query_key and, as `kept_key`, the doc_key under which a forgotten document was graded last.

    Its own key can be made no more: neither its text nor the descriptions of its images are there.
    """
    graded = known.filter(pl.col("doc_id").is_in(gone.implode()) & (pl.col("outcome") != "failed"))
    newest = graded.unique(["query_id", "doc_id", "query_key"], keep="last", maintain_order=True)
    return newest.select("query_id", "doc_id", "query_key", kept_key="doc_key")
