"""Demonstrations held against a benchmark: which are its test queries, or passages that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.datasets import benchmark
from qrelkit.bench.folders import Loaded, load_dataset
from qrelkit.bench.run import pools_of
from qrelkit.core.records import counted
from qrelkit.rewriters.demonstrations import Demonstration, read_demonstrations
from qrelkit.steps.contamination import contamination


def contaminated(name: str, folders: Mapping[str, Path], path: str | Path) -> tuple[list[dict[str, Any]], str]:
    """Every likeness (dataset, demonstration from 1, part, of, id, how), and a sentence that says how many are contaminated.

    Raises InputError (file:line) for a line that is no demonstration.
    """
    shown = read_demonstrations(path)
    pools, lacking = pools_of(folders, "")
    known = benchmark(name)
    found = [
        row
        for one, folder in folders.items()
        if one not in lacking
        for row in likenesses(shown, load_dataset(known.dataset(one), folder, pools.get(one)))
    ]
    places = {row["demonstration"] for row in found}
    asked = {row["demonstration"] for row in found if row["part"] == "query" and row["of"] == "query"}
    said = f"{len(asked)} of {counted(len(shown), 'demonstration')} ask a test query; {len(places)} hold any test text"
    return found, said + (f" (not looked at, for want of passages: {', '.join(lacking)})" if lacking else "")


def likenesses(shown: list[Demonstration], loaded: Loaded) -> list[dict[str, Any]]:
    """The same for one dataset."""
    collection = loaded.collection
    queries = [collection.query(query_id) for query_id in collection.queries["query_id"]]
    gold = loaded.qrels.frame.filter(pl.col("grade") > 0)["doc_id"].unique(maintain_order=True)
    there = gold.filter(collection.contains(gold)).to_list()
    return [
        {
            "dataset": loaded.dataset.name,
            "demonstration": one.place + 1,
            "part": one.part,
            "of": one.of,
            "id": one.id,
            "how": one.how,
        }
        for one in contamination(shown, queries, collection.documents(there))
    ]
