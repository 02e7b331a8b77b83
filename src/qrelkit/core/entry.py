"""One line of a collection: what its fields mean, and what its fingerprint covers.

    document   {"id"|"_id"|"doc_id": …, "title"?: …, "text": …, "image"|"images"?: …, any other column}
    query      {"id"|"_id"|"query_id"|"qid": …, "text"|"query": …, "image"|"images"?: …, any other column}

A column that is null counts as absent. The columns of a `metadata` object (BEIR) are taken out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from qrelkit.core.errors import InputError
from qrelkit.core.wire import digest_of


class Kind(NamedTuple):
    """Under which names a line keeps its id and its text, the first that is there counting.

    With `text_from` the text is those columns joined by a blank: an article is not stored twice to have its sections apart.
    """

    name: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    titles: tuple[str, ...]
    text_from: tuple[str, ...] = ()


DOCUMENT = Kind("document", ("id", "_id", "doc_id"), ("text",), ("title",))
QUERY = Kind("query", ("id", "_id", "query_id", "query-id", "qid"), ("text", "query"), ())
IMAGES = ("image", "images")


class Fields(NamedTuple):
    """What a line says; `text` is title and text joined by a space."""

    entry_id: str
    title: str
    text: str
    columns: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredImage:
    """An image: the SHA-256 of its bytes ("" where they are read on first use) and the file (absolute, or inside the index
    folder)."""

    digest: str
    file: str
    caption: str = ""
    name: str = ""
    position: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One document or query on its way into an index, with the file and line (or row) it stands at.

    `raw` is its JSON line, which lies at `span` (offset, length) of the file.
    """

    file: str
    line: int
    fields: Fields
    raw: bytes
    span: tuple[int, int] = (0, 0)
    images: tuple[StoredImage, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    def document_fingerprint(self) -> str:
        """Digest of all that an assessor may be shown of a document."""
        _, title, text, columns = self.fields
        if any(not image.digest for image in self.images):  # `with_images` adds their bytes, where somebody looks at them
            return digest_of(["d2", title, text, columns, [[image.position, image.caption] for image in self.images]])
        return digest_of(["d1", title, text, columns, self._pictures()])

    def query_fingerprint(self) -> str:
        """Digest of a query's text and images; its columns (weight, language …) are for the tables, not the assessor."""
        return digest_of(["q1", self.fields.text, self._pictures()])

    def _pictures(self) -> list[list[str]]:
        return [[image.digest, image.caption] for image in self.images]


def read_fields(record: Mapping[str, Any], kind: Kind, where: str) -> Fields:
    """The fields of one line. Raises InputError for a missing id, a missing text, or a text that is none.

    A line without text is right if it has an image or, for a document, a title; an empty text is right always.
    """
    id_name, entry_id = read_id(record, kind, where)
    text_name, text = _joined(record, kind.text_from, where) if kind.text_from else _string(record, kind.texts, where)
    title_name, title = _string(record, kind.titles, where)
    if not (text_name or title_name or any(record.get(name) for name in IMAGES)):
        raise InputError(f"{where}: {kind.name} {entry_id!r} has no {kind.texts[0]!r}; its fields are {', '.join(record)}")
    used = {id_name, text_name, title_name, "metadata", *IMAGES}
    columns = {name: value for name, value in record.items() if name not in used and value is not None}
    metadata = record.get("metadata")
    if isinstance(metadata, dict):
        columns = {n: v for n, v in metadata.items() if v is not None} | columns
    elif metadata is not None:
        columns["metadata"] = metadata
    return Fields(entry_id, title, f"{title} {text}" if title and text else title or text, columns)


def read_id(record: Mapping[str, Any], kind: Kind, where: str) -> tuple[str, str]:
    """The field that holds the id, and the id as a string."""
    for name in kind.ids:
        value = record.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputError(f"{where}: {name} is {value!r}; an id is a string (or a whole number)")
        entry_id = str(value)
        if not entry_id.strip() or any(c in entry_id for c in "\t\r\n"):
            raise InputError(f"{where}: {name} is {entry_id!r}; an id cannot be blank or hold tabs or line ends")
        return name, entry_id
    raise InputError(f"{where}: has no id (one of {', '.join(kind.ids)}); its fields are {', '.join(record) or 'none'}")


def _joined(record: Mapping[str, Any], names: tuple[str, ...], where: str) -> tuple[str, str]:
    return "text", " ".join(part for part in (_string(record, (name,), where)[1] for name in names) if part)


def _string(record: Mapping[str, Any], names: tuple[str, ...], where: str) -> tuple[str, str]:
    for name in names:
        if name in record:
            value = record[name]
            if value is None:
                return name, ""
            if not isinstance(value, str):
                raise InputError(f"{where}: {name} is {type(value).__name__}, not a string")
            return name, value
    return "", ""
