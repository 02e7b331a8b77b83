"""settle: grade a few pairs, look, and stop as soon as it may be said which system is better; and what that will take (plan).

A look is the end of a round of human grades. With two systems the looks spend the 5 % as they come (`stats.sequential`); with
more, every look has its part of it, shared by Holm's method over all pairs of systems that are still open. A verdict stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted
from qrelkit.core.run import Run
from qrelkit.measures.parse import Measure, parse_measures
from qrelkit.stats.sampling import FLOOR
from qrelkit.stats.sequential import boundaries
from qrelkit.steps.choose import blocks
from qrelkit.steps.correction import Samples, share_of, values_per_query
from qrelkit.steps.population import Population, population

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ALPHA = 0.05
USUAL = 50  # labels at which half of the 5 % is spent, were the calibration's prior right
GOAL = 2.75  # |z| that two systems' looks near `USUAL` labels end at
MOST = 1_000  # further labels beyond which settling is not worth it, unless said otherwise
SECONDS = 20.0  # that a label takes, where nobody's pace was measured


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of two systems: the better one's tag, or "" while it is open; `labels` is how many there were when it ended, or are now.
    `more`: about how many further labels would settle it (0 once it is settled, None where even `most` would not). `z`: the
    difference in standard errors, at the look that ended it or the last one, and `needed`: what |z| had to exceed there."""

    a: str
    b: str
    better: str
    labels: int
    more: int | None
    z: float
    needed: float
    most: int = MOST

    @property
    def words(self) -> str:
        """The verdict as a script reads it."""
        return f"{self.better} is better" if self.better else "undecided"

    def minutes(self, seconds: float = SECONDS) -> float | None:
        """What the further labels take, so many `seconds` each."""
        return None if self.more is None else round(self.more * seconds / 60, 1)

    def text(self, seconds: float = SECONDS) -> str:
        """The verdict in words."""
        if self.better:
            return f"{self.better} is better than {self.b if self.better == self.a else self.a} ({self.labels:,} labels)"
        if self.more is None:
            far = f"more than {self.most:,} further labels for so small a difference"
            return f"{self.a} or {self.b}: undecided, and not worth it: {far}"
        return f"{self.a} or {self.b}: undecided, about {counted(self.more, 'more label')} ({_time(self.more * seconds)})"


def settle(
    measure: str | Measure,
    runs: Sequence[Run],
    judge: Qrels,
    human: Qrels | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    levels: Sequence[int] = (),
    support: Sequence[Run] = (),
    most: int = MOST,
) -> list[Verdict]:
    """A verdict for every two systems that stays valid however often one looks: wrong, ever, with a chance of at most 5 %.

    The rounds of `human` (column `round`) are the looks; the estimand is the mean over these queries. Without human grades
    everything is open, and the labels needed follow from the judge's difference. More than `most` further labels are called
    not worth it. Raises InputError for fewer than two runs and for measures that sampled pairs cannot estimate.
    """
    from scipy.special import ndtr, stdtrit

    if len(runs) < 2:
        raise InputError(f"settling needs at least two runs, not {len(runs)}")
    one = parse_measures([measure])[0]
    people = population(judge, human, levels=levels, runs=support or runs)
    share = share_of(people, weights)
    a, b = np.triu_indices(len(runs), 1)
    value, sd, df, seen = looks(one, runs, judge, human, people, share, a, b)
    z = np.divide(value, sd, out=np.copysign(np.where(value == 0, 0.0, np.inf), value), where=sd > 0)
    before = Effort.of(people.until(-1), runs, one, share)
    needed = limits(z, 1 / np.maximum(sd, 1e-9) ** 2, df, half=USUAL / before.mass(a, b))
    ended = np.abs(z) > needed
    if len(value):
        now, known = value[-1], sd[-1]
    else:
        means = values_per_query(one, runs, judge, people.query_ids) @ share
        now, known = means[a] - means[b], np.zeros(len(a))
    tails = stdtrit(min(max(float(df[-1]), 1.0), 1e9), ndtr(GOAL)) if len(df) else GOAL  # few labels must show more
    more = further(people, runs, one, share, a, b, now, known, goal=float(tails))
    out = []
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        at = int(ended[:, i].argmax()) if ended[:, i].any() else -1
        better = "" if not ended[:, i].any() else runs[x if value[at, i] > 0 else y].tag
        left = 0 if better else None if more[i] > most else math.ceil(more[i])
        z_, needed_, labels = (float(z[at, i]), float(needed[at, i]), int(seen[at])) if len(z) else (0.0, math.inf, 0)
        told = Verdict(a=runs[x].tag, b=runs[y].tag, better=better, labels=labels, more=left, z=z_, needed=needed_, most=most)
        out.append(told)
    return out


