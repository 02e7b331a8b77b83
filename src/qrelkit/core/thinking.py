"""What a reasoning model answered, without what it thought aloud before.

    family                 its answer is
    r1, qwq, qwen3         what stands after the first </think>
    huatuo                 what stands after the first "Final Response"
    search-r1              what stands in the first <answer>…</answer>
    none                   the whole text

Where the mark is missing, the whole text is the answer, as in the released code of R2MED (arXiv 2505.14558): a *fall-back*
where nothing was opened, *truncated* where something was opened and never closed. With `unclosed="drop"` a truncated text has
no answer instead. An answer of blanks alone is *empty*. Of the family none, a text that holds some family's mark of thinking is
counted *with_thinking*: it stays whole, and somebody should say whose it is. At most one of these is true of a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qrelkit.core.errors import UnknownName

Unclosed = Literal["keep", "drop"]
Mishap = Literal["", "fall_backs", "truncated", "empty", "with_thinking"]
MISHAPS = ("fall_backs", "truncated", "empty", "with_thinking")


@dataclass(frozen=True, slots=True)
class Mark:
    """How a family marks its answer: what finds it, and what opens a text that must have one."""

    answer: re.Pattern[str]
    opens: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer in a text ("": none), and what went wrong in finding it."""

    text: str
    mishap: Mishap = ""


_THINK = Mark(re.compile(r"</think>(.*)", re.DOTALL), "<think>")
FAMILIES: Mapping[str, Mark | None] = {
    "r1": _THINK,
    "qwq": _THINK,
    "qwen3": _THINK,
    "huatuo": Mark(re.compile(r"Final Response(.*)", re.DOTALL), "## Thinking"),
    "search-r1": Mark(re.compile(r"<answer>(.*?)</answer>", re.DOTALL), "<answer>"),
    "none": None,
}
_ANY = re.compile(r"</?think>|^## (Thinking|Final Response)|<answer>", re.MULTILINE)
_NAMES = {  # what in a model's name says its family; the first that fits
    "search-r1": re.compile(r"search[-_]?r1"),
    "huatuo": re.compile(r"huatuo.*o1"),
    "qwq": re.compile(r"qwq"),
    "qwen3": re.compile(r"qwen-?3(?!\d|.*(instruct|coder|embedding|reranker))"),
    "r1": re.compile(r"(?<![a-z0-9])r1(?![a-z0-9])"),
}


def family_of(model: str) -> str:
    """The family that a model's name speaks of, "none" for all others."""
    return next((family for family, name in _NAMES.items() if name.search(model.lower())), "none")


def answer_of(text: str, family: str = "none", unclosed: Unclosed = "keep", *, cut: bool = False) -> Answer:
    """The answer of a model of this family; `cut` says that the length limit broke the text off: without its mark it is truncated
    then, whatever was opened. Raises UnknownName for a family that is not in the table."""
    if family not in FAMILIES:
        raise UnknownName("family of reasoning models", family, FAMILIES)
    mark = FAMILIES[family]
    found = mark.answer.search(text) if mark else None
    answer, mishap = (found[1].strip() if found else text), _mishap(text, mark, found is not None, cut)
    if not answer.strip():
        return Answer("", "empty")
    return Answer("", mishap) if mishap == "truncated" and unclosed == "drop" else Answer(answer, mishap)


def _mishap(text: str, mark: Mark | None, found: bool, cut: bool) -> Mishap:
    if mark is None:
        return "with_thinking" if _ANY.search(text) else ""
    if found:
        return ""
    return "truncated" if cut or mark.opens in text else "fall_backs"
