"""What people would probably say of a pair, given what the judge said: chances of every grade, learnt from few human grades.

    logit P(human grade ≥ level | judge's label, query) = the label's own logit + the query's shift

The label's logits are smoothed shares (a few pseudo-labels say that people agree with the judge, or miss by little); the shift
of a query is shrunk towards 0 by as much as the queries vary. Estimates that use these chances are corrected by the sampled
differences, so that a wrong model costs labels, not validity.
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


def calibrate(stratum: Ints, q: Ints, queries: int, before: Array, labelled: Ints, z: Array) -> Calibration:
    """The chances of all pairs from the labelled ones.

    `stratum` and `q` (pairs) are each pair's judge label and query, `before` (strata × levels − 1) the prior, `labelled` the
    places of the pairs with human grades and `z` (labelled × levels − 1) their grades as 0 and 1.
    """
    strata, own = len(before), stratum[labelled]
    hits = np.stack([np.bincount(own, column, minlength=strata) for column in z.T], axis=1) + PSEUDO * before
    worth = (np.bincount(own, minlength=strata) + PSEUDO)[:, None]
    logits = _logit(hits / worth)
    others = _logit((hits[own] - z) / (worth[own] - 1))
    if len(labelled) < FEWEST:
        return Calibration(at_least=_expit(logits)[stratum], loose=np.full(queries, LOOSE + 0.8), without=_expit(others))
    shift, left, gone = _shifts(logits[own], q[labelled], queries, z)
    return Calibration(
        at_least=_expit(logits[stratum] + shift[q][:, None]), loose=left + LOOSE, without=_expit(others + gone[:, None])
    )


def _shifts(logits: Array, q: Ints, queries: int, z: Array) -> tuple[Array, Array, Array]:
    """Each query's shift and its variance: penalised maximum likelihood by Newton's steps, the penalty from the moments; and for
    each label the shift of its query without it, by one step back.

    The levels of one pair say nearly the same thing, so the likelihood is divided by the overdispersion of their sum.
    """
    chance = _expit(logits)
    off, sure = (z - chance).sum(axis=1), (chance * (1 - chance)).sum(axis=1)
    offs, sures, squares = (np.bincount(q, v, minlength=queries) for v in (off, sure, off**2))
    over = squares.sum() / max(sures.sum(), 1e-9)
    few = 0.4  # the moments of few labels are pulled towards a variance of 0.8
    variance = np.clip((max(0.0, (offs**2 - squares).sum()) + 0.8 * few) / ((sures**2).sum() + few), 0.1, 2.0)
    shift, bend = np.zeros(queries), np.full(queries, 1 / variance)
    for _ in range(ITERATIONS):
        chance = _expit(logits + shift[q][:, None])
        rise = np.bincount(q, (z - chance).sum(axis=1), minlength=queries) / max(over, 1e-9) - shift / variance
        bend = np.bincount(q, (chance * (1 - chance)).sum(axis=1), minlength=queries) / max(over, 1e-9) + 1 / variance
        shift += np.clip(rise / bend, -1, 1)
    chance = _expit(logits + shift[q][:, None])
    rise, sure = ((part / max(over, 1e-9)).sum(axis=1) for part in (z - chance, chance * (1 - chance)))
    return shift, 1 / bend, shift[q] - np.clip(rise / np.maximum(bend[q] - sure, 1 / variance), -1, 1)


def _expit(x: Array) -> Array:
    out: Array = 1 / (1 + np.exp(-x))
    return out


def _logit(share: Array) -> Array:
    p = np.clip(share, ENDS, 1 - ENDS)
    out: Array = np.log(p / (1 - p))
    return out
