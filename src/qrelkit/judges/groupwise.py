"""Several documents of one query in one request: system text, query, guideline and examples are paid for once for all of them.

Cheaper, and another judge: a document is read beside others. So the groups are formed by seed over the whole pool
(`steps/judge.py`), never by rank, and every judgment keeps where its document stood: {"position": 2, "of": 5}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.core.guideline import Guideline
from qrelkit.core.image_digests import UnreadableImage
from qrelkit.core.records import Judgment, Pair
from qrelkit.core.wire import Flow, Message, Reply, Request, Schema, text
from qrelkit.judges.pointwise import Answer, Pointwise
from qrelkit.judges.read_reply import read_verdicts
from qrelkit.text.prompt import Prompt


class Groupwise(Pointwise):
    """The `Pointwise` judge with `per_request` documents in a request; its prompt is one `for: group`.

    A verdict belongs to a document by the number it was given, never by its place in the answer. Pairs without a verdict that
    can be read are asked once more in the same flow, they alone. What a shared reply cost is divided equally among its
    pairs. `sampling.max_tokens` is for one document; a request may take as many times that as it has documents. Groups are
    formed with `seed`. Raises InputError together with token probabilities: one reply has several verdicts.
    """

    def __init__(
        self, model: str, guideline: Guideline, prompt: Prompt, *, per_request: int, seed: int = 0, **options: Any
    ) -> None:
        super().__init__(model, guideline, prompt, **options)
        self.per_request, self.seed = per_request, seed
        if per_request < 1:
            raise InputError(f"per_request must be at least 1, not {per_request}")
        if self.sampling.token_probabilities:
            raise InputError("per_request and token_probabilities cannot be had together: one reply has several verdicts")
        if not prompt.has("number"):
            raise InputError(f"prompt {prompt.name} is for one document; per_request needs one `for: group`, such as group@1")

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return {**super().settings, "kind": "groupwise", "per_request": self.per_request, "seed": self.seed}

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        blind = [self._cannot_be_shown(pair) or self._unreadable(pair) for pair in group]
        answers: dict[tuple[int, int], _Placed] = {}  # by place in the group, and turn of `samples`
        asked = list(self._lots([i for i, problem in enumerate(blind) if not problem]))
        again = False
        while asked:
            replies = yield [self._shared(lot, group, again) for lot in asked]
            for lot, reply in zip(asked, replies, strict=True):
                self._hear(lot, reply, answers)
            asked = [] if again else [left for lot in asked if (left := _unread(lot, answers)).places]
            again = True
        return [
            self._unjudged(pair, problem) if problem else self._placed(pair, [answers[i, n] for n in range(self.samples)])
            for i, (pair, problem) in enumerate(zip(group, blind, strict=True))
        ]

    def _unreadable(self, pair: Pair) -> str:
        """Why a pair's document cannot be written into a request: one figure that has gone is not its neighbours' matter."""
        try:
            self._document_side(pair.document)
        except UnreadableImage as error:
            return str(error)
        return ""

    def _lots(self, places: Sequence[int]) -> Iterable[_Lot]:
        for start in range(0, len(places), self.per_request):
            for turn in range(self.samples):
                yield _Lot(tuple(places[start : start + self.per_request]), turn)

    def _shared(self, lot: _Lot, group: Sequence[Pair], again: bool) -> Request:
        pairs = [group[i] for i in lot.places]
        words = {"count": len(pairs), **self._words}
        parts = list(self._query_side(pairs[0].query))
        for number, pair in enumerate(pairs, 1):
            parts.append(text(self.prompt.render("number", number=number, **words)))
            parts.extend(self._document_side(pair.document))
        parts.append(text(self.prompt.render("again" if again else "ask", **words)))
        longest = self.sampling.max_tokens
        sampling = replace(self.sampling, max_tokens=None if longest is None else longest * len(pairs))
        sample = max(pair.sample for pair in pairs) * self.samples + lot.turn
        messages = (self._system, Message("user", tuple(parts)))
        return Request(model=self.model, messages=messages, settings=sampling, schema=self._schema, sample=sample)

    @cached_property
    def _schema(self) -> Schema:
        reasoning = self.prompt.meta.get("reasoning", "reasoning" in self.prompt.source)
        return verdicts_schema(self._words["labels"], reasoning)

    def _hear(self, lot: _Lot, reply: Reply, answers: dict[tuple[int, int], _Placed]) -> None:
        """Takes the verdicts of a reply for the pairs that it was asked about."""
        of = len(lot.places)
        for position, (i, verdict) in enumerate(zip(lot.places, read_verdicts(reply, self.guideline.scale, of), strict=True), 1):
            before = answers.get((i, lot.turn))
            paid = before.answer.cost_usd if before else None
            answers[i, lot.turn] = _Placed(Answer(reply, verdict, paid_before=paid, shared=of), position, of)

    def _placed(self, pair: Pair, placed: Sequence[_Placed]) -> Judgment:
        judgment = self._judgment(pair, [one.answer for one in placed])
        return replace(judgment, details={"position": placed[0].position, "of": placed[0].of})


@dataclass(frozen=True, slots=True)
class _Lot:
    """The pairs of one request, by their places in the group, and which of the judge's `samples` it is."""

    places: tuple[int, ...]
    turn: int


@dataclass(frozen=True, slots=True)
class _Placed:
    """An answer about one document, and where the document stood."""

    answer: Answer
    position: int
    of: int


def _unread(lot: _Lot, answers: Mapping[tuple[int, int], _Placed]) -> _Lot:
    """The part of a lot that is worth asking once more."""
    return _Lot(tuple(i for i in lot.places if answers[i, lot.turn].answer.worth_asking_again), lot.turn)


def verdicts_schema(labels: Sequence[str], reasoning: bool) -> Schema:
    """The JSON schema of an answer about several documents: the same for any number of them, so that caches hold."""
    entry: dict[str, Any] = {"number": {"type": "integer"}}
    if reasoning:
        entry["reasoning"] = {"type": "string"}
    entry["verdict"] = {"type": "string", "enum": list(labels)}
    item = {"type": "object", "properties": entry, "required": list(entry), "additionalProperties": False}
    properties = {"verdicts": {"type": "array", "items": item}}
    schema = {"type": "object", "properties": properties, "required": ["verdicts"], "additionalProperties": False}
    return Schema.of("verdicts", schema)
