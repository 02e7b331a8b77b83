"""Several judges, models or prompts on the same pair, and one grade from their votes, by one of three rules:

    majority   the grade with the most votes; on a tie the lower one
    median     the middle vote; of two middle ones the lower
    mean       the mean of the votes, rounded to the nearest grade of the scale; half-way goes down

What is in doubt goes down everywhere: a judge that is too kind hides the difference between systems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median_low
from typing import Any, Literal, get_args

from qrelkit.core.doors import Judge
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Judgment, Pair
from qrelkit.core.wire import Flow
from qrelkit.judges.several import Several, paid, together

Rule = Literal["majority", "median", "mean"]
RULES: tuple[str, ...] = get_args(Rule)


class Panel(Several):
    """Implements the `Judge` door with several judges that are asked together.

    A pair is graded where at least the share `quorum` of the members graded it, and one did; otherwise its outcome is
    "failed" where that of a member is (the next run asks again), else the first member's that gave no grade. Probabilities
    are the shares of the votes. `details` has `votes` (member → grade, or the outcome that stands in its place), and
    `requests` (member → digest). The members' replies are their own in the ledger: a panel of judges that judged before
    costs nothing.
    """

    kind = "panel"

    def __init__(self, judges: Sequence[Judge], *, rule: str = "majority", quorum: float = 0.5, name: str = "") -> None:
        if rule not in RULES:
            raise UnknownName("rule of a panel", rule, RULES)
        if not 0 <= quorum <= 1:
            raise InputError(f"quorum is a share of the members, from 0 to 1, not {quorum}")
        name = name or f"{rule} of {', '.join(judge.name for judge in judges)}"
        super().__init__(judges, name, {"rule": rule, "quorum": quorum})
        self.rule, self.quorum = rule, quorum

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        by_member = yield from together([judge.flow(group) for judge in self.judges])
        return [self._joined(judgments) for judgments in zip(*by_member, strict=True)]

    def _joined(self, judgments: Sequence[Judgment]) -> Judgment:
        named = {judge.name: judgment for judge, judgment in zip(self.judges, judgments, strict=True)}
        votes = [judgment.grade for judgment in judgments if judgment.grade is not None]
        details: dict[str, Any] = {"votes": {n: j.outcome if j.grade is None else j.grade for n, j in named.items()}}
        if requests := {name: judgment.request for name, judgment in named.items() if judgment.request}:
            details["requests"] = requests
        common: dict[str, Any] = {"cost_usd": paid(judgments), "details": details}
        if not votes or len(votes) < self.quorum * len(judgments) - 1e-9:
            ungraded = [judgment for judgment in judgments if judgment.grade is None]
            first = next((judgment for judgment in ungraded if judgment.outcome == "failed"), ungraded[0])
            return replace(first, probabilities=None, **common)
        grade = self.resolved(votes)
        name, nearest = min(
            ((n, j) for n, j in named.items() if j.grade is not None), key=lambda vote: abs((vote[1].grade or 0) - grade)
        )
        reason = f"{name}: {nearest.reason}" if nearest.reason else ""
        counts = Counter(votes)
        shares = tuple(counts[value] / len(votes) for value in self.scale.values)
        return replace(nearest, grade=grade, reason=reason, probabilities=shares, **common)

    def resolved(self, votes: Sequence[int]) -> int:
        """One grade of the scale from the votes."""
        if self.rule == "median":
            return median_low(votes)
        if self.rule == "mean":
            mean = fmean(votes)
            return min(self.scale.values, key=lambda value: (abs(value - mean), value))
        counts = Counter(votes)
        return min(grade for grade, count in counts.items() if count == max(counts.values()))
