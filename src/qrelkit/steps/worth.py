"""What label sets are worth: agreement with people, the order of the systems, and the verdicts that would be given with them.

Label sets are arrays over the same pairs: a grade, or −1 for none. People's may be several: of a sample, the grades that nobody
gave are drawn several times, and every figure is the mean over the drawings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.measures.parse import Measure
from qrelkit.stats.agreement import confusion, kappa
from qrelkit.stats.correlation import tau_b
from qrelkit.stats.resample import bootstrap
from qrelkit.stats.significance import t_test
from qrelkit.steps.correction import values_per_query
from qrelkit.steps.population import KEY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.05
NONE = -1
UNKNOWN = Estimate(value=float("nan"), reason="it is not asked here")


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """Of every two systems: the `sign` of their difference, and whether it is `clear`."""

    sign: Floats
    clear: npt.NDArray[np.bool_]

    def beside(self, reference: Verdicts) -> tuple[float, float]:
        """The share of the reference's clear pairs that are clear here with the same sign, and how many have the wrong sign."""
        same = self.sign == reference.sign
        settled = (self.clear & same & reference.clear).sum()
        return settled / reference.clear.sum() if reference.clear.any() else float("nan"), float((self.clear & ~same).sum())


class Table:
    """The pairs of one or more label sets, sorted, and the systems that retrieved them. What others say besides is left out."""

    def __init__(self, measure: Measure, runs: Sequence[Run], sets: Sequence[Qrels], *, resamples: int, seed: int) -> None:
        if len(runs) < 2:
            raise InputError(f"deciding between systems needs at least two runs, not {len(runs)}")
        self.measure, self.runs, self.resamples, self.seed = measure, runs, resamples, seed
        self.pairs = pl.concat([one.frame.select(KEY) for one in sets]).unique().sort(KEY)
        self.query_ids = self.pairs["query_id"].unique().sort()
        self.q: Ints = self.pairs["query_id"].rank("dense").to_numpy().astype(np.int64) - 1
        if not any(run.frame["query_id"].is_in(self.query_ids.implode()).any() for run in runs):
            raise Mismatch(f"the runs share no query with {sets[0].name}; are they of the same collection?")
        a, b = zip(*combinations(range(len(runs)), 2), strict=True)
        self.a, self.b = np.array(a), np.array(b)

    def __len__(self) -> int:
        return len(self.q)

    def labels(self, qrels: Qrels) -> Ints:
        """The grades of a label set; −1 where it has none."""
        rows = self.pairs.join(qrels.frame.select(*KEY, "grade"), on=KEY, how="left", maintain_order="left")
        return rows["grade"].fill_null(NONE).clip(NONE).to_numpy().astype(np.int64)

    def qrels(self, labels: Ints, name: str = "labels") -> Qrels:
        """A label set as qrels; a pair without a grade is pooled and unjudged, which keeps its query."""
        return Qrels(self.pairs.with_columns(grade=pl.Series(labels).cast(pl.Int32)), name)

    def values(self, labels: Ints) -> Floats:
        """(systems × queries): the measure under a label set."""
        return values_per_query(self.measure, self.runs, self.qrels(labels), self.query_ids)

    def verdicts(self, values: Floats) -> Verdicts:
        """The systems' differences by the paired t-test over queries."""
        differences = (values[self.a] - values[self.b]).T
        return Verdicts(sign=np.sign(differences.mean(axis=0).round(10)), clear=t_test(differences) < LEVEL)

    def counts(self, human: Ints, labels: Ints, grades: int) -> Floats:
        """(queries × grades × grades): people's grade in the rows, over pairs that both graded."""
        both = (human >= 0) & (labels >= 0)
        return confusion(human[both], labels[both], self.q[both], len(self.query_ids), grades)


