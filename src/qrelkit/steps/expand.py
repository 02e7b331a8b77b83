"""expand: fill the holes of human qrels from a named assessor.

A human grade always wins; only pairs without one take the assessor's: as it is (policy `human_first`), or what it stands for in
people's terms (policy `calibrated`). Every pair keeps its origin. A pair that the assessor left ungraded stays ungraded, and is
exported as 0 only when `zero_fill` asks for it by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.guideline import Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted, finite
from qrelkit.core.run import Run
from qrelkit.formats.trec import write_qrels
from qrelkit.measures.aggregate import Scores
from qrelkit.measures.bounds import Unjudged
from qrelkit.measures.parse import Measure, parse_measures
from qrelkit.steps.calibration import Calibration, calibrate
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.leave_out import leave_out, teams_of
from qrelkit.steps.left_out import LeftOut

KEY = ["query_id", "doc_id"]
POLICIES = ("human_first", "calibrated")
ZERO_FILL = "zero_fill"  # the origin of a 0 that nobody gave
COUNTS = ("judged", "relevant", "new", "new_relevant", "ungraded")


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """What `expand` made: the mixed `qrels` (origin kept per pair) and what was counted.

    `per_query`: query_id, judged and relevant (by people, before), new and new_relevant (from the assessor), ungraded, and
    the share of relevant pairs among graded ones before and after (null where there are none). `missing` pairs of the pool
    have no verdict of the assessor at all. `filled`: the pairs exported as 0 on request. `calibration`: what its grades stand
    for, under that policy. Where runs were given, `scores` has them under people's, the assessor's and the mixed grades, and
    `left_out` how far each would move had it not been in the pool; `not_left_out` is why there is none.
    """

    qrels: Qrels
    human: str
    assessor: str
    policy: str
    relevant_from: int
    per_query: pl.DataFrame
    missing: int
    filled: pl.DataFrame
    warnings: tuple[str, ...] = ()
    calibration: Calibration | None = None
    scores: Scores | None = None
    left_out: LeftOut | None = None
    not_left_out: str = ""

    @property
    def counts(self) -> dict[str, int]:
        return {name: int(self.per_query[name].sum()) for name in COUNTS}

    def by(self, groups: Mapping[str, str]) -> dict[str, dict[str, int]]:
        """The counts within each group of queries (query_id → group), those without one left out."""
        columns = {"query_id": list(groups.keys()), "group": list(map(str, groups.values()))}
        named = pl.DataFrame(columns, schema={"query_id": pl.String, "group": pl.String})
        table = self.per_query.join(named, on="query_id").group_by("group").agg(pl.col(COUNTS).sum()).sort("group")
        return {row.pop("group"): row for row in table.iter_rows(named=True)}

    def json(self) -> dict[str, Any]:
        """The stable form scripts rely on."""
        rows = self.per_query.rows_by_key("query_id", named=True, unique=True)
        named = ("human", "assessor", "policy", "relevant_from", "missing")
        out: dict[str, Any] = {**self.counts, "zero_filled": self.filled.height, **{n: getattr(self, n) for n in named}}
        out["per_query"] = {
            query: {k: finite(v) if isinstance(v, float) else v for k, v in row.items()} for query, row in rows.items()
        }
        if self.calibration is not None:
            out["calibration"] = self.calibration.json()
        if self.scores is not None:
            out["scores"] = {view: self.scores.tree(view)["scores"] for view in self.scores.qrels}
        if self.left_out is not None or self.not_left_out:
            out["leave_out"] = {"reason": self.not_left_out} if self.left_out is None else self.left_out.json()
        return out | {"warnings": list(self.warnings)}

    def text(self) -> str:
        """For people: the totals, one line per query, the runs under each view, and each run left out."""
        n = self.counts
        lines = [
            f"{self.human} expanded with {self.assessor} ({self.policy}; relevant from grade {self.relevant_from})",
            f"  {n['judged']:>9,} judged by people, {n['relevant']:,} relevant ({_share(n['relevant'], n['judged'])})",
            f"  {n['new']:>9,} new from {self.assessor}, {n['new_relevant']:,} relevant ({_share(n['new_relevant'], n['new'])})",
            f"  {n['ungraded']:>9,} left ungraded"
            + (f", {self.filled.height:,} of them written as 0" if self.filled.height else ""),
            "",
            f"{'query':<20}{'judged':>8}{'relevant':>9}{'new':>8}{'relevant':>9}{'ungraded':>9}{'before':>8}{'after':>8}",
        ]
        for row in self.per_query.iter_rows(named=True):
            shares = "".join(f"{'n/a' if row[s] is None else format(row[s], '.3f'):>8}" for s in ("share_before", "share_after"))
            counts = f"{row['judged']:>8,}{row['relevant']:>9,}{row['new']:>8,}{row['new_relevant']:>9,}{row['ungraded']:>9,}"
            lines.append(f"{row['query_id']:<20}{counts}{shares}")
        if self.calibration is not None:
            lines.insert(1, f"  {self.calibration}")
        if self.scores is not None:
            lines += ["", "the runs by people, by the assessor, and mixed", "", *self.scores.beside()]
        if self.left_out is not None or self.not_left_out:
            lines += ["", self.not_left_out if self.left_out is None else self.left_out.text()]
        return "\n".join([*lines, *([""] if self.warnings else []), *(f"! {w}" for w in self.warnings)])

    def origins(self) -> pl.DataFrame:
        """Where every pair's grade is from: query_id, doc_id, grade (null: none), origin, outcome; and, where the assessor was
        calibrated, `expected`."""
        means = ["expected"] if self.calibration is not None else []
        return self.qrels.frame.select(*KEY, "grade", "origin", "outcome", *means)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes TREC qrels to `path` and the origins beside it, `<path>.origins.tsv`; returns the sidecar's path.

        The qrels are moved into place last: where they exist, the sidecar is whole and theirs.
        """
        target = Path(path)
        sidecar = target.with_name(f"{target.name}.origins.tsv")
        parts = {final: final.with_name(f".{os.getpid()}.part.{final.name}") for final in (sidecar, target)}
        try:
            parts[sidecar].write_text(self.origins().write_csv(separator="\t"), encoding="utf-8", newline="\n")
            write_qrels(self.qrels, parts[target])
            for final, part in parts.items():
                part.replace(final)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
        return sidecar

    def __repr__(self) -> str:
        n = self.counts
        return f"Expansion({self.human} + {self.assessor}: {n['judged']:,} judged, {n['new']:,} new, {n['ungraded']:,} ungraded)"


