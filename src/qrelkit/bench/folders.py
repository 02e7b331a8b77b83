"""The folder of a dataset in upstream's layout, loaded and checked against what is published.

    Biology/            or Stack-Biology, MedExamRetrieval, IIYIPostRetrieval …
      query.jsonl       or queries.jsonl, topics.tsv
      corpus.jsonl
      qrels.jsonl       or qrels.txt, qrels.tsv, qrels/test.tsv

What a file of queries says of the answer (`doc`, `doc_id`, `answer`) is taken out before anybody searches: a retriever sees a
copy, in the cache. A folder without a corpus can only give its gold passages (`bench/pools.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.bench.datasets import Benchmark, Dataset
from qrelkit.bench.deviations import Deviation, blob_id, blobs, counts
from qrelkit.bench.pools import Pool, pool_files
from qrelkit.core.cache import cache_folder
from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import counted
from qrelkit.core.wire import digest_of
from qrelkit.formats.jsonl import read_jsonl
from qrelkit.sources.files import Files, read_any_qrels
from qrelkit.sources.folder import DOCUMENTS, QUERIES, find, found_qrels
from qrelkit.sources.hub import read_origin

DEMO = "-demo"  # R2MED's repository has Biology-demo, beside which people put Biology
ANSWERS = ("doc", "doc_id", "answer", "passage")  # never part of a query


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A dataset ready to be searched. `pool`: "published", or a gold pool ("own", "merged"). `files` are git's ids of what was
    read, `revision` the hub's commit where it came from there."""

    dataset: Dataset
    folder: Path
    collection: Collection
    qrels: Qrels
    pool: str
    deviations: tuple[Deviation, ...]
    files: Mapping[str, str]
    revision: str = ""


