"""A language model puts the documents of a query in order, a window at a time (RankGPT, Sun et al. 2023, arXiv 2304.09542).

    rank   1 ……………………………………………… 100
                                  ├── window ──┤      first: the last ones
                         ├── window ──┤               then `step` further up, so that what is good goes along
           ├── window ──┤                             at last the first ones

The last window always begins at rank 1, also where the depth is no whole number of steps (the released code of RankGPT then
leaves the first documents out). A window's requests depend on the windows before it, so it is a conversation, and the ledger
makes the second time free.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.core.records import Document, Query
from qrelkit.core.wire import Flow, Message, Part, Reply, Request, Settings, Text, digest_of, text
from qrelkit.text.leaving import MayLeave, leaving_document, leaving_query, refuse_nothing
from qrelkit.text.prompt import Prompt, read_prompt

WINDOW, STEP = 20, 10
DOCUMENT_CHARS = 2_000  # about the 300 words that RankGPT shows of a document
_ORDER = re.compile(r"\[\d+\](?:\s*>\s*\[\d+\])*")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The documents of a query in the model's order. `error` says why there is none (the order is then that of the first stage).

    `counts` has windows, and what was borne: numbers missing or repeated, windows unread or refused, whose order stayed.
    """

    query_id: str
    order: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


class Listwise:
    """Puts documents in order by conversation, `window` at a time, `step` apart.

    `model` is the name that requests carry; the prompt is one `for: order` (listwise@1). Of a document its first
    `max_document_chars` characters are shown; `may_leave` as in `text/leaving.py`. Raises InputError for a window below 2 and a
    step that is not from 1 to the window less one: documents could not pass from one window to the next.
    """

    def __init__(
        self,
        model: str,
        prompt: Prompt | None = None,
        *,
        window: int = WINDOW,
        step: int = STEP,
        sampling: Settings = Settings(),
        max_document_chars: int = DOCUMENT_CHARS,
        may_leave: MayLeave = None,
    ) -> None:
        if window < 2 or not 1 <= step < window:
            raise InputError(f"window {window}, step {step}: a window has 2 documents or more, a step is smaller, and at least 1")
        refuse_nothing(may_leave)
        self.model = self.name = model
        self.prompt = prompt or read_prompt("listwise", "order")
        self.window, self.step, self.sampling = window, step, sampling
        self.max_document_chars, self.may_leave = max_document_chars, may_leave

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return {
            "kind": "listwise",
            "model": self.model,
            "prompt": self.prompt.name,
            "prompt_digest": self.prompt.digest,
            "window": self.window,
            "step": self.step,
            "sampling": self.sampling.json(),
            "max_document_chars": self.max_document_chars,
            **({} if self.may_leave is None else {"may_leave": sorted(self.may_leave)}),
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, query: Query, documents: Sequence[Document]) -> Flow[Listing]:
        order = list(range(len(documents)))
        opening = text(self.prompt.render("query", query=leaving_query(query, self.may_leave)))
        blocks = [self._block(document) for document in documents]
        counts: Counter[str] = Counter()
        error = ""
        for begin, end in windows(len(documents), self.window, self.step):
            seen = order[begin:end]
            counts["windows"] += 1
            request = self._request(opening, [blocks[i] for i in seen])
            (reply,) = yield [request]
            said = read_order(reply, len(seen))
            if reply.outcome == "answered" and said.problem:
                (reply,) = yield [self._again(request, reply, len(seen), said.problem)]
                said = read_order(reply, len(seen))
            if reply.outcome == "failed":
                error = reply.error or "no reply came"
                break
            counts[reply.outcome if reply.outcome == "refused" else "unread"] += bool(said.problem)
            counts["missing"] += said.missing
            counts["repeated"] += said.repeated
            order[begin:end] = [seen[i] for i in said.order]
        found = {name: count for name, count in counts.items() if count}
        ids = [document.doc_id for document in documents]
        return Listing(query_id=query.query_id, order=tuple(ids if error else [ids[i] for i in order]), counts=found, error=error)

    @cached_property
    def _system(self) -> Message:
        return Message("system", (text(self.prompt.render("system")),))

    def _block(self, document: Document) -> Text:
        seen = leaving_document(document, self.may_leave)
        cut = self.max_document_chars if len(seen.text) > self.max_document_chars else 0
        shown = Document(doc_id=seen.doc_id, text=seen.text[: self.max_document_chars], title=seen.title, columns=seen.columns)
        return text(self.prompt.render("document", document=shown, cut=cut))

    def _request(self, opening: Text, blocks: Sequence[Text]) -> Request:
        parts: list[Part] = [opening]
        for number, block in enumerate(blocks, 1):
            parts += [text(self.prompt.render("number", number=number, count=len(blocks))), block]
        parts.append(text(self.prompt.render("ask", count=len(blocks))))
        return Request(model=self.model, messages=(self._system, Message("user", tuple(parts))), settings=self.sampling)

    def _again(self, request: Request, reply: Reply, count: int, problem: str) -> Request:
        more = Message("user", (text(self.prompt.render("again", count=count, problem=problem)),))
        messages = (*request.messages, Message("assistant", (text(reply.text),)), more)
        return Request(model=self.model, messages=messages, settings=self.sampling)

    def __repr__(self) -> str:
        return f"Listwise({self.model}, {self.prompt.name}, window {self.window}, step {self.step})"


def windows(count: int, window: int = WINDOW, step: int = STEP) -> Iterator[tuple[int, int]]:
    """Begin and end of each window, from the bottom up; the last one begins at 0. None for fewer than two documents."""
    end = count
    while count > 1:
        begin = max(0, end - window)
        yield begin, end
        if begin == 0:
            return
        end -= step


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A window's order as places from 0: what the reply left out stands last, in the order before. `problem` says why there is
    none (the order is then the one before)."""

    order: tuple[int, ...]
    missing: int = 0
    repeated: int = 0
    problem: str = ""


def read_order(reply: Reply, count: int) -> Order:
    """The order in a reply about `count` documents: its last line that is not empty, `[3] > [1] > …` and nothing else there.

    A number that stands there twice counts where it stands first. A number that no document has makes the whole unreadable, and
    so does a reply that was cut: nothing tells what else is wrong with it.
    """
    lines = [line.strip() for line in reply.text.splitlines() if line.strip()]
    before = tuple(range(count))
    if reply.outcome != "answered":
        return Order(order=before, problem=reply.outcome)
    if not lines or not _ORDER.fullmatch(lines[-1]):
        return Order(order=before, problem=f"its last line is no order: {lines[-1][:80]!r}" if lines else "it is empty")
    numbers = [int(number) - 1 for number in _NUMBER.findall(lines[-1])]
    if strange := [number + 1 for number in numbers if not 0 <= number < count]:
        return Order(order=before, problem=f"[{strange[0]}] is none of the {count} documents")
    once = tuple(dict.fromkeys(numbers))
    left = tuple(i for i in before if i not in once)
    return Order(order=once + left, missing=len(left), repeated=len(numbers) - len(once))
