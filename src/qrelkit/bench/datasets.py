"""The datasets of a benchmark, as data: what is published of each, and by which names people call it.

    benchmark("r2med").dataset("Stack-Biology")     → Biology

`bench/data/NAME.yaml` has them. Old keys, both spellings of IIYi, names with or without `Retrieval` or `-demo` mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from qrelkit.core.errors import UnknownName

NAMES = ("r2med", "cmirb")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset as published. `revision` is the commit on the hub that is pinned, "" where none was published.

    `documents` counts rows of the corpus and `ids` distinct documents, which differ where ids stand in it several times. `blobs`:
    the first digits of git's ids of files, where they are known.
    """

    name: str
    hub: str
    task: str
    scenario: str
    split: str
    queries: int
    documents: int
    pairs: int
    ids: int
    gold: int | None = None
    revision: str = ""
    aliases: tuple[str, ...] = ()
    blobs: Mapping[str, str] = field(default_factory=dict)

    @property
    def spellings(self) -> set[str]:
        """All names that mean it, as `plain` makes them."""
        return {plain(name) for name in (self.name, self.hub.rpartition("/")[2], *self.aliases)}


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Its datasets in the order of the published tables; `depth` is how far down its authors retrieve."""

    name: str
    title: str
    depth: int
    datasets: tuple[Dataset, ...]

    def dataset(self, name: str) -> Dataset:
        """The dataset of a name. Raises UnknownName."""
        found = next((one for one in self.datasets if plain(name) in one.spellings), None)
        if found is None:
            raise UnknownName(f"dataset of {self.title}", name, self.names)
        return found

    def called(self, name: str) -> Dataset | None:
        """The same; None where no dataset is called so."""
        return next((one for one in self.datasets if plain(name) in one.spellings), None)

    def chosen(self, names: Sequence[str]) -> tuple[Dataset, ...]:
        """The datasets of these names, in the benchmark's order; all where none is named."""
        wanted = {self.dataset(name).name for name in names}
        return tuple(one for one in self.datasets if not names or one.name in wanted)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.datasets]


def plain(name: str) -> str:
    """A name without case, blanks and signs, and without what is only said sometimes: `CSLRelatedRetrieval` is `cslrelated`."""
    letters = "".join(c for c in name.lower().removesuffix("-demo") if c.isalnum())
    return letters.removesuffix("retrieval") or letters


@cache
def benchmark(name: str) -> Benchmark:
    """The benchmark of a name. Raises UnknownName."""
    import yaml

    if name not in NAMES:
        raise UnknownName("benchmark", name, NAMES)
    said = yaml.safe_load(data_file(f"{name}.yaml"))
    datasets = tuple(_dataset(one, values) for one, values in said["dataset"].items())
    return Benchmark(name=said["name"], title=said["title"], depth=said["depth"], datasets=datasets)


def _dataset(name: str, values: Mapping[str, Any]) -> Dataset:
    given = {"ids": values["documents"], **values, "aliases": tuple(values["aliases"])}
    return Dataset(name=name, **given)


def data_file(name: str) -> str:
    """The text of a file that the package carries."""
    return (files("qrelkit.bench") / "data" / name).read_text(encoding="utf-8")
