"""triage: a judge's labels everywhere, those of a dearer assessor — another model, or people — where they matter most.

Pairs are put in order, and the first of them get the dearer assessor's labels in place of the judge's (`replaced`); or as many
are drawn by chance and the judge is calibrated and corrected by them (`corrected`). Either way the labels exist already: what
is found is what would have been decided with fewer of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate, counted
from qrelkit.core.run import Run
from qrelkit.formats.chances import chance_columns
from qrelkit.measures.parse import Measure, parse_measure
from qrelkit.stats.correlation import tau_b
from qrelkit.steps.choose import choose, effects, sizes
from qrelkit.steps.completed import completed
from qrelkit.steps.corrected import LIKE, THESE
from qrelkit.steps.correction import correct
from qrelkit.steps.evaluate import different
from qrelkit.steps.label_price import UNPRICED, LabelPrice
from qrelkit.steps.population import KEY, Population, population
from qrelkit.steps.triaged import FIGURES, Labelled, Triage, recommended
from qrelkit.steps.worth import UNKNOWN, Bench, Table, Verdicts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RULES = ("decision", "uncertainty", "label", "uniform")
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Dials:
    """How a triage is done: the `shares` of the pairs that are sent, by which `rule`; whether the corrected way is tried too; the
    tau-b asked for (`target`, None: what other queries would leave); resamples of the intervals, and the seed."""

    shares: Sequence[float] = SHARES
    rule: str = "decision"
    corrected: bool = False
    target: float | None = None
    resamples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UnknownName("rule of a triage", self.rule, RULES)
        if not self.shares or not all(0 <= share <= 1 for share in self.shares):
            raise InputError(f"shares are numbers from 0 to 1, such as 0, 0.05 and 1; found {list(self.shares)}")


PLAIN = Dials()


def triage(
    measure: str | Measure,
    runs: Sequence[Run],
    judge: Qrels,
    *,
    dear: Qrels | None = None,
    human: Qrels | None = None,
    price: LabelPrice = UNPRICED,
    dear_price: LabelPrice = UNPRICED,
    dials: Dials = PLAIN,
) -> Triage:
    """What each share sent to the dearer assessor costs and decides: a cascade to `dear`, or, without it, to people (`human`).

    Rules: `decision`, first the pairs that can move a system most, by the judge's label alone; `uncertainty`, first those whose
    most probable grade is least probable; `label`, the highest grades first; `uniform`, as they come. All shares are of the pairs
    that the dearer assessor can label. Sent to people, the last share is their grades alone. A sample of people's grades will
    do: what is missing is drawn from what people said of pairs like it (`steps.completed`). Prices are per label, of the judge
    everywhere and of the dearer assessor where it is asked.

    Raises InputError for neither `dear` nor `human` and for fewer than two runs, UnknownName for a rule, Mismatch where nothing
    is shared.
    """
    asked = parse_measure(measure) if isinstance(measure, str) else measure
    different(runs)
    if dear is None and human is None:
        raise InputError("triage sends pairs on: name another judge's labels (dear), or people's (human)")
    sets = [judge, *(one for one in (dear, human) if one is not None)]
    if stranger := next((one for one in sets if not one.graded.join(judge.frame, on=KEY, how="semi").height), None):
        raise Mismatch(f"{stranger.name} grades no pair of {judge.name}; are they of the same collection?")
    case = _Case(Table(asked, runs, [judge], resamples=dials.resamples, seed=dials.seed), judge, dear, human, dials)
    if price.usd is None and dear_price.usd is not None:
        case.warnings.append(f"a label of {judge.name} has no known price, so neither has any total")
    rows = []
    for share in sorted(set(dials.shares) | {1.0}):
        n = round(share * len(case.order))
        common = {"share": share, "sent": n, "hours": dear_price.hours(n)}
        common["usd"] = _sum(price.paid(len(judge)), dear_price.paid(n))
        rows.append(_row(case, n, f"{100 * share:.4g} %", common))
        if dials.corrected and n:
            rows.append(_corrected_row(case, n, f"{100 * share:.4g} % corrected", common))
    redrawn = case.bench.redrawn([] if case.bench.dear is None else [case.bench.dear])
    chosen, words = recommended(rows, redrawn, dials.target)
    return Triage(
        kind="people" if dear is None else "cascade",
        measure=str(asked),
        judge=judge.name,
        dear=(dear or human or judge).name,
        people="" if human is None else human.name,
        rule=dials.rule,
        systems=len(runs),
        queries=len(case.table.query_ids),
        pairs=len(case.order),
        graded=case.graded,
        draws=len(case.people),
        reference=(human or dear or judge).name,
        decided=case.bench.decided,
        redrawn=redrawn,
        rows=tuple(rows),
        recommended=chosen,
        rule_of_choice=words,
        warnings=tuple(case.warnings),
    )


class _Case:
    """Everything that does not change with the share: the labels as arrays, the order of sending, the bench."""

    def __init__(self, table: Table, judge: Qrels, dear: Qrels | None, human: Qrels | None, dials: Dials) -> None:
        self.table, self.dials, self.human, self.warnings = table, dials, human, list[str]()
        self.judge = _spread(table, judge)
        self.labels = table.labels(judge)
        self.graded, self.people = 0, list[Ints]()
        if human is not None:
            self.human = within = _within(table, human)
            said = _spread(table, dear or judge)
            known = population(said, within)
            self.graded, self.people = len(known.labelled), completed(known, dials.seed)
        self.sent = self.people if dear is None else [table.labels(dear)]
        self.levels = _levels(self.sent)
        self.order = self._order(sample=dear is None and len(self.people) > 1)
        whole = None if dear is None else np.where(self.sent[0] >= 0, self.sent[0], self.labels)
        self.bench = Bench(table, self.people, whole)
        self._warn(judge, dear, human)

    def _order(self, sample: bool) -> Ints:
        """Places of the pairs that can be sent, the first to go first. A sample of people's grades informs it; all of them, which
        are there to be compared with, do not."""
        known = population(self.judge, self.human) if sample else population(self.judge, levels=self.levels)
        first = urgency(known, self.judge, self.dials.rule, self.table.runs, self.table.measure)
        ties = np.random.default_rng(self.dials.seed).permutation(len(first))
        order = np.lexsort((ties, -first))
        return np.asarray(order[self.sent[0][order] >= 0])

    def _warn(self, judge: Qrels, dear: Qrels | None, human: Qrels | None) -> None:
        lost = int((self.sent[0] < 0).sum())
        if dear is not None and lost:
            self.warnings.append(f"{dear.name} has no grade for {counted(lost, 'pair')}, which are never sent")
        more = 0 if human is None or self.human is None else len(human) - len(self.human)
        if human is not None and more:
            self.warnings.append(f"{human.name} has {counted(more, 'pair')} that {judge.name} was not asked about: left out")
        top = max(judge.grades, default=0)
        if top != self.levels[-1]:
            self.warnings.append(
                f"{judge.name} grades to {top}, the dearer assessor to {self.levels[-1]}: replaced labels mix two scales"
            )


def urgency(people: Population, judge: Qrels, rule: str, runs: Sequence[Run], measure: Measure) -> Floats:
    """(pairs,): how much a pair should be sent, by the rule; a pair without a label of the judge's comes before all others,
    except where a decision does not hang on it."""
    if rule == "decision":
        return effects(people, runs, measure)
    if rule == "uniform":
        return np.zeros(len(people))
    place = people.place[people.stratum]
    if rule == "label":
        return np.where(np.isnan(place), np.inf, place)
    chances = chance_columns(judge.frame.columns)
    unsure = sizes(people, "uncertainty", runs, measure)
    if chances:
        rows = people.pairs.join(judge.frame.select(*KEY, *chances), on=KEY, how="left", maintain_order="left")
        unsure = rows.select((1 - pl.max_horizontal(chances)).fill_null(1.0)).to_series().to_numpy()
    return np.where(np.isnan(place), np.inf, unsure)


def _within(table: Table, qrels: Qrels) -> Qrels:
    """What a label set says of the pairs of the table."""
    return Qrels(qrels.frame.join(table.pairs, on=KEY, how="semi", maintain_order="left"), qrels.name)


def _spread(table: Table, judge: Qrels) -> Qrels:
    """The judge's labels over all pairs of the table, null where it has none, with its probabilities."""
    told = [name for name in judge.frame.columns if name == "expected" or name in chance_columns(judge.frame.columns)]
    rows = judge.frame.select(*KEY, pl.when(pl.col("grade") >= 0).then("grade"), *told)
    return Qrels(table.pairs.join(rows, on=KEY, how="left", maintain_order="left"), judge.name)


