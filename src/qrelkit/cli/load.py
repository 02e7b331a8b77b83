"""load: what is in a collection, and what was left out of it."""

from __future__ import annotations

from typing import Any

import typer

from qrelkit.cli.context import JSON


def load(
    source: str = typer.Argument(..., metavar="COLLECTION", help="A folder, or irds:ID."),
    as_json: bool = JSON,
) -> None:
    """Read a collection, index it once, and say what is in it."""
    from qrelkit.cli.output import put_json, put_table
    from qrelkit.steps.load import facts
    from qrelkit.steps.load import load as read

    found = facts(read(source))
    if as_json:
        put_json(found)
    else:
        rows = [(name, value) for name, value in found.items() if name != "qrels"]
        rows += [(f"qrels {name}", value) for name, value in found["qrels"].items()]
        put_table(("what", "value"), [(name, _said(value)) for name, value in rows])


def _said(value: Any) -> Any:
    """A value for people: no brackets of Python's around what is in it."""
    if isinstance(value, dict):
        return ", ".join(f"{k}: ({_said(v)})" if isinstance(v, dict) else f"{k}: {_said(v)}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value
