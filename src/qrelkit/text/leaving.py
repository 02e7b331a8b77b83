"""What may leave: everything else of queries and documents is taken out before any prompt can see it.

    may_leave: [title, text, images, brand]

`title`, `text`, `images` (with captions and descriptions), `descriptions` (of images, without the images), and any column of
queries or documents by its name. A query's text always leaves, for nothing can be judged without it. Ids are columns here too:
no shipped prompt uses them, and a prompt of one's own gets `doc_id` only where it is named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from qrelkit.core.errors import InputError
from qrelkit.core.records import Document, Image, Query

MayLeave = Collection[str] | None  # None: everything that route, fields and prompt use


def refuse_nothing(may_leave: MayLeave) -> None:
    """Raises InputError where neither title nor text of a document may leave: for who is shown nothing else of it."""
    if may_leave is not None and not {"title", "text"} & {*may_leave}:
        raise InputError(f"may_leave: {', '.join(may_leave) or 'nothing'} leaves nothing of a document; name title or text")


def leaving_document(document: Document, may_leave: MayLeave) -> Document:
    """The document with nothing that may not leave. What its text repeats of its title is text."""
    if may_leave is None:
        return document
    title = document.title if "title" in may_leave else ""
    body = body_of(document) if "text" in may_leave else ""
    return Document(
        doc_id=document.doc_id if "doc_id" in may_leave else "",
        text=f"{title} {body}" if title and body else title or body,
        title=title,
        images=_images(document.images, may_leave),
        columns={name: value for name, value in document.columns.items() if name in may_leave},
    )


def leaving_query(query: Query, may_leave: MayLeave) -> Query:
    """The query with its text, and nothing else that may not leave."""
    if may_leave is None:
        return query
    return Query(
        query_id=query.query_id if "query_id" in may_leave else "",
        text=query.text,
        images=_images(query.images, may_leave),
        columns={name: value for name, value in query.columns.items() if name in may_leave},
    )


def body_of(document: Document) -> str:
    """A document's text without the title that stands before it."""
    return "" if document.text == document.title else document.text.removeprefix(f"{document.title} ".lstrip())


def _images(images: Iterable[Image], may_leave: Collection[str]) -> tuple[Image, ...]:
    """Images, or only what stands for them where a description of them may leave."""
    if "images" in may_leave:
        return tuple(images)
    if "descriptions" not in may_leave:
        return ()
    return tuple(Image(digest=image.digest, read=_withheld, position=image.position) for image in images)


def _withheld() -> bytes:
    raise InputError("may_leave: an image was asked for, and images may not leave")


def refuse_look(route: str, fields: Iterable[str], may_leave: MayLeave) -> None:
    """Raises InputError where a judge is to be shown what may not leave, or nothing of a document at all."""
    if may_leave is None:
        return
    may = f"may_leave: {', '.join(may_leave) or 'nothing'}"
    if route == "shown" and "images" not in may_leave:
        raise InputError(f"judge.route: shown sends images, which may not leave ({may}); add images there, or take route: text")
    if route == "described" and not {"images", "descriptions"} & {*may_leave}:
        raise InputError(
            f"judge.route: described sends what is seen in images, and that may not leave ({may}); add descriptions there"
        )
    for name in fields:
        if name not in may_leave:
            raise InputError(f"judge.fields: {name} may not leave ({may}); add it there, or take it out of judge.fields")
    if route == "text" and not ({"title", "text"} & {*may_leave} or [*fields]):
        raise InputError(f"nothing of a document may leave ({may}), so nothing can be judged; name title or text there")


def refuse_pictures(model: str, may_leave: MayLeave) -> None:
    """Raises InputError where a describer outside of this process would be sent images that may not leave."""
    if may_leave is not None and "images" not in may_leave and not model.startswith("local:"):
        raise InputError(
            f"describe.model: {model} is sent images, and they may not leave (may_leave: {', '.join(may_leave) or 'nothing'}); "
            "add images there, or describe with palette or a local: model"
        )
