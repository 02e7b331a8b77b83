"""forget: every text, image and reply that holds a document goes; its id and its grades stay.

    the store        requests and replies that hold it, reasons and details of its judgments, descriptions of its images
    the index        of the collection, which may hold a copy, and vectors of documents; they are made anew from the user's own
                     files when next needed
    the user's own   files that still hold it are named, and left to the user

A forgotten document is never asked about again, also where the collection still has it (`steps/forgotten.py`).
"""

from __future__ import annotations

import html
import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from qrelkit.core.cache import cache_folder
from qrelkit.core.doors import Store
from qrelkit.core.errors import QrelkitError, StoreError, UnknownName
from qrelkit.core.records import Document
from qrelkit.models.encoders_kept import ENDPOINTS
from qrelkit.project.judging import each_judge
from qrelkit.project.project import Project
from qrelkit.retrievers.listwise import DOCUMENT_CHARS
from qrelkit.rewriters.hypothetical import SHOWN, on_one_line
from qrelkit.sources.indexed import remove
from qrelkit.steps.forgotten import STAGE, remember
from qrelkit.text.leaving import body_of
from qrelkit.text.prompt import fenced

SOUGHT_FROM = 20  # characters: what is shorter stands in other documents too, and is found by its requests only
COMPARED = 5_000  # ids that a mistyped one is compared with
BEGINNING = 80  # characters by which a file of the user's is known to quote a document
QUOTING = (".csv", ".html", ".json", ".jsonl", ".md", ".qrels", ".tsv", ".txt", ".xml", ".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What there is of some documents. `images` are theirs alone, `shared_images` belong to others too and stay; `yours` are
    the user's own files that hold one of them; `batches` are on their way and may hold one."""

    doc_ids: tuple[str, ...]
    judgments: int
    requests: int
    images: tuple[str, ...]
    shared_images: int
    descriptions: int
    indexes: tuple[str, ...]
    yours: tuple[str, ...]
    batches: tuple[str, ...]
    example: bool
    texts: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """The stable form scripts rely on: counts and places, no content."""
        return asdict(self) | {"images": len(self.images), "texts": len(self.texts)}


def traces(project: Project, doc_ids: Sequence[str]) -> Traces:
    """What there is of documents. Raises UnknownName for an id that nobody knows: nothing would be forgotten."""
    store, ids = project.store, tuple(dict.fromkeys(doc_ids))
    rows = store.judgments().select("doc_id", "request")
    own = rows.filter(pl.col("doc_id").is_in(ids))
    documents, folder = _in_collection(project, ids)
    _refuse_strangers(project, ids, {*own["doc_id"], *(document.doc_id for document in documents)})
    requests = own.filter(pl.col("request") != "")["request"].unique(maintain_order=True)
    images, shared = _images(project, documents, requests, rows["doc_id"].unique(), ids) if folder else ((), 0)
    described = store.spending().filter(pl.col("stage") == "describe")["key"]
    return Traces(
        doc_ids=ids,
        judgments=own.height,
        requests=len(requests),
        images=images,
        shared_images=shared,
        descriptions=sum(len({*images} & store.descriptions(key).keys()) for key in described),
        indexes=tuple(_kept(folder)) if folder else (),
        yours=tuple(_yours(project, documents)),
        batches=tuple(f"{row.ticket or row.tag} of {row.model}" for row in store.batches() if not row.ended),
        example=folder is not None and _is_example(project, ids),
        texts=tuple(dict.fromkeys(text for document in documents for text in _forms(document, _cuts(store)))),
    )


def forget(project: Project, found: Traces) -> dict[str, int]:
    """Erases what was found; returns how many parts, replies, judgments and descriptions lost their content.

    May be called again, for the same documents too. Raises StoreBusy where another process keeps the old content in the file.
    """
    remember(project.store, found.doc_ids)  # first: whatever stops it, they are asked about no more
    for place in map(Path, found.indexes):
        if place.is_file():
            place.unlink(missing_ok=True)
        else:
            remove(place)
    return project.store.forget(found.doc_ids, found.images, found.texts)


def _in_collection(project: Project, ids: Sequence[str]) -> tuple[list[Document], Path | None]:
    """Those that the collection still has, and the folder of its index; nothing where there is no collection any more."""
    try:
        collection = project.collection
    except QrelkitError:
        return [], None
    wanted = pl.Series("doc_id", ids, dtype=pl.String)
    return list(collection.documents(wanted.filter(collection.contains(wanted)))), collection.folder


def _refuse_strangers(project: Project, ids: Sequence[str], known: set[str]) -> None:
    before = {*project.store.spending().filter(pl.col("stage") == STAGE)["key"]}
    for doc_id in ids:
        if doc_id not in known | before:
            there = _known_ids(project)
            near = [one for one in there if one.startswith(doc_id[:3])] if len(there) > COMPARED else there
            raise UnknownName("document (neither the collection nor the store has it)", doc_id, near[:COMPARED])


def _known_ids(project: Project) -> list[str]:
    judged = project.store.judgments()["doc_id"].unique().to_list()
    try:
        return [*project.collection.doc_ids, *judged]
    except QrelkitError:
        return judged


def _is_example(project: Project, ids: Sequence[str]) -> bool:
    """Whether the judge, or any of its judges, is shown one of them as an example."""
    queries = project.collection.queries["query_id"].to_list()
    each = (project.examples(queries, stage) for stage in each_judge(project.config.judge) if stage.examples is not None)
    return any(one.document.doc_id in ids for by_query in each for shown in by_query.values() for one in shown)


def _kept(collection: Path) -> Iterator[str]:
    """The folders and files that may hold words or vectors of a collection's documents: its indexes, its vectors, and what
    endpoints answered, which is known by digests of what was sent only and so goes whole."""
    indexes = (path for path in sorted(collection.parent.iterdir()) if path.name.startswith(("index-", "building-", "vectors")))
    answered = sorted((cache_folder("vectors") / ENDPOINTS).glob("*.sqlite*"))
    yield from map(str, [*(path for path in indexes if path.is_dir()), *answered])


def _images(
    project: Project, documents: Sequence[Document], requests: Iterable[str], judged: pl.Series, ids: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    """The digests of the images of documents, in the collection and in what was asked about them, less those that others have
    too; and how many these are. Only what was asked about, or graded by people, can be in the store."""
    theirs = {image.digest for document in documents for image in document.images}
    theirs |= {digest for request in requests for digest in _pictures(project.store, request)}
    if not theirs:
        return (), 0
    people = [qrels.frame["doc_id"] for qrels in project.human().values()]
    others = pl.concat([judged, *people]).unique()
    others = others.filter(~others.is_in(list(ids)))
    others = others.filter(project.collection.contains(others))
    taken = {*project.collection.images(others)["digest"].drop_nulls()}
    queries = map(project.collection.query, project.collection.queries["query_id"])
    taken |= {image.digest for query in queries for image in query.images}
    of_documents = {image.digest for document in documents for image in document.images}
    return tuple(sorted(theirs - taken)), len(of_documents & taken)


def _pictures(store: Store, request: str) -> Iterator[str]:
    """The digests of the pictures in a request, where it was kept."""
    try:
        found = store.conversation(request)
    except StoreError:
        return
    for message in found[0]["messages"] if found else ():
        yield from (part["digest"] for part in message["parts"] if part["type"] == "image")


def _cuts(store: Store) -> set[int]:
    """After how many characters any judge of the store cut a document."""
    settings = map(orjson.loads, store.judges()["settings"])
    each = [one for top in settings for one in (top, *top.get("judges", ()))]
    return {one["max_document_chars"] for one in each if "max_document_chars" in one} | {DOCUMENT_CHARS}


def _forms(document: Document, cuts: Iterable[int]) -> Iterator[str]:
    """A document's words as they may stand in a request: with or without title, whole or cut (for LameR on one line), fenced or
    not."""
    for whole in (document.text, body_of(document)):
        lines = (" ".join(whole.split()), on_one_line(whole, SHOWN.words))
        for said in (whole, *lines, *(whole[:cut] for cut in sorted(cuts) if len(whole) > cut)):
            if len(said.strip()) >= SOUGHT_FROM:
                yield from dict.fromkeys((said, fenced(said)))


def _yours(project: Project, documents: Sequence[Document]) -> Iterator[str]:
    """What of the user's own holds one of them: the collection, their image files, and files of the project that quote one."""
    if not documents:
        return
    spec = project.config.collection
    named = [spec] if isinstance(spec, str) else [str(spec[key]) for key in ("documents", "imageclef") if key in spec]
    yield from (f"{place} (the collection)" for place in named)
    yield from dict.fromkeys(f"{image.name} (an image)" for document in documents for image in document.images if image.name)
    sought = [pattern for document in documents for pattern in _quotes(document)]
    for path in sorted(project.folder.rglob("*")) if sought else ():
        inside = path.relative_to(project.folder)
        if path.suffix.lower() in QUOTING and not any(p.startswith(".") for p in inside.parts) and _holds(path, sought):
            yield inside.as_posix()


def _quotes(document: Document) -> Iterator[bytes]:
    """How the beginning of a document reads in text, JSON and HTML."""
    body = body_of(document) or document.title
    for beginning in dict.fromkeys((body[:BEGINNING], " ".join(body.split())[:BEGINNING])):
        if len(beginning) >= SOUGHT_FROM:
            in_json = (json.dumps(beginning, ensure_ascii=ascii)[1:-1] for ascii in (True, False))
            yield from {text.encode("utf-8", "replace") for text in (beginning, html.escape(beginning), *in_json)}


def _holds(path: Path, sought: Sequence[bytes]) -> bool:
    """Whether a file has one of these; a file that cannot be read, or is empty, has none."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(pattern) >= 0 for pattern in sought)
    except (OSError, ValueError):
        return False
