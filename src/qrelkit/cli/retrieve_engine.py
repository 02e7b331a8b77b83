"""retrieve engine: runs from somebody's own search engine, one for each configuration of its grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from qrelkit.cli import saved
from qrelkit.cli.context import JSON, PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qrelkit.core.collection import Collection
    from qrelkit.retrievers.engines.engine import Engine
    from qrelkit.steps.made import Retrieved

OUTPUT = typer.Option(
    ..., "-o", "--output", metavar="RUN|FOLDER/", help="Where the TREC run goes (- is stdout); a grid's, a folder."
)


def engine(
    collection: str = saved.COLLECTION,
    description: str = typer.Option(..., "--engine", metavar="FILE", help="The engine: a YAML file (docs/reference/engines.md)."),
    output: str = OUTPUT,
    depth: int = saved.DEPTH,
    only: list[str] = typer.Option([], "--only", metavar="TAG", help="Of a grid only this configuration; may be said again."),
    partial: bool = typer.Option(False, "--partial", help="Save the run also where queries were not answered."),
    allow_host: list[str] = saved.ALLOW_HOST,
    local_only: bool = saved.LOCAL_ONLY,
    project: str = PROJECT,
    rewrites: str = saved.REWRITES,
    combine: str = saved.COMBINE,
    method: str = saved.METHOD,
    thinking: str = saved.FAMILY,
    again: bool = saved.AGAIN,
    as_json: bool = JSON,
) -> None:
    """Your own engine: OpenSearch, Elasticsearch, Solr, any HTTP, PostgreSQL, SQLite, a command."""
    from qrelkit.project.config import rules_of
    from qrelkit.project.local_only import hosts_asked
    from qrelkit.retrievers.engines.engine import read_engine
    from qrelkit.steps.load import load

    allowed = hosts_asked(rules_of(project), collection, allow_host, local_only)
    engines = _only(read_engine(description, allow_hosts=allowed, partial=partial), only)
    options = {"rewrites": saved.rewrites_of(rewrites, method, thinking), "combine": combine}
    loaded = load(collection)
    if output == "-":
        _refuse_many(engines, output)
        printed = saved.save(output, loaded, engines[0], depth, as_json=as_json, **options)
        raise typer.Exit(_ending([printed] if printed else []))
    found: list[Retrieved] = []
    for one, path in _paths(engines, output):
        found.append(_made(path, loaded, one, depth, again=again, **options))
        saved.announce(found[-1], str(path), as_json=as_json and len(engines) == 1)
        _warn_of_strangers(found[-1], loaded)
        _warn_of_changes(found[-1], one)
    if as_json and len(found) > 1:
        from qrelkit.cli.output import put_json

        put_json([_said(one) for one in found])
    raise typer.Exit(_ending(found))


def _ending(found: Sequence[Retrieved]) -> int:
    """4 where queries were not answered (--partial), else 0."""
    return 4 if any(one.said.get("notes", {}).get("failed") for one in found) else 0


def _only(engines: list[Engine], tags: Sequence[str]) -> list[Engine]:
    from qrelkit.core.errors import UnknownName

    known = {one.name: one for one in engines}
    for tag in tags:
        if tag not in known:
            raise UnknownName("configuration of the engine", tag, known)
    return [known[tag] for tag in dict.fromkeys(tags)] or engines


def _paths(engines: Sequence[Engine], output: str) -> list[tuple[Engine, Path]]:
    """Where each run goes: into the folder by its tag, or to the file."""
    from pathlib import Path

    if output.endswith(("/", "\\")) or Path(output).is_dir():
        Path(output).mkdir(parents=True, exist_ok=True)
        return [(one, Path(output) / f"{one.name}.trec") for one in engines]
    _refuse_many(engines, output)
    return [(engines[0], Path(output))]


def _refuse_many(engines: Sequence[Engine], output: str) -> None:
    from qrelkit.core.errors import InputError

    if len(engines) > 1:
        raise InputError(
            f"the engine has {len(engines)} configurations: give a folder (-o {output.strip('-') or 'runs'}/), or --only"
        )


def _made(path: Path, collection: Collection, engine: Engine, depth: int, *, again: bool, **options: Any) -> Retrieved:
    """The run, its answers kept beside it until it is there; one that was saved in part is made again (`steps/made.py`),
    asking for the rest."""
    from qrelkit.retrievers.engines.kept import part_of
    from qrelkit.steps.retrieve import retrieve_to

    keeping = engine.keeping(part_of(path))
    if again:
        keeping.drop_kept()
    found = retrieve_to(path, collection, keeping, depth, again=again, **options)
    if not found.run.notes.get("failed"):
        keeping.drop_kept()
    return found


def _warn_of_strangers(found: Retrieved, collection: Collection) -> None:
    """Says how many documents of a run the collection does not have: an `id` that is another field, or an older index."""
    from qrelkit.cli.output import warn

    if not len(collection):
        return
    ids = found.run.frame["doc_id"].unique()
    strangers = ids.filter(~ids.is_in(collection.doc_ids.implode()))
    if len(strangers):
        said = f"{len(strangers):,} of {len(ids):,} documents found are not in the collection, such as {strangers[0]!r}"
        warn([f"{found.run.tag}: {said}; does `id:` name the right field?"])


def _warn_of_changes(found: Retrieved, engine: Engine) -> None:
    """Says that a file which the engine answers from is newer than a run that was taken as it is."""
    from datetime import datetime

    from qrelkit.cli.output import warn

    if not found.known:
        return
    made = datetime.fromisoformat(found.said["made"]).timestamp()
    newer = [path.name for path in engine.local_files if int(path.stat().st_mtime) > made]
    warn([f"{found.run.tag}: {name} has changed since; --again, or another `version:`, makes the run anew" for name in newer])


def _said(found: Retrieved) -> dict[str, Any]:
    notes = found.said.get("notes", {})
    return {
        "tag": found.run.tag,
        "queries": found.run.frame["query_id"].n_unique(),
        "documents": len(found.run),
        "output": str(found.path),
        "known": found.known,
        "failed": len(notes.get("failed", {})),
        "without_hits": len(notes.get("without_hits", [])),
        "digest": found.said.get("digest", ""),
    }
