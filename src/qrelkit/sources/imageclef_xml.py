"""ImageCLEF's XML: topics with images, and articles of one file each. Read with expat, one file at a time.

    <TOPICS><TOPIC><ID>1</ID><EN-DESCRIPTION>A 43-year-old …</EN-DESCRIPTION><image>CaseQueryImages2013/1_1.jpg</image></TOPIC>…
    <article doi="10.1186/x"><title>…</title><authors><author>…</author></authors><abstract>…</abstract><fulltext>…</fulltext>
        <figures><figure iri="x-1"><caption>…</caption></figure></figures></article>

Names are read without regard to case, namespace, and hyphen or underscore. Nothing is fetched, and a file that declares entities
of its own is refused: that is how a small file becomes a large one. HTML's named characters (`&alpha;`) are understood without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.entities import html5
from typing import Any

from qrelkit.core.errors import InputError

BREAKS = frozenset(("p", "sec", "section", "title", "para", "br", "li", "item", "div", "tr", "td", "h1", "h2", "h3", "h4"))
MOST_DEPTH = 500
ODD_BLANKS = ("  ", "\t", "\r", "\f", "\v", "\u00a0")


@dataclass(slots=True)
class Element:
    """An element with its texts and children in their order."""

    name: str
    attributes: dict[str, str]
    content: list[str | Element] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[Element]:
        """The children of these names."""
        return (child for child in self.content if isinstance(child, Element) and child.name in names)

    def text(self) -> str:
        """All text inside, blanks in a row as one; paragraphs and sections stand on lines of their own."""
        return plain("".join(self._texts()))

    def text_of(self, name: str) -> str:
        """The text of the first child of a name; "" where there is none."""
        return next((child.text() for child in self.all(name)), "")

    def _texts(self) -> Iterator[str]:
        for part in self.content:
            if isinstance(part, str):
                yield part
            elif part.name in BREAKS:
                yield "\n"
                yield from part._texts()
                yield "\n"
            else:
                yield from part._texts()


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of an article: the stem of its file and its caption."""

    stem: str
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Article:
    """What a file says of an article."""

    doi: str
    title: str
    authors: str
    abstract: str
    fulltext: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A case: its description and the paths of its images, relative to the collection's folder."""

    topic_id: str
    text: str
    images: tuple[str, ...]


def read_article(data: bytes, file: str) -> Article | None:
    """The article in a file; None where the root is none. Raises InputError for what is not XML, or not safe to read."""
    root = parse(data, file)
    if root.name != "article":
        return None
    authors = [author.text() for part in root.all("authors") for author in part.all("author")]
    figures = (figure for part in root.all("figures") for figure in part.all("figure"))
    return Article(
        doi=root.attributes.get("doi", "").strip(),
        title=one_line(root.text_of("title")),
        authors=", ".join(one_line(author) for author in authors if author),
        abstract=root.text_of("abstract"),
        fulltext=root.text_of("fulltext"),
        figures=tuple(Figure(f.attributes.get("iri", "").strip(), one_line(f.text_of("caption"))) for f in figures),
    )


def read_topics(data: bytes, file: str) -> list[Topic]:
    """The cases in a file of topics. Raises InputError for what is not XML, has no topics, or has one without an id."""
    root = parse(data, file)
    found = [
        Topic(
            topic_id=one_line(topic.text_of("id")) or topic.attributes.get("id", "").strip(),
            text=next((part.text() for part in topic.all("en_description")), "") or topic.text_of("description"),
            images=tuple(path for image in topic.all("image") if (path := one_line(image.text()))),
        )
        for topic in root.all("topic")
    ]
    if not found:
        raise InputError(f"{file}: has no TOPIC inside {root.name!r}; a file of topics is needed")
    if nameless := [number for number, topic in enumerate(found, 1) if not topic.topic_id]:
        raise InputError(f"{file}: topic {nameless[0]} of {len(found)} has no ID")
    return found


def plain(text: str) -> str:
    """Blanks in a row as one, line ends in a row as one, none at either end."""
    return "\n".join(line for part in text.split("\n") if (line := _tidy(part)))


def _tidy(line: str) -> str:
    if any(blanks in line for blanks in ODD_BLANKS):  # looking is twenty times as fast as splitting, and finds nothing as a rule
        return " ".join(line.split())
    return line.strip()


def one_line(text: str) -> str:
    """The text on one line."""
    return text.replace("\n", " ")


def parse(data: bytes, file: str) -> Element:
    """The root element. Raises InputError with the line for what is not XML, or not safe to read."""
    from xml.parsers import expat

    reader = _Reader(file)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.UseForeignDTD(True)  # so that an unknown named character is skipped, and not an error
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.SkippedEntityHandler = reader.said, reader.skipped
    parser.EntityDeclHandler = reader.declared
    parser.ExternalEntityRefHandler = lambda *_: 1  # passed over, never opened
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"{file}:{error.lineno}: not well-formed XML ({expat.errors.messages[error.code]})") from None
    except (ValueError, LookupError) as error:  # an encoding that nobody knows
        raise InputError(f"{file}:1: not well-formed XML ({error})") from None
    assert reader.root is not None
    return reader.root


class _Reader:
    """Builds elements out of what expat calls."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Element | None = None
        self._open: list[Element] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(_name(tag), {_name(name): value for name, value in attributes.items()})
        if self._open:
            self._open[-1].content.append(element)
        else:
            self.root = element
        if len(self._open) >= MOST_DEPTH:
            raise InputError(f"{self.file}: elements lie more than {MOST_DEPTH} deep inside each other")
        self._open.append(element)

    def end(self, _tag: str) -> None:
        self._open.pop()

    def said(self, text: str) -> None:
        self._open[-1].content.append(text)

    def skipped(self, name: str, is_parameter: bool) -> None:
        """A character by name: HTML's, or as it stands."""
        if not is_parameter and self._open:
            self.said(html5.get(f"{name};", f"&{name};"))

    def declared(self, name: str, *_: Any) -> None:
        raise InputError(f"{self.file}: declares the entity {name!r}; files that do are not read")


def _name(tag: str) -> str:
    return tag.rpartition(":")[2].lower().replace("-", "_")
