"""What `triage` found: label sets side by side, by what they cost and what they decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from qrelkit.core.records import Estimate, finite

FIGURES = ("kappa", "kappa_quadratic", "tau_people", "tau_dear")
HEADS = {"kappa": "kappa", "kappa_quadratic": "quadratic kappa", "tau_people": "tau-b, people", "tau_dear": "tau-b, all dear"}


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One label set. `way`: how it came about (`replaced`, `corrected`, `member`, `panel`); `share` of the pairs, `sent`, went to
    the dearer assessor. `usd` and `hours` are None where a price or a pace is unknown.

    `kappa`, `kappa_quadratic`: agreement with people on pairs; `tau_people`, `tau_dear`: the order of the systems beside that
    under people's grades, and under all labels of the dearer assessor. `settled`: the share of the pairs of systems that the
    reference calls different which these labels call different too, the same way round; `wrong`: how many they call
    different the wrong way round. `over_best` (of panels): each figure less that of the best member in it.
    """

    name: str
    way: str
    share: float
    sent: int
    usd: float | None
    hours: float | None
    kappa: Estimate
    kappa_quadratic: Estimate
    tau_people: Estimate
    tau_dear: Estimate
    settled: float
    wrong: float
    over_best: Mapping[str, Estimate] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The stable form."""
        head = {name: getattr(self, name) for name in ("name", "way", "share", "sent", "usd", "hours")}
        told = {name: getattr(self, name).json() for name in FIGURES}
        best = {"over_best": {name: e.json() for name, e in self.over_best.items()}} if self.over_best else {}
        return head | told | {"settled": finite(self.settled), "wrong": self.wrong} | best


@dataclass(frozen=True, kw_only=True)
class Triage:
    """Rows of label sets. `kind`: `people` (the dearer assessor is people), `cascade` (a model) or `panel`.

    `graded`: how many of the pairs people graded; where it is not all of them, the others' grades were drawn `draws` times by
    what they said of pairs like it, and the figures are means. `reference` is whose verdicts `settled` and `wrong` are about, of
    `decided` pairs of systems. `redrawn`: tau-b that the reference's order has with itself on other queries of the same number
    (median of resamples). `recommended` is the share to send by `rule_of_choice`.
    """

    kind: str
    measure: str
    judge: str
    dear: str
    people: str
    rule: str
    systems: int
    queries: int
    pairs: int
    graded: int
    draws: int
    reference: str
    decided: float
    redrawn: float
    rows: tuple[Labelled, ...]
    recommended: float | None = None
    rule_of_choice: str = ""
    warnings: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The stable form: `rows`, each with name, way, share, sent, usd, hours, the figures, settled, wrong."""
        left_out = ("rows", "warnings", "redrawn")
        head = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out}
        return head | {
            "redrawn": finite(self.redrawn),
            "rows": [row.json() for row in self.rows],
            "warnings": list(self.warnings),
        }

    @property
    def frame(self) -> pl.DataFrame:
        """One row per label set: name, way, share, sent, usd, hours, each figure with _low and _high, settled, wrong."""
        rows = []
        for row in self.rows:
            head = {name: getattr(row, name) for name in ("name", "way", "share", "sent", "usd", "hours")}
            ends = (("", "value"), ("_low", "low"), ("_high", "high"))
            told = {name + end: finite(getattr(getattr(row, name), part)) for name in FIGURES for end, part in ends}
            best = {f"over_best_{name}": finite(e.value) for name, e in row.over_best.items()}
            rows.append(head | told | {"settled": finite(row.settled), "wrong": row.wrong} | best)
        return pl.DataFrame(rows, infer_schema_length=None)

    def csv(self) -> str:
        """The rows as CSV."""
        return self.frame.write_csv()

    def text(self) -> str:
        """For people: one line per label set, and the share to send."""
        shown = self._shown()
        width = max(len(row.name) for row in self.rows) + 2
        head = f"{'':<{width}}" + "".join(f"{words:>{size}}" for _, words, size in shown)
        lines = [*self._heading(), "", head]
        for row in self.rows:
            lines.append(f"{row.name:<{width}}" + "".join(f"{_cell(row, name):>{size}}" for name, _, size in shown))
        lines += self._beside_best() if self.kind == "panel" else ["", *self._words()]
        return "\n".join([*lines, *(f"! {w}" for w in self.warnings)])

    def latex(self) -> str:
        """The rows as LaTeX (\\usepackage{booktabs})."""
        shown = self._shown()
        head = " & ".join(["", *(words.replace("tau-b", r"$\tau_b$") for _, words, _ in shown)])
        escaped = str.maketrans({"%": r"\%", "_": r"\_", "&": r"\&", "$": r"\$", "#": r"\#"})
        rows = [" & ".join(s.translate(escaped) for s in (row.name, *(_cell(row, n) for n, _, _ in shown))) for row in self.rows]
        top = [rf"\begin{{tabular}}{{l{'r' * len(shown)}}}", r"\toprule", head + r" \\", r"\midrule"]
        return "\n".join([*top, *(row + r" \\" for row in rows), r"\bottomrule", r"\end{tabular}"]) + "\n"

    def _shown(self) -> list[tuple[str, str, int]]:
        """Attribute, words and width of the columns that say anything here."""
        has = {name: any(not math.isnan(getattr(row, name).value) for row in self.rows) for name in FIGURES}
        has["tau_dear"] = has["tau_dear"] and self.kind == "cascade"
        has |= {"sent": self.kind != "panel", "hours": any(row.hours for row in self.rows)}
        has["usd"] = any(row.usd is not None for row in self.rows)
        columns = [("sent", "pairs sent", 12), ("hours", "hours", 9), ("usd", "cost", 11)]
        columns += [(name, HEADS[name], 24) for name in FIGURES]
        columns += [("settled", "settled", 10), ("wrong", "wrong", 7)]
        return [column for column in columns if has.get(column[0], True)]

    def _heading(self) -> list[str]:
        what = f"{self.systems} systems by {self.measure}, {self.queries} queries, {self.pairs:,} pairs"
        if self.kind == "panel":
            return [f"A panel beside its members: {what}."]
        first = f"{self.judge} everywhere, {self.dear} on a share of the pairs ({RULE_WORDS[self.rule]}): {what}."
        if self.draws < 2:
            return [first]
        drawn = (
            f"People graded {self.graded:,} of them; the others' grades are drawn {self.draws} times by what they said of such."
        )
        return [first, drawn]

    def _words(self) -> list[str]:
        lines = [
            f"Settled: of {self.decided:,.0f} pairs of systems that differ under {self.reference} (t over queries, p < .05).",
            f"On other queries of the same number sending all would give tau-b {self.redrawn:.4f} with itself (median).",
        ]
        if self.recommended is None:
            return [*lines, f"No share is enough: {self.rule_of_choice}."]
        row = next(row for row in self.rows if row.share == self.recommended)
        takes = [f"{row.sent:,} of {self.pairs:,} pairs"]
        takes += [f"{row.hours:,.1f} hours"] if row.hours else []
        takes += [f"${row.usd:,.2f}"] if row.usd is not None else []
        return [*lines, f"Send {100 * self.recommended:.4g} % ({', '.join(takes)}): {self.rule_of_choice}."]

    def _beside_best(self) -> list[str]:
        lines = ["", "less the best member in the same figure (chosen on these data, which leans against the panel):"]
        for row in self.rows:
            told = ", ".join(f"{HEADS[name]} {e.value:+.4f} [{e.low:+.3f}, {e.high:+.3f}]" for name, e in row.over_best.items())
            lines += [f"  {row.name}: {told}"] if told else []
        return lines

    def __repr__(self) -> str:
        return f"Triage({self.kind}: {len(self.rows)} label sets, {self.pairs:,} pairs, {self.measure})"


