"""Problems as requests: every layout and mode by hand, options, and what replies become. No model is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.smmile.small_benchmark import pixel, problem, three
from qrelkit.bench.smmile.flows import Asking, status_of, wrong_images
from qrelkit.bench.smmile.layouts import LAYOUTS, layout_of
from qrelkit.bench.smmile.problems import Problem, Problems
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.wire import Reply, Request, Text


def asked(made: Problem, **how: Any) -> Request:
    (request,) = next(Asking(model="m", **how).flow(made))
    return request


def shape(request: Request) -> list[str]:
    """Each message as its role and its parts: texts as they are, pictures as #."""
    return [f"{m.role}: {' '.join(p.text if isinstance(p, Text) else '#' for p in m.parts)}" for m in request.messages]


def row(made: Problem, reply: Reply, **how: Any) -> dict[str, Any]:
    flow = Asking(model="m", **how).flow(made)
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send([reply])
    value: dict[str, Any] = end.value.value
    return value


A = three().problems[0]  # "a 0?" no, "a 1?" yes, "a 2?" yes


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("qwen", ["user: # a 0?", "assistant: no", "user: # a 1?", "assistant: yes", "user: # a 2?"]),
        ("llama", ["user: # a 0?", "assistant: no\n", "user: # a 1?", "assistant: yes\n", "user: # a 2?"]),
        ("claude", ["user: a 0? #", "assistant: no", "user: a 1? #", "assistant: yes", "user: a 2? #"]),
        ("gpt-4o", ["user: a 0? #", "system: no", "user: a 1? #", "system: yes", "user: a 2? #"]),
        (
            "medvlm",
            ["user: # Example 1:\nQuestion: a 0?\nAnswer: no\n\nExample 2:\nQuestion: a 1?\nAnswer: yes\n\na 2?"],
        ),
    ],
)
def test_a_layout_says_who_answers_and_where_images_stand(layout: str, expected: list[str]) -> None:
    request = asked(A, layout=LAYOUTS[layout])
    told = shape(request)
    assert told[1 if LAYOUTS[layout].system else 0 :] == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("zero-shot", ["user: # a 2?"]),
        ("text-icl", ["user: a 0?", "assistant: no", "user: a 1?", "assistant: yes", "user: # a 2?"]),
        ("blind", ["user: a 0?", "assistant: no", "user: a 1?", "assistant: yes", "user: a 2?"]),
    ],
)
def test_a_mode_says_what_of_a_problem_is_shown(mode: Any, expected: list[str]) -> None:
    assert shape(asked(A, mode=mode, layout=LAYOUTS["qwen"])) == expected


def test_a_wrong_image_is_of_another_problem_the_same_for_every_run_and_recorded() -> None:
    problems = three()
    asking = Asking(model="m", mode="wrong-image").about(problems)
    (request,) = next(asking.flow(A))
    donor = asking.wrong["a"]
    assert donor.base_id != "a"
    assert donor == wrong_images(problems)["a"]
    shown = [p.image.digest for m in request.messages for p in m.parts if not isinstance(p, Text)]
    assert donor.query.image is not None
    assert shown == [pixel(0).digest, pixel(1).digest, donor.query.image.digest]
    flow = asking.flow(A)
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send([Reply(text="yes")])
    assert end.value.value["image_of"] == donor.problem_id


def test_a_single_problem_has_no_wrong_image() -> None:
    with pytest.raises(Mismatch, match="no other problem"):
        wrong_images(Problems(name="one", revision="", problems=[A]))


def test_problems_without_images_can_only_be_asked_blind() -> None:
    with pytest.raises(Mismatch, match="take mode blind"):
        Asking(model="m", mode="icl").about(three(pictured=False))
    assert Asking(model="m", mode="blind").about(three(pictured=False)).mode == "blind"


