"""What a benchmark run found: scores by dataset, means over them, what differs; as JSON, as a table, and saved.

OUT/DATASET.trec         the run, with its sidecar
OUT/per_query.tsv        dataset, query_id, measure, value
OUT/result.json          the same as `--json`: `bench compare` reads it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from qrelkit.bench.datasets import Benchmark, Dataset
from qrelkit.bench.deviations import Deviation
from qrelkit.bench.folders import Loaded, said
from qrelkit.bench.means import Mean, mean_over
from qrelkit.bench.protocol import Protocol
from qrelkit.bench.published import HEADLINE
from qrelkit.bench.results import grouped
from qrelkit.core.files import write_whole
from qrelkit.core.records import Estimate
from qrelkit.measures.aggregate import Scores
from qrelkit.measures.rank import Floats
from qrelkit.steps.made import Retrieved

SHOWN = (HEADLINE, "R@10", "R@100")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One dataset: its run and scores. `dropped` hits had the id of their query; `groups` is what a query says in a column."""

    dataset: Dataset
    loaded: Loaded
    made: Retrieved
    scores: Scores
    dropped: int = 0
    rewrites: Mapping[str, Any]
    groups: Mapping[str, str]

    @property
    def estimates(self) -> dict[str, Estimate]:
        """By measure, the mean over the queries of the dataset."""
        return {cell.measure: cell.estimate for cell in self.scores.cells}

    @cached_property
    def values(self) -> tuple[list[str], Floats]:
        """The queries that count, and their values (queries × measures)."""
        values = self.scores.per_query["value"].to_numpy().reshape(len(self.scores.measures), -1).T
        counted = ~np.isnan(values).any(axis=1)
        return self.scores.per_query["query_id"].head(len(values)).filter(pl.Series(counted)).to_list(), values[counted]

    def json(self) -> dict[str, Any]:
        notes = self.made.said.get("notes", {})
        return said(self.loaded) | {
            "run": self.made.path.name,
            "digest": self.made.said["digest"],
            "retriever": self.made.said["retriever"] | {"used": self.made.said.get("used", {})},
            "rewrites": dict(self.rewrites) | self.made.said.get("rewrites", {}),
            "identical_dropped": self.dropped,
            "without_hits": len(notes.get("without_hits", [])),
            "failed": len(notes.get("failed", {})),
            "scores": {name: one.json() for name, one in self.estimates.items()},
            "warnings": list(self.scores.warnings),
            "deviations": [one.json() for one in self.loaded.deviations],
        }


