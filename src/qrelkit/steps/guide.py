"""guide: queries in, their own parts of the guideline out, as YAML that a person can edit.

    guidelines/q12.yaml      one file per query; edit it, and the edit is a new version
    approved: ann            a line that says who approved this version

`guide` never overwrites a file whose content it did not write itself. What is judged with which version is in the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qrelkit.core.doors import GuideWriter, Model, Store
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Query
from qrelkit.core.wire import Flow, digest_bytes
from qrelkit.steps.drive import drive
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}  # names Windows keeps


@dataclass(frozen=True, kw_only=True)
class Guided:
    """`guidelines`: query id → its newest version; `written` are new, `unread` could not be had from the model."""

    guidelines: Mapping[str, QueryGuideline]
    written: int
    unread: Sequence[str]
    tally: Tally

    def __repr__(self) -> str:
        return f"Guided({len(self.guidelines)} queries, {self.written} written now, {len(self.unread)} unread)"


def guide(
    queries: Sequence[Query],
    writer: GuideWriter,
    *,
    store: Store,
    models: Mapping[str, Model] | None = None,
    folder: Path | None = None,
    at_once: int | None = 16,
    budget_usd: float | None = None,
    terms: Terms = Terms(),
    progress: Callable[[Tally], None] | None = None,
) -> Guided:
    """Writes a guideline for every query that has none yet; with a `folder`, as YAML files too."""
    known = newest(store, folder, texts=texts_of(queries))
    todo = [query for query in queries if query.query_id not in known]
    new: dict[str, QueryGuideline] = {}
    unread: list[str] = []

    def done(result: tuple[str, QueryGuideline | None]) -> None:
        query_id, written = result
        if written is None:
            unread.append(query_id)
        else:
            store.add_guidelines([written], "written")
            new[query_id] = written

    flows = (_named(writer, query) for query in todo)
    tally = Tally()
    try:
        dials: dict[str, Any] = {"at_once": at_once, "budget_usd": budget_usd, "progress": progress, "tally": tally}
        dials["terms"] = replace(terms, what=f"guide {writer.key}")
        drive(flows, models=models or {}, store=store, done=done, **dials)
    finally:
        store.add_spending("guide", writer.key, tally.numbers())
    if not (tally.stopped or tally.waiting or unread):
        store.settle()
    if folder is not None:
        for query_id, guideline in {**known, **new}.items():
            write_guideline(guideline, file_of(folder, query_id))
    return Guided(guidelines={**known, **new}, written=len(new), unread=unread, tally=tally)


def _named(writer: GuideWriter, query: Query) -> Flow[tuple[str, QueryGuideline | None]]:
    written = yield from writer.flow(query)
    return query.query_id, written


def newest(
    store: Store, folder: Path | None = None, *, approved: bool = False, texts: Mapping[str, str] | None = None
) -> dict[str, QueryGuideline]:
    """Each query's newest guideline, or its newest approved one. Edited files become versions in the store first.

    With `texts` (query_id → text), a guideline that was written for another text of its query is passed over. An approval
    that is taken back counts no more: the newest row of a version decides.
    """
    if folder is not None and folder.is_dir():
        store.add_guidelines(read_guidelines(folder), "edited")
    rows = store.guidelines()
    approval = {(q, v): a for q, v, a in rows.select("query_id", "version", "approved").iter_rows()}
    out: dict[str, QueryGuideline] = {}
    for row in rows.iter_rows(named=True):  # in order of writing: the last one stands
        guideline = QueryGuideline.read(_content(row), f"the store's guideline of query {row['query_id']}")
        fits = texts is None or guideline.query in ("", texts.get(row["query_id"], ""))
        if fits and (approval[row["query_id"], row["version"]] or not approved):
            out[row["query_id"]] = guideline
    return out


def texts_of(queries: Iterable[Query]) -> dict[str, str]:
    """Query id → text, for `newest`."""
    return {query.query_id: query.text for query in queries}


def _content(row: Mapping[str, Any]) -> dict[str, Any]:
    import orjson

    return {"query_id": row["query_id"], "approved": row["approved"] or "", **orjson.loads(row["content"])}


def file_of(folder: Path, query_id: str) -> Path:
    """The file of a query's guideline. Ids that are no safe file name everywhere (where case does not count, or `con` is a
    device) get a readable one with a digest."""
    if re.fullmatch(r"[a-z0-9_-][a-z0-9._-]{0,80}", query_id) and query_id.split(".")[0] not in DEVICES:
        return folder / f"{query_id}.yaml"
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", query_id)[:40]
    return folder / f"{safe}-{digest_bytes(query_id.encode())[:8]}.yaml"


def read_guidelines(folder: Path) -> list[QueryGuideline]:
    """Every `*.yaml` of a folder; raises InputError naming the file that cannot be read."""
    return [read_guideline(path) for path in sorted(folder.glob("*.yaml"))]


def read_guideline(path: Path) -> QueryGuideline:
    """One query's guideline from YAML."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {error}") from None
    return QueryGuideline.read(value, str(path))


def write_guideline(guideline: QueryGuideline, path: Path) -> bool:
    """Writes a guideline unless the file exists: what a person may have edited is never overwritten. True if written."""
    import yaml

    if path.exists():
        if read_guideline(path).query in ("", guideline.query):
            return False
        path.replace(path.with_name(path.name + ".old"))  # it was written for another text of the query; nothing is lost
    value = {"query_id": guideline.query_id, **guideline.content(), "approved": guideline.approved}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100).encode(), path)
    return True
