"""Recorded generations beside a dataset, and how the projects search with them.

    R2MED    <Name>/hyde/gpt4/query_with_hydoc.jsonl       GAR: method and language model
    CMIRB    <Name>/qwen/query-rewrite.jsonl               HyDE; …-sft.jsonl is SL-HyDE

Which language models reason, and so how their thinking is taken out and the answer alone is searched with, is R2MED's own list:
gpt4 and o3-mini are not on it, and the rule of the method holds for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qrelkit.bench.deviations import Deviation, blob_id
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import counted
from qrelkit.core.rewriting import METHODS, Rewrite
from qrelkit.formats.rewrites import read_rewrites

GAR = ("hyde", "query2doc", "lamer", "search-o1", "search-r1")
PLAIN = ("qwen-7b", "qwen-32b", "qwen-72b", "llama-70b", "gpt4", "o3-mini")
REASONING: Mapping[str, str] = {  # and the family whose thinking is taken out
    "r1-qwen-32b": "r1",
    "r1-llama-70b": "r1",
    "huatuo-o1-70b": "huatuo",
    "qwq-32b": "qwq",
    "qwen3-32b": "qwen3",
    "qwen-3b-ins": "search-r1",
    "qwen-7b-ins": "search-r1",
}


@dataclass(frozen=True, kw_only=True)
class Generations:
    """Where a dataset's rewrites lie (the first of `files` that is there, in its folder), and the rule that joins them."""

    files: tuple[str, ...]
    combine: str = ""
    method: str = ""
    family: str = ""
    name: str = ""  # for tables and tags

    def read(self, folder: Path) -> tuple[Path, dict[str, Rewrite]]:
        """The file and its rewrites. Raises InputError where no file is there."""
        path = next((folder / name for name in self.files if (folder / name).is_file()), None)
        if path is None:
            raise InputError(f"{folder}: has no recorded generations; looked for {', '.join(self.files)}")
        return path, read_rewrites(path, method=self.method, family=self.family)


def gar(method: str, llm: str) -> Generations:
    """R2MED's generation-augmented retrieval: its files, the family of the model, and its rule. Raises UnknownName."""
    key = llm.replace("_", "-")
    if method not in GAR:
        raise UnknownName("method of generation", method, GAR)
    if key not in REASONING and key not in PLAIN:
        raise UnknownName("language model", llm, [*PLAIN, *REASONING])
    family = REASONING.get(key, "")
    how = "reasoning" if family else method
    if how not in METHODS:
        raise InputError(f"{method} with {llm}: was only published with a reasoning model ({', '.join(REASONING)})")
    spelled = [(folder, name) for folder in _spellings(method) for name in _spellings(key)]
    files = tuple(f"{folder}/{name}/query_with_hydoc.jsonl" for folder, name in spelled)
    return Generations(files=files, combine=f"r2med:{how}", method=how, family=family, name=f"{method}/{key}")


def _spellings(name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((name, name.replace("-", "_"))))


def about(dataset: str, path: Path, rewrites: Mapping[str, Rewrite], queries: Mapping[str, str]) -> list[Deviation]:
    """What is odd about rewrites: queries without one or with one of another text, and what was borne in reading them."""
    missing = [query for query in queries if query not in rewrites]
    strange = [query for query in rewrites if query not in queries]
    other = [q for q, one in rewrites.items() if q in queries and one.query and one.query.split() != queries[q].split()]
    counts: Counter[str] = Counter()
    for rewrite in rewrites.values():
        counts.update(rewrite.counts)
    said = [
        (len(missing), "query", "without a rewrite, asked as it is"),
        (len(strange), "rewrite", "of a query that is not in the dataset"),
        (len(other), "rewrite", "made for another text of its query"),
        *((count, "rewrite", what.replace("_", " ")) for what, count in counts.items()),
    ]
    return [Deviation(dataset=dataset, text=f"{path.name}: {counted(n, noun)} {what}") for n, noun, what in said if n]


def recorded(path: Path, generations: Generations) -> dict[str, Any]:
    """What a result says of the rewrites it used."""
    return {"file": path.name, "blob": blob_id(path), "name": generations.name, "family": generations.family}
