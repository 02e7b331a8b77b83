"""A small benchmark that we draw ourselves: twelve problems about pictures of clothes, byte for byte the same everywhere.

For documentation, tests and trying a model: it measures nothing that matters. Every sixth query has an answer that no
demonstration has, and is tagged as SMMILE's are ("reasoning classification").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from qrelkit.bench.smmile.manifest import revised
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.core.records import Image
from qrelkit.sources.demo.catalogue import Product
from qrelkit.sources.demo.chance import Chance
from qrelkit.sources.demo.draw import draw
from qrelkit.sources.demo.words import BRANDS, COLOURS, KINDS, LINES, MATERIALS

PROBLEMS = 12
SIZES = (2, 3, 4, 5)  # demonstrations, in turn
PATTERNS = ("plain", "striped", "dotted", "checked")
BASICS = ("red", "blue", "green", "yellow", "black")


class Task(NamedTuple):
    """What is asked of a picture: the question, what it is about, the form of the answer, and the answer in a product."""

    question: str
    about: str
    form: str
    answer: Callable[[Product], str]


TASKS: Sequence[Task] = (
    Task("Which colour is it mainly?", "colour", "free response", lambda p: p.colour),
    Task("What is shown?", "kind", "free response", lambda p: p.kind.en),
    Task("Which pattern does it have?", "pattern", "free response", lambda p: p.pattern),
    Task("Is it striped?", "pattern", "binary(yes/no)", lambda p: "yes" if p.pattern == "striped" else "no"),
)


def drawn(seed: int = 7) -> Problems:
    """The problems of a seed."""
    problems = [_problem(number, seed) for number in range(PROBLEMS)]
    return revised(Problems(name="drawn", revision="", problems=problems, notes={"drawn": {"seed": seed, "version": 1}}))


def _problem(number: int, seed: int) -> Problem:
    name = f"d{number + 1:02d}"
    task, size = TASKS[number % len(TASKS)], SIZES[(number + number // 4) % len(SIZES)]
    unseen = number % 6 == 5
    tags = {"speciality": task.about, "image_type": "Drawing", "answer_format": task.form, "difficulty": "medium"}
    tags["cognitive_process"] = "reasoning classification" if unseen else "classification/diagnosis"
    query = _product(f"{name} query", seed)
    gold = task.answer(query)
    chance = Chance(seed, name)
    helps = chance.below(size, "helps")
    shown = [_fitting(f"{name} {i}", seed, task, gold, i == helps and not unseen, unseen) for i in range(size)]
    triplets = [Triplet(question=task.question, answer=task.answer(p), image=_image(p, seed), tags=tags) for p in [*shown, query]]
    return Problem(problem_id=name, demonstrations=tuple(triplets[:-1]), query=triplets[-1])


def _fitting(name: str, seed: int, task: Task, gold: str, same: bool, unseen: bool) -> Product:
    """The first product of a name that has the gold answer where it must, and another where it must not."""
    tries = (_product(f"{name} {attempt}", seed) for attempt in range(10_000))
    return next(p for p in tries if (task.answer(p) == gold if same else not unseen or task.answer(p) != gold))


def _product(name: str, seed: int) -> Product:
    chance = Chance(seed, name)
    colour = chance.pick(BASICS, "colour")
    return Product(
        doc_id=name.replace(" ", "-"),
        kind=chance.pick(KINDS, "kind"),
        colour=colour,
        second=chance.pick(COLOURS[colour].seconds, "second"),
        pattern=chance.pick(PATTERNS, "pattern"),
        material=MATERIALS[0],
        brand=BRANDS[0],
        line=LINES[0],
        languages=("en",),
        colour_told="not",
        pattern_told=False,
        misleading=False,
        picture="fine",
    )


def _image(product: Product, seed: int) -> Image:
    data = draw(product, seed)
    return Image(digest=hashlib.sha256(data).hexdigest(), read=partial(bytes, data), name=f"{product.doc_id}.png")