def _cell(row: Labelled, name: str) -> str:
    value = getattr(row, name)
    if isinstance(value, Estimate):
        return str(value)
    if value is None or math.isnan(value):
        return "unknown" if value is None else "n/a"
    forms = {"sent": f"{value:,.0f}", "hours": f"{value:,.1f}", "usd": f"${value:,.2f}", "settled": f"{value:.1%}"}
    return forms.get(name, f"{value:.4g}")


RULE_WORDS = {
    "decision": "first those that can move a system most",
    "uncertainty": "first those it is least sure of",
    "label": "first those it graded highest",
    "uniform": "in random order",
    "": "",
}


def recommended(rows: Sequence[Labelled], redrawn: float, target: float | None) -> tuple[float | None, str]:
    """The smallest share from which on every larger one is good enough beside sending all, and the rule in words.

    Good enough: tau-b with the order when all are sent, the lower end of its interval, is at least `target` — without one, at
    least what that order would have with itself on other queries (`redrawn`), with 95 % of its settled pairs settled and no
    more of them wrong.
    """
    curve = sorted((row for row in rows if row.way == "replaced"), key=lambda row: row.share)
    last = curve[-1]

    def tau(row: Labelled) -> float:
        told = row.tau_people if math.isnan(row.tau_dear.value) else row.tau_dear
        return told.value if math.isnan(told.low) else told.low

    def enough(row: Labelled) -> bool:
        if target is not None:
            return tau(row) >= target
        return tau(row) >= redrawn and row.settled >= 0.95 * last.settled and row.wrong <= last.wrong

    chosen = None
    for row in reversed(curve):
        if not enough(row):
            break
        chosen = row.share
    if target is not None:
        return (
            chosen,
            f"the smallest from which on tau-b with sending all is at least {target:g} (lower end)",
        )
    return chosen, (
        "the smallest from which on tau-b with sending all is, by the lower end of its interval, at least what other queries "
        "would leave; 95 % of the verdicts stand, and no more are wrong"
    )
