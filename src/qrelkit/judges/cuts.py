"""Where to cut a score into grades: by stated shares, or learnt from human grades of other queries.

A pair's level is the number of cuts that its score lies above, so a score of 0 always has the lowest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def levels_of(scores: Floats, cuts: Floats) -> Ints:
    """How many cuts each score lies above. `cuts` has a row per score, or one row for all."""
    levels: Ints = (scores[:, None] > cuts).sum(axis=1)
    return levels


def halving(grades: int) -> tuple[float, ...]:
    """Shares of which each is half the one below: 4/7, 2/7, 1/7 for three grades."""
    whole = 2**grades - 1
    return tuple(2 ** (grades - 1 - i) / whole for i in range(grades))


def quantile_cuts(scores: Floats, shares: Sequence[float]) -> Floats:
    """Cuts that give each level about its share of the scores, lowest first (ties go to the lower level)."""
    cuts: Floats = np.quantile(scores, np.minimum(1, np.cumsum(shares)[:-1]))
    return cuts


def learn_cuts(scores: Floats, levels: Ints, grades: int, *, steps: int = 50) -> Floats:
    """Cuts with the highest quadratic kappa against `levels` (0 to grades - 1).

    Coordinate ascent over the quantiles of the scores (in `steps` steps) and 0, from the cuts that give the human
    shares: one cut is moved at a time to where kappa is highest between its neighbours, until none moves.
    """
    grid = np.unique(np.append(0.0, np.quantile(scores, np.linspace(0, 1, steps + 1))))
    counts = np.zeros((len(grid) + 1, grades))
    np.add.at(counts, (np.searchsorted(grid, scores, side="left") + 1, levels), 1)
    below = counts.cumsum(axis=0)  # row 0: nothing; row i: human levels of the scores not above grid[i - 1]
    human = np.cumsum(below[-1])[:-1] / len(scores)
    edges = np.concatenate([[0], np.searchsorted(below.sum(axis=1)[1:] / len(scores), human) + 1, [len(grid)]])
    best, moved = _kappas(below, edges[None])[0], True
    while moved:
        moved = False
        for k in range(1, grades):
            places = np.arange(max(1, edges[k - 1]), edges[k + 1] + 1)
            tries = np.repeat(edges[None], len(places), axis=0)
            tries[:, k] = places
            kappas = _kappas(below, tries)
            if kappas.max() > best + 1e-12:
                best, edges, moved = kappas.max(), tries[kappas.argmax()], True
    cuts: Floats = grid[edges[1:-1] - 1]
    return cuts


def _kappas(below: Floats, edges: Ints) -> Floats:
    """Quadratic kappa, 1 - Σ w·observed / Σ w·expected, of each row of edges; 0 where nothing is to be expected."""
    confusion = np.diff(below[edges], axis=1)  # tries × levels given × human levels
    grades = confusion.shape[-1]
    weights = (np.arange(grades)[:, None] - np.arange(grades)) ** 2
    expected = confusion.sum(axis=2) @ (weights @ below[-1]) / below[-1].sum()
    observed = (confusion * weights).sum(axis=(1, 2))
    kappas: Floats = 1 - np.divide(observed, expected, out=np.ones_like(observed), where=expected > 0)
    return kappas
