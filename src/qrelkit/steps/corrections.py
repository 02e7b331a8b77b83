"""Several measures and figures of a pool, corrected by few human grades, in one table: what `evaluate --judge --human` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.steps.corrected import HEADS, SIDES, THESE, Corrected, Estimand
from qrelkit.steps.correction import correct
from qrelkit.steps.figures import Figure, figures, is_figure


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """Systems × measures and figures of the pool, each by the judge alone, by people alone and corrected."""

    measures: Sequence[Corrected]
    figures: Sequence[Figure]

    def json(self) -> dict[str, Any]:
        """`scores` {TAG: {MEASURE: {judge_only, human_only, corrected, shrunk}}}, `figures` {NAME: the same three}."""
        parts = [(one.measure, one.json()) for one in self.measures]
        scores: dict[str, dict[str, Any]] = {}
        for measure, part in parts:
            for tag, sides in part["systems"].items():
                scores.setdefault(tag, {})[measure] = sides
        about = ("estimand", "design", "labels", "queries", "trust", "bend", "pairs_judged")
        out: dict[str, Any] = {"scores": scores, "figures": {figure.name: figure.json() for figure in self.figures}}
        out["measures"] = {measure: {name: part[name] for name in about} for measure, part in parts}
        by = {measure: part["by"] for measure, part in parts if "by" in part}
        return out | ({"by": by} if by else {})

    def text(self) -> str:
        """For people: one block per measure, then the figures."""
        blocks = [_systems_text(one) for one in self.measures]
        if self.figures:
            first = self.figures[0]
            heading = f"the pool, {first.estimand}; {first.labels:,} of {first.pairs:,} pairs graded by people"
            blocks.append("\n".join([heading, "", *(figure.text() for figure in self.figures)]))
        return "\n\n".join(blocks)

    @property
    def frame(self) -> pl.DataFrame:
        """One row per number: measure, tag ("" for a figure), side, value, low, high, n, estimand, labels, group."""
        rows = [row for one in self.measures for row in _rows(one, "")]
        rows += [row for one in self.measures for group, inner in one.by.items() for row in _rows(inner, group)]
        for figure in self.figures:
            for side, estimate in (("judge", figure.judge), ("human", figure.human), ("corrected", figure.corrected)):
                told = {name: getattr(estimate, name) for name in ("value", "low", "high", "n")}
                about = {"estimand": figure.estimand, "labels": figure.labels, "group": ""}
                rows.append({"measure": figure.name, "tag": "", "side": SIDES[side], **told, **about})
        return pl.DataFrame(rows, infer_schema_length=None)

    def csv(self) -> str:
        return self.frame.fill_nan(None).write_csv()

    def latex(self) -> str:
        """One booktabs table per measure."""
        return "\n".join(one.systems_latex() for one in self.measures)

    def __repr__(self) -> str:
        return f"Corrections({', '.join([one.measure for one in self.measures] + [f.name for f in self.figures])})"


def corrections(
    measures: Sequence[str],
    runs: Sequence[Run],
    judge: Qrels,
    human: Qrels,
    *,
    estimand: Estimand = THESE,
    by: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    levels: Sequence[int] = (),
) -> Corrections:
    """Measures of the systems, and `prevalence` and `kappa` of the pool where they are among the names. Raises as `correct`
    does."""
    of_pool = [name for name in measures if is_figure(name)]
    of_systems = [name for name in measures if not is_figure(name)]
    found = (
        correct(of_systems, runs, judge, human, estimand=estimand, by=by, weights=weights, levels=levels) if of_systems else []
    )
    return Corrections(
        measures=found, figures=figures(of_pool, judge, human, estimand=estimand, levels=levels) if of_pool else []
    )


def _systems_text(one: Corrected) -> str:
    lines = [one.heading, "", *one.systems_lines(), *one.ending_lines()]
    for group, inner in one.by.items():
        lines += ["", f"── {group} " + "─" * 40, inner.heading, "", *inner.systems_lines()]
    return "\n".join(lines)


def _rows(one: Corrected, group: str) -> list[dict[str, Any]]:
    out = []
    for row in one.systems.iter_rows(named=True):
        for side in HEADS:
            told = {"value": row[side], "low": row[f"{side}_low"], "high": row[f"{side}_high"], "n": one.queries}
            about = {"estimand": one.estimand, "labels": one.labels, "group": group}
            out.append({"measure": one.measure, "tag": row["tag"], "side": SIDES[side], **told, **about})
    return out
