"""Correlation between two rankings of the same systems.

Scores come as arrays (…, systems), best the highest; leading axes are bootstrap replicates. Scores are compared after
rounding to 10 decimals, so that two identical systems tie whatever the order of summation was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qrelkit.stats.agreement import ratio

Array = NDArray[np.float64]


def tau_b(x: Array, y: Array) -> Array:
    """Kendall's tau-b: Σ sgn(x_i − x_j) sgn(y_i − y_j) / √(Σ sgn² · Σ sgn²), over all pairs of systems.

    1 is the same order, −1 the reverse. A pair tied in one ranking counts nothing above and is taken off that ranking's sum
    below. NaN where a ranking ties all systems, and below two systems.

    Source: Kendall 1945; equals scipy.stats.kendalltau.
    """
    a, b = _order(x), _order(y)
    return ratio((a * b).sum(axis=(-2, -1)), np.sqrt((a * a).sum(axis=(-2, -1)) * (b * b).sum(axis=(-2, -1))))


def tau_ap(reference: Array, other: Array) -> Array:
    """AP correlation: 1/(N − 1) · Σ_{ranks i ≥ 2 of `other`} (concordant − discordant systems above i) / (i − 1).

    Like Kendall's tau, but mistakes at the top of `other` weigh more; 1 is the order of `reference`, −1 its reverse. It is
    not symmetric. Systems tied in `other` give the mean over all their orders (their harmonic weights are shared); a pair
    tied in `reference` has no right order and counts 0. NaN below two systems.

    Source: Yilmaz, Aslam, Robertson 2008, eq. 3 (2 · p − 1 written as concordant − discordant); ties as tau_AP,a of Urbano,
    Marrero 2017.
    """
    systems = reference.shape[-1]
    if systems < 2:
        return np.full(reference.shape[:-1], np.nan)
    beaten = _order(other)
    above, tied = (beaten < 0).sum(axis=-1), (beaten == 0).sum(axis=-1)  # row i: how many j stand above, and with, i
    right = np.where(beaten < 0, beaten * _order(reference), 0.0).sum(axis=-1)  # both say that j beats i: +1
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, systems + 1))])
    weight = (harmonic[above + tied - 1] - harmonic[np.maximum(above - 1, 0)]) / tied  # mean of 1/(i − 1) over the tie
    out: Array = (right * weight).sum(axis=-1) / (systems - 1)
    return out


def tau_top(reference: Array, other: Array, k: int) -> Array:
    """tau-b over the k systems that `reference` puts first; ties at the border go to the system listed first.

    NaN where there are fewer than k systems.
    """
    if reference.shape[-1] < k:
        return np.full(reference.shape[:-1], np.nan)
    first = np.argsort(-np.round(reference, 10), axis=-1, kind="stable")[..., :k]
    return tau_b(np.take_along_axis(reference, first, axis=-1), np.take_along_axis(other, first, axis=-1))


def _order(scores: Array) -> Array:
    """(…, N, N): the sign of score i − score j."""
    rounded = np.round(scores, 10)
    return np.sign(rounded[..., :, None] - rounded[..., None, :])
