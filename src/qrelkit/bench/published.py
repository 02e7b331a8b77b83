"""The published tables, shipped with their sources: `bench/data/NAME.tsv`, numbers as printed (points: times 100).

One row is a configuration under a measure: a value for each dataset (none where only the average was printed), the average, and
over how many datasets that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from qrelkit.bench.datasets import NAMES, data_file
from qrelkit.core.errors import UnknownName

HEADLINE = "nDCG@10"


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was printed for a configuration under a measure, in points; `average` is over `n` datasets."""

    config: str
    measure: str
    values: Mapping[str, float]
    average: float | None
    n: int
    source: str
    decimals: int = 2

    @property
    def rounding(self) -> float:
        """How far a printed number may be from what was computed: half a step of its last digit."""
        return float(0.5 / 10**self.decimals)


@cache
def published(benchmark: str) -> dict[tuple[str, str], Published]:
    """All rows by configuration and measure. Raises UnknownName for a benchmark."""
    if benchmark not in NAMES:
        raise UnknownName("benchmark", benchmark, NAMES)
    return _rows(f"{benchmark}.tsv")


@cache
def published_tasks(benchmark: str) -> dict[tuple[str, str], Published]:
    """Rows whose columns are groups of datasets; none where none were printed."""
    return _rows(f"{benchmark}_tasks.tsv") if benchmark == "cmirb" else {}


def configs(benchmark: str) -> list[str]:
    """All configurations, in the order of the tables."""
    return list(dict.fromkeys(config for config, _ in published(benchmark)))


def find_published(benchmark: str, config: str, measure: str = HEADLINE) -> Published:
    """The row of a configuration. Raises UnknownName where nothing was published for it, or not under this measure."""
    rows = published(benchmark)
    if (config, measure) in rows:
        return rows[config, measure]
    known = [name for one, name in rows if one == config]
    if known:
        raise UnknownName(f"measure of the published {config}", measure, known)
    raise UnknownName(f"published configuration of {benchmark}", config, configs(benchmark))


def _rows(name: str) -> dict[tuple[str, str], Published]:
    header, *lines = (line.split("\t") for line in data_file(name).splitlines())
    columns = header[2:-3]
    return {(cells[0], cells[1]): _row(cells, columns) for cells in lines}


def _row(cells: list[str], columns: list[str]) -> Published:
    printed = [cell for cell in (*cells[2:-3], cells[-3]) if cell]
    return Published(
        config=cells[0],
        measure=cells[1],
        values={name: float(cell) for name, cell in zip(columns, cells[2:-3], strict=True) if cell},
        average=float(cells[-3]) if cells[-3] else None,
        n=int(cells[-2]),
        source=cells[-1],
        decimals=min(len(cell.partition(".")[2]) for cell in printed),
    )
