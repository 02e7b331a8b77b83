"""Settings in YAML files: read, and held against a model, with the file, the line and the key in every complaint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qrelkit.core.errors import InputError, UnknownName

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")
Place = tuple[int | str, ...]  # the keys, and numbers in lists, that lead to something


def read_mapping(path: str | os.PathLike[str], *, such_as: str, absent: str = "") -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one. Raises InputError with file and line; `absent` is the way out
    where there is no file, `such_as` an example of what a mapping looks like."""
    import yaml

    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{f'; {absent}' if absent else ''}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where, what = (f"{path}:{mark.line + 1}", getattr(error, "problem", error)) if mark else (str(path), error)
        raise InputError(f"{where}: cannot be read as YAML: {what}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{path}: must be a mapping of keys, such as `{such_as}`")
    return value or {}


def modelled(
    model: Callable[..., T], value: Mapping[str, Any], where: str, known: Callable[[tuple[int | str, ...]], list[str]]
) -> T:
    """A pydantic model of a mapping; the first thing that is wrong is named with its place and, for a key, the near ones of
    those that are `known` at its place."""
    from pydantic import ValidationError

    try:
        return model(**value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(f"{where}: {UnknownName('key', place, known(first['loc'][:-1]))}") from None
        raise InputError(f"{where}: {place}: {first['msg']} (found {first['input']!r})") from None


def known_keys(root: type[BaseModel], parents: Place, otherwise: type[BaseModel]) -> list[str]:
    """The full names of the keys allowed at a place below a model; `otherwise` is what a mapping of free names holds."""
    from pydantic import BaseModel

    fields: Any = root
    for parent in parents:
        if isinstance(parent, int):  # a place in a list, whose kind is known already
            continue
        annotation = fields.model_fields[parent].annotation if parent in getattr(fields, "model_fields", {}) else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        fields = next((o for o in reversed(options) if isinstance(o, type) and issubclass(o, BaseModel)), otherwise)
    return [".".join([*map(str, parents), name]) for name in fields.model_fields]
