"""A folder in BEIR's form or a simpler one, found by the names of its files, each with or without `.gz`.

* documents: corpus.jsonl, lines of {"_id" or "id", "title"?, "text", "image"?, …}
* queries: queries.jsonl, query.jsonl or topics.tsv, the first that is there; none is right too
* human judgments: every file in qrels/, and qrels.txt, qrels.tsv or qrels.jsonl
"""

from __future__ import annotations

from pathlib import Path

from qrelkit.core.errors import InputError
from qrelkit.core.indexing import Duplicates
from qrelkit.formats.tables import stem_of
from qrelkit.sources.files import Files
from qrelkit.sources.rows import Columns

DOCUMENTS = ("corpus.jsonl",)
QUERIES = ("queries.jsonl", "query.jsonl", "topics.tsv")
QRELS = ("qrels.txt", "qrels.tsv", "qrels.jsonl")


def folder(
    path: Path,
    *,
    documents: str | None = None,
    queries: str | None = None,
    qrels: dict[str, Path] | None = None,
    columns: Columns | None = None,
    query_columns: Columns | None = None,
    name: str | None = None,
    duplicates: Duplicates = "error",
) -> Files:
    """The source of a folder; `documents` and `queries` name other files of it. Raises InputError where there is no corpus."""
    corpus = path / documents if documents else find(path, DOCUMENTS)
    if corpus is None:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
        raise InputError(
            f"{path}: has no corpus.jsonl (lines with id, title, text), needed for a collection; there is {there}. "
            "Name the file of the documents if it is called otherwise (documents=…)"
        )
    return Files(
        name or path.resolve().name,
        corpus,
        queries=path / queries if queries else find(path, QUERIES),
        qrels=found_qrels(path) if qrels is None else qrels,
        columns=columns,
        query_columns=query_columns,
        duplicates=duplicates,
    )


def find(path: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the names that is a file in the folder, plain or `.gz`."""
    candidates = (path / (name + suffix) for name in names for suffix in ("", ".gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def found_qrels(path: Path) -> dict[str, Path]:
    """The files of human judgments by stem."""
    inside = sorted(p for p in (path / "qrels").glob("*") if p.is_file() and not p.name.startswith("."))
    beside = find(path, QRELS)
    return {stem_of(p): p for p in [*inside, *([beside] if beside else [])]}