def _time(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def looks(
    measure: Measure, runs: Sequence[Run], judge: Qrels, human: Qrels | None, people: Population, share: Floats, a: Ints, b: Ints
) -> tuple[Floats, Floats, Floats, Ints]:
    """(looks × pairs of systems) the differences and their standard errors at the end of every round, and (looks) their
    degrees of freedom and labels. A look too early for an interval is as if it had not been."""
    found = []
    for last in np.unique(people.round):
        so_far = people.until(int(last))
        if human is None or not so_far.drawn or (so_far.design == "by query" and so_far.complete.sum() < 2):
            continue
        means = Samples(measure, runs, judge, human, so_far).corrected(share, True)
        found.append((*means.differences(a, b), means.df, len(so_far.labelled)))
    shape = (len(found), len(a))
    value, sd = (np.array([look[i] for look in found], dtype=np.float64).reshape(shape) for i in (0, 1))
    return value, sd, np.array([look[2] for look in found]), np.array([look[3] for look in found], dtype=np.int64)


def limits(z: Floats, information: Floats, df: Floats, *, half: Floats) -> Floats:
    """(looks × pairs of systems): what |z| must exceed to end the looking; in the tails of t where the labels are few.

    Two systems: exact boundaries. More: look t has the part α_t of 5 %, and Holm's method shares it over the pairs still open.
    """
    from scipy.special import ndtr, stdtr, stdtrit

    out = np.full(z.shape, np.inf)
    some = np.clip(df, 1, 1e9)
    if z.shape[1] == 1:
        at = boundaries(information[:, 0], half=float(half[0]), alpha=ALPHA)
        out[:, 0] = stdtrit(some, ndtr(np.minimum(at, 8.0)))
        return np.where(np.isfinite(at)[:, None], out, np.inf)
    parts = np.diff((information / (information + half)).mean(axis=1), prepend=0.0).clip(min=0) * ALPHA
    open_ = np.ones(z.shape[1], bool)
    for t, part in enumerate(parts):
        p = 2 * stdtr(some[t], -np.abs(z[t]))
        for i in np.flatnonzero(open_)[np.argsort(p[open_], kind="stable")]:
            out[t, i] = stdtrit(some[t], 1 - part / open_.sum() / 2) if part > 0 else np.inf
            if not abs(z[t, i]) > out[t, i]:
                out[t, open_] = out[t, i]
                break
            open_[i] = False
    return out


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a drawing that serves all systems at once tells: the variance of a difference is `spread` / n − `kept`, read off these
    (systems × systems) arrays of products; `kept` is what drawing without replacement saves."""

    spread: Floats
    kept: Floats

    @staticmethod
    def of(people: Population, runs: Sequence[Run], measure: Measure, share: Floats) -> Effort:
        """The effort of the pairs that nobody graded yet, drawn by their effect on the decision."""
        graded = np.zeros(len(people), bool)
        graded[people.labelled] = True
        parts = []
        for block in blocks(people, runs, measure, share):
            left = np.bincount(block.like, ~graded[block.pairs], minlength=len(block.times))
            size = np.sqrt(((block.moves - block.moves.mean(axis=0)) ** 2).sum(axis=(0, 2)))
            parts.append((block.moves, left, size))
        total, pairs = sum(float(left @ size) for _, left, size in parts), max((~graded).sum(), 1)
        spread = kept = np.zeros((len(runs), len(runs)))
        for moves, left, size in parts:
            p = (1 - FLOOR) * size / max(total, 1e-300) + FLOOR / pairs
            spread = spread + _products(moves, left / p)
            kept = kept + _products(moves, left.astype(np.float64))
        return Effort(spread=spread, kept=kept)

    def mass(self, a: Ints, b: Ints) -> Floats:
        """(pairs of systems): the variance that one label would leave."""
        return np.maximum(_difference(self.spread, a, b), 1e-300)

    def labels(self, variance: Floats, a: Ints, b: Ints) -> Floats:
        """(pairs of systems): how many labels bring the variance of each difference down to this."""
        return np.asarray(self.mass(a, b) / np.maximum(variance + _difference(self.kept, a, b), 1e-300))


def _products(moves: Floats, weight: Floats) -> Floats:
    """(systems × systems): Σ over kinds and grades of weight · move · move."""
    flat = moves.reshape(len(moves), -1)
    return np.asarray((moves * weight[:, None]).reshape(len(moves), -1) @ flat.T)


def _difference(products: Floats, a: Ints, b: Ints) -> Floats:
    own = np.diag(products)
    return np.asarray(own[a] + own[b] - 2 * products[a, b])


def further(
    people: Population,
    runs: Sequence[Run],
    measure: Measure,
    share: Floats,
    a: Ints,
    b: Ints,
    value: Floats,
    sd: Floats,
    *,
    goal: float = GOAL,
) -> Floats:
    """(pairs of systems): about how many more labels settle each, drawn for all of them, if the differences are `value` (known
    so far to `sd`, 0 where nothing is known); no number does where there is none. With Holm's method the easiest pairs must pass
    the highest hurdle."""
    from scipy.special import ndtri

    known = 1 / np.maximum(sd, 1e-9) ** 2 if sd.any() else np.zeros(len(a))
    effort = Effort.of(people, runs, measure, share)
    ease = np.argsort(-np.abs(value) / np.sqrt(effort.mass(a, b)), kind="stable")
    hurdle = np.empty(len(a))
    hurdle[ease] = goal * ndtri(1 - ALPHA / 2 / np.arange(len(a), 0, -1)) / ndtri(1 - ALPHA / 2)
    wanted = np.maximum((hurdle / np.maximum(np.abs(value), 1e-9)) ** 2 - known, 1e-9)
    return np.where(value == 0, np.inf, np.maximum(effort.labels(1 / wanted, a, b), 1.0))
