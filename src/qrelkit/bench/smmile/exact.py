"""Exact match, as the benchmark defines it.

    flexible  lower case, without the 32 ASCII punctuation characters, runs of blanks as one, no blank at either end; then equal
    strict    equal as raw text

No article is dropped, no accent folded, no synonym known: `´` (U+00B4) is a character like any other. Zero-shot scores are near 0
by construction, since nothing tells a model the form of the answer.
"""

from __future__ import annotations

import polars as pl

COMPLETED = pl.col("status") == "answered"
SAID = pl.col("status").is_in(("answered", "truncated", "empty"))  # the model's own doing, nobody's error


def normalised(text: pl.Expr) -> pl.Expr:
    """Text as flexible exact match compares it. Source: evaluate_EM.py of eth-medical-ai-lab/smmile at ab004d2."""
    return text.str.to_lowercase().str.replace_all("[[:punct:]]", "").str.replace_all(r"\s+", " ").str.strip_chars()


def with_exact(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `exact_flexible` and `exact_strict`: false, never null, where there is no answer. Columns: answer, gold."""
    answer, gold = pl.col("answer"), pl.col("gold")
    return frame.with_columns(
        exact_flexible=(normalised(answer) == normalised(gold)).fill_null(False),
        exact_strict=(answer == gold).fill_null(False),
    )


def correct_of(frame: pl.DataFrame, how: str) -> pl.DataFrame:
    """Rows as `statistics` takes them: problem_id, base_id and `correct`, null where the model gave no answer to be right or
    wrong. `how` is a column of 0/1 or Booleans: exact_flexible, exact_strict, choice_correct, verdict.

    An answer that a judge gave no verdict on is no row: it is neither right nor wrong, nor was it missing."""
    if how == "verdict":
        frame = frame.filter(~(COMPLETED & pl.col("answer").is_not_null() & pl.col("verdict").is_null()))
    right = pl.col(how).cast(pl.Boolean).fill_null(False)
    return frame.select("problem_id", "base_id", correct=pl.when(COMPLETED).then(right))
