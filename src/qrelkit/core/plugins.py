"""Finds plugins by name through packaging entry points; the built-in ones use the same way.

    [project.entry-points."qrelkit.models"]
    openai = "qrelkit.models.openai_compatible:OpenAICompatible"

Two packages that offer one name are an error: nobody is renamed silently.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Literal

from qrelkit.core.errors import PluginError, UnknownName

Kind = Literal["models", "sources", "retrievers", "judges", "describers"]


def offered(kind: Kind) -> list[str]:
    """The names that are on offer."""
    return sorted({point.name for point in entry_points(group=f"qrelkit.{kind}")})


def find(kind: Kind, name: str) -> Any:
    """The object behind a name; raises UnknownName, or PluginError when it cannot be loaded or is offered twice."""
    points = entry_points(group=f"qrelkit.{kind}")
    found = {point.value: point for point in points if point.name == name}
    if not found:
        raise UnknownName(kind.removesuffix("s"), name, {point.name for point in points})
    if len(found) > 1:
        raise PluginError(f"two packages offer the {kind.removesuffix('s')} {name!r}: {', '.join(sorted(found))}; uninstall one")
    (point,) = found.values()
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"the {kind.removesuffix('s')} {name!r} ({point.value}) cannot be loaded: {error}") from error