def _levels(sent: Sequence[Ints]) -> tuple[int, ...]:
    """The scale of the dearer assessor: every grade from the lowest to the highest that it gave."""
    given = np.concatenate([one[one >= 0] for one in sent])
    low, high = min(int(given.min()), 1), int(given.max())
    return tuple(range(low, max(high, low + 1) + 1))


def _row(case: _Case, n: int, name: str, common: dict[str, float | None]) -> Labelled:
    """The first n pairs with the dearer assessor's labels, the others with the judge's."""
    first = np.zeros(len(case.table), bool)
    first[case.order[:n]] = True
    mixed = [np.where(first, dear, case.labels) for dear in case.sent]
    settled, wrong = case.bench.settled([case.table.verdicts(case.table.values(one)) for one in mixed])
    return Labelled(name=name, way="replaced", **common, **case.bench.figures(mixed), settled=settled, wrong=wrong)  # type: ignore[arg-type]


def _corrected_row(case: _Case, n: int, name: str, common: dict[str, float | None]) -> Labelled:
    """n pairs drawn by chance get the dearer assessor's labels, and correct the judge's. The systems are ranked by the shrunk
    correction, whose noise is that of these queries' labels; verdicts are about queries like these, as the reference's are."""
    table, dials, levels = case.table, case.dials, case.levels
    can = Qrels(case.judge.frame.filter(pl.Series(case.sent[0] >= 0)), case.judge.name)
    drawn = choose(can, n, rule=dials.rule, runs=table.runs, measure=table.measure, levels=levels, seed=dials.seed)
    means, verdicts = [], []
    for dear in case.sent:
        told = drawn.join(table.qrels(dear).frame, on=KEY, how="left", maintain_order="left")
        sample = Qrels.of(told, "dear")
        these, like = (correct(table.measure, table.runs, can, sample, estimand=e, levels=levels)[0] for e in (THESE, LIKE))
        means.append(these.systems["shrunk"].to_numpy())
        low, high = (like.differences[f"corrected_{end}"].to_numpy() for end in ("low", "high"))
        verdicts.append(Verdicts(sign=np.sign(low + high), clear=(low > 0) | (high < 0)))
    bench = case.bench
    settled, wrong = bench.settled(verdicts)
    figures = dict.fromkeys(FIGURES, UNKNOWN)
    figures |= {"tau_people": _tau(bench.human, means)} if bench.human else {}
    figures |= {"tau_dear": _tau([bench.dear], means)} if bench.dear is not None else {}
    return Labelled(name=name, way="corrected", **common, **figures, settled=settled, wrong=wrong)  # type: ignore[arg-type]


def _tau(reference: Sequence[Floats], means: Sequence[Floats]) -> Estimate:
    """tau-b of corrected means with the reference's, averaged; without an interval by query."""
    most = max(len(reference), len(means))
    taus = [tau_b(reference[d % len(reference)].mean(axis=1), means[d % len(means)]) for d in range(most)]
    return Estimate(value=float(np.mean(taus)), n=reference[0].shape[1], reason="one drawing: no interval")


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
