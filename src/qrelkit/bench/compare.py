"""Measured beside published: per dataset the difference, and a verdict.

    reproduced        |measured - published| is within the tolerance
    differs           it is not
    not comparable    another corpus, other queries or grades: the reason is said
    missing           one of the two is not there

All numbers are points (times 100), as the papers print them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from qrelkit.bench.datasets import NAMES, Benchmark, benchmark
from qrelkit.bench.deviations import Deviation
from qrelkit.bench.published import HEADLINE, Published, find_published, published, published_tasks
from qrelkit.bench.results import grouped
from qrelkit.core.errors import InputError

TOLERANCE = 0.5
HEAD = ["config", "dataset", "measured", "published", "difference", "verdict"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One dataset, group or average; None for what is not there. `difference` is measured less published."""

    name: str
    measured: float | None
    published: float | None
    difference: float | None
    tolerance: float
    verdict: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One configuration beside its published numbers."""

    benchmark: str
    config: str
    measure: str
    source: str
    rows: tuple[Row, ...]
    deviations: tuple[str, ...] = ()  # from the published protocol, as the result says them

    @property
    def verdict(self) -> str:
        """Of all rows together: the worst that is said of any."""
        said = {row.verdict for row in self.rows}
        return next((one for one in ("not comparable", "differs", "missing") if one in said), "reproduced")

    def json(self) -> dict[str, Any]:
        head = {name: getattr(self, name) for name in ("benchmark", "config", "measure", "source", "verdict")}
        return head | {"unit": "points", "rows": [asdict(row) for row in self.rows], "deviations": list(self.deviations)}

    def table(self) -> list[list[str]]:
        """Rows for people, under `HEAD`."""
        return [[self.config, *cells(row)] for row in self.rows]


def cells(row: Row) -> list[str]:
    """A row for people."""
    verdict = f"{row.verdict} ({row.reason})" if row.reason else row.verdict
    return [row.name, _two(row.measured), _two(row.published), _two(row.difference, "+"), verdict]


def _two(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.2f}"


def compare_files(
    path: str | Path, config: str = "", *, measure: str = HEADLINE, tolerance: float | None = None
) -> list[Comparison]:
    """What a file of `bench … --json` (or OUT/result.json) says, beside the published `config`; for result files, each its own.

    The default tolerance is 0.5 points; of published result files it is twice their rounding. Raises InputError for another file
    where the configuration is not known, or the tolerance is negative.
    """
    return compare(read_measured(path), config, measure=measure, tolerance=tolerance, where=str(path))


def compare(
    said: Mapping[str, Any],
    config: str = "",
    *,
    measure: str = HEADLINE,
    tolerance: float | None = None,
    where: str = "the result",
) -> list[Comparison]:
    """The same for what such a file holds."""
    if tolerance is not None and not tolerance >= 0:
        raise InputError(f"the tolerance is a number of points from 0 up, not {tolerance}")
    if "configs" in said:
        return compared_results(said, config, measure, tolerance)
    name = config or said.get("config", "")
    if not name:
        raise InputError(f"{where}: does not say which published configuration it is; name it (--published CONFIG)")
    wanted, within = find_published(said["benchmark"], name, measure), TOLERANCE if tolerance is None else tolerance
    return [Comparison(**_head(said, wanted), rows=tuple(rows_of(said, wanted, within)), deviations=told(said))]


def read_measured(path: str | Path) -> dict[str, Any]:
    """The JSON of a benchmark run or of result files. Raises InputError for another file."""
    try:
        said: Any = orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    whole = isinstance(said, dict) and said.get("benchmark") in NAMES
    parts = (said["configs"].values() if isinstance(said.get("configs"), dict) else [said]) if whole else []
    if not whole or not all(written(part) for part in parts):
        raise InputError(f"{path}: is not what `qrelkit bench` writes (result.json, or the output of --json)")
    return said  # type: ignore[no-any-return]


def written(said: Any) -> bool:
    """Whether it has what every configuration that `bench` writes has."""
    if not isinstance(said, dict) or not isinstance(said.get("mean"), dict) or not isinstance(said.get("datasets"), dict):
        return False
    return {"over", "of", "macro"} <= said["mean"].keys() and all("scores" in one for one in said["datasets"].values())


def compared_results(said: Mapping[str, Any], config: str, measure: str, tolerance: float | None) -> list[Comparison]:
    """Every configuration of result files that was also published in a table. Raises UnknownName for one that is asked for."""
    if config:
        find_published(said["benchmark"], config, measure)
    known, out = published(said["benchmark"]), []
    for name, found in said["configs"].items():
        wanted = known.get((config or name, measure))
        if wanted is not None:
            within = 4 * wanted.rounding if tolerance is None else tolerance
            one = {"benchmark": said["benchmark"], **found}
            out.append(Comparison(**(_head(said, wanted) | {"config": name}), rows=tuple(rows_of(one, wanted, within))))
    return out


def _head(said: Mapping[str, Any], wanted: Published) -> dict[str, Any]:
    return {"benchmark": said["benchmark"], "config": wanted.config, "measure": wanted.measure, "source": wanted.source}


def rows_of(said: Mapping[str, Any], wanted: Published, tolerance: float) -> Iterator[Row]:
    """A row for every dataset that either has, for the average, and for the printed groups."""
    known = benchmark(said["benchmark"])
    for name in known.names:
        found = said["datasets"].get(name)
        value = None if found is None else _value(found["scores"].get(wanted.measure))
        if value is not None or name in wanted.values:
            yield row(name, value, wanted.values.get(name), tolerance, reason_of(said) or reason_of(found))
    if wanted.average is not None:
        whole = wanted.n == len(known.datasets)
        name = "average" if whole else f"mean over {wanted.n} of {len(known.datasets)}"
        yield row(name, mean_of(said, known, wanted), wanted.average, tolerance, reason_among(said, known.names))
    groups = published_tasks(known.name).get((wanted.config, wanted.measure))
    for name, printed in (groups.values if groups else {}).items():
        found = said.get("tasks", {}).get(name)
        value = _value(_macro(found, wanted.measure)) if found is not None and found["over"] == found["of"] else None
        yield row(name, value, printed, tolerance, reason_among(said, grouped(known, "task")[name]))


def mean_of(said: Mapping[str, Any], known: Benchmark, wanted: Published) -> float | None:
    """The macro mean where it is over the same datasets as the printed one; None over others."""
    printed = set(wanted.values) or set(known.names)
    same = said["datasets"].keys() == printed and said["mean"]["over"] == wanted.n == len(printed)
    return _value(_macro(said["mean"], wanted.measure)) if same else None


def _macro(mean: Mapping[str, Any] | None, measure: str) -> Any:
    return None if mean is None else mean["macro"].get(measure)


def _value(found: Any) -> float | None:
    value = found.get("value") if isinstance(found, Mapping) else found
    return None if value is None else 100 * float(value)


def reason_of(found: Mapping[str, Any] | None) -> str:
    """Why a dataset's number, or the whole result's, is not comparable; "" where it is."""
    return next((one["text"] for one in (found or {}).get("deviations", ()) if not one["comparable"]), "")


def reason_among(said: Mapping[str, Any], names: Iterable[str]) -> str:
    """Why the mean of these datasets is not comparable: the first reason of any of them, or of all together."""
    reasons = [reason_of(said), *(reason_of(said["datasets"].get(name)) for name in names)]
    return next((reason for reason in reasons if reason), "")


def told(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Every deviation that a result says, of all datasets first."""
    listed = [*said.get("deviations", ()), *(one for found in said["datasets"].values() for one in found.get("deviations", ()))]
    return tuple(str(Deviation(**one)) for one in listed)


def row(name: str, measured: float | None, printed: float | None, tolerance: float, reason: str = "") -> Row:
    """A row with its verdict."""
    difference = None if measured is None or printed is None else measured - printed
    if difference is None:
        verdict, reason = "missing", "not measured" if measured is None else "not published"
    elif reason:
        verdict = "not comparable"
    else:
        verdict = "reproduced" if abs(difference) <= tolerance + 1e-9 else "differs"
    return Row(
        name=name,
        measured=measured,
        published=printed,
        difference=difference,
        tolerance=tolerance,
        verdict=verdict,
        reason=reason,
    )
