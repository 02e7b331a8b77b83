"""pooling: which pairs get judged when only n labels can be paid, and what each way of choosing them is worth. Part of `pool`.

`choose` gives the n pairs of a method as a Pool; `compare` tries the methods on labels that there are, at equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.measures.parse import Measure, parse_measure
from qrelkit.measures.rank import Judged
from qrelkit.stats.correlation import tau_ap, tau_b
from qrelkit.stats.resample import Array, draws, estimate
from qrelkit.steps.adjudicate import DRAWN, METHODS, TOLD, Answer, Floats, Ints, Offered, ordered
from qrelkit.steps.evaluate import different, scored
from qrelkit.steps.pooled import Choice, Pooled

KEY = ["query_id", "doc_id"]
Ask = Callable[[pl.DataFrame], Sequence[int | None]]  # pairs (query_id, doc_id) → their grades, None where there is none


def choose(
    runs: Sequence[Run],
    n: int,
    method: str = "depth",
    *,
    feedback: Qrels | Ask | None = None,
    relevant_from: int = 1,
    holes_of: Qrels | None = None,
    seed: int = 0,
) -> Pool:
    """The n pairs of the runs' rankings that a method would have judged; all there are where they are fewer.

    `depth`: the largest k whose pool fits, and of the next rank what fusion puts first. `fused`: reciprocal rank fusion, the
    same number of every query. `mtf` (move-to-front) and `bandit` (over systems) read on where relevant documents are found,
    the same number of every query; they need `feedback`: grades recorded (people's so far, a judge's of the whole pool) or a
    function that is asked for them round by round. A pair without a grade there teaches nothing. `random`: uniform over the
    pool. With `holes_of`, only pairs without a grade there. Where a query runs out of pairs, the others share what is left.
    Each pair's `tags` are all runs that have it.

    Raises UnknownName for a method; InputError for n below 1 and where feedback is missing; Mismatch where it shares no pair.
    """
    without = holes_of.graded.select(KEY) if holes_of else None
    offered = Offered.of(runs, without=without)
    answer = answering(offered, feedback, relevant_from) if method in TOLD and feedback is not None else None
    chosen = offered.frame[np.sort(ordered(offered, n, method, answer, seed=seed))]
    deepest = chosen.select(pl.col("best_rank").max().fill_null(0)).item()
    return Pool(chosen, deepest, len(runs), method)


def answering(offered: Offered, feedback: Qrels | Ask, relevant_from: int) -> Answer:
    """What a method is told of a pair: 1 for a grade of `relevant_from` or more, 0 below, NaN without one."""

    def relevance(grades: pl.Series) -> Floats:
        return (grades >= relevant_from).cast(pl.Float64).fill_null(np.nan).to_numpy()

    if not isinstance(feedback, Qrels):
        pairs = offered.frame.select(KEY)
        return lambda rows: relevance(pl.Series(feedback(pairs[rows]), dtype=pl.Int32))
    given = feedback.graded.filter(pl.col("grade") >= 0).select(*KEY, "grade")
    known = relevance(offered.frame.select(KEY).join(given, on=KEY, how="left", maintain_order="left")["grade"])
    if np.isnan(known).all():
        raise Mismatch(f"the feedback {feedback.name!r} has no grade for any pair of the runs; are they of the same collection?")
    return lambda rows: known[rows]


def compare(
    measure: str | Measure,
    runs: Sequence[Run],
    qrels: Qrels,
    budgets: Sequence[int],
    methods: Sequence[str] = METHODS,
    *,
    feedback: Qrels | None = None,
    relevant_from: int | None = None,
    repeats: int = 5,
    resamples: int = 200,
    seed: int = 0,
) -> Pooled:
    """What each way of choosing finds with so many labels, and how the systems then rank beside their order under all labels.

    Only pairs that `qrels` grades can be chosen, since only their labels are known; everything else counts as unjudged.
    Methods that draw are run with `repeats` seeds and averaged. `feedback` is what move-to-front and the bandit are told: the
    qrels themselves (people answer as they go) unless said, or a judge's. `relevant_from`: the measure's own level unless said.

    Raises InputError for fewer than two runs and for no or empty budgets, UnknownName for a method, Mismatch where runs and
    qrels share nothing.
    """
    asked = parse_measure(measure) if isinstance(measure, str) else measure
    different(runs)
    if len(runs) < 2:
        raise InputError("ranking systems needs at least two runs, not 1")
    if not budgets or min(budgets) < 1:
        raise InputError(f"numbers of labels must be at least 1, such as 500 and 1000; found {list(budgets)}")
    level = asked.level if relevant_from is None else relevant_from
    full, warnings = _values(asked, runs, qrels)
    offered = Offered.of(runs, within=qrels.graded.filter(pl.col("grade") >= 0).select(KEY))
    pairs = offered.frame.height
    relevant = answering(offered, qrels, level)(np.arange(pairs))
    told = feedback or qrels
    answer = answering(offered, told, level)
    labels = sorted({min(n, pairs) for n in budgets})
    if max(budgets) > pairs:
        warnings.append(f"there are only {pairs:,} pairs to choose from, so the largest budget takes all of them")
    choices = []
    for method in methods:
        seeds = range(seed, seed + repeats) if method in DRAWN else (seed,)
        orders = [ordered(offered, labels[-1], method, answer, seed=s) for s in seeds]
        for n in labels:
            taken = [order[:n] for order in orders]
            found = float(np.mean([relevant[rows].sum() for rows in taken]))
            parts = [_values(asked, runs, _only(qrels, offered, rows))[0] for rows in taken]
            taus = _taus(full, parts, resamples=resamples, seed=seed)
            moved = float(np.mean([_largest_move(full, part) for part in parts]))
            share = found / relevant.sum() if relevant.any() else float("nan")
            choices.append(Choice(method=method, labels=n, found=share, tau=taus["tau"], tau_ap=taus["tau_ap"], moved=moved))
    return Pooled(
        measure=str(asked),
        qrels=qrels.name,
        feedback=told.name,
        systems=len(runs),
        queries=full.shape[1],
        pairs=pairs,
        relevant=int(relevant.sum()),
        relevant_from=level,
        repeats=repeats,
        choices=tuple(choices),
        warnings=tuple(warnings),
    )


def _values(measure: Measure, runs: Sequence[Run], qrels: Qrels) -> tuple[Array, list[str]]:
    """The measure's values (systems × queries), and what must be said of the runs."""
    values, warnings = scored([measure], runs, Judged(qrels))
    return values[:, 0], warnings


