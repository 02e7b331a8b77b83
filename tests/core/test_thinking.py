"""Thinking removal: each family's mark, and what becomes of a text that lacks it."""

from __future__ import annotations

import pytest

from qrelkit.core.errors import UnknownName
from qrelkit.core.thinking import Answer, answer_of, family_of


@pytest.mark.parametrize("family", ["r1", "qwq", "qwen3"])
def test_the_answer_is_what_stands_after_the_first_closing_tag(family: str) -> None:
    assert answer_of("<think>a fly? no</think>\n\nA moth.", family) == Answer("A moth.")
    assert answer_of("hm</think>A moth.</think>B", family) == Answer("A moth.</think>B")  # many templates open the tag themselves


def test_huatuo_marks_its_answer_with_words() -> None:
    said = "## Thinking\n\nlet me see\n\n## Final Response\n\nIt is gout."
    assert answer_of(said, "huatuo") == Answer("It is gout.")


def test_search_r1_answers_in_the_first_pair_of_tags() -> None:
    said = "<think>x</think><search>y</search><answer> gout </answer> and <answer>no</answer>"
    assert answer_of(said, "search-r1") == Answer("gout")


def test_without_its_mark_the_whole_text_is_the_answer_as_in_r2med() -> None:
    for family in ("r1", "huatuo", "search-r1"):
        assert answer_of(" plain text\n", family) == Answer(" plain text\n", "fall_backs")  # unchanged, blanks and all
    assert answer_of("<think>and so on", "r1") == Answer("<think>and so on", "truncated")
    assert answer_of("<answer>and so on", "search-r1") == Answer("<answer>and so on", "truncated")
    assert answer_of("## Thinking\n\nand so on", "huatuo").mishap == "truncated"


def test_a_text_that_broke_off_within_its_thinking_can_be_dropped() -> None:
    assert answer_of("<think>and so on", "r1", "drop") == Answer("", "truncated")
    assert answer_of("plain", "r1", "drop") == Answer("plain", "fall_backs")  # nothing was opened: nothing is missing
    assert answer_of("and so on", "r1", "drop", cut=True) == Answer("", "truncated")  # the template opened the tag


def test_nothing_left_is_empty() -> None:
    assert answer_of("<think>x</think> \n", "r1") == Answer("", "empty")
    assert answer_of("  ", "none") == Answer("", "empty")


def test_other_models_think_in_silence_and_thinking_aloud_is_counted() -> None:
    assert answer_of("I think it is gout.", "none") == Answer("I think it is gout.")
    for said in ("<think>x</think>y", "x</think>y", "## Thinking\n\nx", "<answer>y</answer>"):
        assert answer_of(said, "none") == Answer(said, "with_thinking")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("openai:deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "r1"),
        ("local:Qwen/QwQ-32B", "qwq"),
        ("local:Qwen/Qwen3-32B", "qwen3"),
        ("local:Qwen/Qwen3-30B-A3B-Instruct-2507", "none"),
        ("FreedomIntelligence/HuatuoGPT-o1-70B", "huatuo"),
        ("PeterJinGo/SearchR1-nq_hotpotqa_train-qwen2.5-7b-it-em-ppo", "search-r1"),
        ("openai:gpt-4o-mini", "none"),
        ("local:Qwen/Qwen2.5-7B-Instruct", "none"),
        ("claude-r100", "none"),
    ],
)
def test_a_model_s_name_says_its_family(model: str, family: str) -> None:
    assert family_of(model) == family


def test_a_family_that_nobody_knows() -> None:
    with pytest.raises(UnknownName, match="'qwen3'"):
        answer_of("x", "qwen33")
