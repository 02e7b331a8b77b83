"""The reader of pages is strict: what is not true does not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.blocks import Block, commands, fits
from docs.session import Session


def block(text: str, language: str = "console", **said: str) -> Block:
    return Block(Path(__file__), 1, language, text, said)


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        (["a  b"], "a b\n", True),
        (["a b"], "a c\n", False),
        (["a … d"], "a b c d\n", True),
        (["a", "…", "d"], "a\nb\nc\nd\n", True),
        (["a", "…"], "a\n", True),
        (["a"], "a\nb\n", False),  # more than is shown
        (["a", "b"], "a\n", False),
        (["[0.1]"], "[0.1]\njudge: 5 of 5 · 3/s · $0.0000\n", True),  # a bar on a terminal
        (["0.1"], "0x1\n", False),  # no regular expression
    ],
)
def test_shown_output_must_be_the_real_one(shown: list[str], real: str, same: bool) -> None:
    assert fits(shown, real) is same


def test_a_command_may_go_on_in_the_next_line() -> None:
    assert list(commands(block("$ qrelkit a \\\n    b\nout\n$ qrelkit c\n"))) == [
        (2, "qrelkit a b", ["out"]),
        (5, "qrelkit c", []),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        block("$ qrelkit --version\nqrelkit 0.0.0\n"),
        block("$ qrelkit show scale nothing\n"),  # ends with 1
        block("$ qrelkit --version\n", exit="4"),
        block("$ curl example.org\n"),
        block("qrelkit --version\n"),  # no $
        block("pip install x\n", "sh"),
    ],
)
def test_a_page_that_is_wrong_does_not_pass(wrong: Block, tmp_path: Path) -> None:
    with Session(tmp_path) as session, pytest.raises(AssertionError):
        session.run(wrong)


def test_what_python_prints_is_compared(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        session.run(block("print(1 + 1)\n", "python"))
        session.run(Block(Path(__file__), 3, "text", "2\n", {}, "python"))
        with pytest.raises(AssertionError):
            session.run(Block(Path(__file__), 3, "text", "3\n", {}, "python"))