def _only(qrels: Qrels, offered: Offered, rows: Ints) -> Qrels:
    """The qrels with the chosen pairs alone; the others get −1, pooled and unjudged, which keeps their queries."""
    chosen = offered.frame[rows].select(*KEY, chosen=pl.lit(True))
    frame = qrels.frame.join(chosen, on=KEY, how="left", maintain_order="left")
    grade = pl.when(pl.col("chosen")).then("grade").otherwise(pl.lit(-1, pl.Int32))
    return Qrels(frame.with_columns(grade=grade).drop("chosen"), qrels.name)


def _taus(full: Array, parts: Sequence[Array], *, resamples: int, seed: int) -> dict[str, Estimate]:
    """tau-b and tau-AP of the systems' order under each part with that under all labels, averaged, with intervals by query."""
    systems, queries = full.shape

    def formula(drawn: Array) -> dict[str, Array]:
        reference, others = drawn @ full.T, [drawn @ part.T for part in parts]
        return {
            name: np.mean([tau(reference, other) for other in others], axis=0)
            for name, tau in (("tau", tau_b), ("tau_ap", tau_ap))
        }

    value = formula(np.ones((1, queries)))
    blocks = [formula(w) for w in draws(queries, resamples, seed, width=systems**2)] if queries > 1 else []
    samples = {name: np.concatenate([b[name] for b in blocks]) if blocks else np.empty(0) for name in value}
    return {name: _centred(float(tau[0]), samples[name], queries) for name, tau in value.items()}


def _centred(value: float, samples: Array, queries: int) -> Estimate:
    """The interval of the replicates, moved so that their mean is the value: drawing queries anew adds noise to both orders,
    which lowers every replicate and says nothing about the value."""
    defined = samples[~np.isnan(samples)]
    shift = value - defined.mean() if len(defined) else 0.0
    found = estimate(value, samples + shift, queries, "all systems tie")
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))


def _largest_move(full: Array, part: Array) -> int:
    """By how many ranks the system moves that moves most; ties share the best rank."""
    before, after = (pl.Series(v.mean(axis=1).round(10)).rank("min", descending=True).cast(pl.Int64) for v in (full, part))
    return int((after - before).abs().to_numpy().max())
