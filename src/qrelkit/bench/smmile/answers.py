"""What models answered: one table, whether it was run here or published as a file. Scoring adds columns and asks nobody.

A system that failed is not a model that was wrong: `status` keeps them apart, and both accuracies are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from qrelkit.core.errors import Mismatch

Mode = Literal["zero-shot", "icl", "text-icl", "blind", "wrong-image"]
MODES: tuple[Mode, ...] = ("zero-shot", "icl", "text-icl", "blind", "wrong-image")
Form = Literal["open", "choice"]
WHOSE = ("dataset", "revision", "model", "mode", "form", "problem_id")  # there is one answer of each
STATUSES = ("answered", "refused", "truncated", "oversize_image", "api_error", "empty")

SCHEMA = {
    "dataset": pl.String,
    "revision": pl.String,
    "model": pl.String,
    "mode": pl.String,
    "form": pl.String,
    "problem_id": pl.String,
    "base_id": pl.String,
    "digest": pl.String,  # of the problem as it was asked (text_digest where no image is known); "" where unknown
    "question": pl.String,
    "gold": pl.String,
    "answer": pl.String,  # the answer as it is scored; null where there is none
    "output": pl.String,  # all that the model said
    "status": pl.String,
    "letter": pl.String,  # multiple choice: extracted from the output; null where none was found
    "gold_letter": pl.String,
    "options": pl.List(pl.String),  # multiple choice: texts, A first
    "shown": pl.String,  # multiple choice: the letters in the order in which they were shown
    "source": pl.String,  # the file, or the digest of the request
}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """`frame` has SCHEMA's columns, one row per dataset, model, mode, form and problem; scorers add theirs. `corrections` says,
    for people, what is known to be wrong with a published file that it came from."""

    frame: pl.DataFrame
    corrections: Sequence[str] = ()

    def refuse_mixture(self) -> None:
        """Raises Mismatch where rows of one dataset come from several revisions: no table may mix them."""
        for (dataset,), part in self.frame.group_by("dataset", maintain_order=True):
            revisions = part["revision"].unique().sort().to_list()
            if len(revisions) > 1:
                raise Mismatch(f"{dataset}: answers to several revisions ({', '.join(revisions)}) cannot stand in one table")
