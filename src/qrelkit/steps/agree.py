"""agree: how far does an assessor agree with people?

The first human qrels are the reference: the confusion matrix, kappas, cuts, MAE, bias and hard disagreements are against
them, whoever else is given. Further humans add `either`, `majority`, a place in both alphas, the same figures against each
of them (`against`) and among themselves (`humans`). Only graded pairs are compared; a missing grade is counted apart, by
outcome. All intervals are 95 % bootstrap percentiles by query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.guideline import Scale
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.stats import agreement as formulas
from qrelkit.stats.resample import bootstrap
from qrelkit.steps.agreement import Agreement, Figures

Array = NDArray[np.float64]
Codes = NDArray[np.int64]  # positions on the scale, −1 for no grade
Mask = NDArray[np.bool_]

KEY = ["query_id", "doc_id"]
WIDEST = 101  # grades of a scale: 0 to 100
FEW_QUERIES = 10
CONSTANT = ("exact", "kappa", "kappa_linear", "kappa_quadratic", "mae", "bias")  # what a constant guess is compared by


def agree(
    assessor: Qrels,
    humans: Sequence[Qrels],
    *,
    clip: bool = False,
    scale: Scale | None = None,
    exclude: pl.DataFrame | None = None,
    by: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Agreement:
    """Agreement of `assessor` with `humans`, the first of whom is the reference.

    The scale is `scale`, or every whole number from the lowest to the highest human grade. `clip` brings the assessor's
    grades beyond its ends to the ends and counts them. Pairs in `exclude` (query_id, doc_id: shown as examples) are left out.
    `by` (query_id → group) adds the figures of each group; with `weights` (query_id → weight) a query's pairs count so much.
    The majority is the most common grade of a pair's humans; a tie has none, is left out and counted. Alphas are over the
    assessor and all humans, on the pairs that the assessor graded.

    Raises InputError without humans; Mismatch where no pair is shared or grades are off the scale.
    """
    if not humans:
        raise InputError("agreement needs at least one human qrels file beside the assessor's")
    names = _names(humans)
    pairs, unmatched, excluded = _aligned(assessor, humans, exclude)
    values = _values(humans, scale)
    pairs, clipped = _on_scale(pairs, values, assessor.name, clip=clip)
    h = np.stack([_codes(pairs[f"human{i}"], values) for i in range(len(humans))], axis=1)
    sheet = _Sheet(pairs["query_id"], _codes(pairs["grade"], values), h, values, resamples, seed, weights)
    figures = sheet.headline()
    ungraded = dict(pairs.filter(pl.col("grade").is_null())["outcome"].value_counts().sort("outcome").iter_rows())
    return Agreement(
        assessor=assessor.name,
        human=names[0],
        figures=figures,
        constant=sheet.constant(),
        against=sheet.against(names) if len(humans) > 1 else {},
        humans={(names[i], names[j]): sheet.figures(h[:, i], h[:, j]) for i, j in combinations(range(len(names)), 2)},
        by=sheet.by(by) if by is not None else {},
        ungraded=ungraded,
        unmatched=unmatched,
        clipped=clipped,
        excluded=excluded,
        no_majority=int(((sheet.majority < 0) & (sheet.a >= 0)).sum()),
        warnings=_warnings(assessor.name, figures, ungraded, clipped),
    )


# ── bringing the pairs together ─────────────────────────────────────────────────────────────────────────────────────


def _aligned(assessor: Qrels, humans: Sequence[Qrels], exclude: pl.DataFrame | None) -> tuple[pl.DataFrame, dict[str, int], int]:
    """One row per pair that the assessor has and a human graded (grade, outcome, human0, human1, …); how many pairs only one
    side has; how many were excluded."""
    pairs = pl.concat([human.graded.select(KEY) for human in humans]).unique(maintain_order=True)
    for i, human in enumerate(humans):
        theirs = human.graded.select(*KEY, pl.col("grade").alias(f"human{i}"))
        pairs = pairs.join(theirs, on=KEY, how="left", maintain_order="left")
    mine = assessor.frame.select(*KEY, "grade", "outcome")
    before = pl.concat([pairs.select(KEY), mine.select(KEY)]).unique().height
    if exclude is not None:
        shown = exclude.select(pl.col(KEY).cast(pl.String))
        pairs, mine = (f.join(shown, on=KEY, how="anti", maintain_order="left") for f in (pairs, mine))
    both = pairs.join(mine, on=KEY, how="inner", maintain_order="left")
    if not both.height:
        sides = "".join(_first(f, name) for f, name in ((mine, assessor.name), (pairs, humans[0].name)))
        raise Mismatch(f"{assessor.name} and {humans[0].name} share no pair{sides}; are they of the same collection?")
    unmatched = {"assessor": mine.height - both.height, "human": pairs.height - both.height}
    return both, unmatched, before - both.height - sum(unmatched.values())


def _first(frame: pl.DataFrame, name: str) -> str:
    if not frame.height:
        return f"; {name} has none at all"
    query_id, doc_id = frame.row(0)[:2]
    return f"; the first of {name} is query {query_id!r}, document {doc_id!r}"


def _values(humans: Sequence[Qrels], scale: Scale | None) -> tuple[int, ...]:
    """The grades of the scale, lowest first."""
    if scale is not None:
        for human in humans:
            scale.fits(human.grades, human.name)
        return scale.values
    low, high = min(h.grades[0] for h in humans if h.grades), max(h.grades[-1] for h in humans if h.grades)
    if high - low >= WIDEST:
        raise Mismatch(f"the grades of {humans[0].name} run from {low} to {high}, too far for a scale; name the scale (--scale)")
    return tuple(range(low, high + 1))


def _on_scale(pairs: pl.DataFrame, values: Sequence[int], name: str, *, clip: bool) -> tuple[pl.DataFrame, int]:
    """The pairs with the assessor's grades on the scale, and how many had to be clipped to its ends."""
    beyond = pairs.filter((pl.col("grade") < values[0]) | (pl.col("grade") > values[-1])).height
    if clip:
        pairs = pairs.with_columns(pl.col("grade").clip(values[0], values[-1]))
    off = pairs.filter(pl.col("grade").is_in(values).not_())
    if off.height:
        row, known = off.row(0, named=True), f"{values[0]} to {values[-1]}" if len(values) > 12 else ", ".join(map(str, values))
        raise Mismatch(
            f"{name} has grades {off['grade'].unique().sort().to_list()} that are not on the human scale ({known}): "
            f"{off.height} pairs, the first is query {row['query_id']!r}, document {row['doc_id']!r}. Bring grades beyond the "
            "ends to the ends with --clip, or name the right scale (--scale)"
        )
    return pairs, beyond


