"""A retriever on the datasets of a benchmark, as its authors measure: runs, scores, means, and everything that differs.

    for each dataset   load and check → retrieve (saved, made once) → drop hits that are the query itself → measures by query
    over them          means by dataset and by query, for all, by task, by scenario, by any column of the queries

Queries are known by (dataset, query): ids are only unique inside a dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.benched import Benched, Result
from qrelkit.bench.datasets import Dataset, benchmark
from qrelkit.bench.deviations import Deviation
from qrelkit.bench.folders import Loaded, dataset_folders, load_dataset
from qrelkit.bench.generations import Generations, about, recorded
from qrelkit.bench.pools import POOLS, Pool, gold_pool, merged_pool
from qrelkit.bench.protocol import Protocol, deviations_of
from qrelkit.bench.published import HEADLINE
from qrelkit.bench.retrievers import Factory
from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted
from qrelkit.core.run import Run
from qrelkit.measures.aggregate import Scores
from qrelkit.sources.folder import DOCUMENTS, find
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.made import Retrieved
from qrelkit.steps.retrieve import retrieve_to

CUTS = (1, 3, 5, 10, 100, 1000)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is to be measured: the retriever made for each collection, its rewrites, the folder of the runs, and the name that
    the published tables have for the configuration (`config`, "" for none)."""

    retriever: Factory
    out: Path
    rewrites: Generations | None = None
    tag: str = ""
    config: str = ""
    protocol: Protocol = field(default_factory=Protocol)


def bench(name: str, folders: str | Path | Mapping[str, Path], asked: Bench, datasets: Sequence[str] = ()) -> Benched:
    """Measures a retriever on the datasets of the benchmark `name` that are there; `folders` is where they lie.

    A dataset without a corpus is left out, and this is said. Raises InputError where none is left, or one named cannot be used;
    UnknownName where no query has the column asked for.
    """
    known = benchmark(name)
    protocol = replace(asked.protocol, depth=asked.protocol.depth or known.depth)
    if protocol.pool and protocol.pool not in POOLS:
        raise UnknownName("pool", protocol.pool, POOLS)
    where = dataset_folders(known, folders, datasets) if isinstance(folders, str | Path) else dict(folders)
    pools, lacking = pools_of(where, protocol.pool)
    if not where.keys() - lacking.keys() or (datasets and lacking):
        raise InputError(f"{next(iter(lacking)) if lacking else name}: {next(iter(lacking.values()), 'no dataset was given')}")
    usable = [known.dataset(one) for one in where if one not in lacking]
    loaded = [load_dataset(one, where[one.name], pools.get(one.name)) for one in usable]
    refuse_column(protocol.by, loaded)
    results = tuple(measured(one, asked, protocol) for one in loaded)
    told = [Deviation(dataset=one, text=f"left out: {reason}") for one, reason in lacking.items()]
    told += deviations_of(known, results, protocol)
    found = Benched(benchmark=known, results=results, deviations=tuple(told), config=asked.config, protocol=protocol)
    found.save(asked.out)
    return found


def pools_of(folders: Mapping[str, Path], asked: str) -> tuple[dict[str, Pool], dict[str, str]]:
    """The gold pool of each dataset that is searched in one, and why a dataset cannot be searched at all."""
    bare = {name: path for name, path in folders.items() if asked or find(path, DOCUMENTS) is None}
    own = {name: pool for name, path in bare.items() if (pool := gold_pool(path)) is not None}
    lacking = {name: "has no corpus.jsonl, and no gold passages to make a pool of" for name in bare if name not in own}
    if asked == "merged":
        return dict.fromkeys(own, merged_pool(own)), lacking
    return own, lacking


def refuse_column(by: str, loaded: Sequence[Loaded]) -> None:
    """Raises UnknownName for a column that the queries of no dataset have."""
    columns = {column for one in loaded for column in one.collection.queries.columns} - {"query_id", "text", "fingerprint"}
    if by and by not in columns:
        raise UnknownName("column of the queries", by, sorted(columns))


