"""Exact match: what the rule says, derived by hand; the published files are counted in test_smmile_summary.py."""

from __future__ import annotations

import string

import polars as pl
import pytest

from qrelkit.bench.smmile.exact import correct_of, normalised, with_exact


def one(text: str) -> str:
    return pl.DataFrame({"text": [text]}).select(normalised(pl.col("text"))).item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pleural effusion, right ", "pleural effusion right"),
        ("  YES.\n", "yes"),
        ("a\t b\n\nc", "a b c"),
        ("X-ray", "xray"),  # the hyphen is deleted, not made a blank
        ("Sjögren´s", "sjögren´s"),  # U+00B4 is no ASCII punctuation; no folding
        ("the lung", "the lung"),  # articles stay
        ("...", ""),
    ],
)
def test_flexible_match_compares_lower_case_without_ascii_punctuation(text: str, expected: str) -> None:
    assert one(text) == expected


def test_exactly_the_32_characters_of_string_punctuation_are_deleted() -> None:
    assert one("a" + string.punctuation + "b") == "ab"
    every = "".join(map(chr, range(33, 127)))  # ASCII that can be seen
    assert one(every) == "".join(c for c in every.lower() if c not in string.punctuation)


def test_no_answer_is_wrong_and_never_null() -> None:
    frame = with_exact(pl.DataFrame({"answer": ["Yes.", "yes", None], "gold": ["Yes.", "Yes.", "Yes."]}))
    assert frame["exact_flexible"].to_list() == [True, True, False]
    assert frame["exact_strict"].to_list() == [True, False, False]


def test_what_is_no_answer_is_neither_right_nor_wrong_in_statistics() -> None:
    frame = pl.DataFrame(
        {
            "problem_id": ["a", "b", "c", "d"],
            "base_id": ["a", "b", "c", "d"],
            "status": ["answered", "api_error", "answered", "answered"],
            "answer": ["yes", None, "no", None],
            "verdict": [1, 0, None, None],
        }
    )
    found = correct_of(frame, "verdict")
    assert found.select("problem_id", "correct").rows() == [("a", True), ("b", None), ("d", False)]  # c: the judge was not heard
