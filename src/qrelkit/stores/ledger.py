"""The ledger of replies in a database: what was asked, part by part, and what came back."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import func, select

from qrelkit.core.wire import RECIPE, Part, Reply, Request, Schema, Text, canonical, digest_bytes
from qrelkit.stores.database import Database
from qrelkit.stores.digests import Digests
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
from qrelkit.stores.schema import part_digests, parts, replies, reply_digests

FULL_BATCH = 8  # more replies than this at once: the caller has no time for deflating (30 µs for 1.5 kB, twice the insert)
LONG_BYTES = 200
LONG_BYTES_IN_FULL_BATCH = 4096
SEEN_AT_MOST = 200_000
CHUNK = 5_000
THIS_RECIPE = request_blob(RECIPE + "0" * 32)[:1]

_REPLY = (
    replies.c.digest,
    replies.c.text,
    replies.c.outcome,
    replies.c.served,
    replies.c.finish,
    replies.c.tokens_in,
    replies.c.tokens_out,
    replies.c.tokens_cached,
    replies.c.cost_usd,
    replies.c.latency_s,
    replies.c.attempts,
    replies.c.token_probabilities,
)


class Ledger:
    """Replies by request digest, append-only; the first reply to a request is the one that counts."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now
        self._parts = Digests(database, parts, part_digests)
        self._replies = Digests(database, replies, reply_digests)
        self._seen: set[str] = set()  # digests of parts that are surely stored
        self._spent = (0, 0.0)  # up to which row, how much

    def add(self, rows: Sequence[tuple[Request, Reply]]) -> None:
        """Stores what came back, in one transaction; a reply that failed was not paid for and is passed over."""
        answered = [row for row in rows if row[1].outcome != "failed"]
        if not answered:
            return
        long_bytes = LONG_BYTES if len(answered) <= FULL_BATCH else LONG_BYTES_IN_FULL_BATCH
        created = int(self._now() * 1000)
        values = [_reply_row(request, reply, created, long_bytes) for request, reply in answered]
        fresh = _fresh_parts((request for request, _ in answered), self._seen)
        with self._database.writing():
            new_parts = self._add_parts(fresh, long_bytes)
            last = self._replies.refresh()
            self._database.add(replies, [(last + i, *row) for i, row in enumerate(values, 1)])
        self._parts.written(new_parts)
        self._replies.written([row[0] for row in values])
        if len(self._seen) > SEEN_AT_MOST:
            self._seen.clear()
        self._seen.update(fresh)
        self._parts.settle()
        self._replies.settle()

    def _add_parts(self, fresh: dict[str, Part | Schema], long_bytes: int) -> list[bytes]:
        """Writes the parts that are not there yet; returns their digests."""
        if not fresh:
            return []
        last = self._parts.refresh()
        blobs = {bytes.fromhex(d): part for d, part in fresh.items()}
        there = self._parts.find(list(blobs))
        new = [(d, kind, pack(body, long_bytes)) for d, part in blobs.items() if d not in there for kind, body in (_body(part),)]
        self._database.add(parts, [(last + i, *row) for i, row in enumerate(new, 1)])
        return [row[0] for row in new]

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
        """The stored reply of each digest that has one, marked as known."""
        with self._database.reading():
            return {request_digest(row[0]): _reply(row) for row in self._rows(digests, _REPLY)}

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        """What was asked and what came back; None where the digest is not known."""
        with self._database.reading():
            for row in self._rows([digest], [*_REPLY, replies.c.envelope]):
                return self._rebuilt(orjson.loads(row[-1])), _reply(row[:-1])
        return None

    def _rows(self, digests: Sequence[str], columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        self._replies.refresh()
        found = self._replies.find([request_blob(d) for d in digests])
        return self._database.matching(columns, replies.c.id, list(found.values()))

    def _rebuilt(self, envelope: dict[str, Any]) -> dict[str, Any]:
        """An envelope with its parts in the place of their digests."""
        wanted = [bytes.fromhex(d) for _, digests in envelope["messages"] for d in digests]
        wanted += [bytes.fromhex(envelope["schema"])] if envelope["schema"] else []
        self._parts.refresh()
        places = self._parts.find(wanted)
        columns = (parts.c.digest, parts.c.kind, parts.c.body)
        rows = self._database.matching(columns, parts.c.id, list(places.values()))
        bodies = {digest.hex(): _shown(kind, unpack(body)) for digest, kind, body in rows}
        try:
            messages = [{"role": role, "parts": [bodies[d] for d in digests]} for role, digests in envelope["messages"]]
            return envelope | {"messages": messages, "schema": bodies[envelope["schema"]] if envelope["schema"] else None}
        except KeyError as error:
            raise self._database.refuse(f"part {error.args[0]} of a conversation is missing; see qrelkit doctor") from None

    def spent_usd(self) -> float:
        """What all stored replies cost; those of unknown price count nothing."""
        with self._database.reading() as connection:
            newer = select(func.max(replies.c.id), func.sum(replies.c.cost_usd)).where(replies.c.id > self._spent[0])
            last, cost = connection.execute(newer).one()
            if last is not None:
                self._spent = (last, self._spent[1] + (cost or 0.0))
        return self._spent[1]

    def verify(self) -> list[str]:
        """Every part and every request whose content does not give its digest, and every part that is not there."""
        wrong, there = [], set()
        for number, digest, kind, body in self._all(parts.c.id, parts.c.digest, parts.c.kind, parts.c.body):
            there.add(digest.hex())
            if (found := _digest_of_part(kind, body)) != digest.hex():
                wrong.append(f"part {digest.hex()} (row {number}): its content has the digest {found}")
        for number, blob, envelope in self._all(replies.c.id, replies.c.digest, replies.c.envelope):
            digest, found = request_digest(blob), RECIPE + digest_bytes(_as_bytes(envelope))
            if found != digest:
                wrong.append(f"request {digest} (row {number}): its envelope has the digest {found}")
            else:
                wrong += [f"request {digest} (row {number}): part {d} is missing" for d in _named(envelope) if d not in there]
        return wrong

    def _all(self, *columns: Any) -> Iterator[tuple[Any, ...]]:
        """All rows in portions, so that nobody waits and nothing large is held; the first column is the row's number."""
        last = 0
        while True:
            with self._database.reading() as connection:
                some = select(*columns).where(columns[0] > last).order_by(columns[0]).limit(CHUNK)
                rows = connection.execute(some).all()
            if not rows:
                return
            yield from rows
            last = rows[-1][0]


def _fresh_parts(requests: Iterable[Request], seen: set[str]) -> dict[str, Part | Schema]:
    """The parts and schemas of requests, by digest, less those that were `seen`."""
    fresh: dict[str, Part | Schema] = {}
    for request in requests:
        for message in request.messages:
            for part in message.parts:
                if part.digest not in seen:
                    fresh[part.digest] = part
        if request.schema and request.schema.digest not in seen:
            fresh[request.schema.digest] = request.schema
    return fresh


def _body(part: Part | Schema) -> tuple[str, bytes]:
    """The kind and the content of a part: what its digest is over, less the prefix that tells texts from pictures."""
    if isinstance(part, Text):
        return "t", to_bytes(part.text)
    if isinstance(part, Schema):
        return "s", canonical([part.name, part.schema])
    return "i", f"{part.image.digest}:{part.shrink.key}".encode()


def _digest_of_part(kind: str, packed: bytes | str) -> str:
    try:
        body = unpack(_as_bytes(packed))
    except zlib.error as error:
        return f"(unreadable: {error})"
    return digest_bytes(body if kind == "s" else kind.encode() + b":" + body)


def _as_bytes(value: bytes | str) -> bytes:
    """A column's content also where a hand in an SQLite file has made a text of it."""
    return to_bytes(value) if isinstance(value, str) else value


def _shown(kind: str, body: bytes) -> dict[str, Any]:
    """A part as people and review pages see it."""
    if kind == "t":
        return {"type": "text", "text": to_text(body)}
    if kind == "s":
        name, schema = orjson.loads(body)
        return {"name": name, "schema": schema}
    image, _, shrink = body.decode().partition(":")
    return {"type": "image", "digest": image, "shrink": shrink}


def _named(envelope: bytes) -> list[str]:
    """The digests of the parts that an envelope names."""
    value = orjson.loads(envelope)
    return [d for _, digests in value["messages"] for d in digests] + ([value["schema"]] if value["schema"] else [])


def _reply_row(request: Request, reply: Reply, created: int, long_bytes: int) -> tuple[Any, ...]:
    """The columns of `replies` after `id`."""
    envelope = request.envelope()
    tokens = reply.token_probabilities
    return (
        THIS_RECIPE + bytes.fromhex(digest_bytes(envelope)),
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
    )


def _reply(row: Sequence[Any]) -> Reply:
    """A reply from the columns _REPLY."""
    digest, text, outcome, served, finish, tokens_in, tokens_out, tokens_cached, cost_usd, latency_s, attempts, tokens = row
    return Reply(
        text=to_text(unpack(text)),
        outcome=outcome,
        served=served,
        finish=finish,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=tokens_cached,
        cost_usd=cost_usd,
        latency_s=latency_s,
        attempts=attempts,
        token_probabilities=None if tokens is None else read_probabilities(unpack(tokens)),
        request=request_digest(digest),
        known=True,
    )
