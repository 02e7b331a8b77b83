"""From one value per query to a number with its interval, and to the tables that people and scripts read.

The interval is the percentile bootstrap over queries: queries are drawn with replacement, and one drawing is shared by all
systems, measures and qrels that have the same queries, so that their intervals can be laid side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from qrelkit.core.records import Estimate, finite
from qrelkit.measures.rank import Floats

AT_ONCE = 4_000_000  # drawn queries held in memory at one time


def means(values: Floats, weights: Floats, *, resamples: int, seed: int) -> list[Estimate]:
    """The weighted mean of each column of `values` (queries × columns), with a 95 % interval by query.

    `weights` has the same shape; a query with weight 0 is left out, and does not count in `n`. No interval is given for
    fewer than two queries or without resamples.
    """
    n = (weights > 0).sum(axis=0)
    value = weighted(np.ones((1, len(values))), values, weights)[0]
    low, high = np.full((2, values.shape[1]), math.nan)
    several, used = n > 1, (weights > 0).any(axis=1)
    if resamples and several.any():
        low[several], high[several] = interval(values[used][:, several], weights[used][:, several], resamples, seed)
    reasons = {0: "no query to average over", 1: "one query has no interval"}
    return [
        Estimate(value=float(value[i]), low=float(low[i]), high=float(high[i]), n=int(n[i]), reason=reasons.get(int(n[i]), ""))
        for i in range(values.shape[1])
    ]


def weighted(counts: Floats, values: Floats, weights: Floats) -> Floats:
    """Means (drawings × columns) where query i is taken counts[:, i] times; NaN where nothing was taken."""
    taken = counts @ weights
    out: Floats = np.full(taken.shape, math.nan)
    return np.divide(counts @ (values * weights), taken, out=out, where=taken > 0)


def interval(values: Floats, weights: Floats, resamples: int, seed: int, *, at_once: int = AT_ONCE) -> tuple[Floats, Floats]:
    """The 2.5th and 97.5th percentile of the means of `resamples` drawings of queries, `at_once` queries in memory."""
    rng, queries = np.random.default_rng(seed), len(values)
    step = max(1, at_once // queries)
    parts = []
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, queries, (rows, queries), dtype=np.int32) + np.arange(rows, dtype=np.int32)[:, None] * queries
        counts = np.bincount(drawn.ravel(), minlength=rows * queries).reshape(rows, queries).astype(np.float64)
        parts.append(weighted(counts, values, weights))
    drawings = np.concatenate(parts)
    percentile = np.nanpercentile if np.isnan(drawings).any() else np.percentile
    low, high = percentile(drawings, [2.5, 97.5], axis=0)
    return low, high


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the table: a system under a measure, by some qrels, over a group of queries ("" for all).

    `range`: the lowest and the highest that it could be, over all grades of the documents without one; None where it was not
    asked for, where there is no such document, and where a measure has none.
    """

    qrels: str
    group: str
    tag: str
    measure: str
    estimate: Estimate
    range: tuple[float, float] | None = None

    def json(self) -> dict[str, Any]:
        """The estimate's, and `range` where there is one."""
        return self.estimate.json() | ({} if self.range is None else {"range": list(self.range)})

    def __str__(self) -> str:
        return str(self.estimate) + ("" if self.range is None else f" holes [{self.range[0]:.3f}, {self.range[1]:.3f}]")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Systems × measures with intervals. `per_query`: qrels, tag, measure, query_id, value (null: left out).

    `by` names the column that the groups are values of; `show_per_query` puts the single values into `json()`. `levels`: the
    grades that documents without one were given in turn, for the ranges; none where no ranges were asked for.
    """

    cells: tuple[Cell, ...]
    per_query: pl.DataFrame
    warnings: tuple[str, ...] = ()
    by: str = ""
    show_per_query: bool = False
    levels: tuple[int, ...] = ()

    @property
    def qrels(self) -> list[str]:
        """The names of the qrels, the first of which `json()["scores"]` is about."""
        return once(cell.qrels for cell in self.cells)

    @property
    def tags(self) -> list[str]:
        return once(cell.tag for cell in self.cells)

    @property
    def measures(self) -> list[str]:
        return once(cell.measure for cell in self.cells)

    @property
    def groups(self) -> list[str]:
        """The values of the `by` column; without it, only "" for all queries."""
        return once(cell.group for cell in self.cells)

    def estimate(self, tag: str, measure: str, *, qrels: str | None = None, group: str = "") -> Estimate:
        """One number. KeyError where there is none."""
        return self.cell_of[qrels or self.qrels[0], group, tag, measure].estimate

    def range(self, tag: str, measure: str, *, qrels: str | None = None, group: str = "") -> tuple[float, float] | None:
        """The range of one number; None where it has none. KeyError where there is no such number."""
        return self.cell_of[qrels or self.qrels[0], group, tag, measure].range

    @property
    def cell_of(self) -> dict[tuple[str, str, str, str], Cell]:
        return {(cell.qrels, cell.group, cell.tag, cell.measure): cell for cell in self.cells}

    @property
    def frame(self) -> pl.DataFrame:
        """One row per number: qrels, group, tag, measure, value, low, high, n, reason; range_low and range_high where ranges
        were asked for."""
        rows = [
            {"qrels": c.qrels, "group": c.group, "tag": c.tag, "measure": c.measure}
            | {name: getattr(c.estimate, name) for name in ("value", "low", "high", "n", "reason")}
            | (dict(zip(("range_low", "range_high"), c.range or (None, None), strict=True)) if self.levels else {})
            for c in self.cells
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def json(self) -> dict[str, Any]:
        """`{"scores": {TAG: {MEASURE: {value, low, high, n}}}, "warnings": […]}`, the stable form.

        With groups, `by` has the same tree for each value of the column; with several qrels, `scores` is about the first
        and `qrels` has all by name; with single values asked for, `per_query` is `{TAG: {MEASURE: {QUERY: value}}}`.
        """
        trees = {name: self.tree(name) for name in self.qrels}
        out = dict(trees[self.qrels[0]])
        if len(trees) > 1:
            out["qrels"] = trees
        return out | ({"levels": list(self.levels)} if self.levels else {}) | {"warnings": list(self.warnings)}

    def tree(self, qrels: str) -> dict[str, Any]:
        """The part of `json()` that is about one of the qrels."""
        known = self.cell_of

        def block(group: str) -> dict[str, Any]:
            return {tag: {m: known[qrels, group, tag, m].json() for m in self.measures} for tag in self.tags}

        out: dict[str, Any] = {"scores": block("")}
        if self.by:
            out["by"] = {"column": self.by, "values": {group: block(group) for group in self.groups if group}}
        if self.show_per_query:
            out["per_query"] = {tag: {measure: {} for measure in self.measures} for tag in self.tags}
            for _, tag, measure, query, value in self.per_query.filter(pl.col("qrels") == qrels).iter_rows():
                out["per_query"][tag][measure][query] = finite(value)
        return out

    def table(self) -> list[list[str]]:
        """The rows to show, the header first: qrels and group where there are several, tag, one column per measure, n."""
        several, known = len(self.qrels) > 1, self.cell_of
        rows = [[*(["qrels"] if several else []), *([self.by] if self.by else []), "run", *self.measures, "n"]]
        for qrels in self.qrels:
            for group in self.groups:
                for tag in self.tags:
                    found = [known[qrels, group, tag, measure] for measure in self.measures]
                    counts = sorted({cell.estimate.n for cell in found})
                    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
                    names = [*([qrels] if several else []), *([group or "(all)"] if self.by else []), tag]
                    rows.append([*names, *(str(cell) for cell in found), n])
        return rows

    def text(self) -> str:
        """The table in aligned columns: names to the left, numbers to the right."""
        rows = self.table()
        return "\n".join([*aligned(rows, rows[0].index("run") + 1), *self.about_holes()]) + "\n"

    def beside(self) -> list[str]:
        """Lines for people: for each measure a row per run, the qrels side by side."""
        known, out = self.cell_of, []
        for measure in self.measures:
            rows = [[tag, *(str(known[qrels, "", tag, measure]) for qrels in self.qrels)] for tag in self.tags]
            out += ["", *aligned([[measure, *self.qrels], *rows], 1)]
        return [*out[1:], *self.about_holes()]

    def about_holes(self) -> list[str]:
        """A line that says what the ranges are, where there is one."""
        grades = ", ".join(map(str, self.levels))
        told = f"holes: the lowest and the highest value that there could be, were the documents without a grade given {grades}"
        return [told] if any(cell.range for cell in self.cells) else []

    def csv(self) -> str:
        """One line per number, with its interval: the form for spreadsheets."""
        return self.frame.fill_nan(None).write_csv()

    def latex(self) -> str:
        """A booktabs table: value, and the interval small behind it."""
        rows = [[escaped(cell) for cell in row] for row in self.table()]
        names = rows[0].index("run") + 1
        body = [" & ".join(small_interval(cell) for cell in row) + r" \\" for row in rows]
        columns = "l" * names + "r" * (len(rows[0]) - names)
        head = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule"]
        return "\n".join([*head, *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Scores({len(self.tags)} runs × {len(self.measures)} measures, {len(self.qrels)} qrels)"


def once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def aligned(rows: Sequence[Sequence[str]], names: int) -> list[str]:
    """A table as lines: the first so many columns to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(w) if i < names else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )
    return [line.rstrip() for line in lines]


def small_interval(cell: str) -> str:
    value, bracket, rest = cell.partition(" [")
    return rf"{value} {{\scriptsize [{rest}}}" if bracket and rest.endswith("]") else cell


WORDS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL = str.maketrans({c: rf"\{c}" for c in "&%$#_{}"} | WORDS)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return text.translate(SPECIAL)


def listed(names: Sequence[str], most: int = 10) -> str:
    """`a, b, c`, and how many more."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
