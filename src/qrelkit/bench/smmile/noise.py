"""Noise: demonstrations of other problems among a problem's own, right in themselves and of no help.

`random` draws from all other problems, `same` from those whose query has the same value of a tag (the speciality). Where they
stand is stated, everything is drawn from a seed and the problem's id, and each problem says what came from where.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from qrelkit.bench.smmile.manifest import derived
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.core.errors import InputError, UnknownName

Draw = Literal["random", "same"]
Where = Literal["first", "last", "random"]
Donor = tuple[str, int, Triplet]  # the base problem, the triplet's place in it, the triplet


def noise(
    problems: Problems,
    n: int = 1,
    *,
    draw: Draw = "random",
    where: Where | int = "last",
    tag: str = "speciality",
    seed: int = 0,
) -> Problems:
    """Each problem with `n` more demonstrations, under its own id.

    `where`: before all, after all, anywhere (each by itself), or so many places from the front, after all where there are fewer.
    Of a base problem's variants only the first gives. Raises InputError where a problem has fewer than `n` to draw from.
    """
    if draw not in get_args(Draw):
        raise UnknownName("draw of noise", draw, get_args(Draw))
    if isinstance(where, str) and where not in get_args(Where):
        raise UnknownName("place of noise", where, get_args(Where))
    if n < 1 or (isinstance(where, int) and where < 0):
        raise InputError(f"noise: at least one demonstration, at a place from 0 on; not {n} at {where}")
    pools = _donors(problems, tag if draw == "same" else "")
    out = [_noisy(problem, pools, n, where, tag if draw == "same" else "", seed) for problem in problems.problems]
    settings = {"n": n, "draw": draw, "where": where, "seed": seed, **({"tag": tag} if draw == "same" else {})}
    kind = f"same {tag}" if draw == "same" else "random"
    return derived(problems, out, name=f"{problems.name}, {n} {kind} {where}", rule="noise", settings=settings)


def _donors(problems: Problems, tag: str) -> Mapping[str, Sequence[Donor]]:
    """What can be drawn, by the tag's value; all under "" without a tag."""
    pools, seen = defaultdict[str, list[Donor]](list), set[str]()
    for problem in problems.problems:
        if problem.base_id not in seen:
            seen.add(problem.base_id)
            pools[_value(problem, tag)] += [(problem.base_id, i, t) for i, t in enumerate(problem.triplets)]
    return pools


def _noisy(problem: Problem, pools: Mapping[str, Sequence[Donor]], n: int, where: Where | int, tag: str, seed: int) -> Problem:
    chance = random.Random(f"noise/{seed}/{problem.problem_id}")
    pool = [donor for donor in pools[_value(problem, tag)] if donor[0] != problem.base_id]
    if len(pool) < n:
        among = f" with {tag} {_value(problem, tag)!r}" if tag else ""
        raise InputError(f"problem {problem.problem_id!r}: other problems{among} have {len(pool)} triplets, {n} are wanted")
    shown, origin = list(problem.demonstrations), list[list[object]]()
    marks: list[Donor | None] = [None] * len(shown)
    for donor in chance.sample(pool, n):
        at = {"first": 0, "last": len(shown), "random": chance.randint(0, len(shown))}[where] if isinstance(where, str) else where
        shown.insert(at, donor[2])
        marks.insert(at, donor)
    origin = [[i, donor[0], donor[1]] for i, donor in enumerate(marks) if donor]
    return Problem(
        problem_id=problem.problem_id,
        demonstrations=tuple(shown),
        query=problem.query,
        base_id=problem.base_id,
        changes={**problem.changes, "noise": origin},  # place, base problem, place there
    )


def _value(problem: Problem, tag: str) -> str:
    if not tag:
        return ""
    if tag not in problem.query.tags:
        raise InputError(f"problem {problem.problem_id!r}: has no {tag}; draw at random, or name another tag")
    return problem.query.tags[tag]
