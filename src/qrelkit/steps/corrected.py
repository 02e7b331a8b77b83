"""What `correct` found: systems under the judge, under people and corrected, and the differences between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from qrelkit.core.records import Estimate, finite
from qrelkit.steps.comparison import tabular, tex
from qrelkit.steps.conclusions import Conclusions, Difference, of_differences

Estimand = Literal["these queries", "queries like these"]
THESE: Estimand = "these queries"
LIKE: Estimand = "queries like these"
SIDES = {"judge": "judge_only", "human": "human_only", "corrected": "corrected"}
HEADS = {"judge": "judge only", "human": "people only", "corrected": "corrected"}


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """One measure. `systems`: tag, judge, human, corrected (each with _low, _high) and `shrunk`, the value to rank by.
    `differences`: a, b, and judge, human, corrected (each with _low, _high, _sd). `labels` of `pairs` were graded by people, by
    `design` (by pair, by query, census, nobody). `trust` is the share of the correction that the ranking uses, `bend` a standard
    deviation: the bias that sampled pairs may leave because the measure bends (0 for linear measures and for whole queries)."""

    measure: str
    estimand: Estimand
    design: str
    judge: str
    human: str
    labels: int
    pairs: int
    queries: int
    systems: pl.DataFrame
    differences: pl.DataFrame
    trust: float
    bend: float
    by: Mapping[str, Corrected] = field(default_factory=dict)

    def estimate(self, tag: str, side: str = "corrected") -> Estimate:
        """One system's value by `judge`, `human` or `corrected`. KeyError where there is no such system."""
        rows = self.systems.filter(pl.col("tag") == tag)
        if not rows.height:
            raise KeyError(tag)
        return self._of(rows.row(0, named=True), side)

    def difference(self, row: Mapping[str, Any], side: str = "corrected") -> Estimate:
        """The difference in a row of `differences` by one side."""
        return self._of(row, side)

    def _of(self, row: Mapping[str, Any], side: str) -> Estimate:
        limits = {end: row[f"{side}_{end}"] for end in ("low", "high")}
        reason = "" if not math.isnan(row[side]) else "nobody graded a pair yet"
        known = {end: v if math.isfinite(v) else math.nan for end, v in limits.items()}
        return Estimate(value=row[side], n=self.queries, reason=reason, **known)

    @property
    def conclusions(self) -> Conclusions:
        """What may be said of the differences, each at 95 %."""
        found = [
            Difference(
                a=row["a"],
                b=row["b"],
                value=row["corrected"],
                low=row["corrected_low"],
                high=row["corrected_high"],
                sure=row["corrected_low"] > 0 or row["corrected_high"] < 0,
            )
            for row in self.differences.iter_rows(named=True)
        ]
        if not self.labels:
            return Conclusions(may_not=("that what the judge says of the systems is so: nobody graded a pair yet",))
        what = f"by {self.measure} over {self.estimand}, each at 95 %, from {self.labels:,} human grades"
        return of_differences(found, what, self.beyond)

    @property
    def beyond(self) -> str:
        """What the estimand does not cover."""
        if self.estimand == THESE:
            return f"that it would be so on other queries: the estimand is the mean over these {self.queries}"
        return "that it would be so for users, catalogues or tasks that these queries do not stand for"

    def json(self) -> dict[str, Any]:
        """`systems` {TAG: {judge_only, human_only, corrected, shrunk}}, and `pairs` of systems with the same three."""
        systems = {
            row["tag"]: {name: self._of(row, side).json() for side, name in SIDES.items()} | {"shrunk": finite(row["shrunk"])}
            for row in self.systems.iter_rows(named=True)
        }
        pairs = [
            {"a": row["a"], "b": row["b"]} | {name: self._of(row, side).json() for side, name in SIDES.items()}
            for row in self.differences.iter_rows(named=True)
        ]
        plain = ("measure", "estimand", "design", "judge", "human", "labels", "queries", "trust", "bend")
        out: dict[str, Any] = {name: getattr(self, name) for name in plain}
        out |= {"pairs_judged": self.pairs, "systems": systems, "pairs": pairs, "conclusions": self.conclusions.json()}
        return out | ({"by": {group: one.json() for group, one in self.by.items()}} if self.by else {})

    @property
    def heading(self) -> str:
        """Measure, estimand and design in one line."""
        designs = {"by pair": "sampled pairs", "by query": "whole queries", "census": "all pairs", "nobody": "nothing graded yet"}
        of = f"{self.labels:,} of {self.pairs:,} pairs graded by people ({designs[self.design]})"
        return f"{self.measure}, mean over {self.estimand} ({self.queries}); {of}"

    def systems_lines(self) -> list[str]:
        """The systems, best first by the value to rank by."""
        wide = max(6, *(len(tag) for tag in self.systems["tag"])) + 2
        lines = [f"{'system':<{wide}}" + "".join(f"{head:<26}" for head in HEADS.values()) + "to rank by"]
        for row in self.systems.sort("shrunk", descending=True, maintain_order=True).iter_rows(named=True):
            lines.append(f"{row['tag']:<{wide}}" + "".join(f"{self._told(row, s):<26}" for s in SIDES) + f"{row['shrunk']:.4f}")
        return lines

    def ending_lines(self) -> list[str]:
        """What the ranking trusts, and the bias that may be left."""
        if self.design != "by pair":
            return []
        bias = f"; sampled pairs may leave a bias of about {self.bend:.4f} in a value" if self.bend > 0.00005 else ""
        return ["", f"ranked with {self.trust:.0%} of the correction{bias}"]

    def text(self) -> str:
        """For people: the systems, and the differences between them, largest first."""
        wide = max(6, *(len(tag) for tag in self.systems["tag"])) + 2
        lines = [self.heading, "", *self.systems_lines()]
        if self.differences.height:
            lines += ["", f"{'a − b':<{2 * wide}}" + "".join(f"{head:<28}" for head in HEADS.values()).rstrip()]
            rows = self.differences.sort(pl.col(self._shown).abs(), descending=True, maintain_order=True)
            for row in rows.iter_rows(named=True):
                names = f"{row['a']:<{wide}}{row['b']:<{wide}}"
                lines.append(names + "".join(f"{self._told(row, s, '+'):<28}" for s in SIDES).rstrip())
        lines += self.ending_lines()
        lines += [line for group, one in self.by.items() for line in ("", f"── {group} " + "─" * 40, one.text())]
        return "\n".join(lines)

    @property
    def _shown(self) -> str:
        return "corrected" if self.labels else "judge"

    def _told(self, row: Mapping[str, Any], side: str, sign: str = "") -> str:
        if math.isnan(row[side]):
            return "n/a"
        low, high = row[f"{side}_low"], row[f"{side}_high"]
        limits = f" [{low:{sign}.3f}, {high:{sign}.3f}]" if math.isfinite(low) else " [no interval]"
        return f"{row[side]:{sign}.4f}{limits}"

    def csv(self) -> str:
        """The differences as CSV, or the system's values where there is one system."""
        frame = self.differences if self.differences.height else self.systems
        return frame.with_columns(measure=pl.lit(self.measure), estimand=pl.lit(self.estimand)).fill_nan(None).write_csv()

    def latex(self) -> str:
        """The differences as a LaTeX table (booktabs), measure and estimand in its caption."""
        return self._latex(self.differences, ["a", "b"], "+") if self.differences.height else self.systems_latex()

    def systems_latex(self) -> str:
        """The systems as a LaTeX table."""
        return self._latex(self.systems, ["tag"], "")

    def _latex(self, frame: pl.DataFrame, names: list[str], sign: str) -> str:
        rows = [
            [*(tex(r[n]) for n in names), *(f"${self._told(r, s, sign)}$" for s in SIDES)] for r in frame.iter_rows(named=True)
        ]
        return tabular([*names, *HEADS.values()], rows, "l" * len(names) + "rrr", tex(self.heading))

    def __repr__(self) -> str:
        return f"Corrected({self.measure}, {self.systems.height} systems, {self.labels:,} of {self.pairs:,} pairs graded)"
