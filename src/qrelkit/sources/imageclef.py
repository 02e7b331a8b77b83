"""ImageCLEFmed's case-based retrieval (2013) as its organisers hand it out: articles by DOI, cases with images, human qrels.

    case-based-topics.xml                       CaseQueryImages2013/1_1.jpg …
    meta-xml/one-file-per-article/*.xml         figures/…/*.jpg, in folders or not
    qrels/qrel-2013-case_based.txt

A document is an article: its text is title, abstract, full text and captions joined, each of them is a column too (`captions`
has one line per figure), and its images are the figures that are there, in the article's order. Figures are not opened while
indexing: their digests are computed on first use. What cannot be used is counted and listed in the collection's notes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import orjson

from qrelkit.core.collection import Collection
from qrelkit.core.entry import DOCUMENT, QUERY, Entry, StoredImage, read_fields
from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.wire import digest_bytes
from qrelkit.formats.trec import read_qrels
from qrelkit.sources.folder import found_qrels
from qrelkit.sources.imageclef_xml import Article, Topic, read_article, read_topics
from qrelkit.sources.images import ImageFiles, ImageRef, stat_of
from qrelkit.sources.indexed import load_indexed

TOPICS, ARTICLES, FIGURES = "case-based-topics.xml", "meta-xml", "figures"
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp")
SECTIONS = ("abstract", "fulltext", "captions")


def is_imageclef(folder: Path) -> bool:
    """Whether a folder has this layout: by its topics or its articles."""
    return inside(folder, TOPICS) is not None or inside(folder, ARTICLES) is not None


class ImageClef:
    """A `Source`: the folder of the collection. `qrels` are files by name, else those in its folder of that name."""

    text_from: Sequence[str] = SECTIONS
    blob: Path | None = None

    def __init__(
        self, folder: str | os.PathLike[str], *, qrels: Mapping[str, Path] | None = None, name: str | None = None
    ) -> None:
        self.root = Path(folder).resolve()
        self.name = name or self.root.name
        if not self.root.is_dir():
            raise InputError(f"{os.fspath(folder)}: there is no such folder")
        articles = inside(self.root, ARTICLES)
        if articles is None or not articles.is_dir():
            raise InputError(f"{self.root}: has no folder {ARTICLES}/ of articles (XML, one file each); name the folder above it")
        self._articles, self._figures, self._topics = articles, inside(self.root, FIGURES), inside(self.root, TOPICS)
        self._qrels = found_qrels(self.root) if qrels is None else dict(qrels)

    def collection(self) -> Collection:
        """The collection, from its index. Raises InputError where it has no articles, or its topics cannot be read."""
        return load_indexed(self)

    def key(self) -> Any:
        """The folder."""
        return ["imageclef", str(self.root)]

    def state(self) -> Any:
        """Size and time of every article and of the topics; of the figures only which there are."""
        articles = digest_bytes(orjson.dumps(sorted(_states(self._articles))))
        figures = digest_bytes("\n".join(self._pictures).encode("utf-8", "surrogateescape"))
        return [self.name, articles, figures, stat_of(str(self._topics)) if self._topics else None]

    def documents(self, images: ImageFiles) -> Iterator[Entry]:
        """The articles, by the names of their files."""
        files = self._files(images)
        seen: dict[str, Path] = {}
        for path in sorted(_xml_files(self._articles)):
            article = self._read(path, images)
            if article is None:
                continue
            first = seen.setdefault(article.doi, path)
            if first is not path:
                images.leave("duplicate_articles", self._named(path), f"{article.doi} is in {self._named(first)} already")
            else:
                yield self._document(path, article, files, images)

    def queries(self, images: ImageFiles) -> Iterator[Entry]:
        """The cases; nothing where there is no file of them."""
        if self._topics is None:
            return
        for number, topic in enumerate(read_topics(_content(self._topics), str(self._topics)), 1):
            yield _query(self._topics, number, topic, images)

    def qrels(self) -> Mapping[str, Callable[[], Qrels]]:
        """A reader per file of qrels."""
        return {stem: partial(read_qrels, path, name=stem) for stem, path in self._qrels.items()}

    @cached_property
    def _pictures(self) -> list[str]:
        """The paths of all figures below their folder, sorted."""
        top = self._figures
        return sorted(path for path, _ in _below(str(top), PICTURES)) if top is not None and top.is_dir() else []

    def _files(self, images: ImageFiles) -> dict[str, str]:
        """Figures by the stem of their file; of two files of one stem the first counts, and the other is listed."""
        found: dict[str, str] = {}
        for path in self._pictures:
            first = found.setdefault(_stem(path.rpartition("/")[2]), path)
            if first != path:
                images.leave("duplicate_figures", path, f"{first} counts")
        return found

    def _read(self, path: Path, images: ImageFiles) -> Article | None:
        """The article in a file; None, and listed, where there is none that can be used."""
        file = self._named(path)
        try:
            article = read_article(_content(path), file)
        except InputError as error:
            images.leave("unreadable_articles", file, str(error).removeprefix(file).lstrip(": "))
            return None
        if article is None:
            images.leave("not_articles", file, "its root element is not article")
        elif not article.doi or article.doi.split() != [article.doi]:
            images.leave("articles_without_doi", file, f"its doi is {article.doi!r}")
        else:
            return article
        return None

    def _named(self, path: Path) -> str:
        """An article's file as the notes call it: its path inside the folder of articles."""
        return path.relative_to(self._articles).as_posix()

    def _document(self, path: Path, article: Article, files: Mapping[str, str], images: ImageFiles) -> Entry:
        found: list[StoredImage] = []
        missing: list[str] = []
        for position, figure in enumerate(article.figures):
            file = files.get(_stem(figure.stem))
            if file is None:
                missing.append(figure.stem or f"figure {position + 1}")
                images.leave("missing_figures", f"{missing[-1]} of {article.doi}")
            else:
                where = os.path.join(str(self._figures), file)
                found.append(StoredImage(digest="", file=where, caption=figure.caption, name=file, position=position))
        if not (article.abstract or article.fulltext):
            images.leave("articles_without_text", f"{article.doi} ({path.name})")
        captions = "\n".join(figure.caption for figure in article.figures)
        record = {"id": article.doi, "title": article.title, "authors": article.authors, "abstract": article.abstract}
        record |= {"fulltext": article.fulltext, "captions": captions if captions.strip() else ""}
        record |= {"missing_figures": ", ".join(missing)}
        record = {name: value for name, value in record.items() if value}
        fields = read_fields(record, DOCUMENT._replace(text_from=SECTIONS), str(path))
        return Entry(file=str(path), line=1, fields=fields, raw=orjson.dumps(record), images=tuple(found))