def expand(
    human: Qrels,
    assessor: Qrels,
    *,
    pool: Pool | None = None,
    policy: str | Calibration = "human_first",
    relevant_from: int | None = None,
    scale: Scale | None = None,
    zero_fill: bool = False,
    runs: Sequence[Run] = (),
    measures: Iterable[str | Measure] = ("nDCG@10",),
    teams: Mapping[str, str] | None = None,
) -> Expansion:
    """`human` with its holes filled from `assessor`.

    Holes are the pairs of `pool`, or else of `assessor`, without a human grade. A pair is relevant from grade
    `relevant_from`, or the scale's, or 1. `zero_fill` gives ungraded pairs a 0 whose origin says so; they still count as
    ungraded.

    Policy `human_first` fills in the assessor's grades as they are; `calibrated` (or a `Calibration` of your own) the human
    grades that they stand for, which `nDCG(gain=expected)` reads as means. Given `runs`, they are scored by people's, the
    assessor's and the mixed grades, and each, or each of the `teams` (tag → team), is left out in turn under the first measure.

    Raises UnknownName for a policy; Mismatch for grades off the `scale`, or `zero_fill` on a scale without 0; InputError where
    too few pairs are graded by both to calibrate.
    """
    learnt = policy if isinstance(policy, Calibration) else None
    policy = policy if isinstance(policy, str) else "calibrated"
    if policy not in POLICIES:
        raise UnknownName("policy", policy, POLICIES)
    wanted = parse_measures(measures)
    teams_of(runs, teams or {})
    if scale is not None:
        scale.fits(human.grades, human.name)
        scale.fits(assessor.grades, assessor.name)
        if zero_fill and 0 not in scale.values:
            raise Mismatch(
                f"scale {scale.name!r} has no grade 0, so ungraded pairs cannot be filled with it; leave zero-fill out"
            )
    holes = (assessor if pool is None else pool).frame.select(KEY).join(human.graded, on=KEY, how="anti", maintain_order="left")
    found = holes.join(assessor.frame, on=KEY, how="inner", maintain_order="left")
    warnings = _warnings(human, assessor, holes.height - found.height, scale)
    if policy == "calibrated":
        learnt = learnt or calibrate(human, assessor, scale=scale)
        if unseen := learnt.unseen(found):
            warnings += (f"{assessor.name} gives {unseen} only where people gave none: taken for the nearest that they share",)
        found = learnt.applied(found)
    open_ = human.frame.filter(pl.col("grade").is_null()).join(found, on=KEY, how="anti", maintain_order="left")
    mixed = pl.concat(
        [human.graded.with_columns(new=False), found.with_columns(new=True), open_.with_columns(new=False)], how="diagonal"
    ).sort("query_id", maintain_order=True)
    lowest = relevant_from if relevant_from is not None else scale.relevant_from if scale is not None else 1
    missing = holes.height - found.height
    ungraded = mixed.filter(pl.col("grade").is_null())
    frame = mixed.drop("new")
    if zero_fill:
        empty = pl.col("grade").is_null()
        origin = pl.when(empty).then(pl.lit(ZERO_FILL)).otherwise(pl.col("origin"))
        frame = frame.with_columns(pl.col("grade").fill_null(0), origin=origin)
    notes: dict[str, Any] = {"human": human.name, "assessor": assessor.name, "policy": policy}
    if learnt is not None:
        notes["calibration"] = learnt.json()
    expansion = Expansion(
        qrels=Qrels(frame, f"{human.name}+{assessor.name}", notes),
        human=human.name,
        assessor=assessor.name,
        policy=policy,
        relevant_from=lowest,
        per_query=_per_query(mixed, lowest),
        missing=missing,
        filled=ungraded.select(*KEY, "origin", "outcome") if zero_fill else ungraded.select(*KEY, "origin", "outcome").clear(),
        warnings=warnings,
        calibration=learnt,
    )
    return _with_runs(expansion, human, assessor, runs, wanted, teams, pool, scale) if runs else expansion


