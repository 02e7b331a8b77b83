"""What an examination heard, and for whom: the answers with their questions, and what a project needs of the model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qrelkit.core.doors import Model
from qrelkit.core.wire import Reply
from qrelkit.steps.examination import Question

Verdict = Literal["ok", "no", "WRONG", "unknown"]
NOT_ASKED = "not asked: the calls of this examination were used up"
_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a project asks of the model: so many `context_tokens` (by our own count) and `images` in a request, the
    probabilities of tokens, several different samples, a known price. None and 0 are nothing in particular."""

    context_tokens: int | None = None
    images: int = 0
    token_probabilities: bool = False
    samples: bool = False
    price: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A question and what came back."""

    question: Question
    reply: Reply

    @property
    def came(self) -> bool:
        return self.reply.outcome != "failed"

    @property
    def said(self) -> str:
        """The answer, without what the model thought aloud before it."""
        return unicodedata.normalize("NFC", _THOUGHT.sub("", self.reply.text).strip())

    def has(self, word: str) -> bool:
        return word.lower() in self.said.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """All that a finding may rest on: the answers by the names of their questions, and what the model says it does without."""

    model: Model
    heard: Mapping[str, Heard]
    needs: Needs
    notes: Sequence[str] = ()

    def answer(self, name: str) -> Heard | None:
        """The answer to a question where one came, and was no refusal."""
        found = self.heard.get(name)
        return found if found is not None and found.came and found.reply.outcome != "refused" else None

    def silence(self, name: str) -> str:
        """Why there is no answer."""
        found = self.heard.get(name)
        return NOT_ASKED if found is None else found.reply.error or f"it declined: {short(found.said)}"

    def refused(self, pattern: re.Pattern[str]) -> str:
        """The note on a field that the server would not have; "" where there is none."""
        return next((note for note in self.notes if pattern.search(note)), "")


def short(said: str) -> str:
    """The beginning of an answer, quoted, on one line."""
    line = " ".join(said.split())
    return repr(line if len(line) <= 60 else line[:59] + "…")


def lacks(needed: bool) -> Verdict:
    """A capability that is absent is a fault only where it is needed."""
    return "WRONG" if needed else "no"
