"""What `compare` found: a ranking of systems under two qrels, or the differences between systems under one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from qrelkit.core.records import Estimate, finite
from qrelkit.steps.conclusions import CHANCE, Conclusions, Difference, of_differences, of_ranking


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The same systems under two qrels. `systems`: tag, a, b (means), rank_a, rank_b (1 the best, ties share the best rank),
    best first under the reference. `n` of a statistic is the number of systems it orders; its interval resamples the queries
    (`queries` of them) and leans low, since drawing queries anew adds noise to both rankings.
    """

    measure: str
    qrels: tuple[str, str]
    queries: int
    tau: Estimate
    tau_ap: Estimate
    top: Mapping[int, Estimate]
    systems: pl.DataFrame
    warnings: tuple[str, ...] = ()
    by: Mapping[str, Ranking | Differences] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The stable form: `tau`, `tau_ap`, `top` by k, each {value, low, high, n}."""
        return {
            "measure": self.measure,
            "qrels": list(self.qrels),
            "queries": self.queries,
            "tau": self.tau.json(),
            "tau_ap": self.tau_ap.json(),
            "top": {str(k): e.json() for k, e in self.top.items()},
            "systems": self.systems.to_dicts(),
            "conclusions": self.conclusions.json(),
            "warnings": list(self.warnings),
        } | _by_json(self.by)

    @property
    def conclusions(self) -> Conclusions:
        """Whether the two assessors order the systems alike, and what does not follow from it."""
        first = tuple(str(self.systems.sort(f"rank_{side}", maintain_order=True)["tag"][0]) for side in "ab")
        tops = {k: (e.value, e.low) for k, e in self.top.items()}
        return of_ranking(self.tau.value, self.tau.low, tops, (first[0], first[1]))

    def text(self) -> str:
        """For people: the correlations, then the systems under both."""
        taus = {"Kendall's tau-b": self.tau, "tau-AP": self.tau_ap, **{f"tau-b, top {k}": e for k, e in self.top.items()}}
        under = f"under {self.qrels[0]} (first, the reference) and {self.qrels[1]} (second)"
        lines = [f"{self.systems.height} systems by {self.measure} {under}, {self.queries} queries"]
        lines += ["", *(f"{name:<18}{_told(e)}" for name, e in taus.items()), ""]
        wide = max(6, *(len(tag) for tag in self.systems["tag"])) + 2
        lines.append(f"{'system':<{wide}}{'first':>8}{'rank':>6}{'second':>9}{'rank':>6}")
        lines += [f"{tag:<{wide}}{a:>8.4f}{ra:>6}{b:>9.4f}{rb:>6}" for tag, a, b, ra, rb in self.systems.iter_rows()]
        ending = ["", *(f"! {w}" for w in self.warnings), self.conclusions.text()]
        return "\n".join([*lines, *ending, *_by_text(self.by)])

    def csv(self) -> str:
        """The systems as CSV: tag, a, b, rank_a, rank_b."""
        return self.systems.write_csv()

    def latex(self) -> str:
        """The systems as a LaTeX table (booktabs), the correlations in its caption."""
        taus = [rf"$\tau_b$ {self.tau}", rf"$\tau_{{AP}}$ {self.tau_ap}", *(rf"top {k} {e}" for k, e in self.top.items())]
        head = ["system", tex(self.qrels[0]), "rank", tex(self.qrels[1]), "rank"]
        rows = [[tex(tag), f"{a:.4f}", str(ra), f"{b:.4f}", str(rb)] for tag, a, b, ra, rb in self.systems.iter_rows()]
        return tabular(head, rows, "lrrrr", f"{tex(self.measure)}: " + ", ".join(taus))

    def __repr__(self) -> str:
        return f"Ranking({self.systems.height} systems by {self.measure}, tau {self.tau})"


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Every two systems under one qrels. `pairs`: a, b, diff (mean of a − mean of b), low, high, p_t, p_rand, p_holm (Holm's
    correction of p_rand over all pairs), in the order in which the systems were given."""

    measure: str
    qrels: str
    queries: int
    means: Mapping[str, float]
    pairs: pl.DataFrame
    warnings: tuple[str, ...] = ()
    by: Mapping[str, Ranking | Differences] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The stable form: `pairs` with plain numbers; NaN is null with a reason."""
        pairs = []
        for row in self.pairs.iter_rows(named=True):
            out = {name: finite(v) if isinstance(v, float) else v for name, v in row.items()}
            short = {"reason": "one query has neither interval nor test"} if None in out.values() else {}
            pairs.append(out | short)
        return {
            "measure": self.measure,
            "qrels": self.qrels,
            "queries": self.queries,
            "means": dict(self.means),
            "pairs": pairs,
            "conclusions": self.conclusions.json(),
            "warnings": list(self.warnings),
        } | _by_json(self.by)

    @property
    def conclusions(self) -> Conclusions:
        """The differences that Holm's correction leaves, and those that may be nothing."""
        found = [
            Difference(a=r["a"], b=r["b"], value=r["diff"], low=r["low"], high=r["high"], sure=r["p_holm"] < CHANCE)
            for r in self.pairs.iter_rows(named=True)
        ]
        what = f"by {self.measure} on queries like these {self.queries}, as {self.qrels} grades them"
        return of_differences(found, what, f"that {self.qrels} is right: how its assessor errs is not part of these intervals")

    def text(self) -> str:
        """For people: one line per pair of systems, largest difference first."""
        wide = max(6, *(len(tag) for tag in self.means)) + 2
        lines = [f"{self.measure} under {self.qrels}, {self.queries} queries: a − b", ""]
        lines.append(f"{'a':<{wide}}{'b':<{wide}}{'diff':>8}  {'95 % by query':<20}{'p t-test':>9}{'p rand.':>9}{'p Holm':>9}")
        for row in self.pairs.sort(pl.col("diff").abs(), descending=True, maintain_order=True).iter_rows(named=True):
            limits = "" if math.isnan(row["low"]) else f"[{row['low']:+.4f}, {row['high']:+.4f}]"
            ps = "".join(f"{_p(row[name]):>9}" for name in ("p_t", "p_rand", "p_holm"))
            lines.append(f"{row['a']:<{wide}}{row['b']:<{wide}}{row['diff']:>+8.4f}  {limits:<20}{ps}")
        ending = ["", *(f"! {w}" for w in self.warnings), self.conclusions.text()]
        return "\n".join([*lines, *ending, *_by_text(self.by)])

    def csv(self) -> str:
        """The pairs as CSV."""
        return self.pairs.write_csv()

    def latex(self) -> str:
        """The pairs as a LaTeX table (booktabs)."""
        rows = [
            [tex(a), tex(b), f"${diff:+.4f}$", f"$[{low:+.4f}, {high:+.4f}]$", *(_p(p) for p in ps)]
            for a, b, diff, low, high, *ps in self.pairs.iter_rows()
        ]
        head = ["$a$", "$b$", "$a-b$", r"95\,\%", "$p_t$", "$p_{rand}$", "$p_{Holm}$"]
        return tabular(head, rows, "llrrrrr", f"{tex(self.measure)} under {tex(self.qrels)}, {self.queries} queries")

    def __repr__(self) -> str:
        return f"Differences({len(self.means)} systems by {self.measure}, {self.queries} queries)"


def _by_json(by: Mapping[str, Ranking | Differences]) -> dict[str, Any]:
    return {"by": {group: found.json() for group, found in by.items()}} if by else {}


def _by_text(by: Mapping[str, Ranking | Differences]) -> list[str]:
    return [line for group, found in by.items() for line in ("", f"── {group} " + "─" * 40, found.text())]


def _told(e: Estimate) -> str:
    return f"n/a  ({e.reason})" if math.isnan(e.value) else str(e)


def _p(p: float) -> str:
    return "n/a" if math.isnan(p) else f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def tex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
        c: "\\" + c for c in "&%$#_{}"
    }
    return "".join(special.get(c, c) for c in text)


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], columns: str, caption: str) -> str:
    """A table for \\usepackage{booktabs}."""
    body = [" & ".join(row) + r" \\" for row in rows]
    top = [r"\begin{table}", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    end = [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join([*top, " & ".join(head) + r" \\", r"\midrule", *body, *end]) + "\n"