@dataclass(frozen=True, kw_only=True)
class Benched:
    """All datasets that were measured; `deviations` are those that concern all, or a dataset that was left out."""

    benchmark: Benchmark
    results: tuple[Result, ...]
    deviations: tuple[Deviation, ...]
    protocol: Protocol
    config: str = ""

    @property
    def all_deviations(self) -> list[Deviation]:
        return [*self.deviations, *(one for result in self.results for one in result.loaded.deviations)]

    @property
    def measures(self) -> list[str]:
        return self.results[0].scores.measures

    @cached_property
    def mean(self) -> Mean:
        """Over all datasets that were measured."""
        return self._mean({result.dataset.name: result.values[1] for result in self.results}, len(self.benchmark.datasets))

    def groups(self, kind: str) -> dict[str, Mean]:
        """The means of each task or scenario of which a dataset was measured."""
        values = {result.dataset.name: result.values[1] for result in self.results}
        out = {}
        for name, members in grouped(self.benchmark, kind).items():
            here = {member: values[member] for member in members if member in values}
            if here:
                out[name] = self._mean(here, len(members))
        return out

    def by_column(self) -> dict[str, Mean]:
        """The means of each value of the column asked for, over the datasets that have queries with it."""
        names = sorted({value for result in self.results for value in result.groups.values()})
        out = {}
        for name in names:
            parts = {r.dataset.name: r.values[1][[r.groups.get(query) == name for query in r.values[0]]] for r in self.results}
            here = {dataset: part for dataset, part in parts.items() if len(part)}
            if here:
                out[name] = self._mean(here, len(self.benchmark.datasets))
        return out

    def _mean(self, values: Mapping[str, Floats], of: int) -> Mean:
        mean = mean_over(values, self.measures, of, resamples=self.protocol.resamples, seed=self.protocol.seed)
        pools = any(result.loaded.pool != "published" for result in self.results if result.dataset.name in values)
        return replace(mean, pools=pools)

    def json(self) -> dict[str, Any]:
        """The stable form; values are fractions. `average` is null unless all were measured in their published corpora."""
        mean = self.mean.json()
        out: dict[str, Any] = {
            "benchmark": self.benchmark.name,
            "config": self.config,
            "protocol": {name: getattr(self.protocol, name) for name in ("depth", "ignore_identical", "resamples", "seed")},
            "measure": HEADLINE,
            "average": mean["macro"] if self.mean.whole else None,
            "mean": mean,
            "tasks": {name: one.json() for name, one in self.groups("task").items()},
            "scenarios": {name: one.json() for name, one in self.groups("scenario").items()},
            "datasets": {result.dataset.name: result.json() for result in self.results},
            "deviations": [one.json() for one in self.deviations],
        }
        if self.protocol.by:
            out["by"] = {"column": self.protocol.by, "values": {name: one.json() for name, one in self.by_column().items()}}
        return out

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows for people, in points: datasets, then the means of all, of tasks, of scenarios and of a column."""
        head = ["dataset", "queries", "documents", *SHOWN]
        rows = [
            [_labelled(one), f"{len(one.values[0]):,}", f"{len(one.loaded.collection):,}", *shown(one.estimates)]
            for one in self.results
        ]
        rows += mean_rows("all", self.mean)
        blocks = [self.groups("task"), self.groups("scenario"), self.by_column()]
        for kind, block in zip(("task", "scenario", self.protocol.by), blocks, strict=True):
            several = {name: one for name, one in block.items() if one.of > 1 or kind not in ("task", "scenario")}
            rows += [row for name, one in several.items() for row in mean_rows(f"{kind} {name}", one)[:1]]
        return head, rows

    def save(self, folder: Path) -> None:
        """Writes the values by query and the result; the runs lie there already."""
        named = [one.scores.per_query.with_columns(dataset=pl.lit(one.dataset.name)) for one in self.results]
        table = pl.concat(named).select("dataset", "query_id", "measure", "value")
        write_whole(table.write_csv(separator="\t").encode(), folder / "per_query.tsv")
        write_whole(orjson.dumps(self.json(), option=orjson.OPT_INDENT_2), folder / "result.json")

    def __repr__(self) -> str:
        value = self.mean.macro[self.measures.index(HEADLINE)]
        return f"Benched({self.benchmark.title}: {HEADLINE} {points(value)}, {self.mean.called})"


def _labelled(result: Result) -> str:
    pool = result.loaded.pool
    return result.dataset.name + ("" if pool == "published" else f" ({pool} gold pool)")


def mean_rows(name: str, mean: Mean) -> list[list[str]]:
    """The macro mean and the mean by query, as rows of a table."""
    out = []
    for kind, estimates in (("macro", mean.macro), ("by query", mean.by_query)):
        found = dict(zip(mean.measures, estimates, strict=True))
        label = f"{name}, {kind} ({mean.called})"
        out.append([label, f"{found[HEADLINE].n:,}", "", *shown(found)])
    return out


def shown(estimates: Mapping[str, Estimate]) -> list[str]:
    """The measures of the table, in points."""
    return [points(estimates.get(measure)) for measure in SHOWN]


def points(estimate: Estimate | None) -> str:
    """A fraction as printed in such tables: times 100, with its interval."""
    if estimate is None or np.isnan(estimate.value):
        return ""
    ends = "" if np.isnan(estimate.low) else f" [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    return f"{100 * estimate.value:.2f}{ends}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
