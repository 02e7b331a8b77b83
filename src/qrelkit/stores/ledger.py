"""The ledger of replies in a database: what was asked, part by part, and what came back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import bindparam, case, func, select

from qrelkit.core.errors import StoreError
from qrelkit.core.wire import RECIPE, Reply, Request, digest_bytes
from qrelkit.stores.database import Database
from qrelkit.stores.digests import Digests
from qrelkit.stores.envelopes import Texts, short, split
from qrelkit.stores.packing import (
    clean,
    pack,
    probabilities_json,
    read_probabilities,
    request_blob,
    request_digest,
    to_bytes,
    to_text,
    unpack,
)
from qrelkit.stores.parts import Fresh, Parts, as_bytes, named
from qrelkit.stores.schema import GONE, replies, reply_digests

FULL_BATCH = 8  # more replies than this at once: the caller has no time for deflating (30 µs for 1.5 kB, twice the insert)
LONG_BYTES = 200
LONG_BYTES_IN_FULL_BATCH = 4096
THIS_RECIPE = request_blob(RECIPE + "0" * 32)[:1]
SUMS_AT_MOST = 8

_REPLY = (
    replies.c.digest,
    replies.c.text,
    replies.c.outcome,
    replies.c.served,
    replies.c.finish,
    replies.c.tokens_in,
    replies.c.tokens_out,
    replies.c.tokens_cached,
    replies.c.tokens_reasoning,
    replies.c.tokens_image,
    replies.c.cost_usd,
    replies.c.price,
    replies.c.batch,
    replies.c.latency_s,
    replies.c.attempts,
    replies.c.token_probabilities,
)


Answer = tuple[bytes, bytes, Reply]  # digest and envelope of a request, and its reply


@dataclass(slots=True)
class Writing:
    """What one transaction adds to the ledger; `Ledger.written` takes it in once it is committed."""

    rows: list[tuple[Any, ...]]
    texts: dict[str, int]
    fresh: Fresh = field(default_factory=dict)
    new_parts: list[bytes] = field(default_factory=list)


class Ledger:
    """Replies by request digest, append-only; the first reply to a request is the one that counts."""

    def __init__(self, database: Database, parts: Parts, now: Callable[[], float]) -> None:
        self._database, self._parts, self._now = database, parts, now
        self.digests = Digests(database, replies, reply_digests)
        self.texts = Texts(database)
        self._spent: dict[float | None, tuple[int, float]] = {}  # up to which row, how much

    def write(self, rows: Sequence[tuple[Request, Reply]], session: int | None = None) -> Writing:
        """Inserts replies and the parts of their requests, inside a transaction in which `digests` are refreshed."""
        long_bytes = LONG_BYTES if len(rows) <= FULL_BATCH else LONG_BYTES_IN_FULL_BATCH
        of_parts = self.write_parts([request for request, _ in rows], long_bytes)
        writing = self.insert([_asked(request, reply) for request, reply in rows], session, long_bytes)
        writing.fresh, writing.new_parts = of_parts.fresh, of_parts.new_parts
        return writing

    def write_parts(self, requests: Sequence[Request], long_bytes: int = LONG_BYTES) -> Writing:
        """Inserts the parts of requests, inside a transaction."""
        fresh = self._parts.fresh(requests)
        return Writing([], {}, fresh, self._parts.add(fresh, long_bytes))

    def insert(self, answers: Sequence[Answer], session: int | None, long_bytes: int = LONG_BYTES) -> Writing:
        """Inserts replies by digest and envelope of their requests, inside a transaction in which `digests` are refreshed."""
        last, created = self.digests.last, int(self._now() * 1000)
        forms = [] if self.texts.many else [split(envelope) if envelope else ("", b"") for _, envelope, _ in answers]
        number, given = self.texts.number({form for form, _ in forms} | {reply.price for _, _, reply in answers} - {""})
        rows = []
        for i, (digest, envelope, reply) in enumerate(answers):
            kept = short(number[forms[i][0]], forms[i][1]) if forms and envelope else envelope
            about = (digest, kept, number[reply.price] if reply.price else None, session)
            rows.append((last + 1 + i, *_reply_row(reply, created, long_bytes, about)))
        self._database.add(replies, rows)
        return Writing(rows, given)

    def written(self, writing: Writing) -> None:
        """What `write` did is committed."""
        self._parts.written(writing.new_parts, writing.fresh)
        self.texts.keep(writing.texts)
        self.digests.written([row[1] for row in writing.rows])

    def settle_digests(self) -> None:
        """Sees to it that not too many digests lie in memory."""
        self._parts.digests.settle()
        self.digests.settle()

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
        """The stored reply of each digest that has one, marked as known."""
        self.digests.refresh()
        return self.found([request_blob(d) for d in digests])

    def found(self, blobs: Sequence[bytes]) -> dict[str, Reply]:
        """The stored replies, as of the last refresh."""
        places = self.digests.find(blobs)
        rows = self._database.matching(_REPLY, replies.c.id, list(places.values()))
        return {request_digest(row[0]): self._reply(row) for row in rows}

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        """What was asked and what came back; None where the digest is not known. Raises StoreError where it was not kept."""
        blob = request_blob(digest)
        self.digests.refresh()
        places = list(self.digests.find([blob]).values())
        for row in self._database.matching((*_REPLY, replies.c.envelope), replies.c.id, places):
            return self._parts.rebuilt(orjson.loads(self.texts.whole(row[-1]))), self._reply(row[:-1])
        erased = self._database.text(
            "erased", lambda: select(replies.c.id).where(replies.c.digest == bindparam("digest", type_=replies.c.digest.type))
        )
        if list(self._database.rows(erased, GONE + blob)):
            raise self._database.refuse(f"{digest} was answered and paid, and what was said was not kept (store.keep, or forget)")
        return None

    def spent_usd(self, since: float | None) -> float:
        """What all stored replies cost, or those since a moment; those of unknown price count nothing."""
        seen, spent = self._spent.get(since, (0, 0.0))
        cost = replies.c.cost_usd if since is None else case((replies.c.created >= since * 1000, replies.c.cost_usd))
        newer = select(func.max(replies.c.id), func.sum(cost)).where(replies.c.id > seen)  # every row is looked at once
        with self._database.reading() as connection:
            last, paid = connection.execute(newer).one()
        if last is not None:
            if len(self._spent) >= SUMS_AT_MOST:
                self._spent.clear()
            self._spent[since] = (last, spent + (paid or 0.0))
        return self._spent.get(since, (0, 0.0))[1]

    def verify(self, there: set[str], last: int) -> Iterator[str]:
        """Every request up to row `last` whose envelope does not give its digest, and every part that is not `there`."""
        for number, blob, envelope in self._database.all(replies.c.id, replies.c.digest, replies.c.envelope):
            if number <= last and not blob.startswith(GONE):
                yield from verified(f"(row {number})", blob, self._whole(envelope), there)

    def _whole(self, envelope: bytes | str) -> bytes:
        try:
            return self.texts.whole(envelope)
        except StoreError:
            return as_bytes(envelope)  # its digest will not be right either

    def _reply(self, row: Sequence[Any]) -> Reply:
        """A reply from the columns _REPLY."""
        digest, text, outcome, served, finish, tokens_in, tokens_out, tokens_cached, reasoning, image = row[:10]
        cost_usd, price, batch, latency_s, attempts, tokens = row[10:]
        return Reply(
            text=to_text(unpack(text)),
            outcome=outcome,
            served=served,
            finish=finish,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            tokens_cached=tokens_cached,
            tokens_reasoning=reasoning,
            tokens_image=image,
            cost_usd=cost_usd,
            price="" if price is None else self.texts.text(price),
            batch=bool(batch),
            latency_s=latency_s,
            attempts=attempts,
            token_probabilities=None if tokens is None else read_probabilities(unpack(tokens)),
            request=request_digest(digest),
            known=True,
        )


def verified(where: str, blob: bytes, envelope: bytes, there: set[str]) -> list[str]:
    """What is wrong with a request: its envelope has another digest, or parts are not `there`."""
    digest, found = request_digest(blob), RECIPE + digest_bytes(envelope)
    if found != digest:
        return [f"request {digest} {where}: its envelope has the digest {found}"]
    return [f"request {digest} {where}: part {d} is missing" for d in named(envelope) if d not in there]


def _asked(request: Request, reply: Reply) -> Answer:
    envelope = request.envelope()
    return THIS_RECIPE + hashlib.sha256(envelope).digest()[:16], envelope, reply


def _reply_row(
    reply: Reply, created: int, long_bytes: int, about: tuple[bytes, bytes, int | None, int | None]
) -> tuple[Any, ...]:
    """The columns of `replies` after `id`; `about` are digest, envelope, price and session."""
    digest, envelope, price, session = about
    tokens = reply.token_probabilities
    return (
        digest,
        reply.cost_usd,
        created,
        reply.outcome,
        clean(reply.finish),
        clean(reply.served),
        reply.tokens_in,
        reply.tokens_out,
        reply.tokens_cached,
        reply.latency_s,
        reply.attempts,
        pack(to_bytes(reply.text), long_bytes),
        None if tokens is None else pack(probabilities_json(tokens), long_bytes),
        envelope,
        reply.tokens_reasoning,
        reply.tokens_image,
        price,
        session,
        1 if reply.batch else 0,
    )
