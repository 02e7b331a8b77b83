"""load: what is in a collection, and what was left out of it."""

from __future__ import annotations

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
        put_table(("what", "value"), [(k, ", ".join(map(str, v)) if isinstance(v, list) else v) for k, v in found.items()])
