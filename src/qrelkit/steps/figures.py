"""Figures of a whole pool from few human grades: how much of it is relevant (prevalence), and how far the judge agrees (kappa).

As the systems' measures: taken at the calibrated chances, and corrected by what people graded with the probabilities of its
drawing. Where whole queries were graded, they are the sample, and the figure is a ratio of means over them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.stats.agreement import kappa
from qrelkit.stats.corrected import SEEN, quantile
from qrelkit.stats.sampling import weights as label_weights
from qrelkit.steps.corrected import THESE, Estimand
from qrelkit.steps.population import Population, population

Floats = npt.NDArray[np.float64]
Formula = Callable[[Floats], float]

FIGURES = ("prevalence", "kappa", "kappa_quadratic")
NAMED = re.compile(r"(prevalence|kappa|kappa_quadratic)(?:\(rel=(\d+)\))?")
NUDGE = 1e-4  # of all pairs: the step of numerical slopes


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure by the judge alone (a kappa has none), by people alone and corrected; `labels` of `pairs` were graded."""

    name: str
    estimand: Estimand
    judge: Estimate
    human: Estimate
    corrected: Estimate
    labels: int
    pairs: int

    def json(self) -> dict[str, Any]:
        sides = {"judge_only": self.judge, "human_only": self.human, "corrected": self.corrected}
        told = {name: one.json() for name, one in sides.items()}
        return {"figure": self.name, "estimand": self.estimand, "labels": self.labels, "pairs": self.pairs, **told}

    def text(self) -> str:
        """One line for people."""
        return f"{self.name:<18}judge only {self.judge}   people only {self.human}   corrected {self.corrected}"


def is_figure(name: str) -> bool:
    return NAMED.fullmatch(name) is not None


def figures(
    names: Sequence[str], judge: Qrels, human: Qrels, *, estimand: Estimand = THESE, levels: Sequence[int] = ()
) -> list[Figure]:
    """Prevalence (share of pairs of grade `rel` or more, 1 unless said: `prevalence(rel=2)`) and the judge's kappas, from few
    grades.

    `kappa(rel=2)` is the kappa of the binary cut at 2; without rel it is unweighted over all grades. A kappa is about the pairs
    that the judge graded. `estimand`: these queries' pairs, or pairs of queries like these. Raises InputError for other names,
    for a sample without a grade; Mismatch for a kappa of a judge on another scale.
    """
    people = population(judge, human, levels=levels)
    if not len(people.labelled):
        raise InputError(f"{human.name} has no grade at all, so there is nothing to correct with")
    out = []
    for name in names:
        found = NAMED.fullmatch(name)
        if found is None:
            raise InputError(f"{name!r} is no figure of a pool; there are {', '.join(FIGURES)}, with (rel=2) for a cut")
        off = sorted({grade for grade in judge.grades if grade >= 0} - set(people.levels))
        if found[1] != "prevalence" and off:
            raise Mismatch(
                f"{judge.name} has grades {off} that are not on the people's scale {list(people.levels)}; a kappa is of one scale"
            )
        cut = None if found[2] is None else int(found[2])
        out.append(_figure(name, found[1], cut, people, estimand))
    return out


def _figure(name: str, kind: str, cut: int | None, people: Population, estimand: Estimand) -> Figure:
    levels = np.array(people.levels)
    if kind == "prevalence":
        column = int(np.searchsorted(levels, 1 if cut is None else cut))
        formula = _prevalence(column)
        says = np.nan_to_num(people.place[people.stratum], nan=-1.0) >= column - 1e-9
        judge = Estimate(value=float(says.mean()), n=people.queries)
    else:
        formula = _kappa(people, kind, cut)
        judge = Estimate(value=float("nan"), reason="an assessor's agreement with people is not known from the assessor alone")
    corrected = _estimated(people, formula, estimand)
    human = (
        _estimated(people.without_judge(), formula, estimand) if kind == "prevalence" else _weighted(people, formula, estimand)
    )
    return Figure(
        name=name,
        estimand=estimand,
        judge=judge,
        human=human,
        corrected=corrected,
        labels=len(people.labelled),
        pairs=len(people),
    )


def _prevalence(column: int) -> Formula:
    return lambda table: float(table[:, column:].sum() / max(table.sum(), 1e-12))


