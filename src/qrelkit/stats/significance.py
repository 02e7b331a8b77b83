"""Is one system better than another? Paired tests over queries.

Differences come as an array (queries, comparisons): one column per pair of systems, all tested at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EXACT_UP_TO = 12  # queries; 2**12 sign patterns are fewer than we would draw
BLOCK = 2_000_000  # cells of flipped means held at once


def t_test(differences: Array) -> Array:
    """p of the two-sided paired t-test, t = mean · √n / sd with n − 1 degrees of freedom; shape (comparisons,).

    If all differences of a comparison are 0, p is 1; if they are all the same and not 0, p is 0. NaN below two queries.

    Source: Student 1908; equals scipy.stats.ttest_rel.
    """
    from scipy.special import stdtr

    n = len(differences)
    if n < 2:
        return np.full(differences.shape[1:], np.nan)
    mean, sd = differences.mean(axis=0), differences.std(axis=0, ddof=1)
    flat = np.ptp(differences, axis=0) == 0
    t = mean * np.sqrt(n) / np.where(flat, 1.0, sd)
    p: Array = np.where(flat, np.where(mean == 0, 1.0, 0.0), 2 * stdtr(n - 1, -np.abs(t)))
    return p


def randomisation_test(differences: Array, *, flips: int = 100_000, seed: int = 0) -> Array:
    """p of the two-sided paired randomisation test: how often a mean with random signs is at least as far from 0.

    If the systems were equal, each query's difference could as well have the other sign. Up to 12 queries all sign patterns
    are counted and p is exact; beyond that `flips` patterns are drawn and p = (1 + hits) / (1 + flips), so never 0. All
    comparisons share the patterns. Shape (comparisons,); NaN without queries, and where a difference is NaN.

    Source: Fisher 1935; Smucker, Allan, Carterette 2007.
    """
    n = len(differences)
    if not n:
        return np.full(differences.shape[1:], np.nan)
    seen = np.abs(differences.sum(axis=0)) - 1e-9 * np.abs(differences).sum(axis=0)  # equal sums must not differ by rounding
    exact = n <= EXACT_UP_TO
    total = 2**n if exact else flips
    step = max(1, BLOCK // max(n, differences.shape[1]))
    rng = np.random.default_rng(seed)
    hits = np.zeros(differences.shape[1:])
    for start in range(0, total, step):
        rows = min(step, total - start)
        if exact:
            heads = (np.arange(start, start + rows)[:, None] >> np.arange(n)) & 1
        else:
            heads = rng.integers(0, 2, size=(rows, n), dtype=np.int8)
        sums = (2.0 * heads - 1) @ differences
        hits += np.count_nonzero(np.abs(sums, out=sums) >= seen, axis=0)
    p = hits / total if exact else (1 + hits) / (1 + total)
    return np.where(np.isnan(seen), np.nan, p)


def holm(p: Array) -> Array:
    """Holm's correction for testing m hypotheses: the i-th smallest p times m − i + 1, never falling, at most 1.

    Keeps the chance of any false alarm at the level. NaN stays NaN and is not counted in m.

    Source: Holm 1979.
    """
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    rising = known[np.argsort(p[known], kind="stable")]
    out[rising] = np.minimum(1.0, np.maximum.accumulate(p[rising] * np.arange(len(rising), 0, -1)))
    return out
