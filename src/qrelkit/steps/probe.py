"""probe: what a judge can be made to believe, and whether people's few grades notice.

A run that is sorted by the judge's own labels is perfect to that judge, whatever it is worth: who knows the judge can build it.
It is put among the systems, and judge, people and the corrected estimate each say what they think of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate, counted, finite
from qrelkit.core.run import Run
from qrelkit.measures.parse import Measure, parse_measures
from qrelkit.stats.corrected import quantile
from qrelkit.steps.correction import correct
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.families import family_warnings, models_of
from qrelkit.steps.population import KEY

Ties = Literal["chance", "fused"]
TIES: tuple[str, ...] = ("chance", "fused")
FUSED_K = 60  # reciprocal rank fusion: Cormack, Clarke & Büttcher 2009
ONE_SIDED = 0.95  # the question is whether the lead is smaller than claimed, and not whether it is another
ROUNDING = 1e-9  # what people know exactly has an interval without width


@dataclass(frozen=True, kw_only=True)
class Place:
    """A system's value by one assessor, and its rank among `of` systems (1 the best; equals share the better one)."""

    value: float
    rank: int
    of: int

    def json(self) -> dict[str, Any]:
        return {"value": finite(self.value), "rank": self.rank, "of": self.of}

    def __str__(self) -> str:
        return f"{self.value:.4f}, rank {self.rank} of {self.of}"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What is said of the run `tag`: by the judge, by people where they graded all of its pairs (else None), and corrected by
    the `labels` that people gave. `claimed` is its lead over `best`, the best other system, by the judge; `lead` is what the
    correction leaves of it, and `at_most` its upper end at one-sided 95 %."""

    measure: str
    judge_name: str
    human_name: str
    tag: str
    ties: str
    best: str
    judge: Place
    claimed: float
    labels: int
    people: Place | None = None
    corrected: Estimate | None = None
    lead: Estimate | None = None
    at_most: float = math.inf
    warnings: Sequence[str] = ()

    @property
    def excluded(self) -> bool | None:
        """Whether people's grades exclude that the lead is as large as claimed (one-sided, at 95 %); None without them."""
        return None if self.lead is None else self.claimed > self.at_most + ROUNDING

    @property
    def wins(self) -> bool | None:
        """Whether the corrected lead is above 0 with its whole interval: the trick worked, or the run really is better."""
        return None if self.lead is None else _low(self.lead) > ROUNDING

    def json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "tag": self.tag,
            "ties": self.ties,
            "best": self.best,
            "judge": {"name": self.judge_name, **self.judge.json()},
            "people": None if self.people is None else {"name": self.human_name, **self.people.json()},
            "corrected": None if self.corrected is None else self.corrected.json(),
            "claimed_lead": self.claimed,
            "lead": None if self.lead is None else self.lead.json(),
            "lead_at_most": finite(self.at_most),
            "excluded": self.excluded,
            "wins": self.wins,
            "labels": self.labels,
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """A few lines for people, and what follows."""
        rows = [
            f"{self.tag}: the pool sorted by {self.judge_name}'s own labels, ties by {_TIES[self.ties]}; {self.measure}",
            f"  by the judge    {self.judge}; it claims a lead of {self.claimed:+.4f} over {self.best}",
        ]
        if self.people is not None and self.lead is not None:
            rows.append(f"  by people       {self.people}; its lead over {self.best} is {self.lead.value:+.4f}")
        elif self.lead is not None:
            few = f"corrected by {counted(self.labels, 'human grade')}"
            rows.append(f"  {few}: {self.corrected}; its lead over {self.best} is {_signed(self.lead)}")
        return "\n".join([*rows, self._verdict()])

    def _verdict(self) -> str:
        if self.lead is None:
            return "Nobody but the judge has looked: whoever knows the judge would be believed. Let people grade a few pairs."
        if self.wins and self.excluded:
            return "The claimed lead is excluded, and still the run is better: it is good, though not as good as the judge says."
        if self.wins:
            return "The corrected estimate believes the run to be better; more human grades would tell whether it is."
        if self.excluded:
            return "The claimed lead is excluded: people's grades notice the trick."
        return "The claimed lead is not excluded: with so few human grades the trick goes unnoticed. Let people grade more pairs."


