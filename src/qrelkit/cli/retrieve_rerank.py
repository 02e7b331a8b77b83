"""retrieve rerank: a run in the order of somebody who looks closer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli import saved
from qrelkit.cli.context import DRY_RUN, JSON, PROJECT, SET, ending, open_project
from qrelkit.cli.retrieve_fuse import keep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrelkit.core.run import Run
    from qrelkit.project.project import Project
    from qrelkit.project.reranking import Who
    from qrelkit.steps.made import Retrieved
    from qrelkit.steps.rerank import Asking

WHO = "cross:MODEL, encoder:MODEL, rerank:MODEL or tei:MODEL (endpoints), judge or judge:MODEL, listwise:MODEL."
DEPTH = typer.Option(100, "--depth", min=1, help="So many of the first documents of each query are looked at.")


def rerank(
    collection: str = saved.COLLECTION,
    run: str = typer.Option(..., "--run", metavar="FILE", help="The first stage's run."),
    model: str = typer.Option(..., "--model", help=WHO),
    output: str = saved.OUTPUT,
    depth: int = DEPTH,
    rest: str = typer.Option("append", "--rest", help="What lies deeper: append (below, in its order) or drop."),
    base_url: str = typer.Option(None, "--base-url", help="rerank, tei: the address before /rerank. encoder: of openai:NAME."),
    task: str = typer.Option(None, "--task", help="encoder: what it is told, as r2med/Biology."),
    like: str = typer.Option(None, "--like", metavar="KEY", help="encoder: the known one that it is."),
    query_prefix: str = typer.Option(None, "--query-prefix", metavar="TEXT", help="encoder: what stands before a query."),
    document_prefix: str = typer.Option(None, "--document-prefix", metavar="TEXT", help="encoder: and before a document."),
    trust: bool = typer.Option(None, "--trust-remote-code", help="encoder: run the Python code that comes with it."),
    max_length: int = typer.Option(None, "--max-length", min=8, help="cross: tokens of query and document together."),
    logit: int = typer.Option(None, "--logit", min=0, help="cross: which of several numbers is the score, from 0."),
    batch_size: int = typer.Option(None, "--batch-size", min=1, help="cross: pairs that are read together; 32 by default."),
    window: int = typer.Option(None, "--window", min=2, help="listwise: documents in a request; 20 by default."),
    step: int = typer.Option(None, "--step", min=1, help="listwise: from one window to the next; 10 by default."),
    max_document_chars: int = typer.Option(None, "--max-document-chars", min=100, help="listwise: 2000 by default."),
    budget_usd: float = typer.Option(None, "--budget-usd", help="judge, listwise: stop before more than this is spent."),
    tag: str = typer.Option("", "--tag", help="The run's name; the first run's and who reranked it by default."),
    project: str = PROJECT,
    change: list[str] = SET,
    dry_run: bool = DRY_RUN,
    again: bool = saved.AGAIN,
    as_json: bool = JSON,
) -> None:
    """Rescore the first documents of a run: a cross-encoder, an endpoint, a judge, or a language model that orders lists."""
    from qrelkit.cli.output import warn
    from qrelkit.formats.trec import read_run
    from qrelkit.project.reranking import reranker_of, way_of

    options: dict[str, Any] = {"base_url": base_url, "max_length": max_length, "logit": logit, "batch_size": batch_size}
    options |= {"window": window, "step": step, "max_document_chars": max_document_chars, "budget_usd": budget_usd}
    options |= {"task": task, "like": like, "query_prefix": query_prefix, "document_prefix": document_prefix}
    options |= {"trust_remote_code": trust}
    way, named, _ = way_of(model, options)
    first, keys = read_run(run), instead(collection, run, depth, budget_usd)
    alone: list[str] = []
    if way == "judge" and named:  # a model that is named here judges alone, whatever the file says
        alone, keys["judge__model"] = ["judge.cascade=[]", "judge.panel=[]", "judge.unsure=null"], named
    with open_project(project, [*alone, *change], **keys) as opened, reranker_of(opened, model, first, depth, options) as who:
        warn(getattr(who.reranker, "notes", ()))
        if dry_run:
            return plan(opened, who, first, depth, as_json)
        how = {"depth": depth, "rest": rest, "tag": tag, "again": again}
        raise typer.Exit(made(opened, who, first, run, output, how, as_json))


def instead(collection: str, run: str, depth: int, budget_usd: float | None) -> dict[str, Any]:
    """What takes the place of keys of qrelkit.yaml: its paths are relative to that file, those here to where one is."""
    from pathlib import Path

    place = str(Path(collection).resolve()) if Path(collection).exists() else collection
    return {"collection": place, "runs": [str(Path(run).resolve())], "depth": depth, "budget_usd": budget_usd}


def plan(opened: Project, who: Who, first: Run, depth: int, as_json: bool) -> None:
    """What would be asked."""
    from qrelkit.cli.output import say
    from qrelkit.cli.plan import planned, show_plan
    from qrelkit.core.records import counted
    from qrelkit.project.reranking import listing_stage
    from qrelkit.retrievers.listwise import Listwise

    top, by = first.cut(depth), who.reranker
    queries = counted(top.frame["query_id"].n_unique(), "query")
    say(f"{first!r}: {counted(len(top), 'document')} of {queries} would go to {by.name}")
    if who.converses:
        listing = [listing_stage(opened, by, who.models[by.model], first, depth)] if isinstance(by, Listwise) else []
        budget_usd, between = opened.budget_usd(), opened.config.between
        show_plan(listing or planned(opened, (), None), as_json, budget_usd=budget_usd, between=between)


def made(opened: Project, who: Who, first: Run, run: str, output: str, how: Mapping[str, Any], as_json: bool) -> int:
    """Has the run made, says what became of it, and gives the exit code."""
    from qrelkit.cli.output import progress, say, warn
    from qrelkit.steps.rerank import Asking, rerank_to

    top = first.cut(how["depth"])
    talks = len(top) if who.way == "judge" else top.frame["query_id"].n_unique()
    with progress("rerank", talks, quiet=not who.converses) as show:
        dials: dict[str, Any] = {"at_once": getattr(who.reranker, "at_once", 1)}
        if who.converses:
            means: dict[str, Any] = {"at_once": opened.at_once, "budget_usd": opened.budget_usd(), "terms": opened.terms()}
            dials = {"asking": Asking(store=opened.store, models=who.models, progress=show, **means)}

        def make(path: str) -> Retrieved | None:
            return rerank_to(path, run, opened.collection, who.reranker, **how, **dials)

        found = keep(output, make, as_json=as_json)
    notes: Mapping[str, Any] = found.said["notes"] if found else {}
    counts = notes.get("counts", {})
    warn([f"{what}: {count:,}" for what, count in counts.items() if what != "windows"])
    if found is None:
        say(f"{output} was not written")
    ungraded = sum(counts.values()) if who.way == "judge" else 0
    return ending(spent(dials.get("asking")), ungraded + len(notes.get("failed", {})))


def spent(asking: Asking | None) -> str:
    """Says what was asked and what it cost; how it stopped, "" where it did not or nothing was asked."""
    from qrelkit.cli.output import money, say, warn

    if asking is None:
        return ""
    tally = asking.tally
    if tally.asked:
        say(f"{tally.asked:,} requests · {money(tally.cost_usd, tally.unpriced)}")
    warn(tally.warnings)
    return tally.stopped
