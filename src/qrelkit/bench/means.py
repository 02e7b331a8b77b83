"""Means over datasets: of the datasets' means (macro), and of all queries (by query), each with an interval.

    macro     (1/D) Σ_d  mean of dataset d          what the papers print
    by query  (1/N) Σ_d  n_d · mean of dataset d    where a dataset of 1,255 queries weighs more than one of 318

Queries are drawn inside their own dataset: the datasets are given, their queries a sample. A dataset's drawings depend on its
name and the seed, not on which others are there.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qrelkit.core.records import Estimate
from qrelkit.measures.rank import Floats
from qrelkit.stats.resample import draws, interval


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Over `over` of `of` datasets; per measure the macro mean and the mean by query. `pools`: over gold pools, not corpora."""

    measures: tuple[str, ...]
    macro: tuple[Estimate, ...]
    by_query: tuple[Estimate, ...]
    over: int
    of: int
    pools: bool = False

    @property
    def whole(self) -> bool:
        """Whether no dataset is missing and none is a pool: only then it is the average of the benchmark."""
        return self.over == self.of and not self.pools

    @property
    def called(self) -> str:
        """What it may be called."""
        part = f"mean over {self.over} of {self.of}{' in gold pools' if self.pools else ''}, no average"
        return f"average of {self.of}" if self.whole else part

    def json(self) -> dict[str, Any]:
        both = {"macro": self.macro, "by_query": self.by_query}
        named = {name: dict(zip(self.measures, (e.json() for e in ends), strict=True)) for name, ends in both.items()}
        return {"over": self.over, "of": self.of, "called": self.called, **named}


def mean_over(values: Mapping[str, Floats], measures: Sequence[str], of: int, *, resamples: int = 2000, seed: int = 0) -> Mean:
    """The means of values (queries × measures) by dataset; a dataset without a query is not counted."""
    parts = {name: part for name, part in values.items() if len(part)}
    sizes = np.array([len(part) for part in parts.values()], dtype=np.float64)
    if not parts:
        none = tuple(Estimate(value=math.nan, reason="no query to average over") for _ in measures)
        return Mean(measures=tuple(measures), macro=none, by_query=none, over=0, of=of)
    exact = np.stack([part.mean(axis=0) for part in parts.values()])[:, None]
    drawn = np.stack([drawn_means(name, part, resamples, seed) for name, part in parts.items()])
    evenly, by_size = np.full(len(parts), 1 / len(parts)), sizes / sizes.sum()
    macro, by_query = (estimates(exact, drawn, weights, int(sizes.sum())) for weights in (evenly, by_size))
    return Mean(measures=tuple(measures), macro=macro, by_query=by_query, over=len(parts), of=of)


def drawn_means(dataset: str, values: Floats, resamples: int, seed: int) -> Floats:
    """Means (resamples × measures) of a dataset's queries drawn with replacement."""
    n = len(values)
    own = seed * (1 << 32) + zlib.crc32(dataset.encode())
    return np.concatenate([block @ values / n for block in draws(n, resamples, own, width=values.shape[1])] or [values[:0]])


def estimates(exact: Floats, drawn: Floats, weights: Floats, n: int) -> tuple[Estimate, ...]:
    """Weighted over datasets: the value from `exact` (datasets × 1 × measures), the interval from `drawn`."""
    value = np.tensordot(weights, exact, axes=1)[0]
    if n < 2 or not drawn.shape[1]:
        return tuple(Estimate(value=float(v), n=n, reason="no interval: one query, or no resamples") for v in value)
    low, high = interval(np.tensordot(weights, drawn, axes=1))
    return tuple(Estimate(value=float(v), low=float(a), high=float(b), n=n) for v, a, b in zip(value, low, high, strict=True))