def sorted_by(judge: Qrels, runs: Sequence[Run] = (), *, ties: str = "chance", seed: int = 0) -> Run:
    """The run that gives the judge what it likes: each query's pairs by the judge's label, the highest first.

    Pairs with equal labels stand in an order of chance (`ties="chance"`: it knows the judge and nothing else), or by reciprocal
    rank fusion of `runs` (`"fused"`: a cleverer one, that also knows the systems). Pairs without a label are left out.
    """
    if ties not in TIES:
        raise UnknownName("way of breaking ties", ties, TIES)
    if ties == "fused" and not runs:
        raise InputError("ties are broken by the fused ranks of the systems: give their runs")
    rows = judge.graded.select(*KEY, "grade").sort(KEY)
    rows = rows.with_columns(chance=np.random.default_rng(seed).permutation(rows.height), fused=pl.lit(0.0))
    if ties == "fused":
        shares = [run.frame.select(*KEY, fused=1 / (FUSED_K + pl.col("rank"))) for run in runs]
        fused = pl.concat(shares).group_by(KEY).agg(pl.col("fused").sum())
        rows = rows.drop("fused").join(fused, on=KEY, how="left").with_columns(pl.col("fused").fill_null(0.0))
    rows = rows.sort("query_id", "grade", "fused", "chance", descending=[False, True, True, False])
    ranked = rows.select(*KEY, rank=pl.int_range(1, pl.len() + 1).over("query_id"))
    return Run.of(ranked, f"sorted-by-{judge.name}", source="probe")


def probe(
    measure: str | Measure,
    runs: Sequence[Run],
    judge: Qrels,
    human: Qrels | None = None,
    *,
    ties: str = "chance",
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
    levels: Sequence[int] = (),
    models: Mapping[str, str] | None = None,
    judge_models: Sequence[str] = (),
) -> Probe:
    """What judge, people and both say of the run that `sorted_by` builds, put among `runs`.

    `human` is a sample as `correct` takes it. `models` (tag → model) and `judge_models` (the judge's name by default) say whose
    family a system is of. Raises InputError without a run, and whatever `evaluate` and `correct` raise.
    """
    if not runs:
        raise InputError("a probe needs the systems that the sorted run is to beat: give their runs")
    (wanted,) = parse_measures([measure])
    trick = sorted_by(judge, runs, ties=ties, seed=seed)
    systems = [trick, *(run for run in runs if run.tag != trick.tag)]
    judged = _means(wanted, systems, judge, weights)
    best = max(range(1, len(systems)), key=judged.__getitem__)
    found: dict[str, Any] = {"corrected": None, "lead": None, "people": None, "labels": 0, "human_name": ""}
    if human is not None:
        (both,) = correct(wanted, [trick, systems[best]], judge, human, weights=weights, levels=levels, support=systems)
        row = both.differences.row(0, named=True)
        half = quantile(row["df"], ONE_SIDED) * row["corrected_sd"] if row["corrected_sd"] > 0 else 0.0
        found["at_most"] = row["corrected"] + half
        found |= {"corrected": both.estimate(trick.tag), "lead": both.difference(row), "labels": both.labels}
        found["human_name"] = human.name
        if both.design == "census":
            found["people"] = _place(_means(wanted, systems, human, weights))
    return Probe(
        measure=str(wanted),
        judge_name=judge.name,
        tag=trick.tag,
        ties=ties,
        best=systems[best].tag,
        judge=_place(judged),
        claimed=judged[0] - judged[best],
        warnings=family_warnings(models_of(runs, models), judge_models or [judge.name]),
        **found,
    )


_TIES = {"chance": "chance", "fused": "the fused ranks of the systems"}


def _means(measure: Measure, runs: Sequence[Run], qrels: Qrels, weights: Mapping[str, float] | None) -> list[float]:
    scores = evaluate([measure], runs, qrels, weights=weights, resamples=0)
    return [scores.estimate(run.tag, str(measure)).value for run in runs]


def _place(values: Sequence[float]) -> Place:
    """The first system's."""
    return Place(value=values[0], rank=1 + sum(value > values[0] for value in values[1:]), of=len(values))


def _low(estimate: Estimate) -> float:
    return -np.inf if np.isnan(estimate.low) else estimate.low


def _high(estimate: Estimate) -> float:
    return np.inf if np.isnan(estimate.high) else estimate.high


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} [{_low(estimate):+.3f}, {_high(estimate):+.3f}]"
