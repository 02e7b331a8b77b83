"""What `correct` found: systems × (judge, people, both), and the differences of systems, with the words that may be said of
them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

Estimand = Literal["these queries", "queries like these"]
THESE: Estimand = "these queries"
LIKE: Estimand = "queries like these"


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """One measure. `systems`: tag, judge, human, corrected (each with _low, _high) and `shrunk`, the value to rank by.
    `differences`: a, b, and judge, human, corrected (each with _low, _high, _sd). `labels` of `pairs` were graded by people, by
    `design`. `trust` is the share of the correction that the ranking uses, `bend` the bias that may be left (0 for linear
    measures and whole queries)."""

    measure: str
    estimand: Estimand
    design: str
    judge: str
    human: str
    labels: int
    pairs: int
    queries: int
    systems: pl.DataFrame
    differences: pl.DataFrame
    trust: float
    bend: float
    by: Mapping[str, Corrected] = field(default_factory=dict)
