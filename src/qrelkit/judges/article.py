"""What of an article a judge is given (arXiv 2506.17782): title, authors, abstract, full text, captions, and the first figures.

Authors, abstract, full text and captions are columns of the document (`sources/imageclef.py`). An article that is too long is cut
in a stated order: the full text from its end, then the captions from theirs; title, authors and abstract are never cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from qrelkit.core.records import Document, Query
from qrelkit.judges.pointwise import Look
from qrelkit.text.leaving import body_of, leaving_document

SECTIONS = ("abstract", "fulltext", "captions")


@dataclass(frozen=True, kw_only=True, slots=True)
class Articles(Look):
    """A `Look` at articles; a prompt asks for it by `look: articles` in its front matter.

    The document it gives has these columns, always: `authors`, `abstract` and `fulltext`, texts; `captions`, a list with one for
    each image that is shown, in their order; `other_captions`, a list of those of figures that are not shown, blank ones left
    out; `images_left_out`, how many images there are beyond `images`. Its text is all of that joined, as far as it is text.
    """

    kind: ClassVar[str] = "articles"

    def at(self, document: Document) -> tuple[Document, int]:
        document = document.whole()  # read once
        seen = leaving_document(document, self.may_leave)
        parts = self._sections(document)
        shown = seen.images[: self.images] if self.route != "text" else ()
        lines = parts["captions"].split("\n")
        there = {image.position for image in shown}
        others = [line for position, line in enumerate(lines) if line and position not in there]
        fixed = len(seen.title) + len(parts["authors"]) + len(parts["abstract"])
        all_captions = [*(image.caption for image in shown), *others]
        captions = _first(all_captions, self.max_document_chars - fixed)
        fulltext = parts["fulltext"][: max(0, self.max_document_chars - fixed - sum(map(len, captions)))]
        whole = fulltext == parts["fulltext"] and captions == all_captions
        columns = {
            **seen.columns,
            "authors": parts["authors"],
            "abstract": parts["abstract"],
            "fulltext": fulltext,
            "captions": captions[: len(shown)],
            "other_captions": [caption for caption in captions[len(shown) :] if caption],
            "images_left_out": len(seen.images) - len(shown) if self.route != "text" else 0,
        }
        text = " ".join(part for part in (seen.title, parts["abstract"], fulltext, *captions) if part)
        cut = Document(doc_id=seen.doc_id, text=text, title=seen.title, images=shown, columns=columns)
        return cut, 0 if whole else self.max_document_chars

    def lacks(self, query: Query) -> str:
        """A case is its text and, where images are looked at, all of its images."""
        if not query.text.strip():
            return f"case {query.query_id} has no text"
        missing = query.columns.get("missing_images")
        return f"case {query.query_id} lacks images that it names: {missing}" if missing and self.route != "text" else ""

    def _sections(self, document: Document) -> Mapping[str, str]:
        """The sections that may leave; a document without any has its whole text as full text."""
        columns, may = document.columns, self.may_leave
        found = {name: _said(columns.get(name)) for name in (*SECTIONS, "authors")}
        if not any(found[name] for name in SECTIONS):
            found["fulltext"] = body_of(document)
        if may is None:
            return found
        return {name: text if name in may or (name in SECTIONS and "text" in may) else "" for name, text in found.items()}


def _said(value: object) -> str:
    return "" if value is None else str(value)


def _first(texts: Sequence[str], chars: int) -> list[str]:
    """The texts as far as so many characters reach; one after the end is empty."""
    out: list[str] = []
    for text in texts:
        out.append(text[: max(0, chars)])
        chars -= len(text)
    return out
