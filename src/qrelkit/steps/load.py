"""load: a collection from what the user names, and what there is to say of it."""

from __future__ import annotations

from typing import Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.sources.spec import SpecPath, open_source

LANGUAGE = ("language", "lang")


def load(spec: SpecPath | None = None, **options: Any) -> Collection:
    """The collection of a folder, a table or `irds:ID`; `options` are those of `open_source`.

    The first time an index is written to the cache folder; after that it opens in an instant until a file changes.
    """
    return open_source(spec, **options).collection()


def facts(collection: Collection) -> dict[str, Any]:
    """What `qrelkit load` says: counts, what was left out, languages, and whether the qrels fit; ready for JSON."""
    queries = collection.queries
    return {
        "name": collection.name,
        "fingerprint": collection.fingerprint,
        "queries": queries.height,
        "documents": len(collection),
        "images": collection.image_count,
        "query_columns": [name for name in queries.columns if name not in ("query_id", "text", "fingerprint")],
        "languages": languages(queries),
        "qrels": {name: _qrels_facts(collection, name) for name in collection.qrels},
        "notes": dict(collection.notes),
    }


def _qrels_facts(collection: Collection, name: str) -> dict[str, Any]:
    """Counts of one file of qrels; its complaint where it cannot be read."""
    try:
        qrels = collection.qrels[name]
    except InputError as error:
        return {"error": str(error)}
    return _fit(collection, qrels)


def _fit(collection: Collection, qrels: Qrels) -> dict[str, Any]:
    frame = qrels.frame
    known = collection.contains(frame["doc_id"].unique())
    queries = frame["query_id"].unique()
    grades = frame["grade"].drop_nulls().value_counts().sort("grade")
    return {
        "pairs": frame.height,
        "queries": len(queries),
        "grades": {str(grade): count for grade, count in grades.iter_rows()},
        "ungraded": frame["grade"].null_count(),
        "unknown_documents": int((~known).sum()),
        "unknown_queries": int((~queries.is_in(collection.queries["query_id"].implode())).sum()),
        "merged": qrels.notes.get("merged", 0),
    }


def languages(queries: pl.DataFrame) -> dict[str, int]:
    """How many queries in each language; nothing where no column says."""
    name = next((name for name in LANGUAGE if name in queries.columns), None)
    return {} if name is None else dict(queries[name].drop_nulls().value_counts(sort=True).iter_rows())
