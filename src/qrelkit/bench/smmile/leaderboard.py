"""The leaderboard: what the answers show and how sure that is, as numbers for scripts and as sections of a page.

    long rows: dataset, revision, model, mode, metric, problem_id, base_id, correct (null where there was no answer)

A metric is `exact` (flexible exact match), `strict`, `judge` or `choice`. The published figures stand beside ours and are never
mixed with them: theirs are bootstrap means as printed (arXiv 2506.21355v3, tables 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import polars as pl

from qrelkit.bench.smmile.statistics import (
    Accuracy,
    Paired,
    Split,
    accuracy,
    by_nearest,
    order_free,
    paired,
    recency,
    spread,
    strata,
)
from qrelkit.core.errors import InputError
from qrelkit.core.records import Estimate
from qrelkit.reports.tables import Cell, Row, Section, Table, stats

METRICS = {"judge": "Right by the judge", "exact": "Exact match", "strict": "Exact match, strict", "choice": "Multiple choice"}
MODES = {
    "zero-shot": "zero-shot",
    "icl": "in context",
    "text-icl": "text in context",
    "blind": "no image",
    "wrong-image": "wrong image",
}
BY = ("demonstrations", "first_matches", "last_matches")
SPLIT = {
    "demonstrations": "number of examples",
    "first_matches": "whether the first example has the right answer",
    "last_matches": "whether the last example has the right answer",
    "nearest_match": "how far back the nearest example with the right answer stands",
}


def numbers(rows: pl.DataFrame, facts: Mapping[str, pl.DataFrame], seed: int = 0) -> dict[str, Any]:
    """Everything as JSON: `accuracy`, `paired` (in context against zero-shot; over all problems, no answer being wrong, and over
    the `completed`), `recency`, `spread`, `strata`, per dataset.

    `facts` is what `statistics.facts` says of each dataset's problems; a dataset without has no strata and no recency.
    """
    out: dict[str, Any] = {}
    for (dataset,), part in rows.group_by("dataset", maintain_order=True):
        known = facts.get(str(dataset))
        said: dict[str, Any] = {"accuracy": [], "paired": [], "recency": [], "spread": [], "strata": []}
        for where, cell in _cells(part):
            said["accuracy"].append({**where, **_json(asdict_of(accuracy(cell)))})
            if known is not None:
                joined = cell.join(known.drop("base_id"), on="problem_id")
                said["recency"] += list(_recency(where, joined, seed))
                said["spread"] += [{**where, **_json(spread(cell))}] if cell["base_id"].n_unique() < cell.height else []
                said["strata"] += [{**where, "by": by, "rows": _frame(strata(joined, by))} for by in _columns(joined)]
                said["strata"].append({**where, "by": "nearest_match", "rows": _frame(by_nearest(joined))})
        said["paired"] = list(_paired(part))
        out[str(dataset)] = said
    return out


def sections(rows: pl.DataFrame, facts: Mapping[str, pl.DataFrame], seed: int = 0) -> list[Section]:
    """The same in words and tables, for the page and the terminal."""
    said = numbers(rows, facts, seed)
    return [section for dataset, found in said.items() for section in _of_dataset(dataset, found)]


@cache
def published() -> pl.DataFrame:
    """The tables as printed: table, dataset, model, mode, metric, mean, sd (percent)."""
    text = resources.files("qrelkit.bench.smmile").joinpath("data", "tables.tsv").read_text(encoding="utf-8")
    return pl.read_csv(text.encode(), separator="\t", comment_prefix="#")


def asdict_of(found: Accuracy) -> dict[str, Any]:
    """An accuracy as JSON, its estimates in their stable form."""
    return {name: value.json() if isinstance(value, Estimate) else value for name, value in _fields(found)}


def _fields(found: Accuracy | Paired | Split) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(found, name)) for name in found.__dataclass_fields__)


def _cells(rows: pl.DataFrame) -> Iterator[tuple[dict[str, str], pl.DataFrame]]:
    """Every model, mode and metric that has a verdict."""
    for (model, mode, metric), part in rows.group_by("model", "mode", "metric", maintain_order=True):
        if part["correct"].is_not_null().any():
            yield {"model": str(model), "mode": str(mode), "metric": str(metric)}, part


def _paired(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for (model, metric), part in rows.group_by("model", "metric", maintain_order=True):
        before, after = part.filter(mode="zero-shot"), part.filter(mode="icl")
        if before.height and after.height and before["correct"].is_not_null().any() and after["correct"].is_not_null().any():
            for completed in (False, True):
                try:
                    found = paired(before, after, completed=completed)
                except InputError:
                    continue
                values = {name: value.json() if isinstance(value, Estimate) else value for name, value in _fields(found)}
                yield {"model": model, "metric": metric, "completed": completed, **_json(values)}


def _recency(where: Mapping[str, str], rows: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Only where one base has several orders: else a match is a matter of the problem, and not of its order."""
    if where["mode"] == "zero-shot" or rows["base_id"].n_unique() == rows.height:
        return
    dealt = order_free(rows, draws=500, seed=seed)
    low, high = np.nanpercentile(dealt, [2.5, 97.5]) if len(dealt) and not np.isnan(dealt).all() else (math.nan, math.nan)
    for place, found in recency(rows).items():
        values = {name: value.json() if isinstance(value, Estimate) else value for name, value in _fields(found)}
        yield {**where, "place": place, **_json(values), "by_chance": [_finite(low), _finite(high)]}