class Bench:
    """Label sets are compared here with people's (`people`, one or several drawings; or none) and with all of a dearer
    assessor's (`dear`, or None). The verdicts of people, or else of the dearer assessor, are the reference."""

    def __init__(self, table: Table, people: Sequence[Ints], dear: Ints | None = None) -> None:
        self.table, self.people = table, list(people)
        self.human = [table.values(one) for one in people]
        self.dear = None if dear is None else table.values(dear)
        known = [*people, *([] if dear is None else [dear])]
        self.grades = int(max(one.max() for one in known)) + 1

    @cached_property
    def reference(self) -> list[Verdicts]:
        """Whose verdicts are right: people's, one for each drawing, or the dearer assessor's."""
        return [self.table.verdicts(values) for values in self._known]

    @property
    def decided(self) -> float:
        """How many pairs of systems are clearly different under the reference."""
        return float(np.mean([one.clear.sum() for one in self.reference]))

    @property
    def _known(self) -> list[Floats]:
        return self.human or ([] if self.dear is None else [self.dear])

    def redrawn(self, values: Sequence[Floats] = ()) -> float:
        """The median tau-b of an order (the reference's) with itself on redrawn queries: what other queries would change."""
        queries = len(self.table.query_ids)
        rng = np.random.default_rng(self.table.seed)
        counts = rng.multinomial(queries, np.full(queries, 1 / queries), size=max(self.table.resamples, 100)) / queries
        return float(np.mean([np.nanmedian(tau_b(counts @ one.T, one.mean(axis=1))) for one in values or self._known]))

    def figures(self, labels: Sequence[Ints]) -> dict[str, Estimate]:
        """kappa, kappa_quadratic, tau_people, tau_dear of a label set (one, or one for each drawing of people's)."""
        found = self._figures([labels])[0]
        return {name: found.get(name, UNKNOWN) for name in ("kappa", "kappa_quadratic", "tau_people", "tau_dear")}

    def less(self, one: Ints, other: Ints) -> dict[str, Estimate]:
        """The figures of one label set less those of another, with paired intervals."""
        return self._figures([[one], [other]])[0]

    def _figures(self, sets: Sequence[Sequence[Ints]]) -> list[dict[str, Estimate]]:
        """The figures of one set, or of the first less the second."""
        tables: dict[str, Floats] = {f"h{d}": values.T for d, values in enumerate(self.human)}
        tables |= {"d": self.dear.T} if self.dear is not None else {}
        grades = max(self.grades, *(int(one.max()) + 1 for labels in sets for one in labels))
        for s, labels in enumerate(sets):
            tables |= {f"m{s},{d}": self.table.values(one).T for d, one in enumerate(labels)}
            tables |= {f"c{s},{d}": self.table.counts(h, labels[d % len(labels)], grades) for d, h in enumerate(self.people)}

        def formula(sums: Mapping[str, Floats]) -> dict[str, Floats]:
            each = [self._of_sums(sums, s, len(labels)) for s, labels in enumerate(sets)]
            return each[0] if len(each) == 1 else {name: each[0][name] - each[1][name] for name in each[0]}

        options = {"resamples": self.table.resamples, "seed": self.table.seed}
        return [bootstrap(tables, formula, **options, reason="all systems tie, or one grade alone occurs")]

    def _of_sums(self, sums: Mapping[str, Floats], s: int, drawn: int) -> dict[str, Floats]:
        """Figures of set `s` from sums over queries; means over the drawings."""
        out: dict[str, list[Floats]] = {}
        for d in range(len(self.people)):
            counts, values = sums[f"c{s},{d}"], sums[f"m{s},{d % drawn}"]
            told = {
                "kappa": kappa(counts),
                "kappa_quadratic": kappa(counts, "quadratic"),
                "tau_people": tau_b(sums[f"h{d}"], values),
            }
            for name, figure in told.items():
                out.setdefault(name, []).append(figure)
        if "d" in sums:
            out["tau_dear"] = [tau_b(sums["d"], sums[f"m{s},{d}"]) for d in range(drawn)]
        return {name: np.mean(figures, axis=0) for name, figures in out.items()}

    def settled(self, verdicts: Sequence[Verdicts]) -> tuple[float, float]:
        """Share settled as the reference settles it, and how many are wrong; means over the drawings."""
        told = [verdicts[d % len(verdicts)].beside(reference) for d, reference in enumerate(self.reference)]
        share, wrong = np.mean(told, axis=0)
        return float(share), float(wrong)
