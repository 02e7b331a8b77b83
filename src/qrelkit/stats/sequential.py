"""Looking again and again without fooling oneself: how far an estimate must be from 0 before a verdict may be given.

Every look spends some of the 5 % that a verdict may be wrong where there is no difference. What was spent up to information i
(1 / variance of the estimate) is α · i / (i + half), so that looking may go on for ever; the boundary of each look is what spends
exactly its part, given that no earlier look ended. Lan & DeMets 1983; recursive integration as Armitage, McPherson & Rowe 1969.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POINTS = 201  # of the grid on which the estimate's distribution is carried along


def boundaries(information: Array, *, half: float, alpha: float = 0.05) -> Array:
    """|z| that ends the looking, at each look: a verdict is wrong at any of them with probability `alpha` where the difference
    is 0.

    `information` (looks) rises; where it does not (nothing was learnt), that look cannot end anything (infinity). `half` is the
    information at which half of alpha is spent, chosen before anything is looked at: labels are saved if looks end near it.
    """
    out = np.full(len(information), np.inf)
    density, grid, before, spent = np.ones(1), np.zeros(1), 0.0, 0.0
    for look, i in enumerate(information):
        if not np.isfinite(i) or i <= before * (1 + 1e-9):
            continue
        step = np.sqrt(i - before)
        goal = alpha * i / (i + half) - spent

        def beyond(limit: float, step: float = step, density: Array = density, grid: Array = grid) -> float:
            return float(density @ (_tail((limit - grid) / step) + _tail((limit + grid) / step)))

        low, high = 0.0, 12.0 * np.sqrt(i)
        for _ in range(45):
            middle = (low + high) / 2
            low, high = (middle, high) if beyond(middle) > goal else (low, middle)
        out[look] = high / np.sqrt(i)
        spent += beyond(high)
        finer = np.linspace(-high, high, POINTS)
        kernel = np.exp(-0.5 * ((finer[:, None] - grid[None, :]) / step) ** 2) / (step * np.sqrt(2 * np.pi))
        width = np.full(POINTS, finer[1] - finer[0])
        width[[0, -1]] /= 2
        density, grid, before = (kernel @ density) * width, finer, float(i)
    return out


def _tail(x: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(-x))
