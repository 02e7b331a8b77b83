"""SMMILE++: the demonstrations of each problem in many orders, the query fixed last.

min(n!, 24) orders of n demonstrations: all of them, in lexicographic order, where that are at most 24 (n ≤ 4, so the first is
the original one), else 24 distinct ones drawn from the seed and the problem's id. Problems whose query has no support in its
demonstrations ("reasoning classification") are left out. From SMMILE: 86 of 111 problems, 27 × 2 + 24 × 6 + 35 × 24 = 1,038.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, permutations
from math import factorial

from qrelkit.bench.smmile.manifest import derived
from qrelkit.bench.smmile.problems import Problem, Problems

MOST = 24
EXCLUDED: Mapping[str, str] = {"cognitive_process": "reasoning classification"}
# the published SMMILE++ has one demonstration less than SMMILE here: the image of its fifth one was missing
MISSING: Mapping[str, Sequence[int]] = {"e65f6b06-1b9e-473d-b1ef-2a029432e553": (4,)}


def plusplus(
    problems: Problems,
    *,
    seed: int = 0,
    most: int = MOST,
    excluded: Mapping[str, str] = EXCLUDED,
    missing: Mapping[str, Sequence[int]] = MISSING,
) -> Problems:
    """The permuted problems, `<base>_perm_<k>` with k from 1.

    `excluded`: tag → value of the query for which a problem is left out. `missing`: problem → places (from 0) of
    demonstrations that are left out of it. Both are listed in the manifest.
    """
    out, left_out, dropped = list[Problem](), list[str](), dict[str, list[int]]()
    for problem in problems.problems:
        if any(problem.query.tags.get(tag) == value for tag, value in excluded.items()):
            left_out.append(problem.problem_id)
            continue
        gone = missing.get(problem.problem_id, ())
        kept = [i for i in range(len(problem.demonstrations)) if i not in gone]
        if len(kept) < len(problem.demonstrations):
            dropped[problem.problem_id] = sorted(gone)
        out += _permuted(problem, kept, seed, most)
    settings = {"seed": seed, "most": most, "excluded": dict(excluded), "left_out": left_out, "demonstrations_left_out": dropped}
    return derived(problems, out, name=f"{problems.name}++", rule="permutations", settings=settings)


def orders(n: int, seed: int, what: str, most: int = MOST) -> Iterator[tuple[int, ...]]:
    """Orders of 0 … n − 1: all of them, lexicographic, if at most `most`; else so many distinct ones, drawn."""
    if factorial(n) <= most:
        yield from islice(permutations(range(n)), most)
        return
    chance, seen = random.Random(f"permutations/{seed}/{what}"), set[tuple[int, ...]]()
    while len(seen) < most:
        order = tuple(chance.sample(range(n), n))
        if order not in seen:
            seen.add(order)
            yield order


def _permuted(problem: Problem, kept: Sequence[int], seed: int, most: int) -> Iterator[Problem]:
    for k, order in enumerate(orders(len(kept), seed, problem.problem_id, most), 1):
        places = [kept[i] for i in order]
        yield Problem(
            problem_id=f"{problem.problem_id}_perm_{k}",
            demonstrations=tuple(problem.demonstrations[i] for i in places),
            query=problem.query,
            base_id=problem.base_id,
            changes={**problem.changes, "permutation": k, "order": places},
        )
