"""bench smmile board: models side by side, with intervals, paired tests and the order of examples; as a table, JSON or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli.bench_smmile_run import FOLDER, HUB, REVISION
from qrelkit.cli.context import JSON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def board(
    paths: list[str] = typer.Argument(
        ..., metavar="PATH...", help="Published result files, answers of runs, or folders of them."
    ),
    folder: str = FOLDER,
    hub: str = HUB,
    revision: str = REVISION,
    page: str = typer.Option("", "--page", metavar="FILE.html", help="Write the page here."),
    seed: int = typer.Option(0, "--seed", help="Of what chance would do."),
    as_json: bool = JSON,
) -> None:
    """Counts, intervals by base problem, in context against zero-shot, recency and strata; what is wrong with a file is said."""
    from pathlib import Path

    from qrelkit.bench.smmile.board import board as made
    from qrelkit.cli.bench_smmile_run import problems_of
    from qrelkit.cli.output import put_json, put_table, say, warn
    from qrelkit.core.files import write_whole

    found = made(paths, [problems_of(folder, hub, revision)] if folder or hub else [])
    said = found.json(seed)
    if page:
        write_whole(found.html(seed).encode("utf-8"), Path(page))
        say(f"the page is in {page}")
    if as_json:
        put_json(said)
        return
    put_table(
        ("dataset", "model", "mode", "metric", "correct", "n", "accuracy", "low", "high", "by base", "unanswered"),
        [row for dataset, one in said["datasets"].items() for row in _rows(dataset, one)],
    )
    warn(found.corrections)


def _rows(dataset: str, said: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for cell in said["accuracy"]:
        ends = tuple("" if end is None else f"{100 * end:.1f}" for end in (cell["micro"]["low"], cell["micro"]["high"]))
        shares = (f"{100 * cell['micro']['value']:.2f}", *ends, f"{100 * cell['macro']['value']:.2f}")
        yield (dataset, cell["model"], cell["mode"], cell["metric"], cell["correct"], cell["n"], *shares, cell["unanswered"])
