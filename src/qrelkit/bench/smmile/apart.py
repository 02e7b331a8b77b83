"""Runs that would share a line of a table, told apart: two layouts of one model are two systems, one file given twice is one.

A run is a published file, or a file of answers with its manifest. Runs of one model whose settings differ, on whatever dataset,
have what differs behind the model's name. Those of which no settings are known have their file's name there, where another run
answered the same problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from qrelkit.bench.smmile.answers import WHOSE
from qrelkit.core.errors import InputError
from qrelkit.core.wire import digest_of

SAID = ("kind", "model", "mode", "form")  # settings that the rows say themselves


@dataclass(frozen=True, kw_only=True)
class Run:
    """Answers of one file: where they came from, and how they were asked as far as that is known."""

    source: str
    frame: pl.DataFrame
    settings: Mapping[str, Any] | None = None


def apart(runs: Sequence[Run]) -> list[pl.DataFrame]:
    """The frames of runs, none of which answers a problem under the same name as another; what is there twice is taken once.

    Raises InputError for two files of one name, without settings, that say different things.
    """
    parts = [replace(run, frame=part) for run in runs for part in run.frame.partition_by("model", maintain_order=True)]
    together: dict[str, list[Run]] = {}
    for part in _once(parts):
        together.setdefault(part.frame["model"][0], []).append(part)
    return [frame for same in together.values() for frame in _named(same)]


def _once(runs: Sequence[Run]) -> list[Run]:
    """Without what a longer run of the same settings has: a file given twice, the first problems of a whole run."""
    seen, contents = dict[str, pl.DataFrame](), set[int]()
    kept: dict[int, Run] = {}
    for i in sorted(range(len(runs)), key=lambda i: (-runs[i].frame.height, runs[i].settings is None)):
        run, content = runs[i], _content(runs[i].frame)
        key = str(content) if run.settings is None else digest_of(dict(run.settings))
        where = run.frame.select(WHOSE)
        rest = run.frame.join(seen[key], on=WHOSE, how="anti", maintain_order="left") if key in seen else run.frame
        if rest.height and not (run.settings is None and content in contents):
            kept[i] = replace(run, frame=rest)
        seen[key] = pl.concat([seen[key], where]) if key in seen else where
        contents.add(content)
    return [kept[i] for i in sorted(kept)]


def _content(frame: pl.DataFrame) -> int:
    """Of all rows but where they came from."""
    return int(frame.drop("source").hash_rows().sort().implode().hash().item())


def _named(runs: Sequence[Run]) -> list[pl.DataFrame]:
    """Runs of one model, renamed where they must not be one."""
    differs = _differences([run.settings for run in runs if run.settings is not None])
    names, out = list[tuple[str, pl.DataFrame]](), []
    for run in runs:
        what = ", ".join(f"{name} {_worth(name, run.settings, differs)}" for name in differs) if run.settings is not None else ""
        if run.settings is None and any(_meet(run.frame, other.frame) for other in runs if other is not run):
            what = run.source
        if any(what == name and _meet(run.frame, frame) for name, frame in names):
            raise InputError(f"{run.source}: another file of this name answers the same problems otherwise; name one of them")
        names.append((what, run.frame))
        out.append(run.frame.with_columns(model=pl.col("model") + (f" ({what})" if what else "")))
    return out


def _meet(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return not one.join(other, on=WHOSE, how="semi").is_empty()


def _differences(settings: Sequence[Mapping[str, Any]]) -> Mapping[str, list[Any]]:
    """The settings that are not the same everywhere, with all their values."""
    flat = [_flat(one) for one in settings]
    values = {name: [one.get(name) for one in flat] for name in dict.fromkeys(name for one in flat for name in one)}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in settings.items() if name not in (*SAID, "sampling")}
    return rest | dict(settings.get("sampling") or {})


def _worth(name: str, settings: Mapping[str, Any], differs: Mapping[str, list[Any]]) -> str:
    """A setting's value in a word: of a layout its name, with a digest where another one has it too."""
    value = _flat(settings).get(name)
    if not isinstance(value, dict):
        return "–" if value is None else str(value)
    same = [other for other in differs[name] if isinstance(other, dict) and other.get("name") == value.get("name")]
    return f"{value.get('name', '')}{'' if all(o == value for o in same) else ' ' + digest_of(value)[:8]}".strip()
