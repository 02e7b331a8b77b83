"""Where something stands in a JSON answer: keys by dots, places by brackets.

    hits.hits                  a key in a key
    [1][0][2:]                 the second, of it the first, of it all but two (Groonga's rows)
    _source["a.b"][0]          a key with a dot, and the first of its list

What is not there is None.
"""

from __future__ import annotations

import re
from typing import Any

from qrelkit.core.errors import InputError

_STEP = re.compile(r'\.?([^.\[\]"]+)|\["((?:[^"\\]|\\.)*)"\]|\[(-?\d+)\]|\[(-?\d*):(-?\d*)\]')


class JsonPath:
    """A path; `take` gives what stands there, None for nothing. Raises InputError for one that cannot be read."""

    def __init__(self, path: str, where: str) -> None:
        self.path, self._steps, at = path, list[Any](), 0
        while at < len(path):
            found = _STEP.match(path, at)
            if found is None:
                raise InputError(f"{where}: the path {path!r} cannot be read from {path[at:]!r} on; say hits.hits or [1][0][2:]")
            self._steps.append(_step(found))
            at = found.end()

    def take(self, value: Any) -> Any:
        """What stands there. A list of one value, as engines give stored fields, is still a list: see `single`."""
        for step in self._steps:
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, dict) else None
            elif isinstance(value, list):
                inside = isinstance(step, slice) or -len(value) <= step < len(value)
                value = value[step] if inside else None
            else:
                return None
        return value


def _step(found: re.Match[str]) -> str | int | slice:
    key, quoted, place, start, end = found.groups()
    if key is not None:
        return key
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted)
    return int(place) if place is not None else slice(int(start) if start else None, int(end) if end else None)


def single(value: Any) -> Any:
    """The value itself, also where it is the only one of a list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
