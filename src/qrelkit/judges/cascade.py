"""The cheap judge first, a dearer one only where the cheap one is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qrelkit.core.doors import Judge
from qrelkit.core.errors import InputError
from qrelkit.core.records import Judgment, Pair
from qrelkit.core.wire import Flow
from qrelkit.judges.several import Several, gives_probabilities, paid


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsure:
    """When a pair goes on to the next judge: its most probable grade is less probable than `below`, or its grade is one of
    `grades`. A pair without a grade goes on too, unless its request failed: that nobody answered says nothing of the pair, it is
    asked again by the next call, and the dear judge is not paid for a network that is down."""

    below: float | None = None
    grades: tuple[int, ...] = ()

    def about(self, judgment: Judgment) -> bool:
        if judgment.outcome == "failed" and judgment.request:
            return False
        if judgment.grade is None or judgment.grade in self.grades:
            return True
        return self.below is not None and max(judgment.probabilities or (0.0,)) < self.below


class Cascade(Several):
    """Implements the `Judge` door with judges of rising price.

    What the last judge that was asked says stands, also where that is no grade. `details` has `stage`, the judge that decided,
    and `first`, the first one's grade (None where it gave none); the cost is that of all that were asked, also of one that judged
    the pair before and is answered by the ledger. Raises InputError for `below` with a judge that gives no
    probabilities, and for a grade that is not on the scale.
    """

    kind = "cascade"

    def __init__(self, judges: Sequence[Judge], unsure: Unsure = Unsure(), *, name: str = "") -> None:
        rules = {"unsure": {"below": unsure.below, "grades": sorted(unsure.grades)}}
        super().__init__(judges, name or "→".join(judge.name for judge in judges), rules)
        self.unsure = unsure
        self.scale.fits(unsure.grades, "unsure.grades")
        blind = [judge.name for judge in self.judges[:-1] if not gives_probabilities(judge.settings)]
        if unsure.below is not None and blind:
            raise InputError(
                f"unsure.below needs probabilities, and {blind[0]} gives none: set samples above 1 or "
                "sampling.token_probabilities for it, or name unsure.grades instead"
            )

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        said: list[list[Judgment]] = [[] for _ in group]
        rest = list(range(len(group)))
        for judge in self.judges:
            judgments = yield from judge.flow([group[i] for i in rest])
            for i, judgment in zip(rest, judgments, strict=True):
                said[i].append(judgment)
            rest = [i for i in rest if self.unsure.about(said[i][-1])]
            if not rest:
                break
        return [self._decided(judgments) for judgments in said]

    def _decided(self, judgments: Sequence[Judgment]) -> Judgment:
        last = judgments[-1]
        stage = {"stage": self.judges[len(judgments) - 1].name, "first": judgments[0].grade}
        return replace(last, cost_usd=paid(judgments), details={**(last.details or {}), **stage})
