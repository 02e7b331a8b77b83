from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from plain_collection import PlainCollection
from qrelkit.core.errors import InputError
from qrelkit.core.records import Query
from qrelkit.core.run import Run
from qrelkit.retrievers.bm25 import Bm25
from qrelkit.steps.retrieve import retrieve


class First:
    """Answers every query with the same document, and remembers what it was asked."""

    name = "first"
    asked: tuple[tuple[str, str], ...] = ()
    depth = 0

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        self.asked, self.depth = tuple((q.query_id, q.text) for q in queries), depth
        return Run.of(pl.DataFrame({"query_id": [q.query_id for q in queries], "doc_id": "a", "score": 1.0}), self.name)


def test_every_query_of_the_collection_is_asked_in_one_batch() -> None:
    collection = PlainCollection({"a": "red", "b": "blue"}, {"007": "red shoe", "7": "blue"})
    first = First()
    run = retrieve(collection, first, depth=5)
    assert first.asked == (("007", "red shoe"), ("7", "blue"))
    assert first.depth == 5
    assert run.frame["query_id"].to_list() == ["007", "7"]


def test_bm25_by_default_goes_a_thousand_deep() -> None:
    collection = PlainCollection({str(i): "red" for i in range(1200)}, {"1": "red"})
    assert len(retrieve(collection, Bm25(collection))) == 1000


def test_a_collection_without_queries_is_an_error() -> None:
    with pytest.raises(InputError, match="no query"):
        retrieve(PlainCollection({"a": "red"}, {}), First())
