"""retrieve fuse: several runs become one; and what the commands that make a run of runs have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from qrelkit.cli import saved
from qrelkit.cli.context import JSON

if TYPE_CHECKING:
    from qrelkit.steps.made import Retrieved


def fuse(
    runs: list[str] = typer.Option(..., "--runs", metavar="FILE…", help="The runs, two or more."),
    output: str = saved.OUTPUT,
    rule: str = typer.Option("rrf", "--rule", help="rrf (by rank), sum (of scores), or mnz (times how many runs have it)."),
    weights: str = typer.Option("", "--weights", metavar="W,W,…", help="One for each run, in their order; all 1 by default."),
    k: float = typer.Option(60.0, "--k", help="rrf: 1 / (k + rank)."),
    normalise: str = typer.Option("minmax", "--normalise", help="sum, mnz: minmax, sum, zscore or none, per query."),
    missing: str = typer.Option("lowest", "--missing", help="sum: what a run does not list counts as its lowest score, or zero."),
    depth: int = saved.DEPTH,
    tag: str = typer.Option("", "--tag", help="The run's name; the rule's by default."),
    again: bool = saved.AGAIN,
    as_json: bool = JSON,
) -> None:
    """Fuse runs into one, by reciprocal rank or by their scores."""
    from typing import Any

    from qrelkit.cli.output import warn
    from qrelkit.core.records import counted
    from qrelkit.steps.fuse import fuse_to

    options: dict[str, Any] = {"weights": numbers(weights), "k": k, "normalise": normalise, "missing": missing}
    options |= {"depth": depth, "tag": tag, "again": again}
    rules: Any = rule
    found = keep(output, lambda path: fuse_to(path, runs, rules, **options), as_json=as_json)
    some = found.said["notes"].get("only_in_some", []) if found else []
    warn([f"only some of the runs have {counted(len(some), 'query')}, such as {some[0]}: fused from those"] if some else [])


def numbers(text: str) -> list[float] | None:
    """`1,2` as numbers; None for an empty text."""
    from qrelkit.core.errors import InputError

    try:
        return [float(word) for word in text.split(",")] if text else None
    except ValueError:
        raise InputError(f"--weights: {text!r} is no list of numbers such as 1,2") from None


def keep(output: str, make: Callable[[str], Retrieved | None], *, as_json: bool) -> Retrieved | None:
    """Has a run made where it is to lie, or put on stdout, and says what it is."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from qrelkit.cli.output import put

    if output != "-":
        found = make(output)
        if found is not None:
            saved.announce(found, output, as_json=as_json)
        return found
    with TemporaryDirectory() as folder:
        found = make(str(Path(folder) / "run.trec"))
        if found is not None:
            put(found.path.read_text(encoding="utf-8"))
            saved.announce(found, "-", as_json=False)
        return found