def _columns(rows: pl.DataFrame) -> list[str]:
    return [*BY, *(name for name in rows.columns if name.startswith("tag_"))]


def _frame(found: pl.DataFrame) -> list[dict[str, Any]]:
    return [_json(row) for row in found.iter_rows(named=True)]


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: Any) -> Any:
    return (float(value) if math.isfinite(value) else None) if isinstance(value, float) else value


# sections


def _of_dataset(dataset: str, said: Mapping[str, Any]) -> Iterator[Section]:
    for metric in METRICS:
        cells = [row for row in said["accuracy"] if row["metric"] == metric]
        if cells:
            pairs = _told([row for row in said["paired"] if row["metric"] == metric])
            yield _scores(dataset, metric, cells, pairs, [] if metric == "strict" else list(_by(said["strata"], metric)))
    if said["recency"]:
        yield _orders(dataset, said)


def _told(pairs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Over the answered problems, where that makes a difference, beside all."""
    sizes = {pair["model"]: pair["n"] for pair in pairs if not pair["completed"]}
    return [pair for pair in pairs if not pair["completed"] or pair["n"] < sizes[pair["model"]]]


def _by(strata: Sequence[Mapping[str, Any]], metric: str) -> Iterator[Table]:
    """A table for each way of splitting the problems: kinds × models, in context where it was asked so."""
    mine = [one for one in strata if one["metric"] == metric]
    mode = "icl" if any(one["mode"] == "icl" for one in mine) else next((one["mode"] for one in mine), "")
    for by in dict.fromkeys(one["by"] for one in mine):
        rows: dict[str, dict[str, Any]] = {}
        for one in mine:
            for row in one["rows"] if one["by"] == by and one["mode"] == mode else ():
                name = f"{'–' if row[by] is None else row[by]} ({row['n']}{', few' if row['few'] else ''})"
                stat = {"value": row["accuracy"], "low": row["low"], "high": row["high"]}
                rows.setdefault(name, {})[one["model"]] = stat
        models = list(dict.fromkeys(model for row in rows.values() for model in row))
        yield stats(f"By {SPLIT.get(by, by.removeprefix('tag_').replace('_', ' '))}, {MODES[mode]}", "problems", models, rows)


def _scores(
    dataset: str,
    metric: str,
    cells: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    more: Sequence[Table],
) -> Section:
    """Accuracy by model and mode, the published figure beside; and what the examples changed."""
    modes = [mode for mode in MODES if any(cell["mode"] == mode for cell in cells)]
    permuted = any(cell["bases"] < cell["n"] for cell in cells)
    rows: dict[str, dict[str, Any]] = {}
    for cell in sorted(cells, key=lambda cell: -cell["micro"]["value"]):
        rows.setdefault(cell["model"], {})[MODES[cell["mode"]]] = cell["micro"]
        rows[cell["model"]][f"{MODES[cell['mode']]}, bases alike"] = cell["macro"]
    columns = [f"{MODES[mode]}{what}" for mode in modes for what in ("", *([", bases alike"] if permuted else []))]
    counts = {cell["model"]: {} for cell in cells}  # type: dict[str, dict[str, Cell]]
    for cell in cells:
        counts[cell["model"]][cell["mode"]] = _count(dataset, metric, cell)
    exact = tuple(Row(model, tuple(counts[model].get(mode, Cell("")) for mode in modes)) for model in rows)
    tables = [
        stats(f"{METRICS[metric]}, {dataset}", "model", columns, rows, rank=True),
        Table(
            "Counts, and what was published", ("model", *(MODES[mode] for mode in modes)), exact, "right of all; published in %"
        ),
    ]
    if pairs:
        tables.append(_changes(pairs))
    alike = " “Bases alike” gives every base one vote." if permuted else ""
    lead = (
        f"Intervals by base problem: permutations of one problem are no new problems.{alike} "
        "A row without an answer counts as wrong here; the counts say how many there are."
    )
    title = f"{dataset}: {METRICS[metric].lower()}"
    return Section(key=f"{dataset}-{metric}", title=title, lead=lead, tables=tables, more=more)


def _count(dataset: str, metric: str, cell: Mapping[str, Any]) -> Cell:
    """`55 of 111`, unanswered rows and the published mean below."""
    table = published()
    same = (table["dataset"] == dataset) & (table["model"] == cell["model"]) & (table["mode"] == cell["mode"])
    there = table.filter(same & (table["metric"] == metric))
    notes = [f"published {there['mean'][0]:.2f} ± {there['sd'][0]:.2f}"] if there.height and there["sd"][0] is not None else []
    notes = notes or ([f"published {there['mean'][0]:.2f}"] if there.height else [])
    if cell["unanswered"]:
        notes.insert(0, f"{cell['unanswered']} without an answer; {100 * cell['completed']['value']:.2f} % of the others")
    return Cell(f"{cell['correct']} of {cell['n']:,} ({100 * cell['correct'] / cell['n']:.2f} %)", "; ".join(notes))


def _changes(pairs: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for pair in pairs:
        difference = pair["difference"]
        interval = "" if difference["low"] is None else f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}"
        points = Cell(f"{100 * difference['value']:+.1f}", interval)
        name = f"{pair['model']}, answered in both" if pair["completed"] else pair["model"]
        rows.append(
            Row(
                name,
                (
                    Cell(f"+{pair['gained']}"),
                    Cell(f"−{pair['lost']}"),
                    points,
                    Cell(f"{pair['p']:.4f}" if pair["p"] >= 5e-5 else "< 0.0001"),
                ),
            )
        )
    head = ("model", "gained", "lost", "points", "p")
    return Table(
        "In context against zero-shot, same problems", head, tuple(rows), "McNemar’s exact p; the interval by base problem"
    )


def _orders(dataset: str, said: Mapping[str, Any]) -> Section:
    """Accuracy by whether the first and the last demonstration match, beside what chance alone would do."""
    rows = []
    for found in said["recency"]:
        pair, chance = found["paired"], found["by_chance"]
        if pair["value"] is None:
            continue
        interval = "" if pair["low"] is None else f"{100 * pair['low']:+.1f} to {100 * pair['high']:+.1f}"
        beyond = "" if chance[0] is None or chance[0] <= pair["value"] <= chance[1] else " beyond chance"
        by_chance = "" if chance[0] is None else f"{100 * chance[0]:+.1f} to {100 * chance[1]:+.1f}"
        cells = (
            Cell(_share(found["match_correct"], found["match"])),
            Cell(_share(found["no_match_correct"], found["no_match"])),
            Cell(f"{100 * pair['value']:+.1f}{beyond}", interval),
            Cell(by_chance),
        )
        rows.append(Row(f"{found['model']}, {found['metric']}, {found['place']}", cells))
    head = ("model, metric, place", "matches", "does not", "paired difference", "if order did not matter")
    table = Table(
        f"When the first or last example has the right answer, {dataset}", head, tuple(rows), "percent; by base problem"
    )
    mixed = {
        f"{row['model']}, {row['metric']}": {"bases": row["bases"], "mixed": row["mixed"], "spread": row["sd"]}
        for row in said["spread"]
        if row["mode"] != "zero-shot" and row["mixed"] is not None
    }
    names = ("model, metric", "bases", "share with mixed answers", "spread inside a base")
    body = tuple(
        Row(name, (Cell(str(row["bases"])), Cell(f"{100 * row['mixed']:.0f} %"), Cell(f"{row['spread']:.3f}")))
        for name, row in mixed.items()
    )
    lead = (
        "Does a model copy the example nearest to the question? Only problems that have both a matching and another example, "
        "compared within each of them; the last column is what dealing its answers anew would give. Random and majority answers "
        "are controls."
    )
    tables = [table, Table(f"How much the order alone changes, {dataset}", names, body)]
    return Section(key=f"{dataset}-order", title=f"{dataset}: order of the examples", lead=lead, tables=tables)


def _share(right: int, n: int) -> str:
    return f"{100 * right / n:.1f} of {n:,}" if n else "–"
