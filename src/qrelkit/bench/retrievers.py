"""The retrievers of the benchmarks by key: `bm25`, and every encoder of the table (`models/encoders.yaml`) as its authors use it.

Both projects compare vectors by the cosine, whatever the encoder's own authors do. What a key is called in the published tables
is known here too; of a name that is not in them nothing was published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from qrelkit.bench.datasets import Dataset
from qrelkit.bench.generations import Generations
from qrelkit.bench.published import configs
from qrelkit.core.collection import Collection
from qrelkit.core.doors import Encoder, Retriever
from qrelkit.core.errors import UnknownName
from qrelkit.core.plugins import find, offered
from qrelkit.retrievers.bm25 import PRESETS, Bm25
from qrelkit.retrievers.dense import Dense
from qrelkit.retrievers.vectors import Progress

Factory = Callable[[Collection, Dataset], Retriever]
PRINTED: Mapping[str, str] = {  # CMIRB's names of models; R2MED's are the keys
    "bge-zh": "bge-large-zh-v1.5",
    "m3e": "m3e-large",
    "text2vec": "text2vec-large",
    "me5": "me5-large",
    "gte-zh": "gte-large-zh",
    "piccolo": "piccolo-large",
}
WITH_HYDE = {"bge-zh": "hyde/qwen2-7b/bge", "me5": "hyde/qwen2-7b/me5", "peg": "hyde/qwen2-7b/peg"}
HYDE_FILE = "qwen/query-rewrite.jsonl"


def bm25(benchmark: str, **own: Any) -> Factory:
    """BM25 as the benchmark's authors have it where that is known, with options of one's own before theirs."""
    options = {**PRESETS.get(benchmark, {}), **own}

    def make(collection: Collection, dataset: Dataset) -> Retriever:
        return Bm25(collection, **options)

    return make


def dense(benchmark: str, named: str, *, like: str = "", progress: Progress | None = None, **options: Any) -> Factory:
    """An encoder by its key, hub id, folder or endpoint, told each dataset's task where its prefix depends on it; `options` are
    those of `models.encoders.encoder`. Raises UnknownName and InputError as that does."""
    from qrelkit.models.encoders import encoder
    from qrelkit.models.encoders_table import recipe_of

    recipe = recipe_of(named, like)
    by_task = "{" in f"{recipe.query}{recipe.document}"

    @cache
    def for_task(task: str) -> Encoder:
        return encoder(named, task=task, like=like, **options)

    def make(collection: Collection, dataset: Dataset) -> Retriever:
        task = f"{benchmark}/{dataset.name}" if by_task else ""
        return Dense(collection, for_task(task), similarity="cos", progress=progress)

    return make


def encoder_keys() -> list[str]:
    """The keys of the table of encoders."""
    from qrelkit.models.encoders_table import recipes

    return list(recipes())


def plugged(name: str) -> Factory:
    """A retriever of another package (entry point group qrelkit.retrievers). Raises UnknownName."""
    if name not in offered("retrievers"):
        raise UnknownName("retriever", name, ["bm25", "dense", *encoder_keys(), *offered("retrievers")])
    build = find("retrievers", name)
    return lambda collection, dataset: cast(Retriever, build(collection))


def config_of(benchmark: str, key: str, rewrites: Generations | None) -> str:
    """What the published tables call it; "" where they have no such configuration."""
    if rewrites is None:
        name = PRINTED.get(key, key) if benchmark == "cmirb" else key
    elif benchmark == "cmirb":
        name = WITH_HYDE.get(key, "") if rewrites.files == (HYDE_FILE,) else ""
    else:
        name = f"gar/{rewrites.name}/{key}" if rewrites.name else ""
    return name if name in configs(benchmark) else ""
