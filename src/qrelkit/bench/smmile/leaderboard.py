"""The leaderboard: what the answers show and how sure that is, as numbers for scripts and as sections of a page.

    long rows: dataset, revision, model, mode, metric, problem_id, base_id, correct (null where there was no answer)

A metric is `exact` (flexible exact match), `strict`, `judge` or `choice`. The published figures stand beside ours and are never
mixed with them: theirs are bootstrap means as printed (arXiv 2506.21355v3, tables 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from qrelkit.bench.smmile.baselines import BASELINES
from qrelkit.bench.smmile.printed import printed
from qrelkit.bench.smmile.published import REVISION
from qrelkit.bench.smmile.statistics import Accuracy, Paired, Split, accuracy, order_free, paired, recency, spread, strata
from qrelkit.core.errors import InputError
from qrelkit.core.records import Estimate
from qrelkit.reports.tables import Cell, Row, Section, Table, stats
from qrelkit.reports.words import MINUS

METRICS = {"judge": "Right by the judge", "exact": "Exact match", "strict": "Exact match, strict", "choice": "Multiple choice"}
MODES = {
    "zero-shot": "zero-shot",
    "icl": "in context",
    "text-icl": "text in context",
    "blind": "no image",
    "wrong-image": "wrong image",
}
CHANGES = (("zero-shot", "icl"), ("icl", "text-icl"), ("icl", "blind"), ("icl", "wrong-image"))  # what is compared with what
CELL = ("model", "mode", "metric")
CHANGED = tuple(after for before, after in CHANGES if before == "icl")
BY = ("demonstrations", "first_matches", "last_matches")
SPLIT = {
    "demonstrations": "number of examples",
    "first_matches": "whether the first example has the right answer",
    "last_matches": "whether the last example has the right answer",
    "nearest_match": "how far back the nearest example with the right answer stands",
}


def numbers(
    rows: pl.DataFrame, facts: Mapping[str, pl.DataFrame], seed: int = 0, made: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Everything as JSON: `accuracy`, `paired` (in context against zero-shot, and with less of the images against in context;
    over all problems, no answer being wrong, and over the `completed`), `against` (the same with the dataset that this one was
    made from), `recency`, `spread`, `strata`, per dataset.

    `facts` is what `statistics.facts` says of each dataset's problems; a dataset without has no strata and no recency.
    `made` says which dataset was made from which: noise, another order.
    """
    parts = {str(dataset): part for (dataset,), part in _groups(rows, "dataset")}
    found = {dataset: _numbers(part, facts.get(dataset), seed) for dataset, part in parts.items()}
    for dataset, source in (made or {}).items():
        if dataset in parts and source in parts:
            found[dataset]["against"] = [{"dataset": source, **row} for row in _against(parts[source], parts[dataset])]
    return found


def _numbers(rows: pl.DataFrame, known: pl.DataFrame | None, seed: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "accuracy": [],
        "paired": list(_paired(rows)),
        "against": [],
        "recency": [],
        "spread": [],
        "strata": [],
    }
    split: dict[str, dict[Any, pl.DataFrame]] = {}
    joined: dict[Any, pl.DataFrame] = {}
    if known is not None:
        whole = rows.join(known.drop("base_id"), on="problem_id", maintain_order="left")
        split = {by: dict(_groups(strata(whole, by, CELL), *CELL)) for by in _columns(whole)}
        joined = dict(_groups(whole, *CELL))
    for key, part in _groups(rows, *CELL):
        if not part["correct"].count():
            continue
        where = dict(zip(CELL, map(str, key), strict=True))
        said["accuracy"].append({**where, **_json(_told(accuracy(part)))})
        if key not in joined:
            continue
        if part["base_id"].n_unique() < part.height:
            said["recency"] += _recency(where, joined[key], seed)
            said["spread"].append({**where, **{name: value.json() for name, value in spread(part).items()}})
        said["strata"] += [{**where, "by": by, "rows": _frame(found[key].drop(CELL))} for by, found in split.items()]
    return said


def sections(said: Mapping[str, Any]) -> list[Section]:
    """What `numbers` says in words and tables, for the page."""
    return [section for dataset, found in said.items() for section in _of_dataset(dataset, found)]


