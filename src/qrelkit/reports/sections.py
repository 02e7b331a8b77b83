"""The outline of a report: its sections in reading order, each with its tables, what is folded away, and its notes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qrelkit.reports import tables, words
from qrelkit.reports.agreements import agreements
from qrelkit.reports.costs import costs
from qrelkit.reports.report import Report
from qrelkit.reports.tables import Cell, Plot, Row, Said, Section, Table

EXPANSION = ("judged", "relevant", "new", "new_relevant", "ungraded")
DECIDED_AT = 0.05
PLOTTED = 40  # systems drawn
SHOWN_HOLES = 20  # systems whose holes are shown and not folded away
SHOWN_PAIRS, FOLDED_PAIRS = 15, 300  # comparisons shown, and folded away below them; further ones are only in the JSON


def outline(report: Report) -> list[Section]:
    """The sections that the report has, in reading order; queries and provenance are laid out by the page itself."""
    said = report.sections
    makers: dict[str, Callable[[Any, Said], Iterator[Section]]] = {
        "scores": _scores,
        "by": _by,
        "pairs": _pairs,
        "correlation": _correlation,
        "agreement": agreements,
        "picture": _picture,
        "holes": _judged,
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


def _measures(said: Said) -> list[str]:
    """The named measures, or else all that occur, in order of appearance."""
    named = said.get("measures")
    found = (measure for view in said["scores"].values() for row in view.values() for measure in row)
    return list(named) if named else list(dict.fromkeys(found))


def systems(scores: Said, measure: str) -> list[str]:
    """The tags, best first by the first view's `measure`; those without a number last."""
    first = next(iter(scores.values()))
    tags = list(dict.fromkeys(tag for view in scores.values() for tag in view))

    def place(tag: str) -> float:
        value = tables.as_stat(first.get(tag, {}).get(measure)).get("value")
        return float("-inf") if value is None else float(value)

    return sorted(tags, key=place, reverse=True)


def _scores(scores: Said, said: Said) -> Iterator[Section]:
    measures, views = _measures(said), list(scores)
    if not measures:
        return
    tags = systems(scores, measures[0])
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
    known = systems(said["scores"], _measures(said)[0]) if "scores" in said and _measures(said) else []
    return [tag for tag in known if tag in tags] + sorted(tags - set(known))


def _sizes(groups: Said, measure: str) -> str:
    """How many queries each group has."""
    sizes = {name: tables.counted({t: {"": row.get(measure)} for t, row in group.items()}) for name, group in groups.items()}
    return " · ".join(f"{name}: {size}" for name, size in sizes.items() if size)


def _pairs(pairs: Sequence[Said], said: Said) -> Iterator[Section]:
    pairs, lead = _in_order(pairs, said)
    folded = pairs[SHOWN_PAIRS : SHOWN_PAIRS + FOLDED_PAIRS]
    made = [_differences("Differences", pairs[:SHOWN_PAIRS])] + ([_differences("Further differences", folded)] if folded else [])
    left = len(pairs) - SHOWN_PAIRS - len(folded)
    rows = tuple((f"{p['a']} {words.MINUS} {p['b']}", ({"value": p.get("diff"), **p},)) for p in pairs[:SHOWN_PAIRS])
    measure = pairs[0].get("measure") or "difference"
    yield Section(
        key="pairs",
        title="Which differences can be trusted?",
        lead="Each two systems on the same queries: the mean difference, its 95 % interval, and how easily chance alone makes "
        f"one as large. A verdict is given where Holm’s correction over all comparisons leaves p below {DECIDED_AT}.{lead}",
        plot=Plot(f"{measure}, first system {words.MINUS} second", ("difference",), rows, sign=True),
        tables=made[:1],
        more=made[1:],
        notes=[f"{left:,} further differences are only in the report’s JSON."] if left > 0 else (),
    )


def _in_order(pairs: Sequence[Said], said: Said) -> tuple[list[Said], str]:
    """Largest difference first; of many, the best system against its closest rivals first, and a sentence that says so."""
    upright = sorted(map(_upright, pairs), key=lambda p: -(p.get("diff") or 0.0))
    if len(pairs) <= SHOWN_PAIRS or "scores" not in said:
        return upright, ""
    best = systems(said["scores"], pairs[0].get("measure") or _measures(said)[0])[0]
    upright.sort(key=lambda p: (p["a"] != best, p.get("diff") or 0.0))
    return upright, f" First {best} against its closest rivals, then the closest of the others."


def _upright(pair: Said) -> Said:
    """The comparison with its better system first."""
    if (pair.get("diff") or 0.0) >= 0:
        return pair
    low, high = (None if pair.get(end) is None else -pair[end] for end in ("high", "low"))
    return {**pair, "a": pair["b"], "b": pair["a"], "diff": -pair["diff"], "low": low, "high": high}


def _differences(caption: str, pairs: Sequence[Said]) -> Table:
    rows = tuple(
        Row(
            f"{p['a']} {words.MINUS} {p['b']}",
            (
                tables.cell({**p, "value": p.get("diff")}, sign=True),
                *(Cell(words.p_value(p.get(name))) for name in ("p_t", "p_rand", "p_holm")),
                Cell(_verdict(p)),
            ),
        )
        for p in pairs
    )
    measures = " and ".join(dict.fromkeys(p["measure"] for p in pairs if p.get("measure")))
    head = ("systems", "difference", "p, t-test", "p, randomisation", "p, Holm", "verdict")
    return Table(f"{caption} in {measures}" if measures else caption, head, rows)


def _verdict(pair: Said) -> str:
    """What an upright comparison decides, in words."""
    if pair.get("p_holm") is None or pair.get("diff") is None or pair["p_holm"] >= DECIDED_AT:
        return "undecided"
    return f"{pair['a']} is better"


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


def _judged(holes: Said | None, said: Said) -> Iterator[Section]:
    made: list[Table] = []
    more: list[Table] = []
    if holes:
        flat = {tag: dict(_flat(counts)) for tag, counts in holes.items()}
        (made if len(flat) <= SHOWN_HOLES else more).append(
            tables.plain_rows("What of each system’s answers is judged", "system", flat)
        )
    expansion = said.get("expansion") or {}
    if expansion:
        counts = {words.named(key): expansion[key] for key in EXPANSION if key in expansion}
        sources = f" of {expansion['human']} by {expansion['assessor']}" if {"human", "assessor"} <= set(expansion) else ""
        made.append(tables.mapping(f"Expansion{sources}", "pairs", "count", counts))
        if expansion.get("per_query"):
            more.append(tables.plain_rows("Expansion per query", "query", expansion["per_query"]))
    if said.get("ungraded"):
        made.append(tables.mapping("Pairs without a grade, by reason", "reason", "pairs", said["ungraded"]))
    lead = "A hole is a retrieved pair that nobody judged. A pair without a grade stays without one: it is never counted as 0."
    notes = expansion.get("warnings") or ()
    yield Section(key="holes", title="What is judged, and what is not", lead=lead, tables=made, more=more, notes=notes)


def _flat(counts: Said) -> Iterator[tuple[str, Any]]:
    for key, value in counts.items():
        if isinstance(value, Mapping):
            yield from ((f"{words.named(key)} by {name}", n) for name, n in value.items())
        else:
            yield words.named(key), value


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
