"""retrieve: the queries of a collection and a retriever → a run."""

from __future__ import annotations

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Retriever
from qrelkit.core.errors import InputError
from qrelkit.core.run import Run


def retrieve(collection: Collection, retriever: Retriever, depth: int = 1000) -> Run:
    """The `depth` best documents for every query of the collection. Raises InputError where it has no query."""
    queries = [collection.query(query_id) for query_id in collection.queries["query_id"].to_list()]
    if not queries:
        raise InputError(f"collection {collection.name!r} has no query to retrieve for; give it a topics or queries file")
    return retriever.search(queries, depth)
