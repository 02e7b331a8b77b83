"""Letters out of replies: hand cases for every rule, after the description of the published scripts (research/smmile.md §2.7)."""

from __future__ import annotations

import polars as pl
import pytest

from qrelkit.bench.smmile.letters import RULES, agreement, letters, rule_of, strict, tagged_letter, v1, v2, v3
from qrelkit.core.errors import UnknownName

LINES = (("C", "Normal."), ("A", "Pneumothorax, left"), ("B", "Pneumothorax, left and right"))


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("<think>A or B</think>\n<answer>B</answer>", "B"),
        ("<ANSWER> b </ANSWER>", "B"),
        ("<answer>D</answer>", None),  # no option of this problem
        ("<answer>B.</answer>", None),
        ("<answer>A, B</answer>", None),
        ("<answer>A</answer> or <answer>B</answer>", None),
        ("<answer>B", None),
        ("B", None),
        ("", None),
    ],
)
def test_the_strict_rule_wants_one_closed_tag_with_one_letter_of_an_option(text: str, letter: str | None) -> None:
    assert strict(text, LINES) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("<answer>X-ray</answer>", "X"),  # the misread that the publication has
        ("<answer>(c)</answer>", "C"),
        ("<answer>.</answer>", "."),
        ("<answer>B", "B"),
        ("<answer></answer>", None),
        ("B", None),
    ],
)
def test_a_tagged_letter_is_the_first_of_the_upper_cased_content(text: str, letter: str | None) -> None:
    assert tagged_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("user\n<answer>A</answer>\nassistant\n<answer>B</answer>", "B"),  # after the last marker
        ("B", "B"),
        ("(b) no; C. Normal", "C"),
        ("However, the answer is A (no).", "A"),
        ("I think the correct option is **C**.", "C"),
        ("I would choose B here", "B"),
        ("It is *C* I mean", "C"),
        ("I cannot say", "I"),  # the first capital that stands alone
        ("normal.", "C"),  # the text of an option
        ("surely pneumothorax, left and right", "A"),  # the first option, as shown, that is contained
        ("nothing of it", None),
        ("", None),
    ],
)
def test_the_first_rule_walks_tag_phrases_emphasis_capital_and_option_texts(text: str, letter: str | None) -> None:
    assert v1(text, LINES) == letter


def test_the_text_of_an_option_is_sought_in_the_order_shown() -> None:
    both = "pneumothorax, left and right"
    assert v1(f"so {both}", LINES) == "A"
    assert v1(f"so {both}", LINES[::-1]) == "B"
    assert v1(both, LINES) == "B"  # equality comes first


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("<answer>B</answer>", "B"),
        ("<answer>X-ray</answer>", None),
        ("The answer is B.", "B"),
        ("I cannot say", None),
        ("normal.", None),
    ],
)
def test_the_second_rule_takes_no_letter_that_merely_stands_somewhere(text: str, letter: str | None) -> None:
    assert v2(text, LINES) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [("<answer>normal</answer>", "N"), ("S or J", "J"), ("it is K", None), ("<answer> </answer> D", "D")],
)
def test_the_third_rule_takes_the_first_character_of_the_tag_or_a_letter_to_j(text: str, letter: str | None) -> None:
    assert v3(text, LINES) == letter


def test_each_published_model_has_its_rule() -> None:
    named = {
        name: rule_of(name)
        for name in ("gpt-4o", "llava_7b", "llama32_vision_90b", "llama33textonly", "medgemma_4b", "MedVLM-R1")
    }
    assert list(named.values()) == ["v1", "v1", "v2", "v1", "v2", "v3"]


def test_errors_have_no_letter_and_equal_replies_to_other_options_are_read_apart() -> None:
    frame = pl.DataFrame(
        {
            "output": ["Yes", "Yes", "ERROR B", None],
            "status": ["answered", "answered", "api_error", "answered"],
            "options": [["yes", "no"], ["no", "yes"], ["yes", "no"], ["yes", "no"]],
            "shown": ["AB", "BA", "AB", "AB"],
            "letter": ["A", "A", None, "B"],
        }
    )
    found = letters(frame, "v1")
    assert found.to_list() == ["A", "B", None, None]
    assert agreement(frame, found) == {"tagged": 0, "tagged_equal": 0, "fallback": 2, "fallback_equal": 1}


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UnknownName, match="known: strict, v1, v2, v3"):
        letters(pl.DataFrame(), "zzz")
    assert set(RULES) == {"strict", "v1", "v2", "v3"}
