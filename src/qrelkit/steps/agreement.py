"""Agreement: what `agree` found, as numbers, JSON and a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrelkit.core.records import Estimate

NO_GROUP = "(no group)"
WORDS = {
    "exact": "exact agreement",
    "kappa": "Cohen's kappa",
    "kappa_linear": "  linear weights",
    "kappa_quadratic": "  quadratic weights",
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_nominal": "  nominal",
    "mae": "mean absolute difference",
    "bias": "bias (assessor − human)",
    "hard": "hard disagreement (≥ 2 steps)",
    "soft": "soft disagreement (1 step)",
    "either": "agrees with any human",
    "majority": "agrees with their majority",
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One assessor against one human: `counts` has the human's grades in rows; `estimates` are named as in JSON, a binary
    cut `cut G` (grade G and above is relevant). `n` of an estimate is the number of queries resampled."""

    values: tuple[int, ...]
    counts: NDArray[np.int64]
    queries: int
    estimates: Mapping[str, Estimate]

    @property
    def pairs(self) -> int:
        return int(self.counts.sum())

    def json(self) -> dict[str, Any]:
        cuts = {name[4:]: e.json() for name, e in self.estimates.items() if name.startswith("cut ")}
        out = {name: e.json() for name, e in self.estimates.items() if not name.startswith("cut ")}
        matrix = {"labels": list(self.values), "rows": "human", "counts": self.counts.tolist()}
        return {"n": self.pairs, "queries": self.queries, **out, "cuts": cuts, "confusion": matrix}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What `agree` found. `figures` are against the first human; the counts say what was left out of them.

    `constant`: the most common human grade, and what always answering it would reach. `against`: the same figures against
    each human and their majority, where there are several; `humans`: each two of them. `ungraded`: pairs with a human grade
    that the assessor left without one, by outcome. `unmatched`: pairs that only the assessor, or only a human, has.
    `no_majority`: pairs whose humans tie.
    """

    assessor: str
    human: str
    figures: Figures
    constant: tuple[int, Mapping[str, Estimate]]
    against: Mapping[str, Figures] = field(default_factory=dict)
    humans: Mapping[tuple[str, str], Figures] = field(default_factory=dict)
    by: Mapping[str, Figures] = field(default_factory=dict)
    ungraded: Mapping[str, int] = field(default_factory=dict)
    unmatched: Mapping[str, int] = field(default_factory=dict)
    clipped: int = 0
    excluded: int = 0
    no_majority: int = 0
    warnings: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The stable form: a statistic is {value, low, high, n}, NaN is null with a reason."""
        grade, guess = self.constant
        out = {"assessor": self.assessor, "human": self.human, **self.figures.json()}
        out["constant_guess"] = {"grade": grade, **{name: e.json() for name, e in guess.items()}}
        out["against"] = {name: f.json() for name, f in self.against.items()}
        out["humans"] = [{"a": a, "b": b, **f.json()} for (a, b), f in self.humans.items()]
        if self.by:
            out["by"] = {group: f.json() for group, f in self.by.items()}
        out["ungraded"], out["unmatched"] = dict(self.ungraded), dict(self.unmatched)
        for name in ("clipped", "excluded", "no_majority"):
            out[name] = getattr(self, name)
        return out | {"warnings": list(self.warnings)}

    def text(self) -> str:
        """For people: the figures beside a constant guess, the confusion matrix, what was left out."""
        f, (grade, guess) = self.figures, self.constant
        cuts = {name: f"kappa, {name[4:]} and above relevant" for name in f.estimates if name.startswith("cut ")}
        shown = {name: words for name, words in WORDS.items() if name not in ("either", "majority") or self.against}
        lines = [f"{self.assessor} against {self.human}: {f.pairs:,} pairs of {f.queries:,} queries", ""]
        lines.append(f"{'':<32}{'value':>8}   {'95 % by query':<18}{f'always {grade}':>9}")
        lines += [_row(words, f.estimates[name], guess.get(name)) for name, words in (shown | cuts).items()]
        lines += ["", *_matrix(f)]
        among = {f"{a} / {b}": found for (a, b), found in self.humans.items()}
        for title, table in (("against", self.against), ("humans among themselves", among), ("group", self.by)):
            lines += _summary(title, table)
        left_out = {
            "only the assessor has": self.unmatched.get("assessor", 0),
            "only a human has": self.unmatched.get("human", 0),
            "shown as examples": self.excluded,
            "no majority (humans tie)": self.no_majority if self.against else 0,
        }
        told = [f"{words}: {n:,} pairs" for words, n in left_out.items() if n] + [f"! {w}" for w in self.warnings]
        return "\n".join([*lines, *([""] if told else []), *told])

    def __repr__(self) -> str:
        kappa = self.figures.estimates["kappa"]
        return f"Agreement({self.assessor} against {self.human}: {self.figures.pairs:,} pairs, kappa {kappa})"


def _row(words: str, e: Estimate, guess: Estimate | None) -> str:
    """A figure with its interval and that of the constant guess."""
    if math.isnan(e.value):
        return f"{words:<32}{'n/a':>8}   {e.reason}"
    limits = "" if math.isnan(e.low) else f"[{e.low:.3f}, {e.high:.3f}]"
    beside = "" if guess is None or math.isnan(guess.value) else f"{guess.value:.4f}"
    return f"{words:<32}{e.value:>8.4f}   {limits:<18}{beside:>9}".rstrip()


def _matrix(f: Figures) -> list[str]:
    """The confusion matrix with its sums."""
    wide = max(6, len(f"{f.pairs:,}") + 2)
    head = "".join(f"{value:>{wide}}" for value in f.values)
    rows = [
        f"{value:>10} " + "".join(f"{n:>{wide},}" for n in row) + f"  │{row.sum():>{wide},}"
        for value, row in zip(f.values, f.counts, strict=True)
    ]
    sums = f"{'all':>10} " + "".join(f"{n:>{wide},}" for n in f.counts.sum(axis=0)) + f"  │{f.pairs:>{wide},}"
    return [f"{'human':>10} {head}  │{'all':>{wide}}   (columns: assessor)", *rows, sums]


def _summary(title: str, table: Mapping[str, Figures]) -> list[str]:
    """One line of main figures per row of `table`."""
    if not table:
        return []
    wide = max(len(name) for name in (title, NO_GROUP, *table)) + 2
    lines = ["", f"{title:<{wide}}{'pairs':>8}  {'exact':>6}  {'kappa':<24}{'quadratic':<24}{'bias':>7}"]
    for name, f in table.items():
        e = f.estimates
        kappas = f"{e['kappa']!s:<24}{e['kappa_quadratic']!s:<24}"
        lines.append(f"{name or NO_GROUP:<{wide}}{f.pairs:>8,}  {e['exact'].value:>6.3f}  {kappas}{e['bias'].value:>+7.3f}")
    return lines
