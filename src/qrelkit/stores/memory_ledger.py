"""The ledger of the store in memory: replies, who is asking what, batches, and what is erased of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import polars as pl

from qrelkit.core.doors import BatchRow, Keep
from qrelkit.core.errors import StoreError
from qrelkit.core.wire import Part, Picture, Reply, Request, Schema, Text, picture, text
from qrelkit.stores import frames, living
from qrelkit.stores.claims import FAILED_S
from qrelkit.stores.parts import NOT_KEPT
from qrelkit.stores.reach import reach

NOTHING = {"type": NOT_KEPT}


@dataclass(slots=True)
class Asked:
    """A request that was answered; `request` is None where it was not kept, `reply` where it was erased."""

    envelope: bytes
    request: Request | None
    reply: Reply | None
    session: int


@dataclass(slots=True)
class Session:
    """One drive; `claims` are its requests on their way, `failed` when an attempt of one failed last, `given` what it was told
    that was known."""

    number: int
    beat: float
    claims: dict[str, float]
    failed: dict[str, float]
    ended: bool = False
    given: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Waiting:
    """A batch and its requests."""

    row: BatchRow
    requests: dict[str, Request | None]
    answered: set[str]


class MemoryLedger:
    """Replies by request digest; the first reply to a request is the one that counts."""

    def __init__(self, keep: Keep, now: Callable[[], float]) -> None:
        self._keep, self._now = keep, now
        self._asked: dict[str, Asked] = {}
        self._costs: list[tuple[float, float]] = []  # when, how much
        self._finished = Session(-1, 0.0, {}, {})  # the session that ended last
        self._sessions: list[Session] = []
        self._attempts: list[tuple[str, int, int, float, str]] = []
        self._batches: dict[str, Waiting] = {}
        self._lock = threading.RLock()  # two drives may be at work in two threads

    def __len__(self) -> int:
        return len(self._asked)

    # replies

    def replies(self, digests: Iterable[str]) -> dict[str, Reply]:
        found = {d: self._asked[d].reply for d in digests if d in self._asked}
        return {digest: reply for digest, reply in found.items() if reply is not None}

    def add(self, rows: Sequence[tuple[Request, Reply]], session: int = 0) -> None:
        for request, reply in rows:
            if reply.outcome != "failed":
                digest = request.digest
                self._costs.append((self._now(), reply.cost_usd or 0.0))
                if digest not in self._asked or self._asked[digest].reply is None:
                    kept = replace(reply, request=digest, known=True, error="")
                    self._asked[digest] = Asked(request.envelope(), None if self._keep == "replies" else request, kept, session)

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        if digest not in self._asked:
            return None
        request, reply = self._asked[digest].request, self._asked[digest].reply
        if reply is None:
            raise StoreError(f"memory: {digest} was answered and paid, and what was said was not kept (store.keep, or forget)")
        envelope = orjson.loads(self._asked[digest].envelope)
        shown = {part.digest: _shown(part) for part in _parts(request)} if request else {}
        messages = [{"role": r, "parts": [shown.get(d, NOTHING) for d in digests]} for r, digests in envelope["messages"]]
        schema = envelope["schema"] and shown.get(envelope["schema"], NOTHING)
        return envelope | {"messages": messages, "schema": schema}, reply

    def spent_usd(self, since: float | None) -> float:
        return sum(cost for when, cost in self._costs if since is None or when >= since)

    def verify(self) -> list[str]:
        wrong = []
        for digest, request in self._kept():
            for part in _parts(request):
                if (found := _made_again(part).digest) != part.digest:
                    wrong.append(f"part {part.digest}: its content has the digest {found}")
            if request.digest != digest:
                wrong.append(f"request {digest}: its envelope has the digest {request.digest}")
        return wrong

    def _kept(self) -> Iterator[tuple[str, Request]]:
        """Every request whose content is there, answered or waiting in a batch."""
        for digest, asked in self._asked.items():
            if asked.request is not None:
                yield digest, asked.request
        for batch in self._batches.values():
            yield from ((digest, request) for digest, request in batch.requests.items() if request is not None)

    # sessions

    def open(self) -> int:
        self._sessions.append(Session(len(self._sessions) + 1, self._now(), {}, {}))
        return len(self._sessions)

    def exchange(
        self,
        session: int,
        asking: Sequence[str],
        answered: Sequence[tuple[Request, Reply]],
        failed: Sequence[tuple[str, float, str]],
    ) -> dict[str, Reply | float]:
        with self._lock:
            return self._exchange(self._sessions[session - 1], asking, answered, failed)

    def _exchange(
        self,
        own: Session,
        asking: Sequence[str],
        answered: Sequence[tuple[Request, Reply]],
        failed: Sequence[tuple[str, float, str]],
    ) -> dict[str, Reply | float]:
        now = own.beat = self._now()
        self.add(answered, own.number)
        for request, _ in answered:
            own.claims.pop(request.digest, None)
            own.failed.pop(request.digest, None)
        for digest, seconds, error in failed:
            self._attempts.append((digest, own.number, int((now - seconds) * 1000), seconds, error or "failed"))
            if digest in own.claims:
                own.failed[digest] = now
        found: dict[str, Reply | float] = dict(self.replies(asking))
        own.given |= found.keys()
        for digest in asking:
            if digest not in found:
                until = self._held(digest, own, now)
                if until is None:
                    own.claims.setdefault(digest, now)
                else:
                    found[digest] = until
        return found

    def _held(self, digest: str, own: Session, now: float) -> float | None:
        """Until when a digest is held by another living session, or a batch."""
        for batch in self._batches.values():
            until = batch.row.created + living.BATCH_S
            if digest in batch.requests and not batch.row.ended and until > now:
                return until
        for other in self._sessions:
            if other is not own and not other.ended and digest in other.claims:
                until = min(other.beat + living.BEAT_S, other.failed.get(digest, now) + FAILED_S)
                if until > now:
                    return until
        return None

    def end(self, session: int) -> None:
        own = self._sessions[session - 1]
        own.ended = True
        own.claims.clear()
        self._finished = own

    def unanswered(self) -> pl.DataFrame:
        now, host = self._now(), living.host().partition(" ")[0]
        dead = [s for s in self._sessions if not s.ended and s.beat + living.BEAT_S <= now]
        rows = [(digest, s.number, host, os.getpid(), int(sent * 1000)) for s in dead for digest, sent in s.claims.items()]
        return frames.dated(rows, frames.UNANSWERED, "sent")

    def attempts(self) -> pl.DataFrame:
        return frames.dated(self._attempts, frames.ATTEMPTS, "sent")

    # batches

    def add_batch(self, tag: str, requests: Sequence[Request]) -> None:
        if not requests or tag in self._batches:
            raise StoreError(f"memory: a batch {tag!r} is there already" if requests else "memory: a batch needs requests")
        by_digest: dict[str, Request | None] = {request.digest: request for request in requests}
        row = BatchRow(
            tag=tag, model=requests[0].model, ticket="", requests=len(by_digest), answered=0, ended=False, created=self._now()
        )
        self._batches[tag] = Waiting(row, by_digest, set())
        for session in self._sessions:
            session.claims = {digest: sent for digest, sent in session.claims.items() if digest not in by_digest}

    def batch(self, tag: str) -> Waiting:
        if tag not in self._batches:
            raise StoreError(f"memory: there is no batch {tag!r}")
        return self._batches[tag]

    def batches(self) -> list[BatchRow]:
        return [batch.row for batch in self._batches.values()]

    def add_batch_replies(self, tag: str, replies: Mapping[str, Reply]) -> None:
        batch, now = self.batch(tag), self._now()
        for digest, reply in replies.items():
            if digest not in batch.requests or digest in batch.answered:
                continue
            request = batch.requests[digest]
            if reply.outcome == "failed":
                seconds = now - batch.row.created
                self._attempts.append((digest, 0, int(batch.row.created * 1000), seconds, reply.error or "failed"))
                continue
            batch.answered.add(digest)
            if request is not None:
                self.add([(request, reply)])
            else:
                self._costs.append((now, reply.cost_usd or 0.0))
        batch.row = replace(batch.row, answered=len(batch.answered))

    def end_batch(self, tag: str) -> None:
        batch = self.batch(tag)
        batch.row = replace(batch.row, ended=True)
        batch.requests = dict.fromkeys(batch.requests)

    # keeping less

    def settle(self, judged: set[str]) -> None:
        """Removes the replies that judgments name, and those that the session had which ended last; none of sessions at work."""
        now = self._now()
        busy = {s.number for s in self._sessions if not s.ended and s.beat + living.BEAT_S > now}
        last = self._finished
        for digest, asked in self._asked.items():
            done = asked.session == last.number or digest in last.given or digest in judged
            if done and asked.session not in busy:
                asked.request = asked.reply = None

    def forget(
        self, own: set[str], others: set[str], images: Sequence[str], texts: Sequence[str]
    ) -> tuple[dict[str, int], set[str]]:
        """Erases the parts that hold one of the texts or pictures, and what was asked with them (see stores/reach.py); returns
        how many, and the digests of what was asked."""
        said = [t for t in texts if t.strip()]
        every = {part.digest: part for _, request in self._kept() for part in _parts(request)}
        holding = [d for d, part in every.items() if _holds(part, said, set(images))]
        gone, asked = reach(holding, lambda: [(d, [p.digest for p in _parts(r)]) for d, r in self._kept()], own, others)
        there = [self._asked[digest] for digest in asked if digest in self._asked and self._asked[digest].reply is not None]
        for answer in there:
            answer.request = answer.reply = None
        for batch in self._batches.values():
            batch.requests |= dict.fromkeys(asked & batch.requests.keys())
        self._attempts = [(*row[:4], "erased") if row[0] in asked else row for row in self._attempts]
        return {"parts": len(gone & every.keys()), "replies": len(there)}, asked


def _parts(request: Request) -> list[Part | Schema]:
    parts: list[Part | Schema] = [part for message in request.messages for part in message.parts]
    return [*parts, request.schema] if request.schema else parts


def _holds(part: Part | Schema, texts: Sequence[str], images: set[str]) -> bool:
    if isinstance(part, Text):
        return any(said in part.text for said in texts)
    return isinstance(part, Picture) and part.image.digest in images


def _shown(part: Part | Schema) -> dict[str, Any]:
    if isinstance(part, Schema):
        return {"name": part.name, "schema": part.schema}
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image", "digest": part.image.digest, "shrink": part.shrink.key}


def _made_again(part: Part | Schema) -> Part | Schema:
    """The same part with its digest computed anew."""
    if isinstance(part, Text):
        return text(part.text)
    return Schema.of(part.name, part.schema) if isinstance(part, Schema) else picture(part.image, part.shrink)
