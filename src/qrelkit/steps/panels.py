"""panel: recorded label sets as one by vote, beside each of its members and its own best one. Part of `triage`.

More judges are not better judges: a panel is worth its price where it is above its best member, and that is what is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.formats.votes import voted
from qrelkit.measures.parse import Measure, parse_measure
from qrelkit.steps.evaluate import different
from qrelkit.steps.label_price import UNPRICED, LabelPrice
from qrelkit.steps.population import KEY
from qrelkit.steps.triaged import FIGURES, Labelled, Triage
from qrelkit.steps.worth import Bench, Table

Ints = npt.NDArray[np.int64]


def panel(
    measure: str | Measure,
    runs: Sequence[Run],
    members: Sequence[Qrels],
    human: Qrels,
    *,
    rules: Sequence[str] = ("majority", "mean"),
    prices: Sequence[LabelPrice] = (),
    resamples: int = 200,
    seed: int = 0,
) -> Triage:
    """The members one by one, and their panel by each rule, beside people: agreement, order of the systems, verdicts, cost.

    Of a panel each figure is also given less that of the member that is best in it, with a paired interval by query. Rules as in
    `formats.votes.voted`: a pair is graded where any member graded it. `prices` are per label, in the members' order. Raises
    InputError for fewer than two members, two of one name, or people who graded a sample only; UnknownName for a rule.
    """
    asked = parse_measure(measure) if isinstance(measure, str) else measure
    different(runs)
    names = [one.name for one in members]
    if len(members) < 2 or len(set(names)) < len(names):
        raise InputError(f"a panel needs two or more label sets with names that differ, not {', '.join(names) or 'none'}")
    if "probability" in human.frame.columns and human.frame.select((pl.col("probability") < 1).any()).item():
        raise InputError(f"{human.name} is a sample; a panel is compared on pairs that people graded without choosing them")
    table = Table(asked, runs, members, resamples=resamples, seed=seed)
    bench = Bench(table, [table.labels(human)])
    labels = [table.labels(one) for one in members]
    costs = [price.paid(len(one)) for price, one in zip(prices or [UNPRICED] * len(members), members, strict=True)]
    rows = [_row(bench, one.name, "member", own, usd) for one, own, usd in zip(members, labels, costs, strict=True)]
    votes = pl.concat([one.frame.select(*KEY, "grade") for one in members])
    total = None if None in costs else math.fsum(cost for cost in costs if cost is not None)
    joined = [table.labels(voted(votes, rule, rule)) for rule in rules]
    panels = [
        _row(bench, f"{rule} of {len(members)}", "panel", own, total, _over_best(bench, own, rows, labels))
        for rule, own in zip(rules, joined, strict=True)
    ]
    return Triage(
        kind="panel",
        measure=str(asked),
        judge=", ".join(names),
        dear="",
        people=human.name,
        rule="",
        systems=len(runs),
        queries=len(table.query_ids),
        pairs=len(table),
        graded=int((bench.people[0] >= 0).sum()),
        draws=1,
        reference=human.name,
        decided=bench.decided,
        redrawn=bench.redrawn(),
        rows=(*rows, *panels),
    )


def _row(
    bench: Bench, name: str, way: str, labels: Ints, usd: float | None, over_best: dict[str, Estimate] | None = None
) -> Labelled:
    settled, wrong = bench.settled([bench.table.verdicts(bench.table.values(labels))])
    common = {"name": name, "way": way, "share": 1.0, "sent": int((labels >= 0).sum()), "usd": usd, "hours": None}
    figures = bench.figures([labels])
    return Labelled(**common, **figures, settled=settled, wrong=wrong, over_best=over_best or {})  # type: ignore[arg-type]


def _over_best(bench: Bench, labels: Ints, rows: Sequence[Labelled], members: Sequence[Ints]) -> dict[str, Estimate]:
    """Each figure less that of the member that has most of it."""
    out = {}
    for name in FIGURES[:3]:
        values = [getattr(row, name).value for row in rows]
        if not all(math.isnan(value) for value in values):
            out[name] = bench.less(labels, members[int(np.nanargmax(values))])[name]
    return out
