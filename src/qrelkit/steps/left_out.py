"""What `leave_out` found: each system's rank and score as it is, and had it not contributed to the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from qrelkit.measures.aggregate import aligned, escaped

ZERO = "0"  # the form in which holes count as 0


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far systems move when they did not contribute: means and largest of the absolute shifts over `n` systems."""

    rank_mean: float
    rank_max: int
    value_mean: float
    value_max: float
    n: int

    def json(self) -> dict[str, Any]:
        rank, value = {"mean": self.rank_mean, "max": self.rank_max}, {"mean": self.value_mean, "max": self.value_max}
        return {"rank_shift": rank, "value_shift": value, "n": self.n}

    def __str__(self) -> str:
        ranks = f"rank moves by {self.rank_mean:.2f} on average, {self.rank_max} at most"
        return f"{ranks}; value by {self.value_mean:.4f}, {self.value_max:.4f} at most"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """`frame`: tag, team, pairs (graded pairs that the team alone brought), holes (`0`, or the label set that fills them), value
    and rank by the full qrels, value_left_out and rank_left_out without those pairs; rank 1 is the best among all runs."""

    measure: str
    human: str
    depth: int
    by_team: bool
    frame: pl.DataFrame

    @property
    def unit(self) -> str:
        """What was left out at a time."""
        return "team" if self.by_team else "run"

    @property
    def forms(self) -> list[str]:
        """How holes were treated: as `0`, or filled by each label set."""
        return self.frame["holes"].unique(maintain_order=True).to_list()

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """The summary of each form."""
        ranks = (pl.col("rank_left_out").cast(pl.Int64) - pl.col("rank").cast(pl.Int64)).abs()
        values = (pl.col("value_left_out") - pl.col("value")).abs()
        table = self.frame.group_by("holes", maintain_order=True).agg(
            rank_mean=ranks.mean(), rank_max=ranks.max(), value_mean=values.mean(), value_max=values.max(), n=pl.len()
        )
        return {row.pop("holes"): Shift(**row) for row in table.iter_rows(named=True)}

    @property
    def systems(self) -> pl.DataFrame:
        """One row per run: tag, team, pairs, value, rank, and per form `value_FORM` and `rank_FORM`."""
        out = self.frame.select("tag", "team", "pairs", "value", "rank").unique("tag", maintain_order=True)
        for form in self.forms:
            left = self.frame.filter(pl.col("holes") == form)
            columns = (left["value_left_out"].alias(f"value_{form}"), left["rank_left_out"].alias(f"rank_{form}"))
            out = out.with_columns(*columns)
        return out

    def json(self) -> dict[str, Any]:
        """The stable form: `holes` by form (`0`, label sets): {rank_shift: {mean, max}, value_shift: {mean, max}, n}; `runs`."""
        runs = [
            {name: row[name] for name in ("tag", "team", "pairs", "value", "rank")}
            | {"holes": {form: {"value": row[f"value_{form}"], "rank": row[f"rank_{form}"]} for form in self.forms}}
            for row in self.systems.iter_rows(named=True)
        ]
        named = {"measure": self.measure, "human": self.human, "depth": self.depth, "unit": self.unit}
        return named | {"holes": {form: shift.json() for form, shift in self.shifts.items()}, "runs": runs}

    def text(self) -> str:
        """For people: how far systems move with holes as 0 and with each label set, then every run."""
        lines = [f"one {self.unit} left out at a time: {self.measure} under {self.human}, pool of depth {self.depth}", ""]
        wide = max(10, *(len(told(form)) for form in self.forms)) + 2
        lines += [f"{told(form):<{wide}}{shift}" for form, shift in self.shifts.items()]
        return "\n".join([*lines, "", *aligned(self.rows(), 1 + self.by_team)])

    def rows(self) -> list[list[str]]:
        """The table of runs, its header first."""
        named = ["run", *(["team"] if self.by_team else [])]
        out = [[*named, "pairs", self.measure, "rank", *(name for form in self.forms for name in (told(form), "rank"))]]
        for row in self.systems.iter_rows(named=True):
            left = (cell for form in self.forms for cell in (f"{row[f'value_{form}']:.4f}", str(row[f"rank_{form}"])))
            who = [row["tag"], *([row["team"]] if self.by_team else [])]
            out.append([*who, f"{row['pairs']:,}", f"{row['value']:.4f}", str(row["rank"]), *left])
        return out

    def csv(self) -> str:
        """One line per run and form."""
        return self.frame.write_csv()

    def latex(self) -> str:
        """The table of runs for \\usepackage{booktabs}, the shifts in its caption."""
        rows = [" & ".join(map(escaped, row)) + r" \\" for row in self.rows()]
        columns = "l" * (1 + self.by_team) + "r" * (len(self.rows()[0]) - 1 - self.by_team)
        caption = "; ".join(f"{escaped(told(form))}: {shift}" for form, shift in self.shifts.items())
        top = [r"\begin{table}", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rows[0], r"\midrule"]
        return "\n".join([*top, *rows[1:], r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"

    def __repr__(self) -> str:
        return f"LeftOut({self.frame['tag'].n_unique()} runs by {self.measure}, one {self.unit} at a time)"


def told(form: str) -> str:
    """A form in words."""
    return "holes as 0" if form == ZERO else f"by {form}"
