"""doctor: is everything here, does it fit together, does the store match its digests? And with --model, what can that one do?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qrelkit.cli.context import JSON, PROJECT, SET, ending, open_project

if TYPE_CHECKING:
    from qrelkit.project.project import Project
    from qrelkit.steps.examine import Examination


def doctor(
    model: str = typer.Option(None, "--model", help="Ask provider:name, in at most twelve calls, what it and its server can do."),
    project: str = PROJECT,
    change: list[str] = SET,
    as_json: bool = JSON,
) -> None:
    """Check the project without asking any model; with --model, examine that one."""
    from qrelkit.cli.output import put_json, put_table
    from qrelkit.project.config import NAME
    from qrelkit.project.signs import signs
    from qrelkit.project.standing import doctor as examine

    alone = bool(model) and project == NAME and not Path(NAME).exists()
    with open_project(project, change, judge__model=model if alone else None) as opened:
        checks, looks = ([], []) if alone else (examine(opened), signs(opened))
        examined = _examined(opened, model) if model else None
    sound = all(sound for _, sound, _ in checks) and (examined is None or examined.sound)
    if as_json:
        told = [{"what": what, "sound": sound, "look": False, "found": found} for what, sound, found in checks]
        told += [{"what": what, "sound": True, "look": look, "found": found} for what, look, found in looks]
        put_json(told if examined is None else {"checks": told, "examination": examined.json()})
    else:
        rows = [(what, "ok" if sound else "WRONG", found) for what, sound, found in checks]
        rows += [(what, "look" if look else "", found) for what, look, found in looks]
        rows += [(one.name, one.verdict, one.words) for one in examined.findings] if examined else []
        put_table(("check", "", "found"), rows)
    if examined and examined.stopped:
        raise typer.Exit(ending(examined.stopped))
    if not sound:
        raise typer.Exit(1)


def _examined(project: Project, name: str) -> Examination:
    from qrelkit.cli.output import money, say
    from qrelkit.project.examining import needs_of
    from qrelkit.steps.examine import AT_MOST, examine

    model, needs = project.model(name), needs_of(project, name)
    say(f"asking {name}, at most {AT_MOST} calls …")
    found = examine(model, needs=needs)
    spent = f"{found.tokens_in:,} tokens in, {found.tokens_out:,} out, {money(found.cost_usd)}"
    say(f"{found!r}: {spent}, {found.seconds:.1f} s")
    return found
