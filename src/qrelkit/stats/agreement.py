"""Agreement between assessors, from counts.

Every figure takes counts with any number of leading axes, so that one line serves the value and its 2,000 bootstrap
replicates: `confusion` c is (…, K, K), rows the human, columns the assessor, K the grades of the scale, lowest first;
`coincidence` o is (…, K, K) and symmetric. Weights, steps and ranks follow the *position* on the scale, as scikit-learn
does it: a grade that nobody used still takes its step. Where a figure has no value (nothing counted; one grade only, so that
chance agreement is certain) it is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval"]

LEVELS: tuple[Level, ...] = ("ordinal", "nominal", "interval")


# ── counts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def confusion(human: Codes, assessor: Codes, query: Codes, queries: int, grades: int) -> Array:
    """Counts per query, (queries, K, K): how often the human gave the row and the assessor the column.

    `human`, `assessor`: positions on the scale; `query`: the row of each pair in the result. All of one length.
    """
    cell = (query * grades + human) * grades + assessor
    return np.bincount(cell, minlength=queries * grades**2).reshape(queries, grades, grades).astype(np.float64)


def coincidence(codes: Codes, query: Codes, queries: int, grades: int) -> Array:
    """Krippendorff's coincidences per query, (queries, K, K): every ordered pair of grades of one unit counts 1 / (m − 1).

    `codes` (units, assessors) has positions on the scale, −1 for a gap; m is how many graded the unit. A unit that fewer
    than two graded cannot be compared and counts nothing.
    """
    m = (codes >= 0).sum(axis=1)
    o = np.zeros(queries * grades**2)
    for a in range(codes.shape[1]):
        for b in range(codes.shape[1]):
            both = (codes[:, a] >= 0) & (codes[:, b] >= 0)
            if a != b and both.any():
                cell = (query[both] * grades + codes[both, a]) * grades + codes[both, b]
                o += np.bincount(cell, weights=1 / (m[both] - 1), minlength=len(o))
    return o.reshape(queries, grades, grades)


def at_cut(c: Array, cut: int) -> Array:
    """The 2 × 2 counts of "position below `cut`" against "at or above"."""
    rows = np.stack([c[..., :cut, :].sum(axis=-2), c[..., cut:, :].sum(axis=-2)], axis=-2)
    return np.stack([rows[..., :cut].sum(axis=-1), rows[..., cut:].sum(axis=-1)], axis=-1)


def constant(c: Array, position: int) -> Array:
    """The counts an assessor would have who gives every pair the same grade."""
    out = np.zeros_like(c)
    out[..., position] = c.sum(axis=-1)
    return out


# ── figures of two assessors ────────────────────────────────────────────────────────────────────────────────────────


def exact(c: Array) -> Array:
    """Share of pairs with the same grade: 0 to 1. NaN without pairs."""
    return ratio(np.trace(c, axis1=-2, axis2=-1), _sum(c))


def kappa(c: Array, weights: Weights = "none") -> Array:
    """Cohen's kappa: 1 − (weighted disagreement observed) / (the same expected by chance).

    1 is perfect, 0 what two assessors with these habits reach by chance, below 0 worse than that. Weights grow with the
    steps between two grades: none (any difference counts 1), linear or quadratic. An assessor who always gives one grade
    has 0; if both give one and the same grade, chance agreement is certain and kappa is NaN.

    Source: Cohen 1960, 1968; equals sklearn.metrics.cohen_kappa_score with `labels` the whole scale.
    """
    w = _steps(c) if weights == "linear" else _steps(c) ** 2 if weights == "quadratic" else (_steps(c) > 0)
    chance = c.sum(axis=-1)[..., :, None] * c.sum(axis=-2)[..., None, :]
    return 1 - ratio(_sum(w * c), ratio(_sum(w * chance), _sum(c)))


def mae(c: Array, values: Sequence[int]) -> Array:
    """Mean absolute difference of the grades' values: 0 is perfect. NaN without pairs."""
    return ratio(_sum(np.abs(_difference(values)) * c), _sum(c))


def bias(c: Array, values: Sequence[int]) -> Array:
    """Mean of assessor − human in the grades' values: above 0 the assessor is more lenient. NaN without pairs."""
    return ratio(_sum(_difference(values) * c), _sum(c))


def hard(c: Array) -> Array:
    """Share of pairs that differ by two steps or more. NaN without pairs."""
    return ratio(_sum((_steps(c) >= 2) * c), _sum(c))


def soft(c: Array) -> Array:
    """Share of pairs that differ by exactly one step. NaN without pairs."""
    return ratio(_sum((_steps(c) == 1) * c), _sum(c))


# ── any number of assessors ─────────────────────────────────────────────────────────────────────────────────────────


def alpha(o: Array, level: Level = "ordinal") -> Array:
    """Krippendorff's alpha: 1 − (n − 1) · Σ o_ck δ_ck / Σ n_c n_k δ_ck, for any number of assessors, with gaps.

    1 is perfect, 0 what drawing grades from the common pot would give, below 0 systematic disagreement. n_c is how often
    grade c occurs among comparable grades; δ is 1 for different grades (nominal), the squared difference of positions
    (interval), or that of mid-ranks (ordinal). NaN where nothing is comparable or only one grade occurs.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability (the worked example is in the tests).
    """
    n = o.sum(axis=-1)
    delta = _delta(n, level)
    expected = _sum(n[..., :, None] * n[..., None, :] * delta)
    return 1 - ratio((n.sum(axis=-1) - 1) * _sum(o * delta), expected)


def _delta(n: Array, level: Level) -> Array:
    """Squared distances (…, K, K). Ordinal: Σ_{g=c..k} n_g − (n_c + n_k) / 2, which is the difference of mid-ranks."""
    if level == "nominal":
        return 1.0 - np.eye(n.shape[-1])
    place = np.cumsum(n, axis=-1) - n / 2 if level == "ordinal" else np.arange(n.shape[-1], dtype=np.float64)
    distance: Array = (place[..., :, None] - place[..., None, :]) ** 2
    return distance


# ── all at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def figures(c: Array, values: Sequence[int]) -> dict[str, Array]:
    """Every figure of two assessors by name; a binary cut is named `cut G`: grade G and above is relevant."""
    found = {
        "exact": exact(c),
        "kappa": kappa(c),
        "kappa_linear": kappa(c, "linear"),
        "kappa_quadratic": kappa(c, "quadratic"),
        "mae": mae(c, values),
        "bias": bias(c, values),
        "hard": hard(c),
        "soft": soft(c),
    }
    return found | {f"cut {values[k]}": kappa(at_cut(c, k)) for k in range(1, len(values))}


def ratio(above: Array, below: Array) -> Array:
    """above / below, NaN where below is 0."""
    out: Array = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)
    return out


def _sum(c: Array) -> Array:
    total: Array = c.sum(axis=(-2, -1))
    return total


def _steps(c: Array) -> Array:
    return np.abs(_difference(range(c.shape[-1])))


def _difference(values: Sequence[int]) -> Array:
    """Column − row, so assessor − human."""
    v = np.asarray(values, dtype=np.float64)
    return v[None, :] - v[:, None]
