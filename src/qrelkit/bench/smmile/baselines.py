"""Systems that look at no image: what in-context scores must beat.

    majority   the most frequent answer of the demonstrations, the first seen of equally frequent ones
    random     open: one demonstration's answer at random; choice: one of the options at random

Their published files regenerate row by row, but for the open random one, whose state of chance is not known. `expected` needs no
chance at all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Literal

import numpy as np
import polars as pl

from qrelkit.bench.smmile.answers import SCHEMA, Answers, Form
from qrelkit.bench.smmile.choice import SEED, Choice, choice_of
from qrelkit.bench.smmile.exact import normalised
from qrelkit.bench.smmile.problems import Problem, Problems
from qrelkit.core.errors import UnknownName

Baseline = Literal["majority", "random"]
BASELINES: tuple[Baseline, ...] = ("majority", "random")


def baseline(problems: Problems, which: Baseline, form: Form = "open", *, seed: int = SEED) -> Answers:
    """What a baseline answers, as the rows of a model of its name, mode "icl".

    Options are shuffled and letters drawn as the published run did it: Python's stream for the order, NumPy's legacy one for the
    letter, both from `seed`, problems in their order. A problem without demonstrations has no answer (status empty).
    """
    if which not in BASELINES:
        raise UnknownName("baseline", which, BASELINES)
    rng, draw = random.Random(seed), np.random.RandomState(seed)
    say = _in_letters(which, draw) if form == "choice" else _in_words(which, draw)
    rows = []
    for problem in problems.problems:
        choice = choice_of(problem, rng) if form == "choice" else None
        letter, answer = say(problem, choice)
        rows.append(
            {
                "problem_id": problem.problem_id,
                "base_id": problem.base_id,
                "digest": problem.text_digest if problems.text_only else problem.digest,
                "question": problem.query.question,
                "gold": problem.query.answer,
                "answer": answer,
                "output": answer,
                "status": "empty" if answer is None else "answered",
                "letter": letter,
                "gold_letter": choice.gold_letter if choice else None,
                "options": list(choice.options) if choice else None,
                "shown": choice.shown if choice else None,
            }
        )
    same = {"dataset": problems.name, "revision": problems.revision, "model": which, "mode": "icl", "form": form}
    source = pl.lit(f"{which}, seed {seed}")
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        source=source, **{name: pl.lit(value) for name, value in same.items()}
    )
    return Answers(frame=frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()))  # type: ignore[arg-type]


def expected(problems: Problems, form: Form = "open") -> float:
    """The exact expected accuracy of `random`, between 0 and 1.

    open: the mean share of demonstrations whose answer is the gold one under flexible exact match; choice: the mean of 1 /
    number of options.
    """
    if form == "choice":
        return float(np.mean([1 / len(choice_of(problem).options) for problem in problems.problems]))
    rows = [(i, t.answer, p.query.answer) for i, p in enumerate(problems.problems) for t in p.demonstrations]
    table = pl.DataFrame(rows, schema={"problem": pl.Int64, "answer": pl.String, "gold": pl.String}, orient="row")
    hits = table.group_by("problem").agg(share=(normalised(pl.col("answer")) == normalised(pl.col("gold"))).mean())
    return float(hits["share"].sum()) / len(problems)


def majority_answer(problem: Problem) -> str | None:
    """The most frequent answer of the demonstrations as raw text, the first seen of equals; None where there is none."""
    counts = Counter(t.answer for t in problem.demonstrations)
    return max(counts, key=counts.__getitem__) if counts else None


Saying = Callable[[Problem, Choice | None], tuple[str | None, str | None]]


def _in_words(which: Baseline, draw: np.random.RandomState) -> Saying:
    def say(problem: Problem, choice: Choice | None) -> tuple[str | None, str | None]:
        if which == "majority" or not problem.demonstrations:
            return None, majority_answer(problem)
        return None, problem.demonstrations[draw.randint(len(problem.demonstrations))].answer

    return say


def _in_letters(which: Baseline, draw: np.random.RandomState) -> Saying:
    def say(problem: Problem, choice: Choice | None) -> tuple[str | None, str | None]:
        assert choice is not None
        if which == "random":
            letter = str(draw.choice(list(choice.shown)))
            return letter, choice.text_of(letter)
        answer = majority_answer(problem)
        return (None, None) if answer is None else (chr(ord("A") + choice.options.index(answer)), answer)

    return say
