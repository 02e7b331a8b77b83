"""rewrite: hypothetical documents of each query, to search with."""

from __future__ import annotations

from typing import Any

import typer

from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project


def rewrite(
    collection: str = typer.Argument(None, metavar="COLLECTION", help="A folder, or irds:ID; by default the project's."),
    output: str = typer.Option(..., "-o", "--output", metavar="FILE.jsonl", help="Where the rewrites go (- is stdout)."),
    method: str = typer.Option("hyde", "--method", help="hyde, query2doc, lamer or reasoning."),
    model: str = typer.Option(..., "--model", help="Who writes, e.g. openai:gpt-4o-mini, or replay:FILE."),
    generations: int = typer.Option(1, "-n", "--generations", min=1, help="Texts per query, each asked for by itself."),
    prompt: str = typer.Option("", "--prompt", help="A shipped prompt or a file of yours; the method's by default."),
    task: str = typer.Option("", "--task", help="What is to be written: a short name (exam, case, q2p, …) or your own words."),
    examples: str = typer.Option(
        "", "--examples", metavar="FILE", help="query2doc: JSONL of query and passage; else from qrels."
    ),
    shots: int = typer.Option(4, "--shots", min=1, help="query2doc: how many of them are shown."),
    first: str = typer.Option("", "--first", metavar="RUN", help="lamer: what a first search found."),
    documents: int = typer.Option(10, "--documents", min=1, help="lamer: how many of its documents are shown."),
    words: int = typer.Option(512, "--words", min=1, help="lamer: after how many words each is cut."),
    temperature: float = typer.Option(0.7, "--temperature", min=0),
    max_tokens: int = typer.Option(None, "--max-tokens", min=1, help="Longest reply: 512, or 10240 where a model thinks first."),
    seed: int = typer.Option(None, "--seed", help="Sent with the first text, seed + 1 with the second, …; not sent by default."),
    thinking: str = typer.Option("", "--thinking", metavar="FAMILY", help="Whose thinking is taken out; guessed by default."),
    unclosed: str = typer.Option("keep", "--unclosed", metavar="keep|drop", help="A text that broke off within its thinking."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="Stop before more than this is spent."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Have a model write texts that each query is searched with besides. What was answered before costs nothing."""
    from qrelkit.cli.output import progress, say
    from qrelkit.cli.plan import show_plan
    from qrelkit.core.files import refuse_no_place
    from qrelkit.formats.trec import read_run
    from qrelkit.project.rewriting import Wanted, rewriter_of
    from qrelkit.rewriters.hypothetical import Shown
    from qrelkit.steps.retrieve import asked
    from qrelkit.steps.rewrite import made_of, planned
    from qrelkit.steps.rewrite import rewrite as write

    wanted = Wanted(
        method=method, model=model, generations=generations, prompt=prompt, task=task, temperature=temperature,
        max_tokens=max_tokens, seed=seed, thinking=thinking, unclosed=unclosed, examples=examples, shots=shots,  # type: ignore[arg-type]
        shown=Shown(documents=documents, words=words),
    )  # fmt: skip
    _refuse_others(method, examples=examples, first=first)
    if output != "-":
        refuse_no_place(output)
    with open_project(project, change, collection=_here(collection), budget_usd=budget_usd) as opened:
        loaded, rewriter = opened.collection, rewriter_of(opened, wanted)
        queries = asked(loaded)
        given: dict[str, Any] = {"store": opened.store, "models": opened.models(model), "at_once": opened.at_once}
        given |= {"first": read_run(first) if first else None, "collection": loaded}
        stage = planned(queries, rewriter, **given)
        say(f"{len(queries):,} queries, {stage.todo:,} to ask of {rewriter.name}, thinking: {rewriter.family}")
        if dry_run:
            return show_plan([stage], as_json, budget_usd=opened.budget_usd(), between=opened.config.between)
        with progress("rewrite", len(queries)) as show:
            done = write(queries, rewriter, budget_usd=opened.budget_usd(), terms=opened.terms(), progress=show, **given)
    _tell(done, output, as_json, made_of(rewriter, loaded, first))
    raise typer.Exit(ending(done.tally.stopped, len(done.without)))


def _here(collection: str | None) -> str | None:
    """A folder that is named on the command line is one of the place where it is typed, not of the project's."""
    from pathlib import Path

    return str(Path(collection).resolve()) if collection and Path(collection).exists() else collection


def _refuse_others(method: str, **options: str) -> None:
    """Raises InputError for an option that is another method's, and would do nothing."""
    from qrelkit.core.errors import InputError

    for name, whose in (("examples", "query2doc"), ("first", "lamer")):
        if options[name] and method != whose:
            raise InputError(f"--{name} is for --method {whose}, not {method}")


def _tell(done: Any, output: str, as_json: bool, made: Any) -> None:
    """Writes the file with its sidecar, unless a stop left queries out, and says what came of it."""
    from qrelkit.cli.output import money, put, put_json, say, warn
    from qrelkit.core.records import counted
    from qrelkit.formats.rewrites import lines_of, write_rewrites
    from qrelkit.formats.sidecars import write_sidecar

    whole = not done.tally.stopped
    if whole and output == "-":
        put(lines_of(done.rewrites).decode())
    elif whole:
        write_rewrites(done.rewrites, output)
        write_sidecar(output, {**made, "queries": done.queries, "counts": done.counts})
    say(f"{done!r} · {money(done.tally.cost_usd, done.tally.unpriced)}" + ("" if whole else f"; {output} is written by the rest"))
    warn([*(f"{what.replace('_', ' ')}: {count:,}" for what, count in done.counts.items()), *done.tally.warnings])
    lacking = counted(len(done.without), "query")
    warn([f"without a rewrite: {lacking}, such as {done.without[0]}"] if done.without else [])
    if as_json and output != "-":
        tally = done.tally
        texts = sum(len(rewrite.texts) for rewrite in done.rewrites.values())
        counts = {"queries": done.queries, "rewritten": len(done.rewrites), "texts": texts, "without": done.without}
        spent = {"cost_usd": tally.cost_usd, "unpriced": tally.unpriced, "asked": tally.asked, "stopped": tally.stopped}
        put_json({**counts, "counts": done.counts, **spent, "output": output if whole else None})
