"""Gold pools: the gold passages of a dataset as its corpus, where the published corpus is not at hand.

    own       the gold passages of the dataset itself
    merged    those of all datasets at hand, as one corpus; ids are `DATASET/id`, since `p15824` is another passage in each

Some files of queries carry their gold passage (`doc`), and so do recorded generations; the qrels say under which id it stands in
the corpus. Such a pool is a fraction of the corpus and much easier: it serves to compare our own runs, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.core.cache import cache_folder
from qrelkit.core.entry import QUERY, read_id
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.qrels import Qrels
from qrelkit.core.wire import digest_of
from qrelkit.formats.jsonl import read_jsonl
from qrelkit.sources.files import read_any_qrels
from qrelkit.sources.folder import found_qrels

POOLS = ("own", "merged")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Passages by id; `name` is "own" or "merged"."""

    name: str
    passages: Mapping[str, str]

    def named(self, qrels: Qrels, dataset: str) -> Qrels:
        """Qrels with the ids that this pool has for the documents of a dataset."""
        if self.name == "own":
            return qrels
        return Qrels(qrels.frame.with_columns(doc_id=f"{dataset}/" + pl.col("doc_id")), qrels.name, qrels.notes)


def gold_pool(folder: Path) -> Pool | None:
    """The gold passages of the dataset in a folder; None where no file has them.

    Raises InputError where a query has another number of passages than of relevant documents, or an id two texts.
    """
    there = found_qrels(folder)
    if not there:
        return None
    grades = read_any_qrels(next(iter(there.values())), folder.name).frame.filter(pl.col("grade") > 0)
    ids = dict(grades.group_by("query_id", maintain_order=True).agg("doc_id").iter_rows())
    for path in (*(folder / name for name in ("query.jsonl", "queries.jsonl")), *sorted(folder.glob("*/query-rewrite.jsonl"))):
        if path.is_file() and (passages := paired(path, ids)):
            return Pool(name="own", passages=passages)
    return None


def paired(path: Path, ids: Mapping[str, list[str]]) -> dict[str, str]:
    """Passages by document id; nothing where the first line has none."""
    out: dict[str, str] = {}
    for number, query_id, texts in gold_texts(path):
        wanted = ids.get(query_id, [])
        if len(texts) != len(wanted):
            few = f"{len(texts)} gold passages and {len(wanted)} relevant documents"
            raise InputError(f"{path}:{number}: query {query_id!r} has {few}; which is which cannot be told")
        for doc_id, text in zip(wanted, texts, strict=True):
            if out.setdefault(doc_id, text) != text:
                raise InputError(f"{path}:{number}: document {doc_id!r} has another text than in a line before")
    return out


def gold_texts(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Line, query and gold passages of every line; nothing where the first line has none."""
    for line in read_jsonl(path):
        value: Any = line.value.get("doc")
        if value is None:
            if line.number == 1:
                return
            raise InputError(f"{path}:{line.number}: has no gold passage ('doc'), and the lines before have one")
        _, query_id = read_id(line.value, QUERY, f"{path}:{line.number}")
        yield line.number, query_id, [value] if isinstance(value, str) else list(value)


def merged_pool(pools: Mapping[str, Pool]) -> Pool:
    """One corpus of the own pools of several datasets."""
    passages = {f"{dataset}/{doc_id}": text for dataset, pool in pools.items() for doc_id, text in pool.passages.items()}
    return Pool(name="merged", passages=passages)


def pool_files(pool: Pool) -> Path:
    """The corpus of a pool as a file, in the cache."""
    content = b"".join(orjson.dumps({"id": doc_id, "text": text}) + b"\n" for doc_id, text in pool.passages.items())
    folder = cache_folder("bench") / f"{pool.name}-{digest_of(content.decode())[:20]}"
    folder.mkdir(exist_ok=True)
    path = folder / "corpus.jsonl"
    if not path.exists():
        write_whole(content, path)
    return path
