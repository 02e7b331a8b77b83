"""From what a user writes to a source: `irds:ID`, a folder (of ImageCLEF too), a table, or `NAME:REST` of a plugin."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from qrelkit.core.doors import Source
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.indexing import Duplicates
from qrelkit.core.plugins import find
from qrelkit.formats.tables import stem_of
from qrelkit.sources.files import Files
from qrelkit.sources.folder import DOCUMENTS, folder
from qrelkit.sources.folder import find as in_folder
from qrelkit.sources.imageclef import ImageClef, is_imageclef
from qrelkit.sources.irds import Irds
from qrelkit.sources.rows import Columns

SpecPath = str | os.PathLike[str]
PREFIX = re.compile(r"([a-z][a-z0-9_-]+):(.+)")  # two letters at least: c: is a drive


def open_source(
    spec: SpecPath | None = None,
    *,
    imageclef: SpecPath | None = None,
    documents: SpecPath | None = None,
    queries: SpecPath | None = None,
    qrels: SpecPath | Sequence[SpecPath] | Mapping[str, SpecPath] | None = None,
    columns: Columns | None = None,
    query_columns: Columns | None = None,
    name: str | None = None,
    duplicates: Duplicates = "error",
) -> Source:
    """The source behind a spec, or behind a table of `documents`.

    With a folder, `documents` and `queries` are names inside it; one in ImageCLEF's layout is known by it, and `imageclef` is
    one that must be. `qrels` are files, by name or called after themselves. Where a document is given again with other content,
    that is an error; with `duplicates="last"` the last one counts (folders and tables only).
    Raises InputError where there is nothing, UnknownName for an unknown `NAME:`.
    """
    if duplicates not in get_args(Duplicates):
        raise UnknownName("rule for duplicates", duplicates, get_args(Duplicates))
    if imageclef is not None:
        _no_rule(duplicates, imageclef)
        return ImageClef(imageclef, qrels=named_files(qrels), name=name)
    if spec is None and documents is None:
        raise InputError("no collection: name a folder, a table of documents, or irds:ID")
    human = named_files(qrels)
    maps: dict[str, Any] = {"columns": columns, "query_columns": query_columns, "duplicates": duplicates}
    if spec is not None and not os.path.exists(spec):
        prefixed = PREFIX.fullmatch(os.fspath(spec))
        if prefixed is None:
            raise InputError(f"{os.fspath(spec)}: there is no such file or folder")
        _no_rule(duplicates, spec)
        kind, rest = prefixed.groups()
        return Irds(rest) if kind == "irds" else cast(Source, find("sources", kind)(rest))
    if spec is not None and os.path.isdir(spec):
        if documents is None and in_folder(Path(spec), DOCUMENTS) is None and is_imageclef(Path(spec)):
            _no_rule(duplicates, spec)
            return ImageClef(spec, qrels=human, name=name)
        parts = [None if part is None else os.fspath(part) for part in (documents, queries)]
        return folder(Path(spec), documents=parts[0], queries=parts[1], qrels=human, name=name, **maps)
    table = existing(spec if spec is not None else cast(SpecPath, documents))
    return Files(name or stem_of(table), table, queries=None if queries is None else existing(queries), qrels=human, **maps)


def _no_rule(duplicates: Duplicates, spec: SpecPath) -> None:
    if duplicates != "error":
        raise InputError(f"{os.fspath(spec)}: duplicates={duplicates!r} is for folders with a corpus.jsonl and for tables only")


def named_files(qrels: SpecPath | Sequence[SpecPath] | Mapping[str, SpecPath] | None) -> dict[str, Path] | None:
    """Files by name; None where none are named."""
    if qrels is None:
        return None
    if isinstance(qrels, Mapping):
        return {name: existing(path) for name, path in qrels.items()}
    paths = [qrels] if isinstance(qrels, str | os.PathLike) else list(qrels)
    return {stem_of(Path(path)): existing(path) for path in paths}


def existing(path: SpecPath) -> Path:
    """The path of a file that is there; InputError otherwise."""
    if not os.path.isfile(path):
        raise InputError(f"{os.fspath(path)}: there is no such file")
    return Path(path)
