"""What is known of encoders: prefixes, pooling, lengths (`encoders.yaml`), and what the user states instead.

"" is no prefix, and known. Of an unknown model nothing is known: it is encoded without any, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qrelkit.core.errors import InputError, UnknownName

Pooling = Literal["own", "cls", "mean", "last"]
POOLINGS = ("own", "cls", "mean", "last")
_FROM_TASK = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How texts become vectors with a model; the names are explained in `encoders.yaml`.

    A prefix of None is unknown: the model's own is taken where it comes with one, else none. `key` is the name in the table,
    "" for a model that is not in it.
    """

    model: str
    key: str = ""
    document_model: str = ""
    query: str | None = None
    document: str | None = None
    pooling: Pooling = "own"
    unit: bool | None = None
    query_tokens: int | None = None
    document_tokens: int | None = None
    rewrite: Literal["plain", "query"] = "plain"
    pooled_prefix: bool = True
    pair: bool = False
    eos: bool = False
    one_line: bool = False
    dtype: str = "float32"
    similarity: Literal["cos", "dot"] = "cos"
    remote_code: bool = False
    source: str = ""

    def for_task(self, task: str) -> Recipe:
        """The recipe with the task's own words in its prefixes. Raises InputError where it needs a task and there is none,
        UnknownName for one that is not in the table."""
        tasks = _table()["tasks"]
        if task and task not in tasks:
            raise UnknownName("task", task, tasks)
        wants = [side for side in ("query", "document") if _FROM_TASK.search(getattr(self, side) or "")]
        if wants and not task:
            raise InputError(
                f"what {self.key or self.model} is told depends on the task: name one (--task {next(iter(tasks))}, …), "
                f"or state the prefix yourself (--{wants[0]}-prefix)"
            )
        return self.stated(**{side: _FROM_TASK.sub(lambda found: tasks[task][found[1]], getattr(self, side)) for side in wants})

    def stated(self, **given: Any) -> Recipe:
        """The recipe with what the user states (None: nothing). Raises UnknownName for a pooling that does not exist,
        InputError for a length below 1."""
        known = {name: value for name, value in given.items() if value is not None}
        if known.get("pooling", "own") not in POOLINGS:
            raise UnknownName("pooling", known["pooling"], POOLINGS)
        for name in ("query_tokens", "document_tokens"):
            if known.get(name, 1) < 1:
                raise InputError(f"{name} must be at least 1, not {known[name]}")
        return replace(self, **known)

    def prefix(self, side: str) -> str | None:
        """What stands before a text of a side."""
        if side == "document":
            return self.document
        return self.query if side == "query" or self.rewrite == "query" else ""

    def json(self) -> dict[str, Any]:
        """All of it that changes vectors, what is about the query's side under `query` and `rewrite`."""
        return {
            "document": {"prefix": self.document, "tokens": self.document_tokens, "pair": self.pair},
            "query": {"prefix": self.query, "tokens": self.query_tokens},
            "rewrite": self.rewrite,
            **{
                name: getattr(self, name)
                for name in ("pooling", "unit", "pooled_prefix", "eos", "one_line", "dtype", "similarity")
            },
        }


def recipes() -> Mapping[str, Recipe]:
    """Every recipe of the table by its key."""
    return {key: _read(key, dict(row)) for key, row in _table()["encoders"].items()}


def recipe_of(named: str, like: str = "") -> Recipe:
    """The recipe for a key of the table, the name of a model (with or without @revision), or a folder called after one.

    `like` is a key or model whose recipe is used whatever the name. Of what is not in the table only the name is known.
    Raises UnknownName for a `like` that is not in the table.
    """
    table = recipes()
    if like:
        found = table.get(like) or next((row for row in table.values() if _bare(row.model) == _bare(like)), None)
        if found is None:
            raise UnknownName("encoder", like, [*table, *(row.model for row in table.values())])
        return replace(found, model=named, document_model="")
    if named in table:
        return table[named]
    bare = Path(named).resolve().name.lower() if Path(named).is_dir() else _bare(named)
    for row in table.values():
        if bare in (_bare(row.model), _bare(row.model).rpartition("/")[2]):
            return replace(row, model=named)
    return Recipe(model=named)


def _bare(name: str) -> str:
    """A model's name without provider and revision, in small letters."""
    return name.rpartition(":")[2].partition("@")[0].lower()


@cache
def _table() -> dict[str, Any]:
    import yaml

    table: dict[str, Any] = yaml.safe_load(files("qrelkit.models").joinpath("encoders.yaml").read_text(encoding="utf-8"))
    return table


def _read(key: str, row: dict[str, Any]) -> Recipe:
    tokens = row.pop("tokens", None)
    each = tokens if isinstance(tokens, dict) else {"query": tokens, "document": tokens}
    known = {field.name for field in fields(Recipe)}
    assert row.keys() <= known, f"encoders.yaml: {key}: {row.keys() - known}"
    return Recipe(key=key, query_tokens=each["query"], document_tokens=each["document"], **row)