def _codes(grades: pl.Series, values: Sequence[int]) -> Codes:
    known = grades.is_not_null().to_numpy()
    return np.where(known, np.searchsorted(values, grades.fill_null(values[0]).to_numpy()), -1).astype(np.int64)


def _names(humans: Sequence[Qrels]) -> list[str]:
    """The humans' names, made different, as keys of a table that also has a row `majority`."""
    names: list[str] = []
    for human in humans:
        taken = sum(n == human.name or n.startswith(f"{human.name} #") for n in [*names, "majority"])
        names.append(f"{human.name} #{taken + 1}" if taken else human.name)
    return names


def _warnings(name: str, figures: Figures, ungraded: Mapping[str, int], clipped: int) -> tuple[str, ...]:
    out = []
    if ungraded:
        what = ", ".join(f"{n:,} {outcome}" for outcome, n in ungraded.items())
        out.append(f"{sum(ungraded.values()):,} pairs have no grade from {name} ({what}); they are left out, not counted as 0")
    if clipped:
        out.append(f"{clipped:,} grades of {name} lay beyond the human scale and were clipped to its ends")
    if figures.queries < FEW_QUERIES:
        out.append(f"only {figures.queries} queries: intervals by query are rough")
    return tuple(out)


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Sheet:
    """The aligned pairs as arrays: `a` (pairs,) and `h` (pairs, humans) are codes, `query` says whose pair it is."""

    query: pl.Series
    a: Codes
    h: Codes
    values: tuple[int, ...]
    resamples: int
    seed: int
    weights: Mapping[str, float] | None = None

    @property
    def majority(self) -> Codes:
        """The most common grade of each pair's humans, −1 for a tie or no grade."""
        votes = np.stack([(self.h == grade).sum(axis=1) for grade in range(len(self.values))], axis=1)
        most = votes.max(axis=1, keepdims=True)
        return np.where((votes == most).sum(axis=1) == 1, votes.argmax(axis=1), -1).astype(np.int64)

    def figures(
        self,
        human: Codes,
        assessor: Codes,
        *,
        everybody: Codes | None = None,
        shares: Mapping[str, tuple[Mask, Mask]] | None = None,
    ) -> Figures:
        """Figures over the pairs that both graded; alphas over `everybody` (pairs, assessors) where given; each share is
        (hits, trials) by pair."""
        everybody, shares = np.stack([human, assessor], axis=1) if everybody is None else everybody, shares or {}
        used = (everybody >= 0).sum(axis=1) >= 2
        index = self.query.filter(pl.Series(used)).rank("dense").to_numpy().astype(np.int64) - 1
        queries, k = len(np.unique(index)), len(self.values)
        both = ((human >= 0) & (assessor >= 0))[used]
        tables: dict[str, Array] = {
            "confusion": formulas.confusion(human[used][both], assessor[used][both], index[both], queries, k),
            "coincidence": formulas.coincidence(everybody[used], index, queries, k),
        }
        for name, pair in shares.items():
            tables[name] = np.stack([np.bincount(index, weights=column[used], minlength=queries) for column in pair], axis=1)

        def formula(t: Mapping[str, Array]) -> dict[str, Array]:
            found = formulas.figures(t["confusion"], self.values)
            found |= {f"alpha_{level}": formulas.alpha(t["coincidence"], level) for level in formulas.LEVELS[:2]}
            return found | {name: formulas.ratio(t[name][:, 0], t[name][:, 1]) for name in shares}

        counts = tables["confusion"].sum(axis=0).astype(np.int64)
        if self.weights is not None and queries:
            tables = _weighted(tables, self.query.filter(pl.Series(used)).unique().sort(), self.weights)
        why = "only one grade, or one side of the cut, occurs" if both.any() else "no pair was graded by both"
        estimates = bootstrap(tables, formula, resamples=self.resamples, seed=self.seed, reason=why)
        return Figures(values=self.values, counts=counts, queries=queries, estimates=estimates)

    def headline(self) -> Figures:
        """Against the first human, with alphas over everybody, and agreement with any human and with their majority."""
        asked = self.a >= 0
        met = (self.h == self.a[:, None]) & asked[:, None]
        shares = {
            "either": (met.any(axis=1), asked & (self.h >= 0).any(axis=1)),
            "majority": (asked & (self.majority == self.a), asked & (self.majority >= 0)),
        }
        everybody = np.where(asked[:, None], np.column_stack([self.a, self.h]), -1)
        found = self.figures(self.h[:, 0], self.a, everybody=everybody, shares=shares)
        if asked.any() and not shares["majority"][1].any():
            none = replace(found.estimates["majority"], reason="no pair has a majority: its humans always tie")
            return replace(found, estimates={**found.estimates, "majority": none})
        return found

    def constant(self) -> tuple[int, Mapping[str, Estimate]]:
        """The most common grade of the first human (the lowest of several), and what always answering it would reach."""
        human = np.where(self.a >= 0, self.h[:, 0], -1)
        grade = int(np.bincount(human[human >= 0], minlength=len(self.values)).argmax())
        found = self.figures(human, np.full_like(human, grade))
        return self.values[grade], {name: found.estimates[name] for name in CONSTANT}

    def against(self, names: Sequence[str]) -> dict[str, Figures]:
        """The figures against each human, and against their majority."""
        each = {name: self.figures(self.h[:, i], self.a) for i, name in enumerate(names)}
        return each | {"majority": self.figures(self.majority, self.a)}

    def by(self, groups: Mapping[str, str]) -> dict[str, Figures]:
        """The headline within each group of queries; queries without a group are together in `""`."""
        group = self.query.replace_strict(groups, default="", return_dtype=pl.String).fill_null("")
        return {str(name): self._where(group == name).headline() for name in group.unique().sort()}

    def _where(self, rows: pl.Series) -> _Sheet:
        mask = rows.to_numpy()
        return replace(self, query=self.query.filter(rows), a=self.a[mask], h=self.h[mask])


def _weighted(tables: Mapping[str, Array], queries: pl.Series, weights: Mapping[str, float]) -> dict[str, Array]:
    """The counts of each query times its weight over the mean weight."""
    missing = [query for query in queries if query not in weights]
    if missing:
        raise InputError(f"{len(missing)} queries have no weight, the first is {missing[0]!r}")
    w = np.array([weights[query] for query in queries], dtype=np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise InputError("weights must be numbers that are not negative, and not all 0")
    return {name: table * (w / w.mean()).reshape(-1, *[1] * (table.ndim - 1)) for name, table in tables.items()}
