"""Problems made by hand for tests: texts that say where they stand, pictures that differ by one pixel."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import partial

from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.core.records import Image


def pixel(number: int) -> Image:
    """An image of its own for every number."""
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(out, "PNG")
    data = out.getvalue()
    return Image(digest=hashlib.sha256(data).hexdigest(), read=partial(bytes, data), name=f"{number}.png")


def problem(name: str, answers: Sequence[str], *, start: int = 0, pictured: bool = True, **tags: str) -> Problem:
    """A problem with these answers, the last one the gold; question i of it is "<name> i?"."""
    triplets = [
        Triplet(question=f"{name} {i}?", answer=answer, image=pixel(start + i) if pictured else None, tags=tags)
        for i, answer in enumerate(answers)
    ]
    return Problem(problem_id=name, demonstrations=tuple(triplets[:-1]), query=triplets[-1])


def three(pictured: bool = True) -> Problems:
    """a: no, yes → yes; b: cat, dog, cat → cat; c: one demonstration that does not help."""
    made = [
        problem("a", ["no", "yes", "yes"], start=0, pictured=pictured, speciality="x"),
        problem("b", ["cat", "dog", "cat", "cat"], start=10, pictured=pictured, speciality="x"),
        problem("c", ["left", "right"], start=20, pictured=pictured, speciality="y"),
    ]
    return Problems(name="three", revision="r1", problems=made, text_only=not pictured)
