"""bench smmile run: a model through a benchmark of problems with examples, whole or as it would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrelkit.bench.smmile.flows import Asking
    from qrelkit.bench.smmile.problems import Problems
    from qrelkit.bench.smmile.running import Ran
    from qrelkit.core.doors import Model
    from qrelkit.project.config import Config
    from qrelkit.project.project import Project

FOLDER = typer.Option("", "--folder", metavar="DIR", help="A folder benchmark: problems.jsonl and its images.")
HUB = typer.Option("", "--hub", metavar="NAME", help="SMMILE or SMMILE++ from the Hugging Face hub (extra hub).")
REVISION = typer.Option("", "--revision", help="The commit on the hub; the newest unless said.")


def run(
    folder: str = FOLDER,
    hub: str = HUB,
    revision: str = REVISION,
    model: str = typer.Option(..., "--model", help="Who is asked: provider:name."),
    modes: list[str] = typer.Option(["icl"], "--mode", help="zero-shot, icl, text-icl, blind, wrong-image; may be repeated."),
    form: str = typer.Option("open", "--form", help="open or choice."),
    layout: str = typer.Option("plain", "--layout", help="plain, a published one (gpt-4o, claude, qwen, …), or a YAML file."),
    max_side_px: int = typer.Option(768, "--max-side-px", min=16, help="How far images are shrunk before they leave."),
    max_tokens: int = typer.Option(1024, "--max-tokens", min=1, help="The longest reply."),
    seed: int = typer.Option(0, "--seed", help="Of the order of options and of wrong images."),
    limit: int = typer.Option(None, "--limit", min=1, help="Only the first problems."),
    batch: bool = typer.Option(False, "--batch", help="Hand over to the provider's batch endpoint; a later run collects."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    out: str = typer.Option("smmile", "--out", metavar="DIR", help="Where answers and manifests go."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Ask a model every problem. What is known costs nothing; stop anywhere and go on later."""
    from qrelkit.bench.smmile.flows import Asking
    from qrelkit.bench.smmile.layouts import layout_of
    from qrelkit.bench.smmile.running import plan
    from qrelkit.cli.output import say
    from qrelkit.cli.plan import show_plan
    from qrelkit.core.wire import Settings, Shrink

    with open_project(project, change, budget_usd=budget_usd, seed=seed) as opened:
        problems = problems_of(folder, hub, revision, opened.config, limit)
        say(f"{problems!r}")
        models = opened.models(model)
        (name,) = models
        options: dict[str, Any] = {"model": name, "form": form, "layout": layout_of(layout), "seed": seed}
        options |= {"shrink": Shrink(max_side_px=max_side_px), "sampling": Settings(max_tokens=max_tokens)}
        askings = [Asking(mode=cast(Any, mode), **options) for mode in modes]
        for asking in askings:
            refuse_what_may_not_leave(opened, asking)
        stages = [plan(problems, one, store=opened.store, models=models, at_once=opened.at_once) for one in askings]
        if dry_run:
            return show_plan(stages, as_json, budget_usd=opened.budget_usd(), between=opened.config.between)
        runs = []
        for asking, stage in zip(askings, stages, strict=True):
            runs.append(_ran(opened, problems, asking, models, stage.todo, Path(out), batch))
            if runs[-1].tally.stopped:
                break
    _show(runs, as_json)
    unanswered = sum(ran.missing + sum(map(ran.statuses.get, ("api_error", "oversize_image"), (0, 0))) for ran in runs)
    raise typer.Exit(ending(runs[-1].tally.stopped, unanswered))


def problems_of(folder: str, hub: str, revision: str, rules: Config, limit: int | None = None) -> Problems:
    """The benchmark that options name; what was left out of it is said. Raises InputError for the hub where `rules` let nothing
    but this machine be asked."""
    from dataclasses import replace

    from qrelkit.bench.smmile.folder import read_folder
    from qrelkit.bench.smmile.hub import from_hub
    from qrelkit.cli.output import warn
    from qrelkit.core.errors import InputError

    if bool(folder) == bool(hub):
        raise InputError("name one benchmark: --folder DIR, or --hub SMMILE")
    if hub and rules.local_only:
        raise InputError(f"--hub {hub}: it is fetched from another machine, and local_only is set; take a folder")
    problems = from_hub(hub, revision) if hub else read_folder(Path(folder))
    if left := cast(list[str], problems.notes.get("without_image", [])):
        warn([f"{len(left):,} problems have a triplet without its image and are left out, such as {left[0]}"])
    if limit is None:
        return problems
    first = replace(problems, problems=problems.problems[:limit])
    return replace(first, notes={**problems.notes, "limit": limit})


def refuse_what_may_not_leave(opened: Project, asking: Asking) -> None:
    """Raises InputError where images would be sent that `may_leave` does not name."""
    from qrelkit.core.errors import InputError

    may = opened.config.may_leave
    if may is not None and "images" not in may and asking.mode != "blind" and not asking.model.startswith("local:"):
        raise InputError(f"mode {asking.mode} sends images, which may not leave (may_leave: {', '.join(may) or 'nothing'})")


def _ran(
    opened: Project, problems: Problems, asking: Asking, models: Mapping[str, Model], todo: int, out: Path, batch: bool
) -> Ran:
    """One mode, asked and written."""
    from qrelkit.bench.smmile.running import file_name, write_answers
    from qrelkit.bench.smmile.running import run as ask
    from qrelkit.cli.output import money, progress, say, warn

    with progress(f"{asking.mode}, {asking.form}", todo) as show:
        ran = ask(
            problems,
            asking,
            store=opened.store,
            models=models,
            at_once=opened.at_once,
            budget_usd=opened.budget_usd(),
            terms=opened.terms(batch=batch),
            progress=show,
        )
    out.mkdir(parents=True, exist_ok=True)
    write_answers(ran, out / file_name(ran))
    say(f"{ran!r} · {ran.tally.asked:,} requests · {money(ran.tally.cost_usd, ran.tally.unpriced)}")
    warn([*ran.tally.batches, *ran.tally.warnings])
    return ran


def _show(runs: list[Ran], as_json: bool) -> None:
    from qrelkit.bench.smmile.running import file_name
    from qrelkit.cli.output import put_json, put_table

    if as_json:
        put_json([{**ran.manifest(), "file": file_name(ran)} for ran in runs])
        return
    counts = [ran.counts for ran in runs]
    columns = [name for name in counts[0] if name != "completed"]
    rows = []
    for ran, count in zip(runs, counts, strict=True):
        done = count["completed"]
        rows.append((ran.asking.mode, ran.asking.form, *(count[name] for name in columns), *(done[name] for name in columns[:2])))
    put_table(("mode", "form", *columns, *(f"completed {name}" for name in columns[:2])), rows)