def _with_runs(
    expansion: Expansion,
    human: Qrels,
    assessor: Qrels,
    runs: Sequence[Run],
    measures: Sequence[Measure],
    teams: Mapping[str, str] | None,
    pool: Pool | None,
    scale: Scale | None,
) -> Expansion:
    """The expansion with what it does to the runs' scores. Where these cannot be had, it says why: the qrels are made."""
    views = {human.name: human}
    views["assessor" if assessor.name in views else assessor.name] = assessor
    views["human and assessor" if "mixed" in views else "mixed"] = expansion.qrels
    warnings = list(expansion.warnings)
    pooled = human.graded if pool is None else human.graded.join(pool.frame.select(KEY), on=KEY, how="semi")
    both = pooled.join(assessor.graded, on=KEY, how="semi").height
    if both < pooled.height:
        warnings.append(
            f"{assessor.name} graded {both:,} of {counted(pooled.height, 'pair')} of the pool that people graded: its own scores "
            "stand on fewer pairs than the mixed ones; let it judge the whole pool"
        )
    scores, left, reason = None, None, ""
    try:
        scores = evaluate(measures, runs, views, ranges=Unjudged.over(views.values(), scale, pool))
        warnings += scores.warnings
    except InputError as error:
        warnings.append(f"the runs are not scored: {error}")
    try:
        depth = {} if pool is None else {"depth": pool.depth}
        left = leave_out(measures[0], runs, human, filled={assessor.name: assessor}, teams=teams, **depth)
    except InputError as error:
        reason = str(error)
    return replace(expansion, scores=scores, left_out=left, not_left_out=reason, warnings=tuple(warnings))


def _per_query(mixed: pl.DataFrame, relevant_from: int) -> pl.DataFrame:
    graded, new = pl.col("grade").is_not_null(), pl.col("new")
    relevant = (pl.col("grade") >= relevant_from).fill_null(False)
    counts = mixed.group_by("query_id", maintain_order=True).agg(
        judged=(graded & ~new).sum(),
        relevant=(relevant & ~new).sum(),
        new=(graded & new).sum(),
        new_relevant=(relevant & new).sum(),
        ungraded=(~graded).sum(),
    )
    before, after = pl.col("judged"), pl.col("judged") + pl.col("new")
    return counts.with_columns(
        share_before=pl.when(before > 0).then(pl.col("relevant") / before),
        share_after=pl.when(after > 0).then((pl.col("relevant") + pl.col("new_relevant")) / after),
    )


def _warnings(human: Qrels, assessor: Qrels, missing: int, scale: Scale | None) -> tuple[str, ...]:
    out = []
    if missing:
        out.append(f"{missing:,} pairs of the pool have no judgment, by people or by {assessor.name}; judge them first")
    if scale is None and human.grades and assessor.grades:
        low, high = human.grades[0], human.grades[-1]
        off = [g for g in assessor.grades if not low <= g <= high]
        if off:
            out.append(f"{assessor.name} gives grades {off}, people only {low} to {high}: two scales may be mixed here")
    return tuple(out)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "n/a"
