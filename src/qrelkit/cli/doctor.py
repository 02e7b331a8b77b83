"""doctor: is everything here, does it fit together, does the store match its digests?"""

from __future__ import annotations

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, open_project


def doctor(project: str = PROJECT, change: list[str] = SET, as_json: bool = JSON) -> None:
    """Check the project without asking any model."""
    from qrelkit.cli.output import put_json, put_table
    from qrelkit.project.standing import doctor as examine

    with open_project(project, change) as opened:
        checks = examine(opened)
    if as_json:
        put_json([{"what": what, "sound": sound, "found": found} for what, sound, found in checks])
    else:
        put_table(("check", "", "found"), [(what, "ok" if sound else "WRONG", found) for what, sound, found in checks])
    if not all(sound for _, sound, _ in checks):
        raise typer.Exit(1)
