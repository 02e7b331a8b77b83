"""Many configurations of one engine: every combination of a grid's values, or a list of those that are meant.

    grid: {alpha: [0, 0.5, 1], boost: [1, 2]}            6 configurations
    grid: {a: [0, .1, …, 1], b: [0, .1, …, 1]}           with `where: a + b <= 1`: 66
    grid: [{model: small, k: 10}, {model: large, k: 5}]  2

Each is a run of its own, with a tag of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from itertools import product

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.retrievers.engines.config import EngineConfig, Value
from qrelkit.retrievers.engines.template import VARIABLES, condition

_NAME = re.compile(r"[A-Za-z_]\w*")
_TAG = re.compile(r"[\w.+=,@%-]+")  # one word in a TREC file, and a file's name on every system
_HOLE = re.compile(r"\{([^{}]*)\}")


def points(config: EngineConfig, where: str = "engine") -> list[tuple[str, dict[str, Value]]]:
    """Tag and variables of every configuration, in the grid's order; one without a grid.

    Raises InputError for tags that are the same or no file's name, for variables that have the name of another thing, and
    where no configuration is left.
    """
    grid = config.grid
    if isinstance(grid, list):
        found: list[dict[str, Value]] = [dict(point) for point in grid] or [{}]
        if len({tuple(sorted(point)) for point in found}) > 1:
            raise InputError(f"{where}: grid: its entries must all have the same variables")
    else:
        found = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    for name in found[0] if found else ():
        if not _NAME.fullmatch(name) or name in VARIABLES or name in config.params:
            raise InputError(f"{where}: grid: {name!r} cannot be a variable's name; taken: {', '.join(VARIABLES)}, and params")
    if config.where:
        holds = condition(config.where, f"{where}: where")
        found = [point for point in found if holds(point)]
    if not found:
        raise InputError(f"{where}: the grid has no configuration{' that `where` lets through' if config.where else ''}")
    named = [(tag_of(config, point, where), point) for point in found]
    tag, count = Counter(tag.lower() for tag, _ in named).most_common(1)[0]
    if count > 1:
        raise InputError(f"{where}: {count} configurations have the tag {tag!r}; name what differs in it, as {{alpha}}")
    return named


def tag_of(config: EngineConfig, point: Mapping[str, Value], where: str) -> str:
    """The tag of one configuration; without a pattern the name and every variable."""
    name = config.name or config.kind
    pattern = config.tag or "-".join([name, *(f"{key}{{{key}}}" for key in point)])

    def filled(hole: re.Match[str]) -> str:
        key = hole[1].strip()
        if key not in point:
            raise InputError(f"{where}: tag: {UnknownName('variable', key, point)}")
        return str(point[key])

    tag = _HOLE.sub(filled, pattern)
    if not _TAG.fullmatch(tag):
        raise InputError(f"{where}: tag {tag!r} is no single word of letters, digits and . + = , @ % - _")
    return tag
