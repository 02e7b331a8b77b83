"""SQL with named values, as PostgreSQL's driver wants it, and the rows that it gives as hits.

Whatever a query says reaches the database as a bound value (`:query`), never as a piece of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.retrievers.engines.config import BY_RANK, EngineConfig
from qrelkit.retrievers.engines.hits import Hit, hit
from qrelkit.retrievers.engines.template import VARIABLES, Params

BOUND = tuple(name for name in VARIABLES if name not in ("rewrites", "columns", "size", "offset", "page", "cursor"))
_PIECE = re.compile(
    r"(?P<kept>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|(?P<tag>\$\w*\$).*?(?P=tag)|::)|(?<![\w:]):(?P<name>[A-Za-z_]\w*)|%",
    re.DOTALL,
)


class Statement:
    """The template of an SQL engine: which values it binds, and which columns of its rows are what."""

    def __init__(self, config: EngineConfig, point: Mapping[str, Any]) -> None:
        where = f"{config.kind}: template"
        self.text, self._params = config.template, Params(config.params, config.kind)
        self.names = named(config.template)
        known = {*BOUND, *point, *config.params}
        for name in self.names:
            if name not in known:
                raise InputError(f"{where}: {UnknownName('value', f':{name}', [f':{one}' for one in known])}")
        if not {"query", "text", *config.params} & set(self.names):
            raise InputError(f"{where}: it does not use the query; write :query where it belongs (it is bound, without quotes)")
        self._columns = (config.id or "id", config.score or "score", config.parent)

    def bound(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The values that the statement names."""
        values = {**variables, **self._params.render(variables)}
        return {name: values[name] for name in self.names}

    def hits(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Hit]:
        """The rows as hits; InputError where a column is not there."""
        id_name, score_name, parent_name = self._columns
        ranked = score_name == BY_RANK
        for name in (id_name, "" if ranked else score_name, parent_name):
            if name and name not in columns:
                raise InputError(f"template: its rows have no column {name!r}; they have {', '.join(columns)}")
        id_at, score_at = columns.index(id_name), -1 if ranked else columns.index(score_name)
        parent_at = columns.index(parent_name) if parent_name else None
        return [
            hit(row[id_at], row[score_at], None if parent_at is None else row[parent_at], ranked=ranked) for row in rows
        ]  # fmt: skip


def named(sql: str) -> list[str]:
    """The values that a statement names, each once; what stands in quotes or comments names none."""
    return list(dict.fromkeys(found["name"] for found in _PIECE.finditer(sql) if found["name"]))


def for_psycopg(sql: str) -> str:
    """The statement with `%(name)s` for `:name`, and every other per cent sign doubled."""

    def one(found: re.Match[str]) -> str:
        return f"%({found['name']})s" if found["name"] else found[0].replace("%", "%%")

    return _PIECE.sub(one, sql)
