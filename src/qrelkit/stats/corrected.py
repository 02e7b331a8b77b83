"""Means of many systems, corrected by few human grades: values, and a covariance that gives every difference its interval.

What is uncertain about the systems' values is written as `noise`, an array (systems × sources): independent sources of error,
each moving every system by so much. The variance of a value is the sum of its squares, that of a difference the sum of the
squared differences. Prediction-powered inference: Angelopoulos et al. 2023; difference estimator: Särndal, Swensson & Wretman
1992, ch. 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qrelkit.core.records import Estimate

Array = NDArray[np.float64]

LEVEL = 0.975
ROUNDING = 1e-12  # a difference below this is none
SEEN = 0.7  # share of the seen squared differences in a variance; the rest is what the calibration expects of them
TRUST = (0.7, 4.0)  # a judge's tuned weight starts from .7, as if four queries had said so


@dataclass(frozen=True, kw_only=True)
class Means:
    """`value` (systems), `noise` (systems × sources), and the degrees of freedom of their intervals."""

    value: Array
    noise: Array
    df: float

    @property
    def sd(self) -> Array:
        return np.asarray(np.sqrt((self.noise**2).sum(axis=1)))

    def differences(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Array, Array]:
        """value[a] − value[b] and their standard errors, for pairs of places. What rounding leaves of equal values is 0."""
        gram = self.noise @ self.noise.T
        own = np.diag(gram)
        variance = np.maximum(own[a] + own[b] - 2 * gram[a, b], 0.0)
        off = self.value[a] - self.value[b]
        return np.where(np.abs(off) < ROUNDING, 0.0, off), np.sqrt(variance)

    def estimates(self, n: int) -> list[Estimate]:
        """Every value with its 95 % interval."""
        half = np.where(self.sd > 0, quantile(self.df), 0.0) * np.maximum(self.sd, 1e-300)
        return [Estimate(value=float(v), low=float(v - h), high=float(v + h), n=n) for v, h in zip(self.value, half, strict=True)]


def quantile(df: float, level: float = LEVEL) -> float:
    """Student's t; infinite without a degree of freedom (no interval can be given)."""
    from scipy.special import stdtrit

    return math.inf if not df >= 1 else float(stdtrit(df, level))


def by_pair(value: Array, off: Array, expected: Array, weight: Array, error: Array, bent: Array, *, rest: float) -> Means:
    """Systems' means from labels drawn by pair.

    `value` (systems): at the best chances, labels in their places. `off` (systems × labels): how far each label moved them off
    the chances that its pair had without it, and `expected` (systems × labels × grades) what it was expected to, centred.
    `weight` and `error` (labels) are those of `sampling.weights`, `bent` (systems × queries) what a straight line leaves over,
    `rest` the variance that the pairs nobody graded bring to the systems. Degrees of freedom: the number of labels that would be
    as even, less one (Kish). Where no label bears on the systems and something is open, there is no interval.
    """
    seen = math.sqrt(SEEN) * off * error
    thought = math.sqrt(1 - SEEN) * (expected * error[:, None]).reshape(len(value), -1)
    noise = np.concatenate([seen, thought, bent], axis=1)
    parts = ((expected - expected.mean(axis=0) if len(value) > 1 else expected) ** 2).sum(axis=(0, 2)) * error**2
    even = parts.sum() ** 2 / (parts**2).sum() if parts.any() else math.inf
    if rest > 0 and not (expected**2).any():
        noise = np.concatenate([noise, math.sqrt(rest / max(len(value) - 1, 1)) * np.eye(len(value))], axis=1)
        even = 0.0
    return Means(value=value + off @ (weight - 1), noise=noise, df=even - 1)


def by_query(human: Array, judge: Array, sampled: NDArray[np.int64], *, these: bool, weight: float | None = None) -> Means:
    """Systems' means from queries drawn at random and wholly graded: Σ human / m + λ (judge's mean − its mean on the sampled).

    `human` (systems × sampled) and `judge` (systems × queries) are values per query, `sampled` places of queries. λ is tuned
    (least squares over systems, pulled towards .7), or given by `weight`: 0 is people alone. `these`: the error of knowing
    these queries' mean (0 when all are sampled); else of the mean over queries like these. t with m − 1 degrees of freedom.
    """
    queries, m = judge.shape[1], len(sampled)
    x = judge[:, sampled]
    centred_y, centred_x = _centred(human), _centred(x)
    if weight is None:
        start, worth = TRUST
        pull = worth * (centred_x**2).mean() * x.shape[0]
        weight = float(np.clip(((centred_x * centred_y).sum() + start * pull) / max((centred_x**2).sum() + pull, 1e-12), 0, 1))
    value = human.mean(axis=1) + weight * (judge.mean(axis=1) - x.mean(axis=1))
    rest = human - weight * x
    within = (rest - rest.mean(axis=1, keepdims=True)) * math.sqrt(max(1 / m - 1 / queries, 0) / max(m - 1, 1))
    among = (human - human.mean(axis=1, keepdims=True)) * math.sqrt(1 / queries / max(m - 1, 1))
    noise = within if these else np.concatenate([within, among], axis=1)
    return Means(value=value, noise=noise, df=math.inf if these and m == queries else m - 1)


def _centred(values: Array) -> Array:
    """Off the system's mean and, where there are several systems, off the query's: what differences are made of."""
    out = values - values.mean(axis=1, keepdims=True)
    return np.asarray(out - out.mean(axis=0) if len(values) > 1 else out)


def over_queries(values: Array) -> Means:
    """Means over queries like these from one value per query (systems × queries): t with queries − 1 degrees of freedom."""
    queries = values.shape[1]
    off = values - values.mean(axis=1, keepdims=True)
    return Means(value=values.mean(axis=1), noise=off / math.sqrt(max(queries * (queries - 1), 1)), df=queries - 1)


def among_like(labels: Means, between: Means) -> Means:
    """`labels` with the error of having these queries and no others besides: `between` of values that do without the sampling
    error of labels. Degrees of freedom by Welch and Satterthwaite."""
    a, b = ((_off_common(one.noise) ** 2).sum() for one in (labels, between))
    df = (a + b) ** 2 / max(a**2 / max(labels.df, 1e-9) + b**2 / max(between.df, 1e-9), 1e-300) if a + b > 0 else between.df
    return Means(value=labels.value, noise=np.concatenate([labels.noise, between.noise], axis=1), df=df)


def _off_common(noise: Array) -> Array:
    return noise - noise.mean(axis=0) if len(noise) > 1 else noise


def shrunk(judge: Array, corrected: Means) -> tuple[Array, float]:
    """The values to rank by: judge + w · (correction), and w: the share of the corrections' variance that is not noise.

    With few labels the corrections are mostly noise and the judge's order is the better one; w follows from the data
    (James–Stein, positive part, over systems). What all systems are off together moves no rank and is corrected in full.
    """
    off = corrected.value - judge
    common, systems = off.mean(), len(judge)
    noise = corrected.noise - corrected.noise.mean(axis=0)
    expected = (noise**2).sum() / max(systems - 1, 1)
    seen = ((off - common) ** 2).sum() / max(systems - 1, 1)
    w = max(0.0, 1 - float(expected / seen)) if seen > 0 else 1.0
    return judge + common + w * (off - common), w
