"""Multiple choice made of a problem's own answers: letters, the order in which they are shown, and what is odd about them.

The options are the distinct answers of a problem, its own gold answer among them, as raw text; letters go by first appearance,
demonstrations first. So a gold answer that no demonstration has is always the last letter. Shown are the lines "L. answer" in
a shuffled order, each keeping its letter.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from qrelkit.bench.smmile.exact import SAID, normalised
from qrelkit.bench.smmile.problems import Problem, Problems
from qrelkit.core.errors import InputError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEED = 42  # the published scripts': one stream over all problems in their order


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """`options` are texts, A first; `shown` are all letters in the order in which they stand on the page."""

    options: tuple[str, ...]
    gold_letter: str
    shown: str

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Letter and text of each option, as shown."""
        return tuple((letter, self.options[LETTERS.index(letter)]) for letter in self.shown)

    def text_of(self, letter: str) -> str | None:
        """The text of an option; None for a letter that is none."""
        return self.options[LETTERS.index(letter)] if letter and letter in self.shown else None


def choice_of(problem: Problem, rng: random.Random | None = None) -> Choice:
    """A problem's options, shuffled by `rng` (None: shown in the order of their letters).

    Raises InputError for more options than there are letters.
    """
    options = tuple(dict.fromkeys(t.answer for t in problem.triplets))
    if len(options) > len(LETTERS):
        raise InputError(f"problem {problem.problem_id!r} has {len(options)} different answers, and there are 26 letters")
    shown = list(LETTERS[: len(options)])
    if rng is not None:
        rng.shuffle(shown)
    return Choice(options=options, gold_letter=LETTERS[options.index(problem.query.answer)], shown="".join(shown))


def choices(problems: Problems, seed: int | None = SEED) -> Mapping[str, Choice]:
    """The options of every problem: one stream of random numbers over the problems in their order (None: not shuffled).

    Seed 42 gives the orders that the published local models were shown.
    """
    rng = None if seed is None else random.Random(seed)
    return {problem.problem_id: choice_of(problem, rng) for problem in problems.problems}


def choice_frame(made: Mapping[str, Choice]) -> pl.DataFrame:
    """Choices as a table: problem_id, options, shown, rebuilt_gold (letter), one_option, and equal_options: two of them
    are one after normalisation, so that a right answer may have a wrong letter."""
    made_of = {
        "problem_id": pl.Series(list(made), dtype=pl.String),
        "options": pl.Series([list(c.options) for c in made.values()], dtype=pl.List(pl.String)),
        "shown": pl.Series([c.shown for c in made.values()], dtype=pl.String),
        "rebuilt_gold": pl.Series([c.gold_letter for c in made.values()], dtype=pl.String),
    }
    alike = pl.col("options").list.eval(normalised(pl.element())).list.n_unique() < pl.col("options").list.len()
    return pl.DataFrame(made_of).with_columns(one_option=pl.col("options").list.len() == 1, equal_options=alike)


def with_choices(frame: pl.DataFrame, made: Mapping[str, Choice]) -> pl.DataFrame:
    """Adds what the options of its problems say to a frame of answers, in place of its `options` and `shown`; null where a
    problem is unknown."""
    return frame.drop("options", "shown").join(choice_frame(made), on="problem_id", how="left", maintain_order="left")


def with_choice_score(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `choice_correct` (the letter is the gold letter; false without one), `extraction_failed` (something was said, and no
    letter found in it) and `not_among` (the letter is none of the options'; null where they are unknown)."""
    letter = pl.col("letter")
    return frame.with_columns(
        choice_correct=(letter == pl.col("gold_letter")).fill_null(False),
        extraction_failed=letter.is_null() & SAID,
        not_among=(~pl.col("shown").str.contains(letter, literal=True)).fill_null(False) & pl.col("shown").is_not_null(),
    )
