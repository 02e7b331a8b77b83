"""Bootstrap by query: pairs of one query are not independent, so whole queries are drawn.

A replicate is a row of counts: how often each query was drawn. Statistics that follow from sums over queries (confusion
counts, scores) are therefore the same for all replicates at once:

    totals of the replicates (resamples × …) = draws (resamples × queries) · sums per query (queries × …)

and the value itself is the replicate in which every query is drawn once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from qrelkit.core.records import Estimate

Array = NDArray[np.float64]
Formula = Callable[[Mapping[str, Array]], Mapping[str, Array]]

ENDS = (2.5, 97.5)  # percentiles of a 95 % interval
BLOCK = 2_000_000  # cells of the largest array held at once


def draws(units: int, resamples: int, seed: int, *, width: int = 1) -> Iterator[Array]:
    """Blocks of bootstrap counts, together `resamples` × `units`; every row sums to `units`.

    `width` is how many numbers per replicate the caller will hold; it only makes the blocks smaller. The same seed gives
    the same draws whatever the blocks.
    """
    rng = np.random.default_rng(seed)
    step = max(1, BLOCK // max(units, width, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, units, size=(rows, units)) + units * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def interval(samples: Array) -> tuple[Array, Array]:
    """The middle 95 % of replicates (percentile bootstrap) along the first axis.

    Of a single statistic, replicates in which it is undefined (NaN) are left out; NaN where none is left.
    """
    if samples.ndim == 1:
        samples = samples[~np.isnan(samples)]
    if not len(samples):
        return np.full(samples.shape[1:], math.nan), np.full(samples.shape[1:], math.nan)
    low, high = np.percentile(samples, ENDS, axis=0)
    return low, high


def estimate(value: float, samples: Array, n: int, reason: str = "it is not defined here") -> Estimate:
    """A statistic with the interval of its replicates; `n` units were resampled.

    NaN carries `reason`. Below two units there is no interval, and the reason says so; it also tells how many replicates
    had to be left out because the statistic is undefined in them.
    """
    if math.isnan(value):
        return Estimate(value=value, n=n, reason=reason)
    if n < 2:
        return Estimate(value=value, n=n, reason="one query has no interval by query")
    low, high = interval(samples)
    lost = int(np.isnan(samples).sum())
    note = f"undefined in {lost} of {len(samples)} resamples, which are left out of the interval" if lost else ""
    return Estimate(value=value, low=float(low), high=float(high), n=n, reason=note)


def bootstrap(
    tables: Mapping[str, Array], formula: Formula, *, resamples: int = 2000, seed: int = 0, reason: str = "it is not defined here"
) -> dict[str, Estimate]:
    """Every figure of `formula`, with its interval by query.

    `tables`: name → sums per query, shape (queries, …). `formula` takes such tables summed over queries, with one leading
    axis (replicates, …), and gives figures of shape (replicates,). Without a query every figure is NaN with `reason`.
    """
    units = len(next(iter(tables.values())))
    value = formula({name: table.sum(axis=0)[None] for name, table in tables.items()})
    width = max(math.prod(table.shape[1:]) for table in tables.values())
    blocks = [
        formula({name: np.tensordot(drawn, table, axes=1) for name, table in tables.items()})
        for drawn in (draws(units, resamples, seed, width=width) if units > 1 else ())
    ]
    samples = {name: np.concatenate([b[name] for b in blocks]) if blocks else np.empty(0) for name in value}
    return {name: estimate(float(figure[0]), samples[name], units, reason) for name, figure in value.items()}