def inside(folder: Path, name: str) -> Path | None:
    """The entry of a folder with a name in any case; None where there is none."""
    exact = folder / name
    if exact.exists():
        return exact
    return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name), None)


def _stem(name: str) -> str:
    """The name of a figure as its file and its article have in common: without suffix, in lower case."""
    stem, suffix = os.path.splitext(name.lower())
    return stem if suffix in PICTURES else name.lower()


def _query(path: Path, number: int, topic: Topic, images: ImageFiles) -> Entry:
    """A case. Images that cannot be used stand in its column `missing_images`: nobody may judge it as if it had none."""
    paths = [image.replace("\\", "/") for image in topic.images]
    found = images.take([ImageRef(image) for image in paths])
    there = {image.position for image in found}
    missing = [image for position, image in enumerate(paths) if position not in there]
    record = {"id": topic.topic_id, "text": topic.text} | ({"missing_images": ", ".join(missing)} if missing else {})
    fields = read_fields(record, QUERY, f"{path}:{number}")
    return Entry(file=str(path), line=number, fields=fields, raw=orjson.dumps(record), images=found)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _xml_files(folder: Path) -> Iterator[Path]:
    return (folder / path for path, _ in _below(str(folder), (".xml",)))


def _states(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path, entry in _below(str(folder), (".xml",)):
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:  # gone since it was listed
            continue
        yield path, state.st_size, state.st_mtime_ns


def _below(top: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files of these suffixes below a folder, as paths below it. Links are not followed: they could lead out of it."""
    folders = [""]
    while folders:
        inner = folders.pop()
        before = f"{inner}/" if inner else ""
        with os.scandir(os.path.join(top, inner)) as entries:
            for entry in entries:
                name = entry.name
                if name.lower().endswith(suffixes) and entry.is_file(follow_symlinks=False):
                    yield before + name, entry
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(before + name)
