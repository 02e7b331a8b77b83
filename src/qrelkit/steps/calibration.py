"""What an assessor's grade stands for in people's terms, learnt from the pairs that both graded.

Two assessors in one qrels are two yardsticks: where the model is milder, whoever has more holes gains. Calibrated, a filled pair
has the mean human grade of the overlap's pairs with the same grade of the assessor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.guideline import Scale
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted

KEY = ["query_id", "doc_id"]
LEAST = 20  # pairs that both graded; from fewer, nothing is learnt


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What one grade of the assessor stands for: the mean human grade of `n` pairs, and the grade of the scale nearest to it."""

    n: int
    expected: float
    grade: int


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """E(human grade | the assessor's grade), from `pairs` pairs; `grades` maps each of the assessor's grades that occurred."""

    human: str
    assessor: str
    pairs: int
    grades: Mapping[int, Learnt]

    def of(self, grade: int) -> Learnt:
        """What a grade stands for; one that never occurred is taken for the nearest that did (the lower of two)."""
        return self.grades[min(self.grades, key=lambda known: (abs(known - grade), known))]

    def applied(self, found: pl.DataFrame) -> pl.DataFrame:
        """The assessor's rows with calibrated `grade` and `expected`, and an origin that says so; ungraded ones as they are."""
        known = {int(grade): self.of(int(grade)) for grade in found["grade"].drop_nulls().unique()}
        grade = pl.col("grade").replace_strict({g: k.grade for g, k in known.items()}, default=None, return_dtype=pl.Int32)
        expected = pl.col("grade").replace_strict(
            {g: k.expected for g, k in known.items()}, default=None, return_dtype=pl.Float64
        )
        origin = pl.when(pl.col("grade").is_null()).then(pl.col("origin")).otherwise(pl.col("origin") + " (calibrated)")
        return found.with_columns(grade=grade, expected=expected, origin=origin)

    def unseen(self, found: pl.DataFrame) -> list[int]:
        """The grades in the assessor's rows that the overlap does not have."""
        return sorted(set(found["grade"].drop_nulls().unique().to_list()) - set(self.grades))

    def json(self) -> dict[str, Any]:
        grades = {str(g): {"n": k.n, "expected": k.expected, "grade": k.grade} for g, k in self.grades.items()}
        return {"pairs": self.pairs, "grades": grades}

    def __str__(self) -> str:
        stands = ", ".join(f"{g} is {k.expected:.2f}" for g, k in self.grades.items())
        return f"calibrated on {counted(self.pairs, 'pair')} that both graded: {stands}"


def calibrate(human: Qrels, assessor: Qrels, *, scale: Scale | None = None, exclude: pl.DataFrame | None = None) -> Calibration:
    """What each grade of `assessor` stands for, from all pairs that both graded, less those of `exclude` (shown as examples).

    The grade given is the nearest of the scale, or of those that people used (the lower of two as near). The overlap should be
    like the holes: pairs that people chose to grade because they ranked high are better than those left over.

    Raises InputError for an overlap of fewer than 20 pairs.
    """
    mine = assessor.graded.select(*KEY, "grade")
    both = human.graded.select(*KEY, people=pl.col("grade")).join(mine, on=KEY, how="inner")
    if exclude is not None:
        both = both.join(exclude, on=KEY, how="anti")
    if both.height < LEAST:
        raise InputError(
            f"{counted(both.height, 'pair')} graded by both {human.name} and {assessor.name}: too few to calibrate by. Have "
            f"{assessor.name} judge at least {LEAST} of the pairs that people graded, or fill with its own grades "
            "(--policy human_first)"
        )
    table = both.group_by("grade").agg(n=pl.len(), expected=pl.col("people").mean()).sort("grade")
    values = scale.values if scale is not None else human.grades
    learnt = {
        grade: Learnt(n=n, expected=mean, grade=min(values, key=lambda value: (abs(value - mean), value)))
        for grade, n, mean in table.iter_rows()
    }
    return Calibration(human=human.name, assessor=assessor.name, pairs=both.height, grades=learnt)
