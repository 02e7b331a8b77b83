"""Correct a judge by the few grades that people gave: every system's measures as the judge alone, people alone, and both say.

The judge's labels are turned into chances of human grades (`stats.calibration`), every measure is taken at these chances, and
what people graded corrects it with the probabilities that it was drawn with. Where whole queries were graded, the queries are
the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted
from qrelkit.core.run import Run
from qrelkit.measures.linear import Expected, Placed, expected
from qrelkit.measures.parse import Measure, parse_measures
from qrelkit.measures.rank import Judged, Ranked
from qrelkit.stats.corrected import Means, among_like, by_pair, by_query, off_common, over_queries, shrunk, spread
from qrelkit.stats.sampling import weights as label_weights
from qrelkit.steps.corrected import THESE, Corrected, Estimand
from qrelkit.steps.evaluate import different
from qrelkit.steps.population import Population, population

Floats = npt.NDArray[np.float64]

SHARES = (
    "nDCG",
    "P",
    "R",
    "AP",
    "RR",
    "Success",
    "Judged",
    "RBP",
    "ERR",
    "bpref",
    "Rprec",
    "IPrec",
    "SetP",
    "SetR",
    "SetF",
    "SetAP",
)
CHUNK = 20_000  # pairs whose slopes are held at once
FEW = 2  # queries wholly graded below which there is no interval by query


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The three ways to see the systems' means of one measure."""

    judge: Means
    human: Means
    both: Means
    bend: float  # how far a straight line may be off the corrected values, as a standard deviation: the bias that may remain


def correct(
    measures: str | Measure | Iterable[str | Measure],
    runs: Sequence[Run],
    judge: Qrels,
    human: Qrels | None = None,
    *,
    estimand: Estimand = THESE,
    by: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    levels: Sequence[int] = (),
    support: Sequence[Run] = (),
) -> list[Corrected]:
    """Each measure's values under the judge, under people and corrected, with 95 % intervals, and all differences of systems.

    `judge` grades every pair of the population; `human` a sample of them, by pair (with columns `probability` and `round`
    where it was not drawn evenly) or of whole queries. `estimand`: the mean over "these queries" (the error of sampling labels
    only) or over "queries like these" (that of sampling queries too). `by` (query_id → group) adds each group's own result;
    `weights` (query_id → weight) make means weighted. Raises InputError for measures that the design cannot estimate, and for
    no human grade.
    """
    different(runs)
    wanted = parse_measures([measures] if isinstance(measures, str | Measure) else measures)
    people = population(judge, human, levels=levels, runs=support or runs)
    if human is not None and not len(people.labelled):
        raise InputError(f"{human.name} has no grade at all, so there is nothing to correct with")
    if human is not None and not people.drawn:
        raise InputError(
            f"no grade of {human.name} was drawn by chance, so none stands for the pairs that nobody graded; have some drawn "
            "(review --choose)"
        )
    out = []
    for measure in wanted:
        samples = Samples(measure, runs, judge, human, people)
        groups = sorted(set(by.values())) if by else []
        whole = _corrected(samples, estimand, share_of(people, weights))
        inside = {
            group: _corrected(samples, estimand, share)
            for group in groups
            if (share := share_of(people, weights, {q for q, g in (by or {}).items() if g == group})).any()
        }
        out.append(replace(whole, by=inside))
    return out


def share_of(people: Population, weights: Mapping[str, float] | None, some: set[str] | None = None) -> Floats:
    """Each query's share of the mean: even, by weight, and 0 outside `some`."""
    ids = people.query_ids.to_list()
    missing = [query for query in ids if weights is not None and query not in weights]
    if missing:
        raise InputError(f"{len(missing)} queries have no weight, the first is {missing[0]!r}")
    share = np.array([(weights[q] if weights else 1.0) * (some is None or q in some) for q in ids], dtype=np.float64)
    return share / share.sum() if share.sum() > 0 else share


