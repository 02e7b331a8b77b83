"""In words: what may be concluded from a comparison, and what may not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qrelkit.core.records import counted

SHOWN = 5  # differences that are told one by one
CHANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Conclusions:
    """Sentences that go on from “You may conclude” and “You may not conclude”."""

    may: tuple[str, ...] = ()
    may_not: tuple[str, ...] = ()

    def text(self) -> str:
        """One line a sentence; where nothing may be concluded, that is said."""
        not_ = self.may_not if self.may else ("anything about which system is better", *self.may_not)
        return "\n".join([*(f"You may conclude {s}." for s in self.may), *(f"You may not conclude {s}." for s in not_)])

    def json(self) -> dict[str, Any]:
        return {"may": list(self.may), "may_not": list(self.may_not)}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two systems, the difference of their means with its interval, and whether it may be believed."""

    a: str
    b: str
    value: float
    low: float
    high: float
    sure: bool

    def told(self) -> str:
        """“a is better than b (+0.0340 [+0.010, +0.058])”, the better one first."""
        better, worse = (self.a, self.b) if self.value > 0 else (self.b, self.a)
        low, high = sorted((abs(self.low), abs(self.high))) if self.low * self.high > 0 else (self.low, self.high)
        return f"that {better} is better than {worse} ({abs(self.value):+.4f}{_limits(low, high)})"

    def open(self) -> str:
        return (
            f"which of {self.a} and {self.b} is better, nor that they are equal ({self.value:+.4f}{_limits(self.low, self.high)})"
        )


def of_differences(found: Sequence[Difference], what: str, beyond: str) -> Conclusions:
    """Which of the differences may be believed, by `what` (measure, queries, assessor); `beyond` is what nobody looked at."""
    ranked = sorted(found, key=lambda d: -abs(d.value))
    sure, open_ = [d for d in ranked if d.sure], [d for d in ranked if not d.sure]
    may = [d.told() + (f", {what}" if i == 0 else "") for i, d in enumerate(sure[:SHOWN])]
    if len(sure) > SHOWN:
        may.append(f"the same of {len(sure) - SHOWN:,} more of the {len(ranked):,} pairs of systems")
    not_ = [d.open() for d in open_[::-1][:SHOWN]]
    if len(open_) > SHOWN:
        not_.append(f"the one or the other of {counted(len(open_) - SHOWN, 'more pair')} of systems")
    return Conclusions(may=tuple(may), may_not=(*not_, beyond))


def of_ranking(tau: float, tau_low: float, tops: dict[int, tuple[float, float]], first: tuple[str, str]) -> Conclusions:
    """Whether two assessors order the systems alike: overall, at the top, and about the best."""
    may: list[str] = []
    not_: list[str] = []
    if not math.isnan(tau):
        word = (
            "nearly alike" if tau_low >= 0.9 else "much alike" if tau_low >= 0.7 else "alike in parts only" if tau_low > 0 else ""
        )
        (may if word else not_).append(
            f"that both put the systems in an order that is {word} (tau {tau:.3f}, at least {tau_low:.3f})"
            if word
            else f"that both put the systems in like orders (tau {tau:.3f}, perhaps {tau_low:.3f})"
        )
    if first[0] == first[1]:
        may.append(f"that both put {first[0]} first here")
    else:
        not_.append(f"which system is the best: one puts {first[0]} first, the other {first[1]}")
    for k, (value, low) in tops.items():
        if not math.isnan(value) and not low >= 0.7:
            not_.append(f"that the best {k} are in the same order (tau {value:.3f}, perhaps {low:.3f})")
    not_.append("that small differences between systems are real: compare under one qrels, or correct with people's grades")
    return Conclusions(may=tuple(may), may_not=tuple(not_))


def _limits(low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isinf(low) else f" [{low:+.4f}, {high:+.4f}]"