def dataset_folders(benchmark: Benchmark, folder: str | Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Where each dataset lies, by its name: folders inside `folder`, or `folder` itself.

    Raises InputError where a dataset has two folders, and where one that was asked for has none.
    """
    top = Path(folder)
    if not top.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    wanted = {dataset.name for dataset in benchmark.chosen(names)}
    single = find(top, QUERIES) is not None
    found: dict[str, Path] = {}
    inside = sorted((p for p in top.iterdir() if p.is_dir()), key=lambda p: (p.name.endswith(DEMO), p.name))
    for path in [top] if single else inside:
        dataset = benchmark.called(path.resolve().name)
        if dataset is None or dataset.name not in wanted or find(path, QUERIES) is None:
            continue
        if dataset.name in found and path.name.endswith(DEMO):
            continue
        if dataset.name in found:
            raise InputError(f"{top}: two folders are {dataset.name}: {found[dataset.name].name} and {path.name}; keep one")
        found[dataset.name] = path
    missing = [] if not names else sorted(wanted - found.keys())
    if missing or not found:
        what = ", ".join(missing) or f"a dataset of {benchmark.title}"
        raise InputError(f"{folder}: has no folder with queries for {what}; known: {', '.join(benchmark.names)}")
    return {name: found[name] for name in benchmark.names if name in found}


def load_dataset(dataset: Dataset, folder: Path, pool: Pool | None = None) -> Loaded:
    """A dataset with its published corpus, or a gold `pool` instead. Raises InputError (file:line) for what cannot be read."""
    found = find(folder, QUERIES)
    if found is None:
        raise InputError(f"{folder}: has no file of queries; known: {', '.join(QUERIES)}")
    corpus = find(folder, DOCUMENTS) if pool is None else pool_files(pool)
    if corpus is None:
        raise InputError(f"{folder}: has no corpus.jsonl; --pool own makes a small one of the gold passages")
    grades = qrels_file(folder, dataset)
    source = Files(dataset.name, corpus, queries=without_answers(found), duplicates="last")
    collection, qrels = source.collection(), read_any_qrels(grades, dataset.name)
    if pool is not None:
        qrels = pool.named(qrels, dataset.name)
    read = {path.name: blob_id(path) for path in (found, grades, *([corpus] if pool is None else []))}
    kept, told = checked(dataset, collection, qrels, pool)
    return Loaded(
        dataset=dataset,
        folder=folder,
        collection=collection,
        qrels=kept,
        pool="published" if pool is None else pool.name,
        deviations=(*told, *blobs(dataset.name, folder, dataset.blobs.items()), *origin(dataset, folder)),
        files=read,
        revision=read_origin(folder).get("commit", ""),
    )


def qrels_file(folder: Path, dataset: Dataset) -> Path:
    """The file of judgments: the one of the published split where there are several."""
    there = found_qrels(folder)
    if not there:
        raise InputError(f"{folder}: has no judgments (qrels.jsonl, qrels.txt or qrels.tsv)")
    return there.get(dataset.split) or next(iter(there.values()))


def without_answers(path: Path) -> Path:
    """A copy of a file of queries without what it says of the answers; the file itself where it says nothing."""
    if not path.name.removesuffix(".gz").endswith(".jsonl"):
        return path
    rows = [line.value for line in read_jsonl(path)]
    if not any(name in row for row in rows for name in ANSWERS):
        return path
    kept = [{name: value for name, value in row.items() if name not in ANSWERS} for row in rows]
    copy = cache_folder("bench") / f"queries-{digest_of([str(path.resolve()), kept])[:20]}.jsonl"
    if not copy.exists():
        write_whole(b"".join(orjson.dumps(row) + b"\n" for row in kept), copy)
    return copy


def checked(dataset: Dataset, collection: Collection, qrels: Qrels, pool: Pool | None) -> tuple[Qrels, list[Deviation]]:
    """The grades of queries that are there, and everything that is not as published."""
    frame = qrels.frame
    here = frame["query_id"].is_in(collection.queries["query_id"].implode())
    positive = frame.filter(pl.col("grade") > 0)
    documents = positive["doc_id"].unique()
    found: list[tuple[str, int, int | None]] = [
        ("queries", collection.queries.height, dataset.queries),
        ("pairs of the qrels", frame.height, dataset.pairs),
        ("gold documents", len(documents), dataset.gold),
    ]
    out = counts(dataset.name, found if pool else [*corpus_counts(dataset, collection), *found])
    if pool is not None:
        size = f"{len(collection):,} documents where the published corpus has {dataset.documents:,}"
        text = f"{pool.name} gold pool of {size}; never to be compared with the published tables"
        out.append(Deviation(dataset=dataset.name, text=text, comparable=False))
    lost = len(documents) - int(collection.contains(documents).sum()) if len(documents) else 0
    strange = frame.filter(~here)["query_id"].n_unique()
    empty = frame["query_id"].n_unique() - positive["query_id"].n_unique()
    ungraded = int((~collection.queries["query_id"].is_in(frame["query_id"].implode())).sum())
    said = [
        (lost, "gold document", "not in the corpus and cannot be found", False),
        (strange, "query", "only in the qrels: left out", False),
        (empty, "query", "without a relevant document: left out of the means", True),
        (ungraded, "query", "without qrels: not scored", True),
        (collection.notes.get("changed_duplicates", 0), "document", "given again with another text: the last one counts", True),
    ]
    told = ((f"{counted(n, noun)} {what}", same) for n, noun, what, same in said if n)
    out += [Deviation(dataset=dataset.name, text=text, comparable=same) for text, same in told]
    return Qrels(frame.filter(here), qrels.name, qrels.notes), out


def corpus_counts(dataset: Dataset, collection: Collection) -> list[tuple[str, int, int | None]]:
    """Documents, and rows of the corpus where some ids stand in it several times."""
    rows = len(collection) + int(collection.notes.get("duplicate_documents", 0))
    repeated = rows != len(collection) or dataset.ids != dataset.documents
    return [("documents", len(collection), dataset.ids), *([("rows of the corpus", rows, dataset.documents)] if repeated else [])]


def origin(dataset: Dataset, folder: Path) -> list[Deviation]:
    """What must be said of the revision: which one it is, and that none was published where that is so."""
    got = read_origin(folder).get("commit", "")
    if got and dataset.revision and got != dataset.revision:
        text = f"revision {got[:8]} of {dataset.hub} where {dataset.revision[:8]} is pinned"
        return [Deviation(dataset=dataset.name, text=text, comparable=False)]
    if got and not dataset.revision:
        return [Deviation(dataset=dataset.name, text=f"no revision was published; this is {got[:8]} of {dataset.hub}")]
    return []


def said(loaded: Loaded) -> dict[str, Any]:
    """What a result says of its dataset, as JSON."""
    return {
        "queries": loaded.collection.queries.height,
        "documents": len(loaded.collection),
        "pairs": len(loaded.qrels),
        "pool": loaded.pool,
        "task": loaded.dataset.task,
        "scenario": loaded.dataset.scenario,
        "fingerprint": loaded.collection.fingerprint,
        "notes": dict(loaded.collection.notes),
        "revision": loaded.revision,
        "files": dict(loaded.files),
    }
