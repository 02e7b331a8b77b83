"""choose: which pairs people should grade next, drawn by chance so that everything corrected with them stays unbiased.

Rules: `uniform`; `label` (even over the judge's labels: each brings its share); `uncertainty` (the less sure a pair's grade, the
likelier); `spread` (the more a panel disagrees); `decision` (the farther a label can move the differences between the systems).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.linear import expected
from qrelkit.measures.parse import Measure, parse_measures
from qrelkit.stats.sampling import FLOOR, draw, probabilities
from qrelkit.steps.correction import centred, share_of, uncertainty
from qrelkit.steps.population import KEY, Population, population

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RULES = ("decision", "uncertainty", "spread", "label", "uniform")
CHUNK = 20_000  # pairs whose slopes are held at once


def choose(
    judge: Qrels,
    n: int,
    *,
    rule: str = "decision",
    human: Qrels | None = None,
    runs: Sequence[Run] = (),
    support: Sequence[Run] = (),
    measure: str | Measure = "nDCG@10",
    panel: Sequence[Qrels] = (),
    levels: Sequence[int] = (),
    floor: float = FLOOR,
    seed: int = 0,
) -> pl.DataFrame:
    """The next `n` pairs to grade: query_id, doc_id, probability (of being drawn in this round), round (from 1).

    Pairs that `human` grades already are not drawn again. `support`: the runs whose ranks help to foresee grades, `runs` by
    default. `decision` asks `runs` and a `measure`; `spread` the qrels of a `panel` on the same pairs. A share `floor` of
    every drawing is spread evenly, so that no pair is out of reach. The rows come in random order. Raises UnknownName for a
    rule, InputError for what the rule lacks, and where nothing is left to grade.
    """
    if rule not in RULES:
        raise UnknownName("rule", rule, RULES)
    if not 0 < floor <= 1:
        raise InputError(
            f"floor is a share above 0 and at most 1, not {floor}: a pair that cannot be drawn cannot be corrected for"
        )
    people = population(judge, human, levels=levels, runs=support or runs)
    open_ = np.setdiff1d(np.arange(len(people)), people.labelled)
    if not len(open_) or n < 1:
        raise InputError("every pair is graded already" if n >= 1 else f"-n is a number of pairs from 1, not {n}")
    size = sizes(people, rule, runs, parse_measures([measure])[0], panel)[open_]
    p = probabilities(size, n, floor=1.0 if rule in ("uniform", "label") else floor)
    round_ = int(people.round.max(initial=0)) + 1
    rng = np.random.default_rng([seed, round_])
    drawn = draw(p, rng, strata=people.stratum[open_] if rule == "label" else None)
    drawn = rng.permutation(drawn)
    return people.pairs[open_[drawn]].with_columns(probability=pl.Series(p[drawn]), round=pl.lit(round_, pl.Int32))


def sizes(people: Population, rule: str, runs: Sequence[Run], measure: Measure, panel: Sequence[Qrels] = ()) -> Floats:
    """(pairs,): how likely each pair should be drawn, relative to the others, by the rule."""
    if rule == "decision":
        if not runs:
            raise InputError("the rule decision asks which systems are to be decided between: give their runs")
        return effects(people, runs, measure)
    if rule == "spread":
        return _spread(people, panel)
    if rule == "uncertainty":
        return np.sqrt(_grade_variance(people.calibrated().at_least))
    return np.ones(len(people))


def effects(people: Population, runs: Sequence[Run], measure: Measure, share: Floats | None = None) -> Floats:
    """(pairs,): the standard deviation that each pair's grade brings to the differences between the systems (the one system's
    value, where there is one)."""
    out = np.empty(len(people))
    for block in blocks(people, runs, measure, share_of(people, None) if share is None else share):
        out[block.pairs] = np.sqrt(uncertainty(block.moves))[block.like]
    return out


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some `pairs` of a population (places), and what their grades can move: `moves` (systems × kinds × grades, as
    `correction.centred`), `like` each pair's kind and `times` how many pairs are of each."""

    pairs: Ints
    moves: Floats
    like: Ints
    times: Ints


def blocks(people: Population, runs: Sequence[Run], measure: Measure, share: Floats) -> Iterator[Block]:
    """What every pair's grade can move the systems' values, block by block. Pairs that no system retrieved differ only by
    query and judge's label, so that each such kind is looked at once."""
    calibration = people.calibrated()
    placed = people.placed(runs, [measure])
    slopes = expected(measure, placed, people.chances(calibration)).slopes
    seen = np.unique(np.concatenate([*placed.pair, np.empty(0, np.int64)]))
    _, alike = np.unique(people.support, return_inverse=True)
    kind = (people.q * len(people.place) + people.stratum) * (alike.max(initial=0) + 1) + alike
    kind[seen] = kind.max(initial=0) + 1 + np.arange(len(seen))
    _, first, like, times = np.unique(kind, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(like, kind="stable")
    ends = np.cumsum(times)
    for start in range(0, len(first), CHUNK):
        some = first[start : start + CHUNK]
        moved = slopes.at(some) * share[people.q[some]][None, :, None]
        pairs = order[ends[start] - times[start] : ends[start + len(some) - 1]]
        moves = centred(moved, calibration.at_least[some])
        yield Block(pairs=pairs, moves=moves, like=like[pairs] - start, times=times[start : start + len(some)])


def _grade_variance(at_least: Floats) -> Floats:
    """(pairs,): the variance of the grade's place on the levels. E[g] = Σ z_g, E[g²] = Σ (2g − 1) z_g."""
    odd = 2 * np.arange(1, at_least.shape[1] + 1) - 1
    return np.asarray(np.maximum(at_least @ odd - at_least.sum(axis=1) ** 2, 0))


def _spread(people: Population, panel: Sequence[Qrels]) -> Floats:
    """The standard deviation of the grades that the judges of a panel gave; a pair graded by fewer than two counts as the
    widest."""
    if len(panel) < 2:
        raise InputError("the rule spread asks for the grades of two judges or more on the same pairs")
    sides = [
        people.pairs.join(one.frame.select(*KEY, "grade"), on=KEY, how="left", maintain_order="left")["grade"].alias(f"{i}")
        for i, one in enumerate(panel)
    ]
    table = pl.DataFrame(sides)
    drawn = pl.concat_list(pl.all().cast(pl.Float64)).list.drop_nulls()
    wide = table.select(sd=drawn.list.std(ddof=0), n=drawn.list.len())
    few = wide["n"].to_numpy() < 2
    sd = wide["sd"].fill_null(0.0).to_numpy().copy()
    sd[few] = sd.max(initial=1.0)
    return np.asarray(sd)
