"""Drawing what people grade: by chance, so that what they say corrects the rest without bias.

A sample is drawn in rounds. In each round every pair that is not graded yet has a probability, never 0, that may depend on
everything known before (also for another question); n of them are drawn. Given what was known, each round alone estimates a
total without bias,

    Σ over graded before + Σ over drawn / probability,

and rounds are averaged with weights that do not look at what was said: every label then counts `weights` times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FLOOR = 0.05  # share of a drawing that is spread evenly over all pairs, so that no probability is 0


def probabilities(size: Array, n: int, *, floor: float = FLOOR) -> Array:
    """Probabilities in proportion to `size`, an evenly spread share `floor` among them; they sum to n and none is above 1.

    What would be above 1 is certain, and the rest is shared among the others. n ≥ the number of pairs: all are 1.
    """
    pairs = len(size)
    if n >= pairs:
        return np.ones(pairs)
    total = size.sum()
    share = np.full(pairs, 1 / pairs) if not total > 0 else (1 - floor) * size / total + floor / pairs
    sure = np.zeros(pairs, bool)
    while True:
        left = np.where(sure, 0.0, share)
        p = np.where(sure, 1.0, (n - sure.sum()) * left / left.sum())
        if not (p > 1 + 1e-12).any():
            return np.minimum(p, 1.0)
        sure |= p >= 1


def draw(p: Array, rng: np.random.Generator, *, strata: Ints | None = None) -> Ints:
    """Places of the drawn pairs: exactly with probability p each, and Σ p of them (systematic sampling in random order).

    With `strata` (pairs) the order is random within each stratum only, so that each brings its share of the draws.
    Source: Madow 1949; the random order keeps the pairs nearly independent of one another.
    """
    order = rng.permutation(len(p))
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    reached = np.cumsum(p[order])
    if abs(reached[-1] - round(reached[-1])) < 1e-6:
        reached[-1] = round(reached[-1])  # rounding must not draw one too few or too many
    taken = np.diff(np.floor(reached + rng.random()), prepend=0.0) > 0
    return np.asarray(order[taken])


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the labels of a sample in rounds count. `times` (labels) is how often each counts in a total; the total's sampling
    error, squared, is seen to be Σ (`error` · what the label moved)², and is expected to be Σ `thought` · (the label's expected
    square) + `open` · (the sum of them over the pairs that nobody graded)."""

    times: Array
    error: Array
    thought: Array
    open: float

    def with_these_queries(self) -> Weights:
        """The same where the pairs themselves are a sample: the ungraded also differ from what was thought of them."""
        return replace(self, error=np.sqrt(self.error**2 + np.maximum(self.times - 1, 0)), open=self.open + 1)


def weights(probability: Array, round_: Ints, squares: Array, *, rest: float) -> Weights:
    """How the labels of all rounds count together.

    `squares` is how uncertain each label was before it was given, in the question asked (the expected square of what it moves),
    and `rest` their sum over the pairs that were never graded. A round's share s_t is in proportion to 1 / its expected error; a
    label of round t counts s_t / p + Σ of the shares of later rounds. Round 0 was graded before anything was drawn, for whatever
    reason: it counts once, and stands for no other pair.
    """
    drawn = round_ > 0
    times, error, thought = np.ones(len(round_)), np.zeros(len(round_)), np.zeros(len(round_))
    p = probability[drawn]
    share, ratio, place = _shares(p, round_[drawn], squares[drawn], rest)
    later = np.cumsum(share[::-1])[::-1] - share
    so_far = np.cumsum(share**2 * ratio)
    times[drawn], error[drawn] = share[place] / p + later[place], share[place] * np.sqrt(1 - p) / p
    thought[drawn] = so_far[place]
    return Weights(times=times, error=error, thought=thought, open=float(so_far[-1]) if len(p) else 0.0)


def _shares(p: Array, round_: Ints, squares: Array, rest: float) -> tuple[Array, Array, Ints]:
    """Each round's share, its (Σ squares (1 − p) / p²) / (Σ squares / p), and each label's round. A round's error is this ratio
    times the squares that were open then.

    Σ squares (1 − p) / p² alone would be a fair guess of it, but a round that happens to draw pairs of little effect would seem
    to be exact and count for nearly all, and totals would lean towards what was thought before. In the ratio that luck cancels.
    """
    rounds, place = np.unique(round_, return_inverse=True)

    def total(values: Array) -> Array:
        return np.asarray(np.bincount(place, values, minlength=len(rounds)), dtype=np.float64)

    own, found = total(squares), total(squares / p)
    plain = total((1 - p) / p**2) / np.maximum(total(1 / p), 1.0)
    ratio = np.where(found > 0, total(squares * (1 - p) / p**2) / np.where(found > 0, found, 1.0), 0.0)
    ratio = np.where((ratio > 0) | (rest == 0), ratio, plain)  # where none of those that bear on it was drawn by chance
    error = ratio * (rest + np.cumsum(own[::-1])[::-1])
    exact = error <= 1e-9 * error.max(initial=0.0)  # such rounds are enough by themselves
    share = exact.astype(np.float64) if exact.any() else 1 / error
    return share / share.sum(), ratio, place
