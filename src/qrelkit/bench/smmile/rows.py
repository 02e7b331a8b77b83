"""Problems from rows, one per triplet, wherever the rows came from: grouped by problem, in the order that they state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from qrelkit.bench.smmile.manifest import revised
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.core.errors import InputError
from qrelkit.core.records import Image

NAMES = {"flag_answer_format": "answer_format", "flag_image_type": "image_type", "flag_cognitive_process": "cognitive_process"}
NAMES |= {"flag_rarity": "rarity", "flag_difficulty_llms": "difficulty"}  # the published columns, under our names
OWN = ("problem_id", "order", "question", "answer", "image", "base_id", "changes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A triplet with its place; `where` is the file and line that complaints name."""

    where: str
    problem_id: str
    order: int
    triplet: Triplet
    base_id: str = ""
    changes: Mapping[str, object] = field(default_factory=dict)


def read_row(said: Mapping[str, Any], image: Image | None, where: str, ignored: Iterable[str] = ()) -> Row:
    """A row of a file; what is neither ours nor `ignored` is a tag. Raises InputError for a field that is missing or of another
    kind."""
    for name in ("problem_id", "question", "answer"):
        if not isinstance(said.get(name), str):
            raise InputError(f"{where}: `{name}` must be a text, found {said.get(name)!r}")
    order, changes = said.get("order"), said.get("changes") or {}
    if isinstance(order, bool) or not isinstance(order, int):
        raise InputError(f"{where}: `order` must be a whole number, found {order!r}; the highest one of a problem is its query")
    if not isinstance(changes, dict) or not isinstance(said.get("base_id") or "", str):
        raise InputError(f"{where}: `base_id` must be a text and `changes` an object")
    left = {name: value for name, value in said.items() if name not in OWN and name not in ignored and value is not None}
    tags = {NAMES.get(name, name): _tag(name, value, where) for name, value in left.items()}
    triplet = Triplet(question=said["question"], answer=said["answer"], image=image, tags=tags)
    base_id = said.get("base_id") or ""
    return Row(where=where, problem_id=said["problem_id"], order=order, triplet=triplet, base_id=base_id, changes=changes)


def assembled(rows: Iterable[Row], *, name: str, revision: str = "", notes: Mapping[str, object] | None = None) -> Problems:
    """The problems of rows, in order of first appearance; the triplet with the highest `order` is the query.

    A problem with a triplet without its image is left out and named under `notes["without_image"]`; where no row has an image,
    the benchmark is text only. Raises InputError where two triplets of a problem claim one place.
    """
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.problem_id, []).append(row)
    if not grouped:
        raise InputError(f"{name}: there is no problem in it")
    seen = any(row.triplet.image for own in grouped.values() for row in own)
    bare = [p for p, own in grouped.items() if seen and not all(row.triplet.image for row in own)]
    problems = [_problem(own) for problem_id, own in grouped.items() if problem_id not in set(bare)]
    notes = {**(notes or {}), **({"without_image": bare} if bare else {})}
    return revised(Problems(name=name, revision="", problems=problems, text_only=not seen, notes=notes), revision)


def _problem(rows: list[Row]) -> Problem:
    rows = sorted(rows, key=lambda row: row.order)
    for one, other in pairwise(rows):
        if one.order == other.order:
            raise InputError(f"{other.where}: problem {other.problem_id!r} has order {other.order} already at {one.where}")
    query = rows[-1]
    return Problem(
        problem_id=query.problem_id,
        demonstrations=tuple(row.triplet for row in rows[:-1]),
        query=query.triplet,
        base_id=query.base_id,
        changes=query.changes,
    )


def _tag(name: str, value: object, where: str) -> str:
    if not isinstance(value, str | int | float | bool):
        raise InputError(f"{where}: the tag `{name}` must be a text or a number, found {value!r}")
    return str(value)
