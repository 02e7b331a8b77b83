"""The publication's tables as printed (arXiv 2506.21355v3, 1 and 2), and which of their cells do not follow from its files.

Theirs are bootstrap means. Those of most cells lie within a point of the share of right answers that the files hold; a cell that
does not was made from something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import polars as pl

from qrelkit.bench.smmile.published import PUBLISHED, REVISION

WHOSE = ("source", "dataset", "model", "mode")
POINTS = 1.0  # farther than this from the file chance hardly takes a bootstrap mean
SCORES = {"judge": ("open", "verdict"), "exact": ("open", "exact_flexible"), "choice": ("choice", "choice_correct")}


@cache
def printed() -> Mapping[tuple[str, str, str, str], tuple[str, float, float | None]]:
    """Table, mean and standard deviation (in percent) by dataset, model, mode and metric."""
    text = resources.files("qrelkit.bench.smmile").joinpath("data", "tables.tsv").read_text(encoding="utf-8")
    table = pl.read_csv(text.encode(), separator="\t", comment_prefix="#")
    rows = table.select("dataset", "model", "mode", "metric", "table", "mean", "sd").iter_rows()
    return {row[:4]: row[4:] for row in rows}


def unfounded(frame: pl.DataFrame) -> list[str]:
    """For each file of scored answers, which printed figure is not what it holds. Columns: those of `scored`."""
    said = []
    files = frame.filter(pl.col("revision").str.starts_with(REVISION) & pl.col("source").str.ends_with(".csv"))
    for metric, (form, column) in SCORES.items():
        theirs = (pl.col("verdict_by") == PUBLISHED) if metric == "judge" else pl.lit(True)
        right = pl.col(column).cast(pl.Int64).sum()
        found = files.filter((pl.col("form") == form) & theirs).group_by(WHOSE, maintain_order=True).agg(n=pl.len(), right=right)
        for source, dataset, model, mode, n, count in found.iter_rows():
            table, mean, _ = printed().get((dataset, model, mode, metric), ("", 100 * count / n, None))
            if abs(mean - 100 * count / n) > POINTS:
                said.append(
                    f"{source}: {table} prints {mean:.2f} % ({metric}), the file holds {count} of {n:,} ({100 * count / n:.2f} %)"
                )
    return said