def test_options_have_letters_by_first_appearance_and_an_order_of_their_own() -> None:
    many = problem("m", [*"abcdefgh", "c"])
    shown = {seed: row(many, Reply(text=""), form="choice", seed=seed)["shown"] for seed in range(5)}
    assert {"".join(sorted(letters)) for letters in shown.values()} == {"ABCDEFGH"}
    assert len(set(shown.values())) == 5
    said = shape(asked(many, form="choice", seed=1, layout=LAYOUTS["qwen"]))
    lines = [text for text in said[-1].splitlines() if ". " in text[:3]]
    assert lines == [f"{letter}. {'abcdefgh'['ABCDEFGH'.index(letter)]}" for letter in shown[1]]
    assert all("Choose the one" not in text for text in said[:-1])  # demonstrations keep their free text


def test_a_layout_in_one_text_repeats_the_options_unshuffled() -> None:
    (told,) = shape(asked(A, form="choice", layout=LAYOUTS["medvlm"]))
    assert told.count("A) no\nB) yes") == 3


def test_a_choice_is_read_strictly_and_its_text_is_the_answer() -> None:
    good = row(A, Reply(text="<think>A or B</think> <answer>B</answer>"), form="choice")
    assert (good["letter"], good["answer"], good["gold_letter"], good["options"]) == ("B", "yes", "B", ["no", "yes"])
    assert row(A, Reply(text="B"), form="choice")["letter"] is None
    assert row(A, Reply(text="<answer>C</answer>"), form="choice")["answer"] is None


@pytest.mark.parametrize(
    ("reply", "status", "answer"),
    [
        (Reply(text=" yes\n"), "answered", "yes"),
        (Reply(text=" \n"), "empty", None),
        (Reply(text="no", outcome="refused"), "refused", None),
        (Reply(text="it is", outcome="truncated"), "truncated", None),
        (Reply(text="yes", outcome="truncated_input"), "truncated", None),
        (Reply(text="", outcome="failed", error="503 overloaded"), "api_error", None),
        (Reply(text="", outcome="failed", error="400 image exceeds 5 MB maximum: 6 > 5"), "oversize_image", None),
    ],
)
def test_a_failure_of_a_system_is_no_wrong_answer(reply: Reply, status: str, answer: str | None) -> None:
    found = row(A, reply)
    assert (found["status"], found["answer"]) == (status, answer)
    assert found["output"] == (None if status in ("api_error", "oversize_image") else reply.text)


@pytest.mark.parametrize(
    ("error", "oversize"),
    [
        ("413 Request Entity Too Large", True),
        ("400 request_too_large: Request exceeds the maximum size", True),
        ("messages.0.content.0.image.source.base64: image exceeds 5 MB maximum", True),
        ("image a.png: 20000 × 9000 pixels, more than the 80 million allowed; scale it down first", True),
        ("400 This model's maximum context length is 8192 tokens", False),
        ("400 Invalid image format", False),
        ("500 internal error 4130", False),
    ],
)
def test_an_oversize_image_is_told_from_other_errors(error: str, oversize: bool) -> None:
    status = status_of(Reply(text="", outcome="failed", error=error))
    assert status == ("oversize_image" if oversize else "api_error")


def test_a_reasoning_models_thoughts_are_no_part_of_its_answer() -> None:
    flow = Asking(model="openai:deepseek-r1").flow(A)
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send([Reply(text="<think>no?</think> yes")])
    assert (end.value.value["answer"], end.value.value["output"]) == ("yes", "<think>no?</think> yes")


def test_a_layout_can_be_a_file_and_what_is_wrong_in_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("answers: system\nsystem: Be brief.\n", encoding="utf-8")
    assert (layout_of(str(path)).name, layout_of(str(path)).answers) == ("mine", "system")
    for text, error, says in (
        ("answer: system", UnknownName, "did you mean 'answers'"),
        ("answers: nobody", UnknownName, "value of answers"),
        ("shuffled: 3", InputError, "shuffled: must be a bool"),
        ("option: '{letter}'", InputError, "must hold"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(error, match=says):
            layout_of(str(path))
    with pytest.raises(UnknownName, match="did you mean 'qwen'"):
        layout_of("qwem")
