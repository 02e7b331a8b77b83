"""decide: which system is better, from a judge's labels and the few grades that people gave; what may be said; what it still
takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.parse import Measure
from qrelkit.steps.conclusions import Conclusions, Difference, of_differences
from qrelkit.steps.corrected import SIDES, THESE, Corrected, Estimand
from qrelkit.steps.correction import correct
from qrelkit.steps.settle import MOST, SECONDS, Verdict, settle

SHOWN = 20  # verdicts told one by one
LADDER = (25, 50, 100, 200, 400, 800, 1600, 3200)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The corrected comparison and a verdict for every two systems, at a pace of `seconds` a label. `sequential`: the verdicts
    hold however often one looks; else each is its own 95 % interval."""

    corrected: Corrected
    verdicts: Sequence[Verdict]
    sequential: bool
    planned: bool
    seconds: float
    measured: bool
    warnings: tuple[str, ...] = ()

    @property
    def conclusions(self) -> Conclusions:
        """What may be said, and what may not."""
        found = self.corrected
        if not self.sequential or not found.labels:
            return found.conclusions
        rows = found.differences.iter_rows(named=True)
        told = [
            Difference(a=v.a, b=v.b, value=r["corrected"], low=r["corrected_low"], high=r["corrected_high"], sure=bool(v.better))
            for v, r in zip(self.verdicts, rows, strict=True)
        ]
        often = "however often one looked" + (", all pairs together" if len(told) > 1 else "")
        return of_differences(
            told, f"by {found.measure} over {THESE}, at 95 % {often}, from {found.labels:,} human grades", found.beyond
        )

    @property
    def plan(self) -> list[dict[str, Any]]:
        """How many of the pairs of systems would be settled after so many further labels."""
        open_ = [v.more for v in self.verdicts if not v.better]
        done = len(self.verdicts) - len(open_)
        return [
            {
                "labels_more": n,
                "minutes_more": round(n * self.seconds / 60, 1),
                "settled": done + sum(m is not None and m <= n for m in open_),
            }
            for n in LADDER
        ]

    def json(self) -> dict[str, Any]:
        """The stable form: that of the first two systems at the top, and `comparisons` for every two."""
        both = []
        for v, row in zip(self.verdicts, self.corrected.differences.iter_rows(named=True), strict=True):
            one: dict[str, Any] = {"a": v.a, "b": v.b} | {
                name: self.corrected.difference(row, side).json() for side, name in SIDES.items()
            }
            one |= {"verdict": v.words, "labels": v.labels, "labels_more": v.more, "minutes_more": v.minutes(self.seconds)}
            both.append(one | ({"reason": "not worth it"} if v.more is None else {}))
        found = self.corrected.json()
        out = both[0] | {
            name: found[name] for name in ("measure", "estimand", "design", "queries", "pairs_judged", "systems", "trust", "bend")
        }
        out |= {"comparisons": both, "seconds_per_label": self.seconds, "sequential": self.sequential}
        out |= {"plan": self.plan} if self.planned else {}
        out |= {"by": found["by"]} if "by" in found else {}
        return out | {"conclusions": self.conclusions.json(), "warnings": list(self.warnings)}

    def text(self) -> str:
        """For people: the tables, the verdicts, and the words."""
        lines = [self.corrected.text(), ""]
        if self.sequential or self.planned:
            told = sorted(self.verdicts, key=lambda v: (not v.better, v.more is None, v.more or 0))
            lines += [v.text(self.seconds) for v in told[:SHOWN]]
            lines += [f"… and {len(told) - SHOWN:,} more pairs of systems"] if len(told) > SHOWN else []
            lines += [""]
        if self.planned and len(self.verdicts) > 1:
            steps = [f"{p['labels_more']:>6,} labels {p['minutes_more'] / 60:>6.1f} h {p['settled']:>5,}" for p in self.plan]
            lines += [f"  further work      pairs settled of {len(self.verdicts):,} (all together at 95 %, Holm)", *steps, ""]
        if self.planned or (self.sequential and not all(v.better for v in self.verdicts)):
            lines += [f"at {self.seconds:.0f} s a label, {'as measured' if self.measured else 'assumed'}", ""]
        return "\n".join([*lines, *(f"! {w}" for w in self.warnings), self.conclusions.text()])

    def csv(self) -> str:
        """One line per two systems, with the verdict."""
        told = [(v.words, v.labels, v.more) for v in self.verdicts]
        names = {"verdict": pl.String, "labels": pl.Int64, "labels_more": pl.Int64}
        return self.corrected.differences.hstack(pl.DataFrame(told, schema=names, orient="row")).fill_nan(None).write_csv()

    def latex(self) -> str:
        """The differences as a LaTeX table."""
        return self.corrected.latex()

    def __repr__(self) -> str:
        settled = sum(bool(v.better) for v in self.verdicts)
        return f"Decision({settled} of {len(self.verdicts)} pairs of systems settled, {self.corrected.labels:,} labels)"


def decide(
    measure: str | Measure,
    runs: Sequence[Run],
    judge: Qrels,
    human: Qrels | None = None,
    *,
    sequential: bool = False,
    plan: bool = False,
    estimand: Estimand = THESE,
    by: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    levels: Sequence[int] = (),
    most: int = MOST,
    seconds: float | None = None,
    warnings: Sequence[str] = (),
) -> Decision:
    """The systems under the judge, under people and corrected, and a verdict for every two.

    `sequential` (--settle): verdicts that stay valid however often one looks, over these queries. Without it a verdict is that a
    95 % interval leaves 0 out. `plan` says what settling will take; `seconds` is the pace of a label, 20 where nobody measured
    it. Raises what `correct` and `settle` raise.
    """
    found = correct(measure, runs, judge, human, estimand=estimand, by=by, weights=weights, levels=levels)[0]
    verdicts = settle(measure, runs, judge, human, weights=weights, levels=levels, most=most)
    if not sequential:
        rows = found.differences.iter_rows(named=True)
        limits = [(row["corrected_low"], row["corrected_high"]) for row in rows]
        verdicts = [_plain(v, low, high, found.labels) for v, (low, high) in zip(verdicts, limits, strict=True)]
    return Decision(
        corrected=found,
        verdicts=verdicts,
        sequential=sequential,
        planned=plan,
        seconds=SECONDS if seconds is None else seconds,
        measured=seconds is not None,
        warnings=tuple(warnings),
    )


def _plain(verdict: Verdict, low: float, high: float, labels: int) -> Verdict:
    better = verdict.a if low > 0 else verdict.b if high < 0 else ""
    more = 0 if better else None if verdict.more is None else max(verdict.more, 1)
    return replace(verdict, better=better, labels=labels, more=more)
