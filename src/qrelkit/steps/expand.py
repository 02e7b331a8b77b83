"""expand: fill the holes of human qrels from a named assessor.

Policy `human_first`: a human grade always wins; only pairs without one take the assessor's. Every pair keeps its origin. A
pair that the assessor left ungraded stays ungraded, and is exported as 0 only when `zero_fill` asks for it by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.guideline import Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import finite
from qrelkit.formats.trec import write_qrels

KEY = ["query_id", "doc_id"]
POLICIES = ("human_first",)
ZERO_FILL = "zero_fill"  # the origin of a 0 that nobody gave
COUNTS = ("judged", "relevant", "new", "new_relevant", "ungraded")


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """What `expand` made: the mixed `qrels` (origin kept per pair) and what was counted.

    `per_query`: query_id, judged and relevant (by people, before), new and new_relevant (from the assessor), ungraded, and
    the share of relevant pairs among graded ones before and after (null where there are none). `missing` pairs of the pool
    have no verdict of the assessor at all. `filled`: the pairs exported as 0 on request.
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
        return out | {"warnings": list(self.warnings)}

    def text(self) -> str:
        """For people: the totals, then one line per query."""
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
        return "\n".join([*lines, *([""] if self.warnings else []), *(f"! {w}" for w in self.warnings)])

    def origins(self) -> pl.DataFrame:
        """Where every pair's grade is from: query_id, doc_id, grade (null: none), origin, outcome."""
        return self.qrels.frame.select(*KEY, "grade", "origin", "outcome")

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
    policy: str = "human_first",
    relevant_from: int | None = None,
    scale: Scale | None = None,
    zero_fill: bool = False,
) -> Expansion:
    """`human` with its holes filled from `assessor`.

    Holes are the pairs of `pool`, or else of `assessor`, without a human grade. A pair is relevant from grade
    `relevant_from`, or the scale's, or 1. `zero_fill` gives ungraded pairs a 0 whose origin says so; they still count as
    ungraded.

    Raises UnknownName for a policy; Mismatch for grades off the `scale`, or `zero_fill` on a scale without 0.
    """
    if policy not in POLICIES:
        raise UnknownName("policy", policy, POLICIES)
    if scale is not None:
        scale.fits(human.grades, human.name)
        scale.fits(assessor.grades, assessor.name)
        if zero_fill and 0 not in scale.values:
            raise Mismatch(
                f"scale {scale.name!r} has no grade 0, so ungraded pairs cannot be filled with it; leave zero-fill out"
            )
    holes = (assessor if pool is None else pool).frame.select(KEY).join(human.graded, on=KEY, how="anti", maintain_order="left")
    found = holes.join(assessor.frame, on=KEY, how="inner", maintain_order="left")
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
    notes: Mapping[str, Any] = {"human": human.name, "assessor": assessor.name, "policy": policy}
    return Expansion(
        qrels=Qrels(frame, f"{human.name}+{assessor.name}", notes),
        human=human.name,
        assessor=assessor.name,
        policy=policy,
        relevant_from=lowest,
        per_query=_per_query(mixed, lowest),
        missing=missing,
        filled=ungraded.select(*KEY, "origin", "outcome") if zero_fill else ungraded.select(*KEY, "origin", "outcome").clear(),
        warnings=_warnings(human, assessor, missing, scale),
    )


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
