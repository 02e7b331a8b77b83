"""The pairs to be judged, each with why it is there."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.run import Run


class Pool:
    """`frame`: query_id, doc_id, tags (list of the runs that brought it), best_rank; ordered by query, best rank, doc.

    `chosen_by` names the way in which a budget of labels chose them, "" where all down to `depth` are there.
    """

    def __init__(self, frame: pl.DataFrame, depth: int, runs: int, chosen_by: str = "") -> None:
        self.frame, self.depth, self.runs, self.chosen_by = frame, depth, runs, chosen_by

    @staticmethod
    def of(runs: Sequence[Run], depth: int) -> Pool:
        """Union of the first `depth` documents of every run (depth-k pooling)."""
        if not runs:
            raise InputError("a pool needs at least one run")
        if depth < 1:
            raise InputError(f"depth must be at least 1, not {depth}")
        parts = [run.cut(depth).frame.select("query_id", "doc_id", "rank", tag=pl.lit(run.tag)) for run in runs]
        frame = (
            pl.concat(parts)
            .group_by("query_id", "doc_id")
            .agg(tags=pl.col("tag").unique().sort(), best_rank=pl.col("rank").min())
            .sort("query_id", "best_rank", "doc_id")
        )
        return Pool(frame, depth, len(runs))

    def without(self, frame: pl.DataFrame) -> Pool:
        """The pool less the pairs (query_id, doc_id) of `frame`: its holes."""
        rest = self.frame.join(frame, on=["query_id", "doc_id"], how="anti", maintain_order="left")
        return Pool(rest, self.depth, self.runs, self.chosen_by)

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        queries = self.frame["query_id"].n_unique()
        chosen = f", chosen by {self.chosen_by}" if self.chosen_by else ""
        return f"Pool({queries} queries, {self.frame.height:,} pairs, depth {self.depth}, {self.runs} runs{chosen})"
