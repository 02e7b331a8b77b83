"""SMMILE and SMMILE++ from the Hugging Face hub (extra `hub`), at one commit, kept in the cache as a folder benchmark.

    cache/smmile/smmile--SMMILE@COMMIT/    problems.jsonl  images/  manifest.json

The commit is the revision in every record. Which commit the published results were made with is not known, so none is
preset: without one the newest is taken and said, and naming it later needs no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from qrelkit.bench.smmile.folder import MANIFEST, read_folder, write_folder
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.rows import Row, assembled, read_row
from qrelkit.core.cache import cache_folder
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Image
from qrelkit.sources.hub import downloaded

REPOSITORIES = {"SMMILE": "smmile/SMMILE", "SMMILE++": "smmile/SMMILE-plusplus"}
PLUSPLUS = ("original_problem_id", "original_order", "permutation_number")
NO_TAGS = ("image_url", "parquet_path", *PLUSPLUS)
NEEDED = ("problem_id", "order", "question", "answer", "image")
TOGETHER = 200  # rows read at a time: SMMILE++ repeats its images, 1.2 GB of them


def from_hub(name: str = "SMMILE", revision: str = "") -> Problems:
    """The problems of a commit, or of the newest one. Raises MissingExtra, or InputError where the hub does not answer."""
    if name not in REPOSITORIES:
        raise UnknownName("benchmark of the hub", name, REPOSITORIES)
    if revision and (_home(name, revision) / MANIFEST).is_file():
        return read_folder(_home(name, revision))
    snapshot, commit = downloaded(REPOSITORIES[name], revision)
    home = _home(name, commit)
    if not (home / MANIFEST).is_file():
        write_folder(read_snapshot(snapshot, name=name, revision=commit), home)
    return read_folder(home)


def read_snapshot(snapshot: Path, *, name: str, revision: str) -> Problems:
    """The problems of a downloaded dataset's Parquet files. A problem with a row without its image is left out and listed."""
    files = sorted(path for path in snapshot.rglob("*.parquet") if path.is_file())
    if not files:
        raise InputError(f"{snapshot}: there is no Parquet file of {name} in it")
    images: dict[str, Image] = {}
    return assembled((row for file in files for row in _rows(file, images)), name=name, revision=revision)


def _home(name: str, commit: str) -> Path:
    return cache_folder("smmile") / f"{REPOSITORIES[name].replace('/', '--')}@{commit}"


def _rows(file: Path, images: dict[str, Image]) -> Iterator[Row]:
    there = pl.scan_parquet(file)
    names = there.collect_schema().names()
    if missing := [name for name in NEEDED if name not in names]:
        raise InputError(f"{file}: has no column {missing[0]}; it has {', '.join(names)}")
    height = there.select(pl.len()).collect().item()
    for start in range(0, height, TOGETHER):
        for number, said in enumerate(there.slice(start, TOGETHER).collect().iter_rows(named=True), start + 1):
            yield read_row(_ours(said), _image(said["image"], images), f"{file}: row {number}", NO_TAGS)


def _ours(said: Mapping[str, Any]) -> dict[str, Any]:
    """A row of SMMILE++ names the problem that it permutes, and the place that its triplet had there."""
    if not said.get("original_problem_id"):
        return dict(said)
    return dict(said) | {"base_id": said["original_problem_id"], "changes": {"permutation": said.get("permutation_number")}}


def _image(said: Any, images: dict[str, Image]) -> Image | None:
    """An image by its bytes; those that are equal are kept once."""
    data = said.get("bytes") if isinstance(said, dict) else said
    if not data:
        return None
    digest = hashlib.sha256(data).hexdigest()
    if digest not in images:
        name = (said.get("path") if isinstance(said, dict) else None) or digest[:12]
        images[digest] = Image(digest=digest, read=partial(bytes, data), name=name)
    return images[digest]
