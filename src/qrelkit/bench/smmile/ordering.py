"""Order: which demonstration stands first or last, nothing else changed.

    similar-first, similar-last      sorted by likeness to the query, the likest first or last; all problems
    match-first, match-last          one that has the query's answer is moved to that end
    mismatch-first, mismatch-last    one that has another answer is

The last four are about problems that have demonstrations of both kinds (69 of SMMILE's), compared as raw text. The one that
is moved is the first of its kind when it goes to the front and the last when it goes to the back, so what is right already
stays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qrelkit.bench.smmile.manifest import derived
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.core.errors import Mismatch, UnknownName
from qrelkit.core.records import Image

Rule = Literal["similar-first", "similar-last", "match-first", "match-last", "mismatch-first", "mismatch-last"]
RULES: tuple[Rule, ...] = get_args(Rule)
By = Literal["text", "image"]
BYS: tuple[By, ...] = get_args(By)
SIDE_PX = 16
_WORD = re.compile(r"\w+")


def order(problems: Problems, rule: Rule, *, by: By = "text") -> Problems:
    """The problems in the order of a rule, under their own ids; those that it is not about are left out and counted.

    Likeness `by` text is the cosine of the sets of words of the query's question and of the demonstration's question and
    answer; the query's own answer is not looked at. By image it is the correlation of two greyscale thumbnails of 16 × 16.
    """
    for kind, name, known in (("order of demonstrations", rule, RULES), ("likeness", by, BYS)):
        if name not in known:
            raise UnknownName(kind, name, known)
    kind, _, end = rule.partition("-")
    if kind == "similar":
        if by == "image" and problems.text_only:
            raise Mismatch(f"{problems.name}: there are no images to order by; take by='text'")
        made = [_placed(p, _by_likeness(p, by, end == "first"), rule) for p in problems.problems]
    else:
        both = [p for p in problems.problems if p.has_both]
        made = [_placed(p, _moved(p, kind == "match", end == "first"), rule) for p in both]
    settings = {"order": rule, "left_out": len(problems) - len(made), **({"by": by} if kind == "similar" else {})}
    return derived(problems, made, name=f"{problems.name}, {rule}", rule="order", settings=settings)


def _moved(problem: Problem, match: bool, first: bool) -> list[int]:
    """The places of the demonstrations, with one of the wanted kind at the wanted end."""
    places = list(range(len(problem.demonstrations)))
    fitting = [i for i in places if (problem.demonstrations[i].answer == problem.query.answer) is match]
    one = fitting[0] if first else fitting[-1]
    places.remove(one)
    return [one, *places] if first else [*places, one]


def _by_likeness(problem: Problem, by: By, first: bool) -> list[int]:
    """The places by likeness; equal ones keep their order."""
    likeness = _text_likeness if by == "text" else _image_likeness
    values = [likeness(problem.query, shown) for shown in problem.demonstrations]
    return sorted(range(len(values)), key=lambda i: -values[i] if first else values[i])


def _placed(problem: Problem, places: Sequence[int], rule: Rule) -> Problem:
    changes: Mapping[str, object] = {**problem.changes, "ordered": rule, "order": list(places)}
    return Problem(
        problem_id=problem.problem_id,
        demonstrations=tuple(problem.demonstrations[i] for i in places),
        query=problem.query,
        base_id=problem.base_id,
        changes=changes,
    )


def _text_likeness(query: Triplet, shown: Triplet) -> float:
    one, other = _words(query.question), _words(f"{shown.question} {shown.answer}")
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _image_likeness(query: Triplet, shown: Triplet) -> float:
    assert query.image is not None
    assert shown.image is not None
    return float(_thumbnail(query.image) @ _thumbnail(shown.image))


@lru_cache(maxsize=4096)
def _thumbnail(image: Image) -> NDArray[np.float64]:
    """256 grey values, centred, of length 1 (0 for a picture of one tone). Equal images (by digest) are computed once."""
    from PIL.Image import Resampling

    from qrelkit.images.read import decode, opened

    raster = opened(image.read(), image.name)
    decode(raster, image.name)
    grey = np.asarray(raster.convert("L").resize((SIDE_PX, SIDE_PX), Resampling.BOX), dtype=np.float64).ravel()
    grey -= grey.mean()
    return grey / (float(np.linalg.norm(grey)) or 1.0)