class Samples:
    """One measure over a population, ready for estimates of any share of its queries."""

    def __init__(self, measure: Measure, runs: Sequence[Run], judge: Qrels, human: Qrels | None, people: Population) -> None:
        self.measure, self.runs, self.people = measure, runs, people
        self.judge, self.human = judge, human
        self.design = people.design if len(people.labelled) else "nobody"

    @cached_property
    def placed(self) -> Placed:
        return self.people.placed(self.runs, [self.measure])

    @cached_property
    def both(self) -> Side:
        return Side(self.measure, self.people, self.placed)

    @cached_property
    def alone(self) -> Side:
        return Side(self.measure, self.people.without_judge(), self.placed)

    def corrected(self, share: Floats, these: bool) -> Means:
        """The corrected means alone."""
        return self.both.means(share, these) if self.design == "by pair" else self.sides(share, these).both

    @cached_property
    def judged(self) -> Floats:
        """(systems × queries): the measure under the judge's own grades."""
        return values_per_query(self.measure, self.runs, self.judge, self.people.query_ids)

    def sides(self, share: Floats, these: bool) -> Sides:
        """The three estimates for queries that count by `share`."""
        judged = self.judged * share * (share > 0).sum()
        inside = np.flatnonzero(share > 0)
        judge = over_queries(judged[:, inside])
        if self.human is None:
            nothing = Means(value=np.full(len(judged), np.nan), noise=np.zeros((len(judged), 1)), df=0)
            return Sides(judge=judge, human=nothing, both=nothing, bend=0.0)
        if self.design == "by pair":
            both, human = self.both.means(share, these), self.alone.means(share, these)
            return Sides(judge=judge, human=human, both=both, bend=self.both.bend(share))
        sampled = np.flatnonzero(self.people.complete & (share > 0))
        if len(sampled) < min(FEW, len(inside)):
            raise InputError(
                f"people graded {counted(len(sampled), 'query')} wholly, which gives no interval; "
                f"grade {FEW} or more, or pairs of all queries"
            )
        known = values_per_query(self.measure, self.runs, self.human, self.people.query_ids) * share * (share > 0).sum()
        at = np.searchsorted(inside, sampled)
        both, human = (by_query(known[:, sampled], judged[:, inside], at, these=these, weight=w) for w in (None, 0.0))
        return Sides(judge=judge, human=human, both=both, bend=0.0)


class Side:
    """A measure at calibrated chances, and how far each label moved it: with the judge's labels, or without."""

    def __init__(self, measure: Measure, people: Population, placed: Placed) -> None:
        self.people, self.placed = people, placed
        calibration = people.calibrated()
        self.at_least, self.before = calibration.at_least, calibration.without
        self.known: Expected = expected(measure, placed, people.chances(calibration))
        self.slopes = self.known.slopes.at(people.labelled)
        self.off = self._off()

    def _off(self) -> Floats:
        """(systems × labels): how far each label moved its query's value off what it would be at the pair's chances without it.

        A value is a sum over retrieved documents (moved by `own`) times 1 / ideal or recall base (moved by `base`): what both
        were before gives value · (1 − own / value) · (1 − base / value), which a straight line alone would miss by their product.
        """
        q, more = self.people.q[self.people.labelled], self.people.z - self.before
        both = (self.slopes * more).sum(axis=2)
        base = (self.known.slopes.shared[:, q] * more).sum(axis=2)
        value = self.known.value[:, q]
        return np.asarray(both - np.where(value > 0, (both - base) * base / np.maximum(value, 1e-12), 0.0))

    def rest(self, share: Floats) -> Floats:
        """(systems × systems): the sum over the pairs that nobody graded of the products of what their grades move the values.

        Pairs that no system retrieved differ only by query, judge's label and support, so that each such kind is looked at once.
        """
        people = self.people
        open_ = np.ones(len(people), bool)
        open_[people.labelled] = False
        _, alike = np.unique(people.support, return_inverse=True)
        kind = (people.q * len(people.place) + people.stratum) * len(people) + alike
        seen = np.unique(np.concatenate([*self.placed.pair, np.empty(0, np.int64)]))
        kind[seen] = kind.max(initial=0) + 1 + np.arange(len(seen))
        at = np.flatnonzero(open_ & (share[people.q] > 0))
        _, first, times = np.unique(kind[at], return_index=True, return_counts=True)
        out = np.zeros((len(self.known.value),) * 2)
        for start in range(0, len(first), CHUNK):
            some = at[first[start : start + CHUNK]]
            many = share[people.q[some]] * np.sqrt(times[start : start + CHUNK])
            moves = centred(self.known.slopes.at(some) * many[None, :, None], self.at_least[some]).reshape(len(out), -1)
            out += moves @ moves.T
        return out

    def means(self, share: Floats, these: bool) -> Means:
        """Corrected means over the queries that count by `share`."""
        people, value = self.people, self.known.value * share
        mine = share[people.q[people.labelled]]
        thought, rest = centred(self.slopes * mine[None, :, None], self.before), self.rest(share)
        labels = label_weights(people.probability, people.round, uncertainty(thought), rest=spread(rest))
        if these:
            return by_pair(value.sum(axis=1), self.off * mine, thought, rest, labels, self.known.bent * share)
        labels = labels.with_these_queries()
        found = by_pair(value.sum(axis=1), self.off * mine, thought, rest, labels, self.known.bent * share)
        return among_like(found, over_queries(value[:, share > 0] * (share > 0).sum()))

    def bend(self, share: Floats) -> float:
        return float(np.sqrt((((self.known.bent) * share) ** 2).sum(axis=1)).mean())


