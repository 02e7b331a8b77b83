"""Measured beside published: per dataset the difference, and a verdict.

    reproduced        |measured - published| is within the tolerance
    differs           it is not
    not comparable    another corpus, other queries or grades: the reason is said
    missing           one of the two is not there

All numbers are points (times 100), as the papers print them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from qrelkit.bench.datasets import NAMES, Benchmark, benchmark
from qrelkit.bench.published import HEADLINE, Published, find_published, published, published_tasks
from qrelkit.core.errors import InputError

TOLERANCE = 0.5
AVERAGE = "average"
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

    @property
    def verdict(self) -> str:
        """Of all rows together: the worst that is said of any."""
        said = {row.verdict for row in self.rows}
        return next((one for one in ("not comparable", "differs", "missing") if one in said), "reproduced")

    def json(self) -> dict[str, Any]:
        head = {name: getattr(self, name) for name in ("benchmark", "config", "measure", "source", "verdict")}
        return head | {"unit": "points", "rows": [asdict(row) for row in self.rows]}

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
    and where the configuration is not known.
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
    if "configs" in said:
        return compared_results(said, config, measure, tolerance)
    name = config or said.get("config", "")
    if not name:
        raise InputError(f"{where}: does not say which published configuration it is; name it (--published CONFIG)")
    wanted = find_published(said["benchmark"], name, measure)
    return [Comparison(**_head(said, wanted), rows=tuple(rows_of(said, wanted, TOLERANCE if tolerance is None else tolerance)))]


def read_measured(path: str | Path) -> dict[str, Any]:
    """The JSON of a benchmark run or of result files. Raises InputError for another file."""
    try:
        said: Any = orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    if not isinstance(said, dict) or said.get("benchmark") not in NAMES or not ("datasets" in said or "configs" in said):
        raise InputError(f"{path}: is not what `qrelkit bench` writes (result.json, or the output of --json)")
    return said


def compared_results(said: Mapping[str, Any], config: str, measure: str, tolerance: float | None) -> list[Comparison]:
    """Every configuration of result files that was also published in a table."""
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
            yield row(name, value, wanted.values.get(name), tolerance, reason_of(found))
    if wanted.average is not None:
        reasons = [reason for found in said["datasets"].values() if (reason := reason_of(found))]
        value = mean_of(said, known, wanted)
        yield row(AVERAGE, value, wanted.average, tolerance, reasons[0] if reasons and value is not None else "")
    groups = published_tasks(known.name).get((wanted.config, wanted.measure))
    for name, printed in (groups.values if groups else {}).items():
        found = said.get("tasks", {}).get(name)
        whole = found is not None and found["over"] == found["of"]
        yield row(name, _value(_macro(found, wanted.measure)) if whole else None, printed, tolerance)


def mean_of(said: Mapping[str, Any], known: Benchmark, wanted: Published) -> float | None:
    """The macro mean over as many datasets as the printed one is; None over fewer or more."""
    mean = said["mean"]
    return _value(_macro(mean, wanted.measure)) if mean["over"] == wanted.n and mean["of"] == len(known.datasets) else None


def _macro(mean: Mapping[str, Any] | None, measure: str) -> Any:
    return None if mean is None else mean["macro"].get(measure)


def _value(found: Any) -> float | None:
    value = found.get("value") if isinstance(found, Mapping) else found
    return None if value is None else 100 * float(value)


def reason_of(found: Mapping[str, Any] | None) -> str:
    """Why a dataset's number is not comparable; "" where it is."""
    return next((one["text"] for one in (found or {}).get("deviations", ()) if not one["comparable"]), "")


def row(name: str, measured: float | None, printed: float | None, tolerance: float, reason: str = "") -> Row:
    """A row with its verdict."""
    difference = None if measured is None or printed is None else measured - printed
    if difference is None:
        verdict, reason = "missing", "not measured" if measured is None else "not published"
    elif reason:
        verdict = "not comparable"
    else:
        verdict = "reproduced" if abs(difference) <= tolerance + 1e-9 else "differs"
    told = {"difference": difference, "tolerance": tolerance, "verdict": verdict, "reason": reason}
    return Row(name=name, measured=measured, published=printed, **told)  # type: ignore[arg-type]
