"""The scripted model: functions, queues, rules, and files of rules."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, RateLimited, Rejected, UnknownName
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.models.scripted import Scripted, last_user_text


def ask(model: Scripted, *said: str) -> list[Reply]:
    requests = [
        Request(model=model.name, messages=(Message("system", (text("Judge."),)), Message("user", (text(s),)))) for s in said
    ]
    return list(asyncio.run(model.replies(requests)))


def test_a_function_sees_the_request() -> None:
    model = Scripted("scripted:echo", lambda request: last_user_text(request).upper())
    assert [r.text for r in ask(model, "a dress", "a skirt")] == ["A DRESS", "A SKIRT"]
    assert [last_user_text(r) for r in model.asked] == ["a dress", "a skirt"]


def test_a_queue_is_said_once_in_order() -> None:
    model = Scripted(reply=["one", Reply(text="no", outcome="refused"), RateLimited("slowly", 2.0)])
    assert [(r.text, r.outcome) for r in ask(model, "a", "b")] == [("one", "answered"), ("no", "refused")]
    with pytest.raises(RateLimited, match="slowly"):
        ask(model, "c")
    with pytest.raises(Rejected, match="has 3 answers"):
        ask(model, "d")


def test_the_first_rule_that_fits_answers() -> None:
    model = Scripted(reply={"red (dress|skirt)": "yes", "RED": "perhaps", "gun": Rejected("never")})
    assert [r.text for r in ask(model, "a red skirt", "a red hat")] == ["yes", "perhaps"]
    with pytest.raises(Rejected, match="no rule"):
        ask(model, "a blue hat")
    with pytest.raises(Rejected, match="never"):
        ask(model, "a gun")


def test_tokens_are_estimated_and_nobody_is_paid() -> None:
    model = Scripted(reply="x" * 40)
    (reply,) = ask(model, "y" * 80)
    # two messages of 4, "Judge." 1.5 → 2, 80 / 4
    assert (reply.tokens_in, reply.tokens_out, reply.served) == (30, 10, "scripted:answers")
    assert model.cost_usd(reply) is None


YAML = """
- {when: 'red (dress|skirt)', say: {verdict: highly_relevant, reasoning: rot & groß}}
- {when: gun, say: I cannot help., outcome: refused}
- {say: nothing}
"""
JSONL = """
{"when": "red (dress|skirt)", "say": {"verdict": "highly_relevant", "reasoning": "rot & groß"}}
{"when": "gun", "say": "I cannot help.", "outcome": "refused"}
{"say": "nothing"}
"""


@pytest.mark.parametrize(("name", "content"), [("s.yaml", YAML), ("s.jsonl", JSONL)])
def test_rules_are_read_from_a_file_whose_digest_is_in_the_name(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    model = Scripted.from_file(file)
    replies = ask(model, "Red dress", "a gun", "a hat")
    assert replies[0].text == '{"reasoning":"rot & groß","verdict":"highly_relevant"}'
    assert [(r.text, r.outcome) for r in replies[1:]] == [("I cannot help.", "refused"), ("nothing", "answered")]
    assert model.name.startswith(f"scripted:{name}@")
    file.write_text(content + " \n", encoding="utf-8")
    assert Scripted.from_file(file).name != model.name


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("s.jsonl", '{"say": "a"}\n{"say": \n', r"s\.jsonl:2: not JSON"),
        ("s.jsonl", '{"say": "a"}\n{"when": "b"}\n', r"s\.jsonl:2: a rule is"),
        ("s.yaml", "- {say: a}\n- {when: '(', say: b}\n", r"s\.yaml: rule 2: '\(' is no regular expression"),
        ("s.yaml", "say: a\n", r"a list of rules"),
        ("s.yaml", "- [\n", r"not readable as YAML"),
    ],
)
def test_a_broken_file_of_rules_is_refused_with_its_place(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        Scripted.from_file(tmp_path / name)


def test_unknown_fields_and_outcomes_name_the_near_ones(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("- {wen: a, say: b}\n", encoding="utf-8")
    with pytest.raises(UnknownName, match="did you mean 'when'"):
        Scripted.from_file(tmp_path / "s.yaml")
    (tmp_path / "s.yaml").write_text("- {say: b, outcome: refuse}\n", encoding="utf-8")
    with pytest.raises(UnknownName, match="did you mean 'refused'"):
        Scripted.from_file(tmp_path / "s.yaml")
    with pytest.raises(InputError, match="no script"):
        Scripted.from_file(tmp_path / "none.yaml")