def centred(slopes: Floats, at_least: Floats) -> Floats:
    """(systems × pairs × grades): what a grade would move a value by, off its mean, times the root of the grade's chance."""
    chance = -np.diff(np.pad(at_least, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0))), axis=1).clip(max=0)
    moves = np.concatenate([np.zeros((*slopes.shape[:2], 1)), np.cumsum(slopes, axis=2)], axis=2)
    return np.asarray((moves - (moves * chance).sum(axis=2, keepdims=True)) * np.sqrt(chance))


def uncertainty(thought: Floats) -> Floats:
    """(pairs,): the variance that a pair's grade brings to the differences of the systems, or to the one system's value."""
    return np.asarray((off_common(thought) ** 2).sum(axis=(0, 2)))


def values_per_query(measure: Measure, runs: Sequence[Run], qrels: Qrels, query_ids: pl.Series) -> Floats:
    """(systems × queries): trec_eval's values; 0 for a query without a grade."""
    judged = Judged(qrels)
    at = pl.DataFrame({"q": query_ids}).join(
        judged.query_ids.to_frame("q").with_row_index("at"), on="q", how="left", maintain_order="left"
    )["at"]
    values = np.stack([measure.of(Ranked(run, judged)) for run in runs])
    out = np.zeros((len(runs), len(query_ids)))
    there = at.is_not_null().to_numpy()
    out[:, there] = values[:, at.drop_nulls().to_numpy()]
    return out


def _corrected(samples: Samples, estimand: Estimand, share: Floats) -> Corrected:
    these = estimand == THESE
    sides = samples.sides(share, these)
    people, tags = samples.people, [run.tag for run in samples.runs]
    queries = int((share > 0).sum())
    if len(people.labelled):  # how much the correction is noise does not depend on which queries are asked about
        ranked, trust = shrunk(sides.judge.value, sides.both if these else samples.corrected(share, True))
    else:
        ranked, trust = sides.judge.value, 0.0
    systems = {"tag": tags, "shrunk": ranked}
    for name, means in (("judge", sides.judge), ("human", sides.human), ("corrected", sides.both)):
        told = means.estimates(queries)
        low, high = (np.array([getattr(e, end) for e in told]) for end in ("low", "high"))
        value = means.value
        if samples.measure.name in SHARES:  # what cannot be is neither an estimate nor part of an interval
            value, low, high = np.clip(value, 0.0, 1.0), np.maximum(low, 0.0), np.minimum(high, 1.0)
        systems |= {name: value, f"{name}_low": low, f"{name}_high": high}
    within = share[people.q] > 0
    return Corrected(
        measure=str(samples.measure),
        estimand=estimand,
        design=samples.design,
        judge=samples.judge.name,
        human=samples.human.name if samples.human is not None else "",
        labels=int(within[people.labelled].sum()),
        pairs=int(within.sum()),
        queries=queries,
        systems=pl.DataFrame(systems),
        differences=_differences(tags, sides),
        trust=trust,
        bend=sides.bend,
    )


def _differences(tags: Sequence[str], sides: Sides) -> pl.DataFrame:
    """One row per two systems: a, b, and each side's difference with its interval and standard error."""
    from qrelkit.stats.corrected import quantile

    if len(tags) < 2:
        return pl.DataFrame(schema={"a": pl.String, "b": pl.String})
    a, b = (np.array(side) for side in zip(*combinations(range(len(tags)), 2), strict=True))
    table: dict[str, object] = {"a": [tags[i] for i in a], "b": [tags[i] for i in b]}
    for name, means in (("judge", sides.judge), ("human", sides.human), ("corrected", sides.both)):
        value, sd = means.differences(a, b)
        half = np.where(sd > 0, quantile(means.df), 0.0) * np.maximum(sd, 1e-300)
        table |= {name: value, f"{name}_low": value - half, f"{name}_high": value + half, f"{name}_sd": sd}
    return pl.DataFrame(table).with_columns(df=pl.lit(sides.both.df))