def measured(loaded: Loaded, asked: Bench, protocol: Protocol) -> Result:
    """One dataset: its run, made or found, and its scores."""
    dataset, collection, told = loaded.dataset, loaded.collection, list(loaded.deviations)
    retriever, options, used = asked.retriever(collection, dataset), dict[str, Any](), dict[str, Any]()
    if asked.rewrites is not None:
        path, rewrites = asked.rewrites.read(loaded.folder)
        texts = dict(zip(collection.queries["query_id"], collection.queries["text"], strict=True))
        told += about(dataset.name, path, rewrites, texts)
        options, used = {"rewrites": rewrites, "combine": asked.rewrites.combine}, recorded(path, asked.rewrites)
    tag = asked.tag or "+".join(part for part in (retriever.name, used.get("name", "")) if part)
    made = retrieve_to(run_file(asked.out, dataset, loaded.pool), collection, retriever, protocol.depth, tag=tag, **options)
    run, dropped = without_identical(made.run) if protocol.ignore_identical else (made.run, 0)
    qrels, failed = answered(loaded.qrels, made)
    if failed:
        text = f"{counted(failed, 'query')} not answered, and not scored"
        told.append(Deviation(dataset=dataset.name, text=text, comparable=False))
    if dropped:
        told.append(Deviation(dataset=dataset.name, text=f"{counted(dropped, 'hit')} with the id of its query dropped"))
    scores = scored(run, qrels, protocol)
    return Result(
        dataset=dataset,
        loaded=replace(loaded, deviations=tuple(told)),
        made=made,
        scores=scores,
        dropped=dropped,
        rewrites=used,
        groups=column_values(collection, scores, protocol.by),
    )


def run_file(out: Path, dataset: Dataset, pool: str) -> Path:
    """Where the run of a dataset is kept."""
    out.mkdir(parents=True, exist_ok=True)
    return out / (f"{dataset.name}.trec" if pool == "published" else f"{dataset.name}.{pool}.trec")


def without_identical(run: Run) -> tuple[Run, int]:
    """A run without hits that have the id of their query, and how many they were."""
    kept = run.frame.filter(pl.col("query_id") != pl.col("doc_id"))
    dropped = len(run) - kept.height
    return (Run.of(kept, run.tag) if dropped else run), dropped


def answered(qrels: Qrels, made: Retrieved) -> tuple[Qrels, int]:
    """The grades of the queries that got an answer, and how many got none: a time-out is no empty ranking."""
    failed = [*made.said.get("notes", {}).get("failed", {})]
    frame = qrels.frame.filter(~pl.col("query_id").is_in(failed))
    return Qrels(frame, qrels.name, qrels.notes), qrels.frame["query_id"].n_unique() - frame["query_id"].n_unique()


def scored(run: Run, qrels: Qrels, protocol: Protocol) -> Scores:
    """All measures of a run, queries without a relevant document left out. A run without any hit scores 0."""
    cuts = [cut for cut in CUTS if cut <= protocol.depth]
    names = [HEADLINE, *(f"{m}@{cut}" for m in ("nDCG", "AP", "R", "P", "RR") for cut in cuts), "RR"]
    if not qrels.graded.filter(pl.col("query_id").is_in(run.frame["query_id"].implode())).height and qrels.graded.height:
        first = qrels.graded.row(0, named=True)["query_id"]  # a document that nobody has: the ranking stays without a hit
        run = Run.of(pl.DataFrame({"query_id": [first], "doc_id": [""], "score": [0.0]}), run.tag)
    return evaluate(names, [run], qrels, leave_out_empty=True, resamples=protocol.resamples, seed=protocol.seed)


def column_values(collection: Collection, scores: Scores, column: str) -> Mapping[str, str]:
    """What the queries say in a column, where they do."""
    if not column or column not in collection.queries.columns:
        return {}
    asked = scores.per_query["query_id"].unique()
    frame = collection.queries.filter(pl.col("query_id").is_in(asked.implode()) & pl.col(column).is_not_null())
    return dict(zip(frame["query_id"], (str(value) for value in frame[column]), strict=True))
