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
from qrelkit.stats.sampling import Weights

Array = NDArray[np.float64]

LEVEL = 0.975
ROUNDING = 1e-12  # a difference below this is none
SEEN = 0.7  # share of the seen squared differences in a variance; the rest is what the calibration expects of them
TIES = 0.02  # of the variance that the judge expects, besides the seen one: few equal values are no certainty
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


def by_pair(value: Array, off: Array, expected: Array, rest: Array, labels: Weights, bent: Array) -> Means:
    """Systems' means from labels drawn by pair.

    `value` (systems): at the best chances, labels in their places. `off` (systems × labels): how far each label moved them off
    the chances that its pair had without it, and `expected` (systems × labels × grades) what it was expected to, centred; `rest`
    (systems × systems) the sum of the products of such moves over the pairs that nobody graded. `bent` (systems × queries) is
    what a straight line leaves over. Degrees of freedom: the number of labels that would be as even, less one (Kish), 1 at
    least; none, and so no interval, where no label bears on the systems and something is open.
    """
    seen = math.sqrt(SEEN) * off * labels.error
    thought = math.sqrt(1 - SEEN) * (expected * np.sqrt(labels.thought)[:, None]).reshape(len(value), -1)
    open_ = math.sqrt((1 - SEEN) * labels.open) * _root(rest)
    noise = np.concatenate([seen, thought, open_, bent], axis=1)
    parts = (off_common(expected) ** 2).sum(axis=(0, 2)) * labels.error**2
    df = max(parts.sum() ** 2 / (parts**2).sum() - 1, 1.0) if parts.any() else 0.0 if spread(rest) > 0 else math.inf
    return Means(value=value + off @ (labels.times - 1), noise=noise, df=df)


def off_common(values: Array) -> Array:
    """Off the systems' mean: what differences are made of. The values themselves where there is one system."""
    return np.asarray(values - values.mean(axis=0) if len(values) > 1 else values)


def spread(products: Array) -> float:
    """Σ over systems of the squares off their mean, from products (systems × systems)."""
    own, systems = float(np.trace(products)), len(products)
    off = own - float(products.sum()) / systems if systems > 1 else own
    return off if off > ROUNDING * own else 0.0


def _root(products: Array) -> Array:
    """A square root: its rows have these products."""
    size, axes = np.linalg.eigh(products)
    return np.asarray(axes * np.sqrt(np.maximum(size, 0)))


def by_query(human: Array, judge: Array, sampled: NDArray[np.int64], *, these: bool, weight: float | None = None) -> Means:
    """Systems' means from queries drawn at random and wholly graded: Σ human / m + λ (judge's mean − its mean on the sampled).

    `human` (systems × sampled) and `judge` (systems × queries) are values per query, `sampled` places of queries. λ is tuned
    (least squares over systems, pulled towards .7), for each sampled query by all the others, so that its own error stays its
    own; or given by `weight`: 0 is people alone. `these`: the error of knowing these queries' mean (0 when all are sampled);
    else of the mean over queries like these. t with m − 1 degrees of freedom.
    """
    queries, m = judge.shape[1], len(sampled)
    mean = judge.mean(axis=1, keepdims=True)
    trust = _trust(human, judge, sampled) if weight is None else np.full(m, weight)
    far = judge[:, sampled] - mean
    left = 1 - m / queries  # of the queries: theirs is the correction by others' λ, so that with every query it is people's mean
    value = (human - (left * trust + (1 - left) * trust.mean()) * far).mean(axis=1)
    seen = human - trust * far
    share = left / m
    within = (seen - seen.mean(axis=1, keepdims=True)) * math.sqrt(share / max(m - 1, 1))
    thought = (judge - mean) * math.sqrt(TIES * (1 - min(trust.mean() ** 2, 0.8)) * share / max(queries - 1, 1))
    among = (human - human.mean(axis=1, keepdims=True)) * math.sqrt(1 / queries / max(m - 1, 1))
    noise = np.concatenate([within, thought] if these else [within, thought, among], axis=1)
    return Means(value=value, noise=noise, df=math.inf if these and m == queries else m - 1)


def _trust(human: Array, judge: Array, sampled: NDArray[np.int64]) -> Array:
    """(sampled,): λ by least squares without each query, which adds m / (m − 1) of its own part to a sum of products."""
    m, (start, worth) = len(sampled), TRUST
    y, x = _centred(human), _centred(judge[:, sampled])
    both, own = ((x * other).sum(axis=0) for other in (y, x))
    both, own = (sums.sum() - sums * m / max(m - 1, 1) for sums in (both, own))
    pull = worth * (_centred(judge) ** 2).mean() * len(judge)
    return np.asarray(np.clip((both + start * pull) / np.maximum(own + pull, 1e-12), 0, 1))


def _centred(values: Array) -> Array:
    """Off the system's mean and, where there are several systems, off the query's: what differences are made of."""
    return off_common(values - values.mean(axis=1, keepdims=True))


def over_queries(values: Array) -> Means:
    """Means over queries like these from one value per query (systems × queries): t with queries − 1 degrees of freedom."""
    queries = values.shape[1]
    off = values - values.mean(axis=1, keepdims=True)
    return Means(value=values.mean(axis=1), noise=off / math.sqrt(max(queries * (queries - 1), 1)), df=queries - 1)


def among_like(labels: Means, between: Means) -> Means:
    """`labels` with the error of having these queries and no others besides: `between` of values that do without the sampling
    error of labels. Degrees of freedom by Welch and Satterthwaite."""
    a, b = ((off_common(one.noise) ** 2).sum() for one in (labels, between))
    df = (a + b) ** 2 / max(a**2 / max(labels.df, 1e-9) + b**2 / max(between.df, 1e-9), 1e-300) if a + b > 0 else between.df
    return Means(value=labels.value, noise=np.concatenate([labels.noise, between.noise], axis=1), df=df)


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
