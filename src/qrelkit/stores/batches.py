"""What was handed to providers to be answered within a day: the intent first, then the ticket, then what came back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qrelkit.core.doors import BatchRow
from qrelkit.core.wire import Reply, Request
from qrelkit.stores.claims import Claims
from qrelkit.stores.database import Database
from qrelkit.stores.ledger import Answer, Ledger, Writing
from qrelkit.stores.living import BATCH_S
from qrelkit.stores.packing import request_blob, request_digest
from qrelkit.stores.schema import GONE, batch_requests, batches

NOBODY = 0  # the session of attempts that a batch made


class Batches:
    """Batches and their requests; what changes a table is called inside a transaction."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def add(self, tag: str, requests: Sequence[Request]) -> list[bytes]:
        """Keeps the intent to submit `requests`, whose parts are in the ledger already; returns their digests."""
        if not requests or list(self._database.rows("SELECT id FROM batches WHERE tag = ?", tag)):
            raise self._database.refuse(f"a batch {tag!r} is there already" if requests else "a batch needs requests")
        ((number,),) = self._database.rows("SELECT coalesce(max(id), 0) + 1 FROM batches")
        rows = {request_blob(r.digest): r.envelope() for r in requests}
        self._database.add(batches, [(number, tag, requests[0].model, "", len(rows), 0, int(self._now() * 1000), None)])
        self._database.add(batch_requests, [(digest, number, rows[digest], 0) for digest in sorted(rows)])
        return list(rows)

    def set_ticket(self, tag: str, ticket: str) -> None:
        self._database.rows("UPDATE batches SET ticket = ? WHERE id = ?", ticket, self._number(tag))

    def end(self, tag: str) -> None:
        """Lets its requests go; what was asked is in the ledger, where it was answered."""
        number = self._number(tag)
        self._database.rows("UPDATE batches SET ended = ? WHERE id = ? AND ended IS NULL", int(self._now() * 1000), number)
        self._database.rows("UPDATE batch_requests SET envelope = ? WHERE batch = ?", b"", number)

    def _number(self, tag: str) -> int:
        for (number,) in self._database.rows("SELECT id FROM batches WHERE tag = ?", tag):
            return int(number)
        raise self._database.refuse(f"there is no batch {tag!r}")

    def rows(self) -> list[BatchRow]:
        """All of them, in order."""
        sql = "SELECT tag, model, ticket, requests, answered, created, ended FROM batches ORDER BY id"
        names = ("tag", "model", "ticket", "requests", "answered")
        return [
            BatchRow(**dict(zip(names, about, strict=True)), created=created / 1000, ended=ended is not None)
            for *about, created, ended in self._database.rows(sql)
        ]

    def batched(self, tag: str) -> list[str]:
        """The digests of its requests, sorted."""
        rows = self._database.rows("SELECT digest FROM batch_requests WHERE batch = ? ORDER BY digest", self._number(tag))
        return [request_digest(digest) for (digest,) in rows]

    def held(self, digests: Collection[bytes]) -> dict[bytes, float]:
        """Until when each digest is held that waits in a batch which may still be answered."""
        rows = self._database.rows("SELECT id, created FROM batches WHERE ended IS NULL")
        now = self._now()
        until = {number: end for number, created in rows if (end := created / 1000 + BATCH_S) > now}
        if not until:
            return {}
        found = self._database.matching((batch_requests.c.digest, batch_requests.c.batch), batch_requests.c.digest, list(digests))
        return {digest: until[batch] for digest, batch in found if batch in until}

    def add_replies(self, tag: str, given: Mapping[str, Reply], ledger: Ledger, claims: Claims) -> tuple[Writing, list[Any]]:
        """Stores what came back for requests of a batch that were not answered before; failed ones become attempts. The replies
        are those of the session that is at work, so that its death does not lose what they cost."""
        number = self._number(tag)
        by_blob = {request_blob(digest): reply for digest, reply in given.items()}
        columns = (batch_requests.c.digest, batch_requests.c.batch, batch_requests.c.envelope, batch_requests.c.answered)
        rows = self._database.matching(columns, batch_requests.c.digest, list(by_blob))
        waiting = {digest: envelope for digest, batch, envelope, answered in rows if batch == number and not answered}
        answered = [d for d in waiting if by_blob[d].outcome != "failed"]
        ((created,),) = self._database.rows("SELECT created FROM batches WHERE id = ?", number)
        seconds = self._now() - created / 1000
        failed = [(request_digest(d), seconds, by_blob[d].error) for d in waiting if by_blob[d].outcome == "failed"]
        writing = ledger.insert([_answer(d, waiting[d], by_blob[d]) for d in answered], claims.at_work)
        sql = "UPDATE batch_requests SET answered = 1 WHERE digest = ? AND batch = ?"
        self._database.run(sql, [(digest, number) for digest in answered])
        self._database.rows("UPDATE batches SET answered = answered + ? WHERE id = ?", len(answered), number)
        return writing, claims.fail(NOBODY, failed)

    def waiting(self) -> list[tuple[str, bytes, bytes]]:
        """Every request whose content is kept here: its batch, for people, its digest and its envelope."""
        sql = "SELECT b.tag, r.digest, r.envelope FROM batch_requests r JOIN batches b ON b.id = r.batch"
        return [(f"(batch {tag})", digest, envelope) for tag, digest, envelope in self._database.rows(sql) if envelope]


def _answer(digest: bytes, envelope: bytes, reply: Reply) -> Answer:
    """What is stored of a reply; where its request was erased meanwhile, only what it cost."""
    return (digest, envelope, reply) if envelope else (GONE + digest, b"", replace(reply, text="", token_probabilities=None))
