"""The pairs that a comparison is about, as arrays: what the judge said of each, and what people said of the few they graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.linear import Chances, Placed
from qrelkit.measures.parse import Measure
from qrelkit.stats.calibration import Calibration, calibrate, prior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KEY = ["query_id", "doc_id"]
FADING = 10.0  # rank at which a document's support has fallen to about half that of the first
ENOUGH = 20  # labels after which people who never went beyond grade 1 are taken to grade on two levels


@dataclass(frozen=True, kw_only=True)
class Population:
    """`pairs` (query_id, doc_id, in the order of the arrays), their queries (`q`, places in `query_ids`) and the judge's
    labels: `stratum`, whose positions on the `levels` are `place` (NaN: no label). `labelled` are the places of the pairs that
    people graded, `grade` what they said (a place on `levels`), with the `probability` and `round` of their drawing (round 0:
    graded before anything was drawn). `support` is how high the systems put each pair, 0 on average."""

    pairs: pl.DataFrame
    query_ids: pl.Series
    q: Ints
    levels: tuple[int, ...]
    stratum: Ints
    place: Floats
    labelled: Ints
    grade: Ints
    probability: Floats
    round: Ints
    support: Floats

    @property
    def queries(self) -> int:
        return len(self.query_ids)

    def __len__(self) -> int:
        return len(self.q)

    @cached_property
    def z(self) -> Floats:
        """(labelled × levels − 1): whether each graded pair reaches each level."""
        return (self.grade[:, None] >= np.arange(1, len(self.levels))).astype(np.float64)

    @property
    def drawn(self) -> bool:
        """Whether the labels say something of the pairs without one: some were drawn by chance, or there are no such pairs."""
        return bool((self.round > 0).any() or self.complete.all())

    @cached_property
    def complete(self) -> npt.NDArray[np.bool_]:
        """The queries of which people graded every pair."""
        graded = np.bincount(self.q[self.labelled], minlength=self.queries)
        return np.asarray(graded == np.bincount(self.q, minlength=self.queries))

    @property
    def design(self) -> str:
        """`census` (people graded everything), `by query` (some queries wholly, others not at all) or `by pair`."""
        if self.complete.all():
            return "census"
        touched = np.bincount(self.q[self.labelled], minlength=self.queries) > 0
        return "by query" if touched.any() and (self.complete == touched).all() else "by pair"

    def calibrated(self) -> Calibration:
        """The chances of every pair, from the judge's labels and the human grades."""
        before = prior(self.place, len(self.levels))
        return calibrate(self.stratum, self.q, self.queries, before, self.labelled, self.z, self.support)

    def chances(self, calibration: Calibration) -> Chances:
        """The calibrated chances, certain where people graded."""
        at_least = calibration.at_least.copy()
        at_least[self.labelled] = self.z
        return Chances(q=self.q, queries=self.queries, levels=self.levels, at_least=at_least, loose=calibration.loose)

    def without_judge(self) -> Population:
        """The same pairs and grades as if no judge had said anything: what people alone would tell."""
        return replace(self, stratum=np.zeros(len(self), np.int64), place=np.array([np.nan]))

    def until(self, last: int) -> Population:
        """The population as it was known after round `last`."""
        some = self.round <= last
        return self._labelled(some)

    def _labelled(self, some: npt.NDArray[np.bool_]) -> Population:
        names = ("labelled", "grade", "probability", "round")
        return replace(self, **{name: getattr(self, name)[some] for name in names})

    def placed(self, runs: Sequence[Run], measures: Sequence[Measure] = ()) -> Placed:
        """Where each run puts these pairs; only as deep as the measures look."""
        cuts = [measure.cutoff for measure in measures]
        deep = max((int(cut) for cut in cuts if cut is not None), default=0) if cuts and None not in cuts else None
        rows = self.pairs.with_columns(at=pl.int_range(pl.len(), dtype=pl.Int64))
        pairs, ranks, retrieved = [], [], []
        for run in runs:
            frame = run.frame if deep is None else run.frame.filter(pl.col("rank") <= deep)
            found = frame.select(*KEY, "rank").join(rows, on=KEY, how="inner", maintain_order="left")
            pairs.append(found["at"].to_numpy())
            ranks.append(found["rank"].to_numpy().astype(np.int64))
            lengths = run.frame.group_by("query_id").len()
            counts = self.query_ids.to_frame("query_id").join(lengths, on="query_id", how="left", maintain_order="left")["len"]
            retrieved.append(counts.fill_null(0).to_numpy().astype(np.int64))
        return Placed(pair=pairs, rank=ranks, retrieved=np.stack(retrieved))


