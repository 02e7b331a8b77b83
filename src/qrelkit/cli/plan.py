"""How a plan is shown and agreed to. (No verb of its own: `run` begins with it.)"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qrelkit.cli.output import put_json, put_table, say

if TYPE_CHECKING:
    from qrelkit.models.estimates import Range
    from qrelkit.project.project import Project
    from qrelkit.steps.stages import Part, Stage


def show_plan(stages: Sequence[Stage], as_json: bool = False, *, budget_usd: float | None = None, between: str = "") -> None:
    """The plan as a table among the words, or as JSON; below it what to know of it."""
    if as_json:
        put_json([stage.json() for stage in stages])
        return
    batch = any(stage.batch_usd for stage in stages)
    columns = ("stage", "by", "items", "known", "to ask", "money", *(["by batch"] if batch else []), "time")
    put_table(columns, [row for stage in stages for row in _rows(stage, between, batch)], to_stderr=True)
    for note in dict.fromkeys(note for stage in stages for part in stage.parts for note in part.notes):
        say(f"note: {note}")
    fitted = {part.model: part.use.replies for stage in stages for part in stage.parts if part.use and part.use.replies}
    if fitted:
        say("fitted to replies in the store: " + ", ".join(f"{count} of {model}" for model, count in fitted.items()))
    most = [stage.usd[1] for stage in stages if stage.usd]
    if budget_usd is not None and sum(most) > budget_usd:
        say(f"the budget of ${budget_usd:,.2f} may be reached first: then it stops, and the same command goes on later")


def planned(project: Project, retry: Sequence[str], limit: int | None) -> list[Stage]:
    """The judge's stage alone, as `judge` would do it now."""
    from qrelkit.project.line import line_of
    from qrelkit.steps.plan import plan

    return plan(line_of(project), retry=retry, limit=limit)[-1:]


def confirmed(stages: Sequence[Stage], yes: bool) -> None:
    """Asks once, when models are to be asked; raises InputError where nobody can answer."""
    from qrelkit.core.errors import InputError

    if yes or not any(stage.asks for stage in stages):
        return
    if not sys.stdin.isatty():
        raise InputError("models would be asked; agree to the plan above with --yes, or see it again with --dry-run")
    say("Ten calls first, to say how long it takes. Go on? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("nothing was asked")


def _rows(stage: Stage, between: str, batch: bool) -> Iterator[tuple[Any, ...]]:
    """The stage; where several models are asked, a row for each below it."""
    yield _row((stage.name, stage.by, stage.items, stage.known, stage.todo), stage, between, batch)
    if len(stage.parts) > 1:
        for part in stage.parts:
            yield _row(("", part.model, None, None, _about(part.requests)), part, between, batch)


def _row(named: tuple[Any, ...], what: Stage | Part, between: str, batch: bool) -> tuple[Any, ...]:
    by_batch = [_usd(what.batch_usd) if what.batch_usd else ""] if batch else []
    return (*named, _usd(what.usd), *by_batch, _time(what.seconds, between))


def _about(requests: Range) -> str:
    low, high = (round(end) for end in requests)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _usd(usd: Range | None) -> str:
    if usd is None:
        return "price unknown"
    low, high = usd
    if high == 0:
        return "$0"
    if high < 0.01:
        return "under $0.01"
    least, most = f"{low:,.2f}", f"{high:,.2f}"
    return f"${most}" if least == most else f"${least}–{most}"


def _time(seconds: Range | None, between: str) -> str:
    from qrelkit.steps.stages import sittings

    if seconds is None:
        return "after ten calls"
    low, high = seconds
    if high < 1:
        return "at once" if high == 0 else "seconds"
    shown = f"{low:.0f}–{high:.0f} s" if high < 120 else f"{low / 60:.0f}–{high / 60:.0f} min"
    shown = shown if high < 7200 else f"{low / 3600:.1f}–{high / 3600:.1f} h"
    few, many = sittings(seconds, between)
    times = f"{few}" if few == many else f"{few}–{many}"
    return f"{shown} in {times} × {between}" if many > 1 else shown
