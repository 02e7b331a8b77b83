"""What an engine answers: hits, checked as they come, and what they become."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from qrelkit.core.errors import InputError, Rejected
from qrelkit.core.run import Run
from qrelkit.retrievers.engines.asking import Manners

RISES = 3  # so many rises and no fall are no chance: the lower is the better there


@dataclass(frozen=True, slots=True)
class Hit:
    """A document with its score (None: the order counts) and, where hits are collapsed, its parent."""

    doc_id: str
    score: float | None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of one query as they came. `cut_short`: the engine says that there are more, and did not give them."""

    hits: Sequence[Hit]
    cut_short: bool = False


class Way(Protocol):
    """How an engine of one kind is asked."""

    async def answer(self, variables: Mapping[str, Any], manners: Manners) -> Answer:
        """The hits of one query; raises ModelError, and InputError for what would go wrong with every query."""
        ...

    async def close(self) -> None: ...


def hit(doc_id: Any, score: Any, parent: Any = None, *, ranked: bool = False) -> Hit:
    """A hit from what an engine gave; raises Rejected for one without an id, or without a score that is a number."""
    if doc_id is None or doc_id == "" or isinstance(doc_id, dict | list):
        raise Rejected("a hit has no id where `id` says it is")
    if isinstance(parent, dict | list):
        raise Rejected(f"the parent of hit {doc_id!r} is no single value")
    return Hit(str(doc_id), None if ranked else _number(score, doc_id), None if parent in (None, "") else str(parent))


def _number(score: Any, doc_id: Any) -> float:
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or isinstance(score, bool):
        raise Rejected(f"hit {str(doc_id)!r} has the score {score!r}, which is no number; `score: rank` takes the order instead")
    return number


def distinct(hits: Iterable[Hit]) -> int:
    """How many documents, or parents, there are."""
    return len({one.parent or one.doc_id for one in hits})


def run_of(answers: Mapping[str, Answer], tag: str, depth: int, *, parent: bool) -> Run:
    """The answers as a run of at most `depth` documents per query, ties broken by the run.

    A document that came twice (pages move while they are turned) counts once, with its best score: `notes["collapsed"]`.
    `notes["cut_in_ties"]` counts queries whose last document ties with the one before it: among those that tie at the cut
    the engine chose, not the run. Raises InputError where scores only ever rise.
    """
    rows = [(query_id, one, place) for query_id, answer in answers.items() for place, one in enumerate(answer.hits)]
    frame = pl.DataFrame(
        {
            "query_id": [query_id for query_id, _, _ in rows],
            "doc_id": [one.doc_id for _, one, _ in rows],
            "score": [float(-place - 1) if one.score is None else one.score for _, one, place in rows],
        },
        schema={"query_id": pl.String, "doc_id": pl.String, "score": pl.Float64},
    )
    _refuse_rising(frame)
    parents = {one.doc_id: one.parent for _, one, _ in rows if one.parent is not None} if parent else None
    run = Run.of(frame, tag, duplicates="collapse", parents=parents)
    notes: dict[str, Any] = {**run.notes, "cut_in_ties": _cut_in_ties(run, depth)}
    if parent:
        notes["without_parent"] = sum(one.parent is None for _, one, _ in rows)
    if short := [query_id for query_id, answer in answers.items() if answer.cut_short]:
        notes["cut_short"] = short
    return Run(run.frame, tag, {name: value for name, value in notes.items() if value}).cut(depth)


def _refuse_rising(frame: pl.DataFrame) -> None:
    step = frame.select(
        same=pl.col("query_id") == pl.col("query_id").shift(),
        up=pl.col("score") - pl.col("score").shift(),
    ).filter(pl.col("same"))["up"]
    up = step.to_numpy()
    if not (up < 0).any() and np.count_nonzero(up > 0) >= RISES:
        raise InputError(
            "the scores only ever rise in the order in which the hits come, so the lower is the better there, and a run takes "
            "the higher for better; turn them round in the template (-bm25(docs) AS score), or say `score: rank`"
        )


def _cut_in_ties(run: Run, depth: int) -> int:
    """How many queries have `depth` documents or more, the last of which ties with the one before."""
    if depth < 2:
        return 0
    score = pl.col("score").cast(pl.Float32)
    ends = run.frame.filter(pl.col("rank").is_in([depth - 1, depth])).group_by("query_id").agg(n=pl.len(), kinds=score.n_unique())
    return ends.filter((pl.col("n") == 2) & (pl.col("kinds") == 1)).height
