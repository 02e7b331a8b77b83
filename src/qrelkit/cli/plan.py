"""How a plan is shown and agreed to. (No verb of its own: `run` begins with it.)"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qrelkit.cli.output import put_json, put_table, say

if TYPE_CHECKING:
    from qrelkit.steps.plan import Stage


def show_plan(stages: Sequence[Stage], as_json: bool = False) -> None:
    """The plan as a table on a terminal's stderr side, or as JSON."""
    if as_json:
        put_json(
            [
                {
                    "stage": s.name,
                    "by": s.by,
                    "items": s.items,
                    "known": s.known,
                    "todo": s.todo,
                    "usd": s.usd,
                    "seconds": s.seconds,
                }
                for s in stages
            ]
        )
        return
    columns = ("stage", "by", "items", "known", "to ask", "money", "time")
    put_table(columns, [(s.name, s.by, s.items, s.known, s.todo, _usd(s), _time(s)) for s in stages], to_stderr=True)


def confirmed(stages: Sequence[Stage], yes: bool) -> None:
    """Asks once, when models are to be asked; raises InputError where nobody can answer."""
    from qrelkit.core.errors import InputError

    asking = [s for s in stages if s.todo and s.usd != (0.0, 0.0)]
    if not asking or yes:
        return
    if not sys.stdin.isatty():
        raise InputError("models would be asked; agree to the plan above with --yes, or see it again with --dry-run")
    say("Ten calls first, to say how long it takes. Go on? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("nothing was asked")


def _usd(stage: Stage) -> str:
    if stage.usd is None:
        return "price unknown"
    low, high = stage.usd
    if high == 0:
        return "$0"
    return "under $0.01" if high < 0.01 else f"${low:,.2f}–{high:,.2f}"


def _time(stage: Stage) -> str:
    if stage.seconds is None:
        return "after ten calls"
    low, high = stage.seconds
    if high < 1:
        return "at once" if not stage.todo or high == 0 else "seconds"
    if high < 120:
        return f"{low:.0f}–{high:.0f} s"
    if high < 7200:
        return f"{low / 60:.0f}–{high / 60:.0f} min"
    return f"{low / 3600:.1f}–{high / 3600:.1f} h"
