"""A benchmark in a folder: `problems.jsonl`, one triplet a line, and the images that the lines name.

    {"problem_id": "p1", "order": 1, "question": "Which colour?", "answer": "red", "image": "images/a.png"}
    {"problem_id": "p1", "order": 2, "question": "Which colour?", "answer": "blue", "image": "images/b.png", "speciality": "…"}

The highest `order` of a problem is its query. Every other field is a tag. `manifest.json`, where there is one, names the
benchmark and its revision; it is believed while the content has its digest. Without one the folder's name and the content's
digest stand in for them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from qrelkit.bench.smmile.manifest import manifest_of, own_revision, revised
from qrelkit.bench.smmile.problems import Problems, Triplet
from qrelkit.bench.smmile.rows import Row, assembled, read_row
from qrelkit.core.errors import InputError
from qrelkit.core.files import is_there
from qrelkit.core.image_digests import UnreadableImage
from qrelkit.core.records import Image
from qrelkit.formats.jsonl import read_jsonl
from qrelkit.sources.images import URL, unusable

LINES, MANIFEST, IMAGES = "problems.jsonl", "manifest.json", "images"
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


def read_folder(folder: Path) -> Problems:
    """The problems of a folder. Raises InputError, with file and line, for what cannot be used."""
    path, images = folder / LINES, dict[str, Image]()
    if not path.is_file():
        raise InputError(f"{folder}: there is no {LINES} in it, one triplet a line")
    said = _manifest(folder)
    rows = (_row(folder, line.value, f"{path}:{line.number}", images) for line in read_jsonl(path))
    found = assembled(rows, name=said.get("name") or folder.resolve().name, notes=said.get("notes"))
    if not said or said.get("digest") == found.digest:
        return revised(found, said.get("revision", ""))
    notes = {**found.notes, "changed_since": said.get("digest")}
    return Problems(
        name=found.name, revision=own_revision(found), problems=found.problems, text_only=found.text_only, notes=notes
    )


def write_folder(problems: Problems, folder: Path) -> None:
    """Writes problems so that `read_folder` reads them; an image that many show is written once.

    The folder appears as a whole or not at all, and is left alone where it holds just this. Raises InputError where it holds
    anything else.
    """
    manifest = orjson.dumps(manifest_of(problems), option=orjson.OPT_INDENT_2) + b"\n"
    if is_there(folder, MANIFEST, manifest, "this benchmark"):
        return
    part = folder.parent / f".{folder.name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / IMAGES).mkdir(parents=True)
        written: dict[str, str] = {}
        (part / LINES).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in _lines(problems, part, written)))
        (part / MANIFEST).write_bytes(manifest)
        os.replace(part, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _lines(problems: Problems, folder: Path, written: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    for problem in problems.problems:
        last = len(problem.triplets)
        for order, triplet in enumerate(problem.triplets, 1):
            line = {"problem_id": problem.problem_id, "order": order, "question": triplet.question, "answer": triplet.answer}
            line |= {"image": _kept(triplet, folder, written)} if triplet.image else {}
            line |= {"base_id": problem.base_id} if problem.base_id != problem.problem_id else {}
            yield line | ({"changes": dict(problem.changes)} if order == last and problem.changes else {}) | dict(triplet.tags)


def _kept(triplet: Triplet, folder: Path, written: dict[str, str]) -> str:
    """The path of an image, which is written when it is first met."""
    assert triplet.image is not None
    digest = triplet.image.digest
    if digest not in written:
        data = triplet.image.read()
        written[digest] = f"{IMAGES}/{digest[:16]}.{_suffix(data, triplet.image.name or digest[:12])}"
        (folder / written[digest]).write_bytes(data)
    return written[digest]


def _suffix(data: bytes, name: str) -> str:
    from qrelkit.images.read import opened

    form = opened(data, name).format or "img"
    return SUFFIXES.get(form, form.lower())


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        said: Any = orjson.loads(path.read_bytes())
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise InputError(f"{path}: is no JSON object; `bench smmile make` writes it, or remove it")
    return said


def _row(folder: Path, said: Mapping[str, Any], where: str, images: dict[str, Image]) -> Row:
    named = said.get("image")
    if named is None or named == "":
        return read_row(said, None, where)
    if not isinstance(named, str):
        raise InputError(f"{where}: `image` must be a path beside {LINES}, found {named!r}")
    if named not in images:
        images[named] = _image(folder, named, where)
    return read_row(said, images[named], where)


def _image(folder: Path, named: str, where: str) -> Image:
    """A file of the folder as an image: it is read once here, for its digest, and again when it is shown."""
    if URL.match(named):
        raise InputError(f"{where}: image {named!r} is an address; only files of the folder are opened: save it there")
    path = (folder / named).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"{where}: image {named!r} leads out of the folder")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{where}: image {named!r} cannot be read ({error.strerror})") from None
    if reason := unusable(data):
        raise InputError(f"{where}: image {named!r}: {reason}")
    digest = hashlib.sha256(data).hexdigest()
    return Image(digest=digest, read=partial(_again, path, digest), name=named)


def _again(path: Path, digest: str) -> bytes:
    """The bytes of a file that must still be those that were digested."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{path}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnreadableImage(f"{path}: has changed while it was in use; start again")
    return data
