"""The parts of requests in a database: each text, picture and reply schema once, however many requests share it."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from qrelkit.core.wire import Part, Request, Schema, Text, canonical, digest_bytes
from qrelkit.stores.database import Database
from qrelkit.stores.digests import Digests
from qrelkit.stores.packing import pack, to_bytes, to_text, unpack
from qrelkit.stores.schema import GONE, part_digests, parts

SEEN_AT_MOST = 200_000
LONG_TO_DEFLATE = 16_384  # 0.2 ms
NOT_KEPT = "not kept"
Fresh = Mapping[str, Part | Schema]


class Parts:
    """Parts by digest. With `bodies` false only that there was one is kept."""

    def __init__(self, database: Database, *, bodies: bool) -> None:
        self._database, self._bodies = database, bodies
        self.digests = Digests(database, parts, part_digests)
        self._seen: set[str] = set()  # digests of parts that are surely stored
        self._seen_at = 0
        self._pool: ThreadPoolExecutor | None = None

    def fresh(self, requests: Iterable[Request]) -> Fresh:
        """The parts and schemas of requests, by digest, less those that are surely stored; inside a transaction."""
        self.digests.refresh()
        if self.digests.erasures != self._seen_at:
            self._seen_at = self.digests.erasures
            self._seen.clear()
        seen = self._seen
        fresh: dict[str, Part | Schema] = {}
        for request in requests:
            for message in request.messages:
                for part in message.parts:
                    if part.digest not in seen:
                        fresh[part.digest] = part
            if request.schema and request.schema.digest not in seen:
                fresh[request.schema.digest] = request.schema
        return fresh

    def add(self, fresh: Fresh, long_bytes: int) -> list[bytes]:
        """Writes those that are not there yet, inside a transaction; returns the digests of their rows."""
        if not fresh:
            return []
        last = self.digests.last
        prefix = b"" if self._bodies else GONE
        blobs = {prefix + bytes.fromhex(d): part for d, part in fresh.items()}
        there = self.digests.find(list(blobs))
        new = [blob for blob in blobs if blob not in there]
        packed = self._packed([body_of(blobs[blob]) for blob in new], long_bytes) if self._bodies else [("x", b"")] * len(new)
        self._database.add(parts, [(last + i, blob, *row) for i, (blob, row) in enumerate(zip(new, packed, strict=True), 1)])
        return new

    def _packed(self, bodies: list[tuple[str, bytes]], long_bytes: int) -> list[tuple[str, bytes]]:
        """The bodies as they lie in their rows. Several that take long are deflated at once: zlib lets go of the interpreter."""
        if sum(len(body) > LONG_TO_DEFLATE for _, body in bodies) < 2:
            return [(kind, pack(body, long_bytes)) for kind, body in bodies]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "deflate")
        packed = self._pool.map(pack, [body for _, body in bodies], itertools.repeat(long_bytes))
        return [(kind, body) for (kind, _), body in zip(bodies, packed, strict=True)]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def written(self, rows: Sequence[bytes], fresh: Fresh) -> None:
        """What `add` wrote is committed."""
        self.digests.written(rows)
        if len(self._seen) > SEEN_AT_MOST:
            self._seen.clear()
        self._seen.update(fresh)

    def rebuilt(self, envelope: dict[str, Any]) -> dict[str, Any]:
        """An envelope with its parts in the place of their digests; those that were not kept say so."""
        names = [d for _, digests in envelope["messages"] for d in digests] + [envelope["schema"]] * bool(envelope["schema"])
        blobs = [prefix + bytes.fromhex(d) for prefix in (GONE, b"") for d in names]
        self.digests.refresh()
        places = self.digests.find(blobs)
        rows = self._database.matching((parts.c.digest, parts.c.kind, parts.c.body), parts.c.id, list(places.values()))
        shown = {digest.removeprefix(GONE) if kind == "x" else digest: _shown(kind, body) for digest, kind, body in sorted(rows)}
        missing = [d for d in names if bytes.fromhex(d) not in shown]
        if missing:
            raise self._database.refuse(f"part {missing[0]} of a conversation is missing; see qrelkit doctor")
        messages = [{"role": r, "parts": [shown[bytes.fromhex(d)] for d in digests]} for r, digests in envelope["messages"]]
        schema = shown[bytes.fromhex(envelope["schema"])] if envelope["schema"] else None
        return envelope | {"messages": messages, "schema": schema}

    def verify(self, there: set[str]) -> Iterator[str]:
        """The parts whose content does not give their digest; fills `there` with all digests."""
        for number, digest, kind, body in self._database.all(parts.c.id, parts.c.digest, parts.c.kind, parts.c.body):
            name = (digest.removeprefix(GONE) if kind == "x" else digest).hex()
            there.add(name)
            if kind != "x" and (found := _digest_of(kind, body)) != name:
                yield f"part {name} (row {number}): its content has the digest {found}"


def body_of(part: Part | Schema) -> tuple[str, bytes]:
    """The kind and the content of a part: what its digest is over, less the prefix that tells texts from pictures."""
    if isinstance(part, Text):
        return "t", to_bytes(part.text)
    if isinstance(part, Schema):
        return "s", canonical([part.name, part.schema])
    return "i", f"{part.image.digest}:{part.shrink.key}".encode()


def named(envelope: bytes) -> list[str]:
    """The digests of the parts that an envelope names."""
    value = orjson.loads(envelope)
    return [d for _, digests in value["messages"] for d in digests] + ([value["schema"]] if value["schema"] else [])


def as_bytes(value: bytes | str) -> bytes:
    """A column's content also where a hand in an SQLite file has made a text of it."""
    return to_bytes(value) if isinstance(value, str) else value


def _digest_of(kind: str, packed: bytes | str) -> str:
    try:
        body = unpack(as_bytes(packed))
    except zlib.error as error:
        return f"(unreadable: {error})"
    return digest_bytes(body if kind == "s" else kind.encode() + b":" + body)


def _shown(kind: str, packed: bytes) -> dict[str, Any]:
    """A part as people and review pages see it."""
    if kind == "x":
        return {"type": NOT_KEPT}
    body = unpack(packed)
    if kind == "t":
        return {"type": "text", "text": to_text(body)}
    if kind == "s":
        name, schema = orjson.loads(body)
        return {"name": name, "schema": schema}
    image, _, shrink = body.decode().partition(":")
    return {"type": "image", "digest": image, "shrink": shrink}
