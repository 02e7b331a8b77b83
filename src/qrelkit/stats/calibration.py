"""What people would probably say of a pair, given what the judge said: chances of every grade, learnt from few human grades.

    logit P(human grade ≥ level | judge's label, query, support) = the label's own logit + the query's shift + slope · support

The label's logits are smoothed shares (a few pseudo-labels say that people agree with the judge, or miss by little); the shift
of a query is shrunk towards 0 by as much as the queries vary; support is how high the systems put the document. Estimates that
use these chances are corrected by the sampled differences, so that a wrong model costs labels, not validity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

PSEUDO = 4.0  # labels that the prior of each of the judge's labels is worth
FALLING = 0.4  # the prior chance falls by this factor with every step between the two grades
LOOSE = 1.0  # variance (logit²) that a query's pairs may be off together even where many of them are graded
ENDS = 0.003  # no chance is nearer to 0 or 1 than this before it is looked at
ITERATIONS = 5
TILT = (1.0, 2.0)  # mean and variance of the slope before anything is graded
FEWEST = 10  # labels below which queries are not told apart


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`at_least` (pairs × levels − 1): P(grade ≥ level); `loose` (queries): variance of the query's shift that is left.

    `without` (labelled × levels − 1) are the chances of the labelled pairs had each one's own label not been known: what a label
    says beyond them corrects an estimate fairly, while chances that were fitted to it hide a part of every error.
    """

    at_least: Array
    loose: Array
    without: Array


def prior(strata: Array, levels: int) -> Array:
    """(strata × levels − 1): the chances that the pseudo-labels stand for. `strata` says where on the levels (0 … levels − 1)
    each of the judge's labels lies; NaN for a stratum that says nothing, which gets even chances."""
    steps = np.abs(np.where(np.isnan(strata), 0.0, strata)[:, None] - np.arange(levels))
    share = np.where(np.isnan(strata)[:, None], 1.0, FALLING**steps)
    share = share / share.sum(axis=1, keepdims=True)
    above: Array = np.cumsum(share[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return above


def calibrate(
    stratum: Ints, q: Ints, queries: int, before: Array, labelled: Ints, z: Array, support: Array | None = None
) -> Calibration:
    """The chances of all pairs from the labelled ones.

    `stratum` and `q` (pairs) are each pair's judge label and query, `before` (strata × levels − 1) the prior, `labelled` the
    places of the pairs with human grades and `z` (labelled × levels − 1) their grades as 0 and 1. `support` (pairs) is 0 on
    average; without it the pairs of one label and query are alike.
    """
    support = np.zeros(len(q)) if support is None else support
    strata, own = len(before), stratum[labelled]
    hits = np.stack([np.bincount(own, column, minlength=strata) for column in z.T], axis=1) + PSEUDO * before
    worth = (np.bincount(own, minlength=strata) + PSEUDO)[:, None]
    logits = _logit(hits / worth)
    others = _logit((hits[own] - z) / (worth[own] - 1))
    tilt = TILT[0] * support
    if len(labelled) < FEWEST:
        first = _expit(others + tilt[labelled][:, None])
        return Calibration(at_least=_expit(logits[stratum] + tilt[:, None]), loose=np.full(queries, LOOSE + 0.8), without=first)
    shift, slope, left, gone = _shifts(logits[own], q[labelled], queries, z, support[labelled])
    return Calibration(
        at_least=_expit(logits[stratum] + (shift[q] + slope * support)[:, None]),
        loose=left + LOOSE,
        without=_expit(others + gone[:, None]),
    )


def _shifts(logits: Array, q: Ints, queries: int, z: Array, support: Array) -> tuple[Array, float, Array, Array]:
    """Each query's shift, the slope of the support, the shifts' variance: penalised maximum likelihood by Newton's steps, the
    shifts' penalty from the moments; and for each label its shift and slope without it, by one step back.

    The levels of one pair say nearly the same thing, so the likelihood is divided by the overdispersion of their sum.
    """
    chance = _expit(logits)
    off, sure = (z - chance).sum(axis=1), (chance * (1 - chance)).sum(axis=1)
    offs, sures, squares = (np.bincount(q, v, minlength=queries) for v in (off, sure, off**2))
    over = max(squares.sum() / max(sures.sum(), 1e-9), 1e-9)
    few = 0.4  # the moments of few labels are pulled towards a variance of 0.8
    variance = np.clip((max(0.0, (offs**2 - squares).sum()) + 0.8 * few) / ((sures**2).sum() + few), 0.1, 2.0)
    shift, slope = np.zeros(queries), TILT[0]
    for _ in range(ITERATIONS):
        off, sure = _evidence(logits + (shift[q] + slope * support)[:, None], z, over)
        bend = np.bincount(q, sure, minlength=queries) + 1 / variance
        steep = (sure * support**2).sum() + 1 / TILT[1]
        shift += np.clip((np.bincount(q, off, minlength=queries) - shift / variance) / bend, -1, 1)
        slope += float(np.clip(((off * support).sum() - (slope - TILT[0]) / TILT[1]) / steep, -1, 1))
    off, sure = _evidence(logits + (shift[q] + slope * support)[:, None], z, over)
    back = np.clip(off / np.maximum(bend[q] - sure, 1 / variance), -1, 1)
    tilt = np.clip(off * support / np.maximum(steep - sure * support**2, 1 / TILT[1]), -1, 1)
    return shift, slope, 1 / bend, shift[q] - back + (slope - tilt) * support


def _evidence(logits: Array, z: Array, over: float) -> tuple[Array, Array]:
    """(labels): how far each grade is off what was expected, and how much it tells, the levels together."""
    chance = _expit(logits)
    return (z - chance).sum(axis=1) / over, (chance * (1 - chance)).sum(axis=1) / over


def _expit(x: Array) -> Array:
    out: Array = 1 / (1 + np.exp(-x))
    return out


def _logit(share: Array) -> Array:
    p = np.clip(share, ENDS, 1 - ENDS)
    out: Array = np.log(p / (1 - p))
    return out
