"""What `pooling.compare` found: ways of choosing what gets judged, side by side at equal numbers of labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from qrelkit.core.records import Estimate, finite


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One method at one budget. `found`: the share of the pool's relevant pairs among the chosen, 0 to 1 (NaN where there are
    none); `tau`, `tau_ap`: the systems' order beside that under all labels; `moved`: by how many ranks the one moves that
    moves most. Of methods that draw, all are means over the repeats."""

    method: str
    labels: int
    found: float
    tau: Estimate
    tau_ap: Estimate
    moved: float

    def json(self) -> dict[str, Any]:
        """The stable form."""
        taus = {"tau": self.tau.json(), "tau_ap": self.tau_ap.json()}
        return {"method": self.method, "labels": self.labels, "found": finite(self.found), **taus, "moved": self.moved}


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The choices, method by method, each at every budget.

    `pairs`: how many there were to choose from, `relevant` of them at grade `relevant_from` or more. Intervals are 95 %
    and draw the queries anew; they are centred on the value.
    """

    measure: str
    qrels: str
    feedback: str
    systems: int
    queries: int
    pairs: int
    relevant: int
    relevant_from: int
    repeats: int
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...] = ()

    def choice(self, method: str, labels: int) -> Choice:
        """The one of a method at a budget."""
        return next(c for c in self.choices if (c.method, c.labels) == (method, labels))

    def json(self) -> dict[str, Any]:
        """The stable form: `choices`, each with method, labels, found, tau, tau_ap, moved."""
        names = ("measure", "qrels", "feedback", "systems", "queries", "pairs", "relevant", "relevant_from", "repeats")
        head = {name: getattr(self, name) for name in names}
        return head | {"choices": [c.json() for c in self.choices], "warnings": list(self.warnings)}

    @property
    def frame(self) -> pl.DataFrame:
        """One row per method and budget: method, labels, found, tau, tau_low, tau_high, tau_ap, …, moved."""
        rows = []
        for c in self.choices:
            taus = {"tau": c.tau, "tau_ap": c.tau_ap}.items()
            limits = {n + end: v for n, e in taus for end, v in (("", e.value), ("_low", e.low), ("_high", e.high))}
            rows.append({"method": c.method, "labels": c.labels, "found": c.found, **limits, "moved": c.moved})
        return pl.DataFrame(rows)

    def text(self) -> str:
        """For people: one block per budget, one line per method."""
        relevant = f"{self.relevant:,} of them relevant (grade {self.relevant_from} or more)"
        lines = [
            f"{self.systems} systems by {self.measure}, {self.queries} queries: their order by some labels of {self.qrels}",
            f"beside that by all of them. {self.pairs:,} pairs to choose from, {relevant}; feedback: {self.feedback}.",
        ]
        head = f"{'labels':>7}  {'method':<8}{'relevant found':>15}  {'tau-b':<25}{'tau-AP':<25}{'largest move':>12}"
        before = -1
        for c in sorted(self.choices, key=lambda c: c.labels):
            lines += ["", head] if c.labels != before else []
            before, found = c.labels, "n/a" if math.isnan(c.found) else f"{c.found:.1%}"
            lines.append(f"{c.labels:>7,}  {c.method:<8}{found:>15}  {c.tau!s:<25}{c.tau_ap!s:<25}{c.moved:>12.1f}")
        return "\n".join([*lines, *(f"! {w}" for w in self.warnings)])

    def csv(self) -> str:
        """The choices as CSV."""
        return self.frame.write_csv()

    def latex(self) -> str:
        """The choices as LaTeX (\\usepackage{booktabs})."""
        head = r"labels & method & found (\%) & $\tau_b$ & $\tau_{AP}$ & largest move \\"
        rows = [
            rf"{c.labels} & {c.method} & {100 * c.found:.1f} & {c.tau} & {c.tau_ap} & {c.moved:.1f} \\"
            for c in sorted(self.choices, key=lambda c: c.labels)
        ]
        top = [r"\begin{tabular}{rlrllr}", r"\toprule", head, r"\midrule"]
        return "\n".join([*top, *rows, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def __repr__(self) -> str:
        methods = len({c.method for c in self.choices})
        return f"Pooled({methods} methods, {len(self.choices)} choices among {self.pairs:,} pairs, {self.measure})"