def population(judge: Qrels, human: Qrels | None = None, *, levels: Sequence[int] = (), runs: Sequence[Run] = ()) -> Population:
    """All pairs that the judge was asked about, and those that people graded besides.

    `levels` is the human scale (its grades, lowest first); by default all grades that occur, or 0 and 1 where people never went
    beyond 1 in 20 labels or more. Without the column `probability` in `human`, every ungraded pair is taken to have been as
    likely. What `runs` retrieved high is likelier to be relevant than the judge's label alone tells. Raises InputError for
    qrels without a grade, Mismatch for qrels that share no query, and for grades off the `levels`.
    """
    graded = judge.frame.select(*KEY, judged=pl.when(pl.col("grade") >= 0).then(_label(judge)))
    people = _people(human)
    if not graded["judged"].count():
        raise InputError(f"{judge.name} has no graded pair")
    if people.height and not people.join(graded, on="query_id", how="semi").height:
        raise Mismatch(f"{judge.name} and the human grades share no query; are they of the same collection?")
    rows = graded.join(people, on=KEY, how="full", coalesce=True).sort(KEY)
    known = tuple(sorted(levels)) or _levels(judge, people)
    wrong = sorted(set(people["grade"].unique()) - set(known))
    if wrong:
        raise Mismatch(f"people gave grades {wrong} that are not on the scale {list(known)}")
    queries = rows["query_id"].unique().sort()
    q = rows.select("query_id").join(queries.to_frame().with_row_index("q"), on="query_id", how="left", maintain_order="left")[
        "q"
    ]
    labels = rows["judged"].unique().sort()
    named = labels.to_frame().with_row_index("s")
    stratum = rows.select("judged").join(named, on="judged", how="left", nulls_equal=True, maintain_order="left")["s"]
    labelled = np.flatnonzero(rows["grade"].is_not_null().to_numpy())
    said = rows[labelled]
    return Population(
        pairs=rows.select(KEY),
        query_ids=queries,
        q=q.to_numpy().astype(np.int64),
        levels=known,
        stratum=stratum.to_numpy().astype(np.int64),
        place=_places(labels, known),
        labelled=labelled,
        grade=np.searchsorted(np.array(known), said["grade"].to_numpy()).astype(np.int64),
        probability=_probability(said, len(rows)),
        round=said["round"].fill_null(1).to_numpy().astype(np.int64),
        support=_support(rows, runs),
    )


def _support(rows: pl.DataFrame, runs: Sequence[Run]) -> Floats:
    """(pairs,): Σ over runs 1 / (rank + `FADING`), on a scale where 1 is to be first in all of them, less its mean."""
    if not runs:
        return np.zeros(rows.height)
    parts = [run.frame.select(*KEY, value=1 / (pl.col("rank").cast(pl.Float64) + FADING)) for run in runs]
    total = pl.concat(parts).group_by(KEY).agg(pl.col("value").sum())
    value = rows.select(KEY).join(total, on=KEY, how="left", maintain_order="left")["value"].fill_null(0.0).to_numpy()
    share = np.round(value * (1 + FADING) / len(runs) * 50) / 50  # so that many pairs are alike
    return np.asarray(share - share.mean())


def _label(judge: Qrels) -> pl.Expr:
    """What sets the judge's pairs apart: the grade, or the expected grade in half steps where there are probabilities."""
    if "expected" not in judge.frame.columns:
        return pl.col("grade").cast(pl.Float64)
    return (pl.col("expected").fill_null(pl.col("grade").cast(pl.Float64)) * 2).round() / 2


def _people(human: Qrels | None) -> pl.DataFrame:
    schema = {"query_id": pl.String, "doc_id": pl.String, "grade": pl.Int32, "probability": pl.Float64, "round": pl.Int32}
    if human is None:
        return pl.DataFrame(schema=schema)
    graded = human.graded.filter(pl.col("grade") >= 0)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in graded.columns]
    return graded.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _levels(judge: Qrels, people: pl.DataFrame) -> tuple[int, ...]:
    grades = [grade for grade in judge.grades if grade >= 0]
    given: list[int] = people["grade"].unique().to_list()
    if people.height >= ENOUGH and max(given) <= 1:
        return 0, 1
    every = {0, *grades, *given} if min([*grades, *given]) <= 1 and 0 in (*grades, *given) else {*grades, *given}
    return tuple(sorted(every)) if len(every) > 1 else (*every, max(every) + 1)


def _places(labels: pl.Series, levels: tuple[int, ...]) -> Floats:
    """Where the judge's labels lie on the levels: by value where they are of one scale, else stretched over it."""
    values = labels.cast(pl.Float64).fill_null(np.nan).to_numpy()
    low, high = np.nanmin(values), np.nanmax(values)
    if levels[0] <= low and high <= levels[-1] and (high > levels[0] + 1 or levels[-1] <= 1 or high == levels[-1]):
        return np.asarray(np.interp(values, levels, np.arange(len(levels), dtype=np.float64)))
    return np.asarray((values - low) / max(high - low, 1e-9) * (len(levels) - 1))


def _probability(said: pl.DataFrame, pairs: int) -> Floats:
    """The probability of each label's drawing: as recorded; else that of a plain sample of all pairs, or 1 for a census."""
    plain = min(1.0, said.height / pairs) if said.height else 1.0
    p: Floats = said["probability"].fill_null(plain).cast(pl.Float64).to_numpy()
    if ((p <= 0) | (p > 1)).any():
        raise InputError("a probability must be above 0 and at most 1; one of the sample's is not")
    return p
