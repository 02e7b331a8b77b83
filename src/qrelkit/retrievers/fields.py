"""What of a document is searched: its text (title and text as a collection joins them), or fields of it joined by a blank."""

from __future__ import annotations

from collections.abc import Sequence

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Document
from qrelkit.text.leaving import MayLeave

BATCH = 10_000


def joined(document: Document, fields: Sequence[str]) -> str:
    """The fields that this document has, as one text: "text", "title", or any column."""
    return " ".join(_values(document, fields).values())


def refuse_fields(fields: Sequence[str], may_leave: MayLeave) -> None:
    """Raises InputError for a field that may not leave; of "text" it is enough that title or text may."""
    if may_leave is None:
        return
    may = f"may_leave: {', '.join(may_leave) or 'nothing'}"
    for name in fields:
        if name not in may_leave and not (name == "text" and "title" in may_leave):
            raise InputError(f"{name} may not leave ({may}); name it there, or search other fields")


def refuse_absent(collection: Collection, fields: Sequence[str]) -> None:
    """Raises UnknownName for a field that no document has; reads only until each was seen."""
    missing = set(fields) - {"text"}
    known = {"text"}
    for start in range(0, len(collection), BATCH):
        for document in collection.documents(collection.doc_ids.slice(start, BATCH).to_list() if missing else ()):
            missing -= _values(document, fields).keys()
            known |= {*document.columns, *(["title"] if document.title else [])}
            if not missing:
                return
    for name in sorted(missing):
        raise UnknownName("field of the documents", name, known)


def _values(document: Document, fields: Sequence[str]) -> dict[str, str]:
    everything = {**document.columns, "title": document.title, "text": document.text}
    return {name: str(everything[name]) for name in fields if everything.get(name) not in (None, "")}
