"""Result files that the two projects publish, in all their forms, one JSON per configuration and dataset.

    R2MED   base retriever/bge/Biology.json         test{ndcg_at_10, map_at_k, recall_at_k, precision_at_k}; BM25 also mrr
            gar/hyde/gpt4/bm25/Biology.json         the older form: NDCG@10, MAP@10, Recall@10, P@10, MRR
            reranker/rankllama/nv/top_10/Biology.json
    CMIRB   qwen-bge/MedExamRetrieval.json          mteb 1.1.1: the split (test or dev) is the key

A configuration is called after its folders, `base retriever/` left out. All values are fractions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qrelkit.bench.datasets import Benchmark, Dataset, plain
from qrelkit.bench.published import HEADLINE
from qrelkit.core.errors import InputError

MEASURES = {"ndcg": "nDCG", "map": "AP", "recall": "R", "precision": "P", "p": "P", "mrr": "RR"}
KEY = re.compile(r"(ndcg|map|recall|precision|mrr|p)(?:_at_|@)?(\d+)?", re.IGNORECASE)
SPLITS = ("test", "dev")
BASE = "base retriever"


@dataclass(frozen=True, kw_only=True)
class ResultFiles:
    """The values of one configuration: dataset → measure → value."""

    config: str
    values: Mapping[str, Mapping[str, float]]

    def mean(self, benchmark: Benchmark, names: tuple[str, ...] = ()) -> dict[str, Any]:
        """Macro means and means by (published) number of queries, over the datasets there are; `names` makes a group of them."""
        chosen = [d for d in benchmark.datasets if not names or d.name in names]
        here = [d for d in chosen if d.name in self.values]
        over, of = len(here), len(chosen)
        measures = [m for m in (self.values[here[0].name] if here else ()) if all(m in self.values[d.name] for d in here)]
        total = sum(d.queries for d in here)
        return {
            "over": over,
            "of": of,
            "called": f"average of {of}" if over == of else f"mean over {over} of {of}, no average",
            "macro": {m: {"value": sum(self.values[d.name][m] for d in here) / over} for m in measures},
            "by_query": {m: {"value": sum(self.values[d.name][m] * d.queries for d in here) / total} for m in measures},
        }

    def groups(self, benchmark: Benchmark, kind: str) -> dict[str, dict[str, Any]]:
        """The same for each task or scenario."""
        return {name: self.mean(benchmark, members) for name, members in grouped(benchmark, kind).items()}

    def json(self, benchmark: Benchmark) -> dict[str, Any]:
        """The form of a benchmark run, without intervals: one value a dataset is all that was published."""
        mean = self.mean(benchmark)
        datasets = {
            name: {"scores": {m: {"value": value} for m, value in self.values[name].items()}, "deviations": []}
            for name in benchmark.names
            if name in self.values
        }
        return {
            "average": mean["macro"] if mean["over"] == mean["of"] else None,
            "mean": mean,
            "tasks": self.groups(benchmark, "task"),
            "scenarios": self.groups(benchmark, "scenario"),
            "datasets": datasets,
        }


def results_json(benchmark: Benchmark, found: Sequence[ResultFiles]) -> dict[str, Any]:
    """All configurations: what `bench compare` reads."""
    return {"benchmark": benchmark.name, "configs": {one.config: one.json(benchmark) for one in found}}


def grouped(benchmark: Benchmark, kind: str) -> dict[str, tuple[str, ...]]:
    """The names of the datasets of each task or scenario (`kind`), in the benchmark's order."""
    out: dict[str, list[str]] = {}
    for dataset in benchmark.datasets:
        out.setdefault(getattr(dataset, kind), []).append(dataset.name)
    return {name: tuple(members) for name, members in out.items()}


def read_results(benchmark: Benchmark, folder: str | Path) -> list[ResultFiles]:
    """Every configuration under a folder. Raises InputError where there is none, or a file cannot be read."""
    top = Path(folder)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for path in sorted(top.rglob("*.json")):
        dataset = benchmark.called(path.stem)
        if dataset is not None:
            config = config_of(path.parent.relative_to(top))
            found.setdefault(config, {})[dataset.name] = read_result(path, dataset)
    if not found:
        raise InputError(f"{folder}: holds no result file of {benchmark.title} (CONFIGURATION/{benchmark.names[0]}.json)")
    return [ResultFiles(config=config, values=values) for config, values in found.items()]


def config_of(path: Path) -> str:
    """What a configuration is called, from the folders its files lie in."""
    parts = [part for part in path.parts if part not in (BASE, "results")]
    return "/".join(parts) or "(here)"


def read_result(path: Path, dataset: Dataset) -> dict[str, float]:
    """The measures of one file, under our names. Raises InputError for a file of another form or of another dataset, and for a
    value that is no fraction."""
    try:
        said: Any = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    values = next((said[split] for split in SPLITS if isinstance(said, dict) and isinstance(said.get(split), dict)), None)
    if values is None:
        raise InputError(f"{path}: has neither {' nor '.join(map(repr, SPLITS))}; is it a result file of R2MED or mteb 1.1.1?")
    name = str(said.get("dataset_name") or said.get("mteb_dataset_name") or dataset.name)
    if plain(name) not in dataset.spellings:
        raise InputError(f"{path}: says that it is about {name!r}, and is called after {dataset.name}")
    out = {measure: value for key, value in values.items() if (measure := measure_of(key))}
    if not out:
        raise InputError(f"{path}: has no measure that we know; it has {', '.join(list(values)[:8])}")
    for measure, value in out.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{path}: {measure} is {value!r}, and result files have fractions from 0 to 1")
    return out


def measure_of(key: str) -> str:
    """Our name of a measure: `ndcg_at_10` and `NDCG@10` are nDCG@10, `mrr` is RR; "" for what is no measure."""
    found = KEY.fullmatch(key)
    if found is None:
        return ""
    return MEASURES[found[1].lower()] + (f"@{found[2]}" if found[2] else "")


def results_table(
    benchmark: Benchmark, said: Mapping[str, Any], verdicts: Mapping[str, str]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows for people, in points: the means of every configuration, its tasks, the verdict on the printed table."""
    tasks = list(grouped(benchmark, "task"))
    rows = []
    for config, one in said["configs"].items():
        means = [one["mean"], *(one["tasks"][task] for task in tasks)]
        parts = ["" if mean["over"] == mean["of"] else f" ({mean['over']} of {mean['of']})" for mean in means]
        cells = [_points(mean["macro"]) + part for mean, part in zip(means, parts, strict=True)]
        verdict = verdicts.get(config, "not in the table")
        rows.append([config, cells[0], _points(one["mean"]["by_query"]), *cells[1:], verdict])
    return ["config", HEADLINE, "by query", *tasks, "published"], rows


def _points(values: Mapping[str, Mapping[str, float]]) -> str:
    return f"{100 * values[HEADLINE]['value']:.2f}" if HEADLINE in values else ""
