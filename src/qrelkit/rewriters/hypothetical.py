"""A model writes hypothetical documents of a query: HyDE, query2doc, LameR, or a chain of reasoning.

    method       the model is shown                                                           source
    hyde         the query                                                                    arXiv 2212.10496
    query2doc    some other queries with a real passage each, then the query                  arXiv 2303.07678
    lamer        the query, and the best documents of a first search, numbered                arXiv 2304.14233
    reasoning    the query; what it thinks before it answers is taken out                     arXiv 2505.14558

N generations are N requests, alike but for their number and, where one is given, their seed (seed, seed + 1, …).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Document, Query
from qrelkit.core.rewriting import METHODS, Rewrite
from qrelkit.core.thinking import FAMILIES, Answer, Unclosed, answer_of, family_of
from qrelkit.core.wire import Flow, Message, Reply, Request, Settings, digest_of, text
from qrelkit.rewriters.demonstrations import Demonstration, Demonstrations
from qrelkit.rewriters.tasks import task_of
from qrelkit.text.leaving import MayLeave, leaving_document, leaving_query
from qrelkit.text.prompt import Prompt

SAMPLING = Settings(temperature=0.7, max_tokens=512)
LONG = 10_240  # tokens of a model that thinks first, as in R2MED
_WORD = re.compile(r"[㐀-䶿一-鿿豈-﫿぀-ヿ]|[^\s㐀-䶿一-鿿豈-﫿぀-ヿ]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """Whose thinking is taken out (None: as the model's name says), and what becomes of a text that broke off within it."""

    family: str | None = None
    unclosed: Unclosed = "keep"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """How much of a first search LameR shows: so many documents, each cut after so many words."""

    documents: int = 10
    words: int = 512


THINKING, SHOWN = Thinking(), Shown()


def on_one_line(text: str, words: int) -> str:
    """A text on one line, cut after so many words (a Han or kana character is one): as LameR shows a document."""
    line = " ".join(text.split())
    past = next(islice(_WORD.finditer(line), words, None), None)
    return line if past is None else line[: past.start()].rstrip()


class Hypothetical:
    """Implements the `Rewriter` door with a language model; `may_leave` as in `text/leaving.py`.

    Without `sampling` it is R2MED's temperature .7, and HyDE's 512 tokens, or 10,240 for a model that thinks first. Raises
    UnknownName for a method or family, InputError where the method lacks what it shows.
    """

    def __init__(
        self,
        method: str,
        model: str,
        prompt: Prompt,
        *,
        generations: int = 1,
        sampling: Settings | None = None,
        thinking: Thinking = THINKING,
        task: str = "",
        demonstrations: Demonstrations | None = None,
        shown: Shown = SHOWN,
        may_leave: MayLeave = None,
    ) -> None:
        _refuse(method, generations, demonstrations, may_leave)
        self.method, self.model, self.prompt, self.generations = method, model, prompt, generations
        self.family = family_of(model) if thinking.family is None else thinking.family
        if self.family not in FAMILIES:
            raise UnknownName("family of reasoning models", self.family, FAMILIES)
        self.sampling = sampling or replace(SAMPLING, max_tokens=SAMPLING.max_tokens if self.family == "none" else LONG)
        self.unclosed, self.shown, self.may_leave = thinking.unclosed, shown, may_leave
        self.demonstrations = demonstrations if method == "query2doc" else None
        self.task = task_of(task or str(prompt.meta.get("task", "passage")))
        self.name = f"{method}:{model}"

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Everything that a rewrite depends on besides the query and its documents."""
        own: dict[str, Any] = {}
        if self.method == "lamer":
            own |= {"documents": self.shown.documents, "words": self.shown.words}
        if self.demonstrations is not None:
            own["demonstrations"] = self.demonstrations.digest
        if self.may_leave is not None:
            own["may_leave"] = sorted(self.may_leave)
        return own | {
            "kind": "rewrite",
            "method": self.method,
            "model": self.model,
            "prompt": self.prompt.name,
            "prompt_digest": self.prompt.digest,
            "task": self.task,
            "generations": self.generations,
            "sampling": self.sampling.json(),
            "thinking": self.family,
            "unclosed": self.unclosed,
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, query: Query, documents: Sequence[Document] = ()) -> Flow[Rewrite]:
        """One round of all generations. A query that what its method shows is lacking for is not asked."""
        examples = self.demonstrations.of(query) if self.demonstrations is not None else []
        shown = (
            [self._passage(document) for document in islice(documents, self.shown.documents)] if self.method == "lamer" else []
        )
        if self.method == "lamer" and not any(shown):
            return self._rewrite(query, [], {"without_documents": 1})
        if self.demonstrations is not None and not examples:
            return self._rewrite(query, [], {"without_examples": 1})
        replies = yield self._requests(query, examples, shown)
        return self._read(query, replies)

    def _requests(self, query: Query, examples: Sequence[Demonstration], documents: Sequence[str]) -> list[Request]:
        words = {"query": leaving_query(query, self.may_leave), "task": self.task, "examples": examples, "documents": documents}
        system, ask = (text(self.prompt.render(block, **words)) for block in ("system", "ask"))
        said = (Message("system", (system,)), Message("user", (ask,)))
        return [
            Request(model=self.model, messages=said, settings=_seeded(self.sampling, sample), sample=sample)
            for sample in range(self.generations)
        ]

    def _passage(self, document: Document) -> str:
        return on_one_line(leaving_document(document, self.may_leave).text, self.shown.words)

    def _read(self, query: Query, replies: Sequence[Reply]) -> Rewrite:
        counts = Counter[str]()
        answers, raw = [], []
        for reply in replies:
            if reply.outcome not in ("answered", "truncated"):
                counts[reply.outcome] += 1
                continue
            answer = self._answer(reply)
            counts[answer.mishap or ("truncated" if reply.outcome == "truncated" else "")] += 1
            answers.append(answer.text)
            raw.append(reply.text)
        return self._rewrite(query, answers, {name: n for name, n in sorted(counts.items()) if name}, raw)

    def _answer(self, reply: Reply) -> Answer:
        """A server that counts thinking it did not show has taken it out itself."""
        mark = FAMILIES[self.family]
        hidden = bool(reply.tokens_reasoning) and mark is not None and mark.opens not in reply.text
        cut = reply.outcome == "truncated"
        found = answer_of(reply.text, self.family, self.unclosed, cut=cut)
        return answer_of(reply.text) if hidden and found.mishap in ("fall_backs", "truncated") else found

    def _rewrite(self, query: Query, answers: Sequence[str], counts: Mapping[str, int], raw: Sequence[str] = ()) -> Rewrite:
        return Rewrite(
            query_id=query.query_id,
            texts=tuple(answer for answer in answers if answer),
            raw=tuple(raw),
            query=query.text,
            method=self.method,
            model=self.model,
            counts=counts,
        )


def _seeded(sampling: Settings, sample: int) -> Settings:
    """A seed of its own for each generation: with one seed they would all be the same text."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + sample)


def _refuse(method: str, generations: int, demonstrations: Demonstrations | None, may_leave: MayLeave) -> None:
    if method not in METHODS:
        raise UnknownName("method of rewriting", method, METHODS)
    if generations < 1:
        raise InputError(f"generations must be at least 1, not {generations}")
    if method == "query2doc" and demonstrations is None:
        raise InputError("query2doc shows queries with a passage each, and there are none; give it demonstrations")
    if method == "lamer" and may_leave is not None and not {"title", "text"} & {*may_leave}:
        raise InputError(f"lamer shows documents, and they may not leave (may_leave: {', '.join(may_leave) or 'nothing'})")
