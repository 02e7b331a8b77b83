"""Pairs that were drawn by chance for people to grade: what a sheet must not show, and everything that is needed to count with.

A drawing is a sheet's pairs with the probability of each. It stands in a file beside the sheet (SHEET.prob.tsv), as the sheet is
blind, and is kept with every grade that the sheet brings back. `sampled` makes of all these grades what `correct` takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.formats.samples import SUFFIX, probabilities_path, read_probabilities, write_probabilities

PAIR = ["query_id", "doc_id"]
SITTING_S = 300  # a longer gap between two grades was a break
FASTEST_S = 1.0  # nobody grades faster: two sheets were read one right after the other


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """`frame`: query_id, doc_id, probability, round, as they were drawn by `rule`."""

    rule: str
    frame: pl.DataFrame

    @property
    def name(self) -> str:
        """The rule and a digest of the pairs with their probabilities; it says nothing of any pair and stands in the sheet."""
        text = self.frame.select(*PAIR, "probability", "round").write_csv(line_terminator="\n")
        return f"{self.rule}:{hashlib.sha256(text.encode('utf-8')).hexdigest()[:12]}"

    def details(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What is kept with each pair's grade."""
        common = {"drawing": self.name, "drawn": self.frame.height, "rule": self.rule}
        rows = self.frame.select(*PAIR, "probability", "round").iter_rows()
        return {(q, d): {"probability": p, "round": r, **common} for q, d, p, r in rows}

    def write_beside(self, sheet: Path) -> None:
        """Writes the probabilities. InputError where another drawing's are there: they may be the only ones of a sheet."""
        path = probabilities_path(sheet)
        if path.exists() and Drawing(rule=self.rule, frame=read_probabilities(path)).name != self.name:
            raise InputError(f"{path} has the probabilities of another sheet; take another name")
        write_probabilities(self.frame, path)


def drawing_beside(sheet: Path, name: str) -> Drawing | None:
    """The drawing of that name: from the file of the sheet's name, or from any such file beside it; None where it is lost."""
    rule = name.partition(":")[0]
    for path in [probabilities_path(sheet), *sorted(sheet.parent.glob(f"*{SUFFIX}"))]:
        if path.exists():
            found = Drawing(rule=rule, frame=read_probabilities(path))
            if found.name == name:
                return found
    return None


def seed_of(seed: int, sheet: Path, rule: str, n: int) -> int:
    """The seed of a drawing: another one for every sheet, since two sheets that are out at once must not depend on each other."""
    return int.from_bytes(hashlib.sha256(f"{seed}\t{sheet.name}\t{rule}\t{n}".encode()).digest()[:6])


def sampled(rows: pl.DataFrame, known: Iterable[Qrels] = ()) -> Qrels:
    """The grades of people with `probability` and `round`, as `correct` takes a sample.

    `rows` are a store's judgments, of people only, in order of writing; `known` are human qrels that were there before anything
    was drawn. The newest grade of a pair counts. Round 0, known with certainty, are `known` and what was graded by choice before
    the first drawn grade came; the drawings are the rounds from 1, in the order in which they came back. A pair of two rounds
    belongs to the earlier one. Grades by choice that came later are left out: such a choice may depend on what was drawn, and the
    pair can still be drawn itself. Where only some rows of a sheet were answered, the probability is p × answered / drawn: the
    rows stand in an order of chance, so that who stops early has drawn fewer. (A pair that somebody could not judge counts as not
    answered.)
    """
    told = rows.select("id", *PAIR, "grade", "outcome", origin="assessor", **_details("drawing", "probability", "drawn"))
    before = [one.frame.select(*PAIR, "grade", "outcome", "origin") for one in known]
    newest = pl.concat([*before, told.select(*PAIR, "grade", "outcome", "origin")]).unique(PAIR, keep="last", maintain_order=True)
    drawn = _drawn(told)
    by_choice = told.filter(pl.col("drawing").is_null())
    chosen = by_choice.filter(pl.col("id") < drawn["id"].min()) if drawn.height else by_choice
    certain = pl.concat([*(one.select(PAIR) for one in before), chosen.select(PAIR)]).with_columns(round=pl.lit(0, pl.Int32))
    certain = certain.with_columns(drawing=pl.lit(""), probability=pl.lit(1.0), drawn=pl.lit(1, pl.Int64))
    every = pl.concat([certain, drawn.select(certain.columns)])
    own = every.sort("round", maintain_order=True).unique(PAIR, keep="first", maintain_order=True)
    sample = newest.join(own, on=PAIR, how="inner", maintain_order="left")
    factor = sample.join(_answered(every, sample), on="drawing", how="left", maintain_order="left")["factor"].fill_null(1.0)
    sample = sample.with_columns(probability=pl.col("probability") * factor)
    names = newest["origin"].unique().to_list()
    return Qrels.of(sample.drop("drawing", "drawn"), names[0] if len(names) == 1 else "people")


def _details(*names: str) -> dict[str, pl.Expr]:
    """Parts of the details of judgments; null where there is none."""
    given = pl.when(pl.col("details") != "").then(pl.col("details"))
    kinds: Mapping[str, Any] = {"probability": pl.Float64, "drawn": pl.Int64, "drawing": pl.String}
    return {name: given.str.json_path_match(f"$.{name}").cast(kinds[name]) for name in names}


def _drawn(told: pl.DataFrame) -> pl.DataFrame:
    """The rows that were drawn by chance, one per pair and drawing, with the round: which drawing came back first, second …"""
    rows = told.filter(pl.col("probability").is_not_null()).unique(["drawing", *PAIR], keep="first", maintain_order=True)
    back = rows.group_by("drawing").agg(back=pl.col("id").min()).with_columns(round=pl.col("back").rank("dense").cast(pl.Int32))
    return rows.join(back.drop("back"), on="drawing", how="left", maintain_order="left")


def _answered(every: pl.DataFrame, sample: pl.DataFrame) -> pl.DataFrame:
    """drawing → the share of its pairs, less those of earlier rounds, that got a grade."""
    mine = sample.select(*PAIR, "grade", own="round")
    rows = every.filter(pl.col("round") > 0).join(mine, on=PAIR, how="inner")
    of_it = pl.col("own") == pl.col("round")
    counts = rows.group_by("drawing").agg(
        graded=(of_it & pl.col("grade").is_not_null()).sum(), left=pl.col("drawn").first() - (~of_it).sum()
    )
    return counts.select("drawing", factor=pl.col("graded") / pl.col("left"))


def seconds_per_label(rows: pl.DataFrame) -> float | None:
    """The median time that one grade took, from the times at which people's grades came; None where they came all at once.

    What came together took the time since the grades before it, in even shares; gaps of more than five minutes are breaks.
    """
    gaps = (
        rows.select("judge_key", at=pl.col("created").str.to_datetime(time_zone="UTC", strict=False))
        .group_by("judge_key", "at")
        .agg(n=pl.len())
        .sort("judge_key", "at")
        .with_columns(gap=pl.col("at").diff().over("judge_key").dt.total_milliseconds() / 1000)
        .filter(pl.col("gap") <= SITTING_S)
        .with_columns(each=pl.col("gap") / pl.col("n"))
        .filter(pl.col("each") >= FASTEST_S)
    )
    if not gaps.height:
        return None
    return float(gaps.select(pl.col("each").repeat_by("n").explode().median()).item())
