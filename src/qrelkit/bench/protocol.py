"""How a benchmark is measured, and where that is not how its authors do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qrelkit.bench.datasets import Benchmark
from qrelkit.bench.deviations import Deviation
from qrelkit.retrievers.bm25 import PRESETS

if TYPE_CHECKING:
    from qrelkit.bench.benched import Result

RULES: Mapping[str, tuple[str, ...]] = {"r2med": ("r2med",), "cmirb": ("mean", "sl-hyde")}  # of joining rewrites, as published
ANSERINI = {"k1": 0.9, "b": 0.4}
BM25: Mapping[str, Mapping[str, Any]] = {  # R2MED's was released, of CMIRB's only "Pyserini" is known
    "r2med": {**ANSERINI, **PRESETS["r2med"]},
    "cmirb": {**ANSERINI, "idf": "lucene", "query": "bag"},
}
SAVED = "saved run"  # as `bench/saved_runs.py` calls its kind
CUT = 10  # of the headline, nDCG@10
UNTOLD = "the analyzer of the published BM25 (Pyserini) is not known: Han characters alone, or pairs of them"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How it is measured. `depth` 0 is the authors'; `pool` "" is the published corpus where it is there, else the own gold pool.

    With `ignore_identical` a hit that has the id of the query is no hit (BEIR's option, on in both projects). `by` names a column
    of the queries.
    """

    depth: int = 0
    pool: str = ""
    ignore_identical: bool = True
    by: str = ""
    resamples: int = 2000
    seed: int = 0


def deviations_of(known: Benchmark, results: Sequence[Result], protocol: Protocol) -> Iterator[Deviation]:
    """What differs for all datasets: those that are missing, depth, options, settings of the retriever, the rule of joining."""
    if len(results) < len(known.datasets):
        missing = [name for name in known.names if name not in {result.dataset.name for result in results}]
        text = f"{len(results)} of {len(known.datasets)} datasets; without {', '.join(missing)} there is no average"
        yield Deviation(text=text)
    if protocol.depth != known.depth:
        text = f"{protocol.depth:,} documents per query where the authors retrieve {known.depth:,}"
        yield Deviation(text=text, comparable=protocol.depth >= CUT)
    if not protocol.ignore_identical:
        yield Deviation(text="hits with the id of their query are kept, which the authors drop")
    yield from dict.fromkeys(one for result in results for one in of_retriever(known.name, result))
    yield from dict.fromkeys(one for result in results for one in of_rewrites(known.name, result))


def of_retriever(name: str, result: Result) -> Iterator[Deviation]:
    """Where a BM25 is not the published one, and what an encoder has to say of itself."""
    settings, used = result.made.said["retriever"], result.made.said.get("used", {})
    yield from (Deviation(text=str(note)) for note in used.get("notes", ()))
    if settings.get("kind") == SAVED:
        yield Deviation(text="saved runs: how they were made is not held against the authors' settings")
    if settings["name"] != "bm25" or settings.get("kind") == SAVED:
        return
    if name == "cmirb":
        yield Deviation(text=UNTOLD)
    for key, published in BM25[name].items():
        used = settings.get(key, "not an option")
        if used != published:
            yield Deviation(text=f"BM25 with {key} {used} where the authors have {published}")


def of_rewrites(name: str, result: Result) -> Iterator[Deviation]:
    """Where rewrites are joined by another rule than the authors'."""
    rule = result.made.said.get("rewrites", {}).get("combine", {}).get("name", "")
    if rule and rule.partition(":")[0] not in RULES[name]:
        yield Deviation(text=f"rewrites joined by {rule!r} where the authors have {' or '.join(map(repr, RULES[name]))}")
    if rule and name == "cmirb" and result.made.said["retriever"]["name"] == "bm25":
        yield Deviation(text="the authors publish no BM25 with rewrites")