def _groups(rows: pl.DataFrame, *by: str) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    yield from rows.partition_by(*by, as_dict=True, maintain_order=True).items()


def _told(found: Accuracy | Paired | Split) -> dict[str, Any]:
    """The fields, estimates in their stable form."""
    values = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name: value.json() if isinstance(value, Estimate) else value for name, value in values.items()}


def _paired(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for (model, metric), part in _groups(rows, "model", "metric"):
        modes = {mode: found for (mode,), found in _groups(part, "mode") if found["correct"].count()}
        for before, after in CHANGES:
            if before in modes and after in modes:
                where = {"model": model, "metric": metric, "before": before, "after": after}
                yield from ({**where, **found} for found in _both(modes[before], modes[after]))


def _against(source: pl.DataFrame, made: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """What noise or another order changes: the same problems in the dataset that this one was made from."""
    before = dict(_groups(source, *CELL))
    for key, part in _groups(made, *CELL):
        if key in before and part["correct"].count() and before[key]["correct"].count():
            yield from ({**dict(zip(CELL, key, strict=True)), **found} for found in _both(before[key], part))


def _both(before: pl.DataFrame, after: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The pair over all problems that were asked in both, and over those that were answered in both."""
    for completed in (False, True):
        try:
            yield {"completed": completed, **_json(_told(paired(before, after, completed=completed)))}
        except InputError:  # they share no problem
            continue


def _recency(where: Mapping[str, str], rows: pl.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Only where one base has several orders: else a match is a matter of the problem, and not of its order."""
    if where["mode"] == "zero-shot":
        return
    for place, found in recency(rows).items():
        dealt = order_free(rows, f"{place}_matches", seed=seed)
        low, high = (math.nan, math.nan) if np.isnan(dealt).any() else np.percentile(dealt, [2.5, 97.5])
        yield {**where, "place": place, **_json(_told(found)), "by_chance": [_finite(float(low)), _finite(float(high))]}


def _columns(rows: pl.DataFrame) -> list[str]:
    return [*BY, *(name for name in rows.columns if name.startswith("tag_")), "nearest_match"]


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
            changes = list(_all_changes(said, metric, permuted=any(cell["bases"] < cell["n"] for cell in cells)))
            yield _scores(dataset, metric, cells, changes, [] if metric == "strict" else list(_by(said["strata"], metric)))
    if said["recency"]:
        yield _orders(dataset, said)


def _worth_telling(pairs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Over the answered problems, where that makes a difference, beside all."""
    sizes = {(pair["model"], pair["after"]): pair["n"] for pair in pairs if not pair["completed"]}
    return [pair for pair in pairs if not pair["completed"] or pair["n"] < sizes[pair["model"], pair["after"]]]


def _all_changes(said: Mapping[str, Any], metric: str, *, permuted: bool) -> Iterator[Table]:
    pairs = _worth_telling([row for row in said["paired"] if row["metric"] == metric])
    for what, after in (("In context against zero-shot", ("icl",)), ("Less of the images against in context", CHANGED)):
        if told := [pair for pair in pairs if pair["after"] in after]:
            yield _changes(f"{what}, same problems", told, permuted)
    against = _worth_telling([{**row, "after": row["mode"]} for row in said["against"] if row["metric"] == metric])
    if against:
        yield _changes(f"Against {against[0]['dataset']}, same problems", against, permuted)


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
    changes: Sequence[Table],
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
    alike = " “Bases alike” gives every base one vote." if permuted else ""
    lead = (
        f"Intervals by base problem: permutations of one problem are no new problems.{alike} "
        "A row without an answer counts as wrong here; the counts say how many there are."
    )
    title = f"{dataset}: {METRICS[metric].lower()}"
    return Section(key=f"{dataset}-{metric}", title=title, lead=lead, tables=[*tables, *changes], more=more)


def _count(dataset: str, metric: str, cell: Mapping[str, Any]) -> Cell:
    """`55 of 111`, unanswered rows and the published mean below. The publication put both revisions under one name."""
    name, _, revision = dataset.partition(" @ ")
    same = not revision or (revision.startswith(REVISION) and cell["model"] not in BASELINES)
    theirs = printed().get((name, cell["model"], cell["mode"], metric)) if same else None
    notes = [f"published {theirs[1]:.2f}{'' if theirs[2] is None else f' ± {theirs[2]:.2f}'}"] if theirs else []
    if cell["unanswered"]:
        notes.insert(0, f"{cell['unanswered']} without an answer; {100 * cell['completed']['value']:.2f} % of the others")
    return Cell(f"{cell['correct']} of {cell['n']:,} ({100 * cell['correct'] / cell['n']:.2f} %)", "; ".join(notes))


def _changes(caption: str, pairs: Sequence[Mapping[str, Any]], permuted: bool) -> Table:
    rows = []
    for pair in pairs:
        name = pair["model"] if pair["after"] == "icl" else f"{pair['model']}, {MODES[pair['after']]}"
        cells = (
            Cell(f"+{pair['gained']}"),
            Cell(f"{MINUS}{pair['lost']}"),
            Cell(_points(pair["difference"]["value"]), _range(pair["difference"])),
            Cell(f"{pair['p']:.4f}" if pair["p"] >= 5e-5 else "< 0.0001"),
        )
        rows.append(Row(f"{name}, answered in both" if pair["completed"] else name, cells))
    note = "McNemar’s exact p; the interval by base problem"
    if permuted:
        note += ", which p knows nothing of: it takes every permutation for a problem of its own"
    return Table(caption, ("model", "gained", "lost", "points", "p"), tuple(rows), note)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", MINUS)


def _range(found: Mapping[str, Any]) -> str:
    """Both ends in points; what stands in for them where there are none."""
    if found["low"] is None:
        return str(found.get("reason", ""))
    return f"{_points(found['low'])} to {_points(found['high'])}"


def _orders(dataset: str, said: Mapping[str, Any]) -> Section:
    """Accuracy by whether the first and the last demonstration match, beside what chance alone would do."""
    rows = []
    for found in said["recency"]:
        pair, chance = found["paired"], found["by_chance"]
        if pair["value"] is None:
            continue
        beyond = "" if chance[0] is None or chance[0] <= pair["value"] <= chance[1] else " beyond chance"
        by_chance = "" if chance[0] is None else f"{_points(chance[0])} to {_points(chance[1])}"
        cells = (
            Cell(_share(found["match_correct"], found["match"])),
            Cell(_share(found["no_match_correct"], found["no_match"])),
            Cell(f"{_points(pair['value'])}{beyond}", _range(pair)),
            Cell(by_chance),
        )
        rows.append(Row(f"{found['model']}, {MODES[found['mode']]}, {found['metric']}, {found['place']}", cells))
    head = ("model, mode, metric, place", "matches", "does not", "paired difference", "if order did not matter")
    table = Table(
        f"When the first or last example has the right answer, {dataset}", head, tuple(rows), "percent; by base problem"
    )
    lead = (
        "Does a model copy the example nearest to the question? Only problems that have both a matching and another example, "
        "compared within each of them; the last column is what dealing its answers anew would give. Random and majority answers "
        "are controls."
    )
    tables = [table, _spreads(dataset, said["spread"])]
    return Section(key=f"{dataset}-order", title=f"{dataset}: order of the examples", lead=lead, tables=tables)


def _spreads(dataset: str, spreads: Sequence[Mapping[str, Any]]) -> Table:
    """What the order alone changes, beside what changes where the order is not shown: the model's own chance."""
    alone = {(row["model"], row["metric"]): row["mixed"] for row in spreads if row["mode"] == "zero-shot"}
    columns = ("share with mixed answers", "spread inside a base", "mixed, zero-shot: the order not shown")
    body = {
        f"{row['model']}, {MODES[row['mode']]}, {row['metric']}": dict(
            zip(columns, (row["mixed"], row["sd"], alone.get((row["model"], row["metric"]))), strict=True)
        )
        for row in spreads
        if row["mode"] != "zero-shot" and row["mixed"]["value"] is not None
    }
    return stats(f"How much the order alone changes, {dataset}", "model, mode, metric", columns, body)


def _share(right: int, n: int) -> str:
    return f"{100 * right / n:.1f} of {n:,}" if n else "–"