def _kappa(people: Population, kind: str, cut: int | None) -> Formula:
    """Kappa of a table (judge's labels × levels); the judge's labels are put on the nearest level."""
    sure = ~np.isnan(people.place)
    row = np.rint(np.nan_to_num(people.place)).astype(np.int64)
    at = None if cut is None else int(np.searchsorted(np.array(people.levels), cut))

    def formula(table: Floats) -> float:
        square = np.zeros((len(people.levels), len(people.levels)))
        np.add.at(square, row[sure], table[sure])
        if at is not None:
            parts = [square[:at, :at], square[:at, at:], square[at:, :at], square[at:, at:]]
            square = np.array([part.sum() for part in parts]).reshape(2, 2)
        return float(kappa(square.T, "quadratic" if kind == "kappa_quadratic" else "none"))

    return formula


def _shares(at_least: Floats) -> Floats:
    """(pairs × levels): the chance of each grade."""
    return np.asarray(-np.diff(np.pad(at_least, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0))), axis=1))


def _table(people: Population, shares: Floats) -> Floats:
    """(judge's labels × levels): the expected number of pairs."""
    strata = len(people.place)
    return np.stack([np.bincount(people.stratum, column, minlength=strata) for column in shares.T], axis=1)


def _slopes(formula: Formula, table: Floats) -> Floats:
    """∂ figure / ∂ table, by nudging every cell."""
    step = NUDGE * table.sum()
    out = np.zeros(table.shape)
    for cell in np.ndindex(table.shape):
        moved = table.copy()
        moved[cell] += step
        out[cell] = (formula(moved) - formula(table)) / step
    return out


def _estimated(people: Population, formula: Formula, estimand: Estimand) -> Estimate:
    """A figure at the calibrated chances, corrected by the labels."""
    calibration = people.calibrated()
    before = _shares(calibration.at_least)
    known = before.copy()
    known[people.labelled] = np.eye(len(people.levels))[people.grade]
    table = _table(people, known)
    slopes = _slopes(formula, table)
    rows = slopes[people.stratum[people.labelled]]
    thought = _shares(calibration.without)
    mean = (rows * thought).sum(axis=1)
    off = rows[np.arange(len(rows)), people.grade] - mean
    expected = np.maximum((rows**2 * thought).sum(axis=1) - mean**2, 0)
    every = slopes[people.stratum]
    uncertain = np.maximum((every**2 * before).sum(axis=1) - (every * before).sum(axis=1) ** 2, 0)
    rest = float(np.delete(uncertain, people.labelled).sum())
    labels = label_weights(people.probability, people.round, expected, rest=rest)
    value = formula(table) + float(off @ (labels.times - 1))
    if estimand == THESE:
        model = float(expected @ labels.thought) + labels.open * rest
        variance = SEEN * ((off * labels.error) ** 2).sum() + (1 - SEEN) * model
        parts = expected * labels.error**2
        df = max(parts.sum() ** 2 / (parts**2).sum() - 1, 1.0) if parts.any() else 0.0 if rest > 0 else np.inf
    else:
        influence = (known * slopes[people.stratum]).sum(axis=1)
        influence[people.labelled] += off * (labels.times - 1)
        variance, df = _between(influence - influence.mean(), people)
    return _told(value, variance, df, people)


def _weighted(people: Population, formula: Formula, estimand: Estimand) -> Estimate:
    """A figure of the labels alone, each counted 1 / probability."""
    even = np.ones(len(people.labelled))
    weight = label_weights(people.probability, people.round, even, rest=len(people) - len(even)).times
    cells = np.zeros((len(people.place), len(people.levels)))
    np.add.at(cells, (people.stratum[people.labelled], people.grade), weight)
    slopes = _slopes(formula, cells)
    influence = slopes[people.stratum[people.labelled], people.grade]
    influence = (influence - np.average(influence, weights=weight)) * weight
    if estimand == THESE:
        variance = float((influence**2 * (1 - people.probability)).sum())
        return _told(formula(cells), variance, len(people.labelled) - 1, people)
    whole = np.zeros(len(people))
    whole[people.labelled] = influence
    return _told(formula(cells), *_between(whole, people), people)


def _between(influence: Floats, people: Population) -> tuple[float, float]:
    """The variance of a sum over queries that were drawn, and its degrees of freedom."""
    totals = np.bincount(people.q, influence, minlength=people.queries)
    n = people.queries
    return float(((totals - totals.mean()) ** 2).sum() * n / max(n - 1, 1)), n - 1


def _told(value: float, variance: float, df: float, people: Population) -> Estimate:
    half = quantile(df) * variance**0.5 if variance > 0 else 0.0
    if not np.isfinite(half):
        return Estimate(value=value, n=people.queries, reason="too few labels for an interval")
    return Estimate(value=value, low=value - half, high=value + half, n=people.queries)
