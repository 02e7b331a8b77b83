"""Judges driven by hand: no model, no store, no event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qrelkit.core.guideline import SCALES
from qrelkit.core.records import Document, Judgment, Outcome, Pair, Query
from qrelkit.core.wire import Flow, Reply, Request, Text, text
from qrelkit.core.wire import Message as Turn

QUERY = Query(query_id="q1", text="red dress", fingerprint="fq")
Said = tuple[int | None, Outcome] | int


def pairs(count: int, sample: int = 0) -> list[Pair]:
    """q1 with d1, d2, … whose texts are `document 1`, `document 2`, …"""
    documents = [Document(doc_id=f"d{i}", text=f"document {i}", fingerprint=f"f{i}") for i in range(1, count + 1)]
    return [Pair(query=QUERY, document=d, query_key="qk", doc_key=f"k-{d.doc_id}", sample=sample) for d in documents]


def answer_each(flow: Flow[Any], say: Callable[[Request], str | Reply]) -> tuple[list[list[Request]], list[Judgment]]:
    """Plays a model that answers each request by itself; returns the rounds and what came out."""
    rounds: list[list[Request]] = []
    try:
        asked = next(flow)
        while True:
            rounds.append(list(asked))
            said = [say(request) for request in asked]
            asked = flow.send([one if isinstance(one, Reply) else Reply(text=one) for one in said])
    except StopIteration as end:
        return rounds, list(end.value)


def words(request: Request) -> str:
    return "\n".join(p.text if isinstance(p, Text) else "[picture]" for m in request.messages for p in m.parts)


class Told:
    """A judge whose verdicts are written down: doc_id → grade, or (None, outcome). It asks its model `rounds` times a pair."""

    def __init__(self, name: str, said: Mapping[str, Said], *, rounds: int = 1, cost: float | None = 0.5, **more: Any) -> None:
        self.name, self.said, self.rounds, self.cost, self.probabilities = name, said, rounds, cost, more.pop("sure", {})
        self.key = name
        self.settings = {"model": f"test:{name}", "scale": SCALES["product-3"].json(), **more}
        self.asked: list[str] = []

    def query_key(self, query_id: str, fingerprint: str, images: Sequence[str]) -> str:
        return f"{self.name}-{fingerprint}"

    def doc_key(self, doc_id: str, fingerprint: str, images: Sequence[str]) -> str:
        return f"{self.name}-{fingerprint}"

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        for number in range(self.rounds):
            asked = [f"{self.name} {pair.document.doc_id} {number}" for pair in group]
            self.asked += asked
            replies = yield [Request(model=f"test:{self.name}", messages=(Turn("user", (text(said),)),)) for said in asked]
            assert [reply.text for reply in replies] == asked  # each is sent its own
        return [self._judgment(pair) for pair in group]

    def _judgment(self, pair: Pair) -> Judgment:
        said = self.said[pair.document.doc_id]
        grade, outcome = said if isinstance(said, tuple) else (said, "graded")
        return Judgment(
            query_id=pair.query.query_id,
            doc_id=pair.document.doc_id,
            grade=grade,
            outcome=outcome,
            reason=f"{self.name} says so",
            probabilities=self.probabilities.get(pair.document.doc_id),
            request=f"r1:{self.name}",
            query_key=pair.query_key,
            doc_key=pair.doc_key,
            cost_usd=self.cost,
        )


def echo(request: Request) -> str:
    """Answers with what was asked."""
    part = request.messages[0].parts[0]
    assert isinstance(part, Text)
    return part.text
