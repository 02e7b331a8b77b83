"""The outline of a report: its sections in reading order, each with its tables, what is folded away, and its notes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qrelkit.reports import tables, words
from qrelkit.reports.agreements import agreements
from qrelkit.reports.comparisons import pairs
from qrelkit.reports.costs import costs
from qrelkit.reports.coverage import judged
from qrelkit.reports.decisions import decision
from qrelkit.reports.report import Report
from qrelkit.reports.tables import Plot, Said, Section

PLOTTED = 40  # systems drawn


def outline(report: Report) -> list[Section]:
    """The sections that the report has, in reading order; queries and provenance are laid out by the page itself."""
    said = report.sections
    makers: dict[str, Callable[[Any, Said], Iterator[Section]]] = {
        "decision": decision,
        "scores": _scores,
        "by": _by,
        "pairs": pairs,
        "correlation": _correlation,
        "agreement": agreements,
        "picture": _picture,
        "holes": judged,
        "cost": costs,
        "runs": _runs,
    }
    also = {"holes": ("expansion", "ungraded"), "runs": ("collection", "pool")}
    there = (name for name in makers if any(key in said for key in (name, *also.get(name, ()))))
    return [section for name in there for section in makers[name](said.get(name), said)]


def opening(report: Report) -> str:
    """One line on what was measured: queries, documents, systems, judged pairs."""
    said = report.sections
    collection, pool = said.get("collection", {}), said.get("pool", {})
    parts = [collection["name"]] if collection.get("name") else []
    units = (("queries", "query", "queries"), ("documents", "document", ""), ("images", "image", ""))
    parts += [words.plural(collection[key], one, many) for key, one, many in units if collection.get(key) is not None]
    parts += [words.plural(len(said["runs"]), "system")] if "runs" in said else []
    if pool.get("pairs") is not None:
        depth = f", pooled to depth {pool['depth']}" if pool.get("depth") else ""
        parts.append(words.plural(pool["pairs"], "pair") + depth)
    return " · ".join(parts)


def _scores(scores: Said, said: Said) -> Iterator[Section]:
    measures, views = tables.measures(said), list(scores)
    if not measures:
        return
    tags = tables.systems(scores, measures[0])
    plotted = tuple((tag, tuple(scores[view].get(tag, {}).get(measures[0]) for view in views)) for tag in tags[:PLOTTED])
    if len(views) == 1:
        rows = {tag: scores[views[0]].get(tag, {}) for tag in tags}
        made = [tables.stats(_of(f"Scores {words.view(views[0])}", rows), "system", measures, rows, rank=True)]
    else:
        by_measure = {m: {tag: {v: scores[v].get(tag, {}).get(m) for v in views} for tag in tags} for m in measures}
        made = [tables.stats(_of(m, rows), "system", views, rows, rank=True) for m, rows in by_measure.items()]
    lead = f"Means over queries with 95 % intervals by query. {tables.BEST} is the best of its column"
    if len(views) > 1:
        lead += "; each column takes its grades from elsewhere, so compare down the columns first"
    if any(tables.as_stat(stat).get("range") for view in scores.values() for row in view.values() for stat in row.values()):
        lead += "; “holes” is the lowest and the highest that it could be, were the documents without a grade given one"
    title = measures[0] if len(tags) <= PLOTTED else f"{measures[0]}, the first {PLOTTED} of {len(tags)} systems"
    plot = Plot(title, tuple(views), plotted)
    yield Section(key="scores", title="Scores", lead=f"{lead}.", plot=plot, tables=made[:3], more=made[3:])


def _by(by: Said, said: Said) -> Iterator[Section]:
    for column, groups in by.items():
        found = dict.fromkeys(measure for group in groups.values() for row in group.values() for measure in row)
        tags = _order(said, {tag for group in groups.values() for tag in group})
        made = []
        for measure in found:
            rows = {tag: {name: group.get(tag, {}).get(measure) for name, group in groups.items()} for tag in tags}
            caption, sizes = f"{measure} by {column}", _sizes(groups, measure)
            made.append(tables.stats(caption, "system", list(groups), rows, rank=True, note=sizes))
        lead = f"The same scores over the queries of each {column}."
        yield Section(key=f"by-{column}", title=f"Systems by {column}", lead=lead, tables=made[:1], more=made[1:])


def _order(said: Said, tags: set[str]) -> list[str]:
    """The tags in the order of the scores, others after them."""
    known = tables.systems(said["scores"], tables.measures(said)[0]) if "scores" in said and tables.measures(said) else []
    return [tag for tag in known if tag in tags] + sorted(tags - set(known))


def _sizes(groups: Said, measure: str) -> str:
    """How many queries each group has."""
    sizes = {name: tables.counted({t: {"": row.get(measure)} for t, row in group.items()}) for name, group in groups.items()}
    return " · ".join(f"{name}: {size}" for name, size in sizes.items() if size)


def _correlation(found: Said, said: Said) -> Iterator[Section]:
    rows = {"Kendall’s tau-b": found.get("tau"), "tau-AP (errors at the top weigh more)": found.get("tau_ap")}
    rows |= {f"Kendall’s tau-b, top {k}": stat for k, stat in (found.get("top") or {}).items()}
    sources = " against ".join(found.get("qrels") or ())
    caption = f"Rankings {words.MINUS}1 to 1" if not sources else f"Ranking of systems: {sources}"
    shown = {name: {"value": stat} for name, stat in rows.items() if stat is not None}
    made = [tables.stats(caption, "statistic", ["value"], shown)]
    more = []
    if found.get("systems") and len(found.get("qrels") or ()) == 2:
        listed = {row["tag"]: _under_both(row, found, said) for row in found["systems"]}
        more = [tables.plain_rows("Systems under both", "system", listed)]
    lead = "Do both sets of grades put the systems in the same order? 1 is the same order, 0 is no relation."
    yield Section(key="correlation", title="Do other grades rank them alike?", lead=lead, tables=made, more=more)


def _under_both(row: Said, found: Said, said: Said) -> dict[str, Any]:
    """A system's two ranks; its means beside them where the scores have the same ones, for these have intervals."""
    out: dict[str, Any] = {}
    for name, side in zip(found["qrels"], ("a", "b"), strict=True):
        mean = tables.as_stat(said.get("scores", {}).get(name, {}).get(row["tag"], {}).get(found.get("measure")))
        if mean.get("value") is not None and math.isclose(mean["value"], row[side], abs_tol=1e-9):
            out[name] = mean
        out[f"rank by {name}"] = row[f"rank_{side}"]
    return out


def _picture(picture: Said, said: Said) -> Iterator[Section]:
    rows = picture.get("rows") or {}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    made = [tables.stats(_of("What the picture changed", rows), "", columns, rows)]
    yield Section(key="picture", title="What the picture changed", lead=picture.get("about", ""), tables=made)


def _runs(runs: Sequence[Said] | None, said: Said) -> Iterator[Section]:
    rows = {run["tag"]: {key: value for key, value in run.items() if key != "tag"} for run in runs or ()}
    made = [tables.plain_rows("Systems", "system", rows)] if rows else []
    for key in ("collection", "pool"):
        counts = {words.named(name): value for name, value in said.get(key, {}).items() if isinstance(value, int)}
        if counts:
            caption = f"{key.capitalize()} {said[key].get('name', '')}".strip()
            made.append(tables.mapping(caption, "of", "count", counts))
    yield Section(key="runs", title="What went in", tables=made)


def _of(caption: str, rows: Mapping[str, Said]) -> str:
    size = tables.counted(rows)
    return f"{caption}, {size}" if size else caption
