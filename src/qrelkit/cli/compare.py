"""compare: systems with each other, or their order under two sets of judgments."""

from __future__ import annotations

import typer

from qrelkit.cli.context import JSON


def compare(
    measure: str = typer.Argument(..., metavar="MEASURE", help="For example nDCG@10."),
    runs: list[str] = typer.Option(..., "--runs", metavar="FILE...", help="Two or more runs."),
    qrels: list[str] = typer.Option(..., "--qrels", metavar="FILE", help="One: differences. Two: correlation of the rankings."),
    tops: str = typer.Option("10,20", "--tops", help="The k of top-k tau."),
    leave_out_empty: bool = typer.Option(False, "--leave-out-empty", help="Leave out queries without a relevant document."),
    seed: int = typer.Option(0, "--seed", help="Seed of the randomisation test and of the intervals."),
    form: str = typer.Option("text", "--format", help="text, json, csv or latex."),
    as_json: bool = JSON,
) -> None:
    """Compare systems (randomisation and t-test, Holm), or two rankings of them (tau-b, tau-AP, top-k tau)."""
    from qrelkit.cli.output import put_json, put_text
    from qrelkit.core.errors import InputError
    from qrelkit.formats.files import distinct_runs, named_qrels
    from qrelkit.steps.compare import compare as contrast

    try:
        ks = [int(k) for k in tops.split(",")]
    except ValueError:
        raise InputError(f"--tops takes numbers such as 10,20; found {tops!r}") from None
    named = list(named_qrels(qrels).values())
    found = contrast(measure, distinct_runs(runs), named, tops=ks, leave_out_empty=leave_out_empty, seed=seed)
    if as_json or form == "json":
        put_json(found.json())
    else:
        put_text(found, form)
