"""Queries, documents and images, read by offset from an index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.entry import Fields
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.image_digests import FileImage, ImageDigests, UnreadableImage
from qrelkit.core.index import Index
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Document, Image, LateDocument, Query
from qrelkit.core.wire import digest_of

IMAGE_SCHEMA = {"doc_id": pl.String, "digest": pl.String, "position": pl.Int64, "caption": pl.String, "name": pl.String}


class LazyQrels(Mapping[str, Qrels]):
    """Qrels by name, each read when it is first asked for."""

    def __init__(self, readers: Mapping[str, Callable[[], Qrels]]) -> None:
        self._readers, self._read = dict(readers), dict[str, Qrels]()

    def __getitem__(self, name: str) -> Qrels:
        if name not in self._read:
            self._read[name] = self._readers[name]()
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


class Collection:
    """Made by a `Source`. Ids, offsets and fingerprints are arrays on disk; texts and images are read when asked for.

    `queries` holds query_id, text, fingerprint and every other column of the file. `fingerprint` covers ids and
    contents of all queries and documents, whatever their order. `notes` counts what was left out or is odd
    (missing_images, remote_images, outside_images, unreadable_images, duplicate_documents, changed_duplicates,
    duplicate_queries, empty_documents; with `first_…` beside them where there are names), a count of 0 being absent.

    Most sources read every image while indexing. Where one does not (ImageCLEF), an image's digest is computed when it is first
    asked for, and remembered; `fingerprint` then covers the images' names and captions only.
    """

    def __init__(self, index: Index, qrels: Mapping[str, Qrels] | None = None) -> None:
        self._index = index
        self.name: str = index.manifest["name"]
        self.fingerprint: str = index.manifest["fingerprint"]
        self.image_count: int = index.manifest["images"]  # of the documents, each use counted
        self.notes: Mapping[str, Any] = index.manifest["notes"]
        self.queries = index.queries
        self.qrels: Mapping[str, Qrels] = {} if qrels is None else qrels

    @property
    def folder(self) -> Path:
        """The folder of its index; older ones of the same source lie beside it."""
        return self._index.folder

    @property
    def occurrences(self) -> NDArray[np.int64] | None:
        """How often each document was given, in the order of the collection; None where each was once."""
        return self._index.occurrences

    @cached_property
    def doc_ids(self) -> pl.Series:
        """All document ids, in the order of the collection."""
        return pl.Series("doc_id", self._index.ids(), dtype=pl.String)

    def __len__(self) -> int:
        return len(self._index)

    def query(self, query_id: str) -> Query:
        """One query. Raises UnknownName."""
        row = self._query_rows.get(query_id)
        if row is None:
            raise UnknownName(f"query of {self.name}", query_id, self._query_rows)
        values = self.queries.row(row, named=True)
        query_text, fingerprint = values.pop("text"), values.pop("fingerprint")
        columns = {name: value for name, value in values.items() if name != "query_id" and value is not None}
        images = self._query_images.get(query_id, ())
        return Query(query_id=query_id, text=query_text, images=images, columns=columns, fingerprint=fingerprint)

    def document(self, doc_id: str) -> Document:
        """One document. Raises UnknownName."""
        return next(self.documents([doc_id]))

    def documents(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """Documents in the order asked for, each read from disk as it comes. Raises UnknownName before the first."""
        ids = list(doc_ids)
        rows = self._rows(ids)
        content = zip(ids, rows.tolist(), self._index.fields(rows), self._index.fingerprints(rows), strict=True)
        return (self._document(*each) for each in content)

    def late_documents(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The same, but each is read from disk only when somebody looks at it, and again each time somebody does."""
        ids = list(doc_ids)
        rows = self._rows(ids)
        content = zip(ids, self._index.fingerprints(rows), strict=True)
        return (LateDocument(doc_id, fingerprint, partial(self.document, doc_id)) for doc_id, fingerprint in content)

    def contains(self, doc_ids: pl.Series) -> pl.Series:
        """Which of the ids are documents here, as booleans."""
        return pl.Series("known", self._index.rows(doc_ids.to_list()) >= 0, dtype=pl.Boolean)

    def fingerprints(self, doc_ids: pl.Series, images: pl.DataFrame | None = None) -> pl.Series:
        """32 hex digits per id: the digest of text, columns, images and captions. Raises UnknownName.

        Where images are read on first use their bytes are covered only if `images` (as `images(doc_ids)` gives them) is given:
        who looks at no image has none read.
        """
        asked = doc_ids.to_frame("doc_id")
        ids = asked["doc_id"].unique().to_list()
        known = pl.DataFrame({"doc_id": ids, "fingerprint": self._index.fingerprints(self._rows(ids))}, schema_overrides=STRINGS)
        if images is not None and self._index.manifest.get("late_images"):
            known = _with_images(known, images)
        return asked.join(known, on="doc_id", how="left", maintain_order="left")["fingerprint"]

    def texts(self, batch: int = 10_000) -> Iterator[tuple[list[str], list[str]]]:
        """Ids and texts of all documents, `batch` at a time, in the order of the collection."""
        ids = self._index.ids()
        for begin in range(0, len(ids), batch):
            rows = slice(begin, begin + batch)
            yield ids[rows], [fields.text for fields in self._index.fields(rows)]

    def images(self, doc_ids: pl.Series | None = None) -> pl.DataFrame:
        """The images of documents (all, or those named): doc_id, digest, position, caption, name; one row per use.

        Digests that are not known yet are computed; null for a file that cannot be read any more. Raises UnknownName.
        """
        if doc_ids is None:
            found = list(self._index.all_images())
        else:
            rows = self._rows(doc_ids.unique(maintain_order=True).to_list())
            found = [image for row in rows.tolist() for image in self._index.images(row)]
        later = [i for i, image in enumerate(found) if not image["digest"]]
        for i, digest in zip(later, self._digests.of_many([self._file(found[i]) for i in later]), strict=True):
            found[i]["digest"] = digest
        frame = pl.DataFrame(found, schema=IMAGE_SCHEMA)
        return frame.unique(["doc_id", "position"], maintain_order=True)  # a document given twice has its images twice

    def _rows(self, ids: list[str]) -> Any:
        rows = self._index.rows(ids)
        if len(rows) and rows.min() < 0:
            raise UnknownName(f"document of {self.name}", ids[int(rows.argmin())], self._near(ids[int(rows.argmin())]))
        return rows

    def _near(self, doc_id: str) -> list[str]:
        """Candidates for a hint: comparing with a million ids would take half a minute."""
        near = self.doc_ids.filter(self.doc_ids.str.starts_with(doc_id[:3])) if len(self) > 5_000 else self.doc_ids
        return (near if len(near) else self.doc_ids).head(5_000).to_list()

    def _document(self, doc_id: str, row: int, fields: Fields, fingerprint: str) -> Document:
        if fields.entry_id != doc_id:
            raise InputError(f"{self.name}: its documents have changed since they were indexed; load the collection again")
        return Document(
            doc_id=doc_id,
            text=fields.text,
            title=fields.title,
            images=tuple(map(self._image, self._index.images(row))),
            columns=fields.columns,
            fingerprint=fingerprint,
        )

    def _image(self, row: Mapping[str, Any]) -> Image:
        if not row["digest"]:
            return FileImage(self._file(row), self._digests, caption=row["caption"], position=row["position"], name=row["name"])
        shown: dict[str, Any] = {name: row[name] for name in ("caption", "position", "name")}
        return Image(digest=row["digest"], read=partial(read_image, Path(self._file(row)), row["digest"]), **shown)

    def _file(self, row: Mapping[str, Any]) -> str:
        file: str = row["file"]
        return file if os.path.isabs(file) else os.path.join(self._index.folder, file)

    @cached_property
    def _digests(self) -> ImageDigests:
        return ImageDigests(self._index.folder.parent / "image_digests.jsonl")

    @cached_property
    def _query_rows(self) -> dict[str, int]:
        return {query_id: row for row, query_id in enumerate(self.queries["query_id"])}

    @cached_property
    def _query_images(self) -> dict[str, tuple[Image, ...]]:
        found: dict[str, tuple[Image, ...]] = {}
        for row in self._index.query_images():
            found[row["query_id"]] = (*found.get(row["query_id"], ()), self._image(row))
        return found

    def __repr__(self) -> str:
        tail = f", {self.image_count:,} images" if self.image_count else ""
        return f"Collection({self.name}: {self.queries.height:,} queries, {len(self):,} documents{tail})"


STRINGS = {"doc_id": pl.String, "fingerprint": pl.String}


def fingerprint_with_images(document: Document) -> str:
    """A document's fingerprint as somebody who is shown its images needs it, the bytes of all that can be read covered."""
    if not any(isinstance(image, FileImage) for image in document.images):
        return document.fingerprint
    return digest_of([document.fingerprint, [_digest_or_none(image) for image in document.images]])


def _digest_or_none(image: Image) -> str | None:
    try:
        return image.digest
    except UnreadableImage:
        return None


def _with_images(known: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The same for many: doc_id, fingerprint."""
    each = images.sort("doc_id", "position").group_by("doc_id").agg("digest")
    joined = known.join(each, on="doc_id", how="left", maintain_order="left")
    rows = joined.select("fingerprint", "digest").iter_rows()
    prints = [digest_of([own, digests]) if digests else own for own, digests in rows]
    return known.with_columns(fingerprint=pl.Series(prints, dtype=pl.String))


def read_image(path: Path, digest: str) -> bytes:
    """The bytes of an image, which are the image: InputError when the file no longer holds those it was indexed with."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); load the collection again") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError(f"{path}: has changed since it was indexed; load the collection again")
    return data
