"""Erasing in a database: what was said once only grades are kept, and every trace of a document.

Rows stay where they are and lose their content: GONE before a digest says that something was there, so that costs, grades and
`verify` go on working and nobody finds the row. The count of erasures tells every process that what it remembers is old.
Copies outside of the database (backups, PostgreSQL's archived log, snapshots of a disk) are beyond a program's reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qrelkit.core.records import OUTCOMES
from qrelkit.stores.claims import Claims
from qrelkit.stores.database import Database
from qrelkit.stores.digests import ERASURES
from qrelkit.stores.envelopes import Texts
from qrelkit.stores.packing import clean, to_bytes, unpack
from qrelkit.stores.parts import as_bytes, named
from qrelkit.stores.reach import reach
from qrelkit.stores.schema import GONE, batch_requests, descriptions, documents, meta, parts, replies

ERASED = "attempts", "batch_requests", "descriptions", "judgments", "part_digests", "parts", "replies", "reply_digests"
STRIP = "UPDATE replies SET digest = ?, text = ?, token_probabilities = NULL, envelope = ? WHERE id = ?"


class Eraser:
    """Takes content out of the tables of the ledger and of the judgments."""

    def __init__(self, database: Database, texts: Texts, claims: Claims) -> None:
        self._database, self._texts, self._claims = database, texts, claims

    def settle(self) -> None:
        """Removes the replies that judgments name, and those that the session had which ended last here, all parts that no reply
        is left of, and models' reasons. Replies of sessions at work stay, and those of sessions that died or were stopped before
        they became judgments: they were paid for, and whoever asks the same again is answered by them.
        """
        with self._database.erasing(), self._database.writing():
            self._claims.bury()
            busy = set(self._claims.living())
            rows = self._database.all(replies.c.id, replies.c.digest, replies.c.session)
            last, given = self._claims.finished
            done = self._judged() | given
            settled = [(n, d) for n, d, of in rows if d[:1] != GONE and of not in busy and (of == last or d in done)]
            self._strip(settled)
            self._database.rows("UPDATE judgments SET reason = '' WHERE request IS NOT NULL AND reason <> ''")
            left = {bytes.fromhex(name) for _, names in self._used() for name in names}
            unused = [(number, digest) for number, digest in self._all_parts() if digest not in left]
            self._database.run("DELETE FROM parts WHERE id = ?", [(number,) for number, _ in unused])
            self._database.run("DELETE FROM part_digests WHERE digest = ?", sorted((digest,) for _, digest in unused))
            self._count()
        self._database.shrink()

    def _judged(self) -> set[bytes]:
        """The requests that became judgments; one that failed is asked again."""
        sql = "SELECT request FROM judgments WHERE request IS NOT NULL AND outcome <> ?"
        return {request for (request,) in self._database.rows(sql, OUTCOMES.index("failed"))}

    def _all_parts(self) -> Iterator[Any]:
        yield from self._database.all(parts.c.id, parts.c.digest)

    def forget(self, doc_ids: Sequence[str], image_digests: Sequence[str], texts: Sequence[str]) -> dict[str, int]:
        """Erases every part and reply that holds one of these documents, and what was said of them; grades and costs stay.

        `texts` are the documents' own words, looked for in every part. Returns how many parts, replies, judgments and
        descriptions lost their content. Raises StoreBusy where another process keeps the old content from leaving the file.
        """
        with self._database.erasing():
            with self._database.writing():
                self._claims.bury()
                numbers = [n for (n,) in self._database.matching((documents.c.id,), documents.c.doc_id, list(doc_ids))]
                own, others = self._requests(set(numbers))
                described = self._descriptions(image_digests)
                holding = set(self._holding(image_digests, [*texts, *(text for _, text in described)]))
                gone, asked = reach(holding, self._used, own, others)
                counts = {
                    "parts": self._erase_parts(gone),
                    "replies": self._erase_replies(asked),
                    "judgments": self._erase_reasons(numbers) + self._erase_quotes(asked),
                    "descriptions": len(described),
                }
                self._database.run("DELETE FROM descriptions WHERE id = ?", [(number,) for number, _ in described])
                self._count()
            self._database.purge(ERASED)
        return counts

    # what holds them

    def _requests(self, numbers: set[int]) -> tuple[set[bytes], set[bytes]]:
        """The requests of judgments of these documents, and those of all others."""
        own: set[bytes] = set()
        others: set[bytes] = set()
        for request, document in self._database.rows("SELECT request, document FROM judgments WHERE request IS NOT NULL"):
            (own if document in numbers else others).add(request)
        return own, others

    def _descriptions(self, image_digests: Sequence[str]) -> list[tuple[int, str]]:
        columns = (descriptions.c.id, descriptions.c.text)
        return list(self._database.matching(columns, descriptions.c.image, list(image_digests)))

    def _holding(self, image_digests: Sequence[str], texts: Sequence[str]) -> Iterator[str]:
        """The parts that hold one of these texts, or are one of these pictures."""
        said = {form for text in texts if text.strip() for form in (to_bytes(text), to_bytes(clean(text)))}
        pictures = {to_bytes(digest) for digest in image_digests}
        for _, digest, kind, packed in self._database.all(parts.c.id, parts.c.digest, parts.c.kind, parts.c.body):
            body = unpack(as_bytes(packed))
            if (kind == "t" and any(text in body for text in said)) or (kind == "i" and body.partition(b":")[0] in pictures):
                yield digest.hex()

    def _used(self) -> Iterator[tuple[bytes, list[str]]]:
        """Every request that is kept, with the parts it names."""
        for _, digest, envelope in self._database.all(replies.c.id, replies.c.digest, replies.c.envelope):
            if envelope:
                yield digest, named(self._texts.whole(envelope))
        for digest, envelope in list(self._database.rows("SELECT digest, envelope FROM batch_requests")):
            if envelope:
                yield digest, named(envelope)

    # taking it out

    def _erase_parts(self, gone: Iterable[str]) -> int:
        digests = sorted(bytes.fromhex(name) for name in gone)
        found = [(n, d) for n, d in self._all_parts() if d in set(digests)] if digests else []
        sql = "UPDATE parts SET digest = ?, kind = 'x', body = ? WHERE id = ?"
        self._database.run(sql, [(GONE + digest, b"", number) for number, digest in found])
        self._database.run("DELETE FROM part_digests WHERE digest = ?", [(d,) for d in digests])
        return len(found)

    def _erase_replies(self, asked: set[bytes]) -> int:
        found = [(n, d) for n, d in self._database.all(replies.c.id, replies.c.digest) if d in asked]
        self._strip(found)
        waiting = self._database.matching((batch_requests.c.digest,), batch_requests.c.digest, list(asked))
        self._database.run("UPDATE batch_requests SET envelope = ? WHERE digest = ?", [(b"", d) for (d,) in waiting])
        failed = list(self._database.rows("SELECT id, digest FROM attempts WHERE error <> ''"))
        self._database.run("UPDATE attempts SET error = 'erased' WHERE id = ?", [(n,) for n, d in failed if d in asked])
        return len(found)

    def _strip(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Takes texts and envelopes out of replies; what they cost stays."""
        self._database.run(STRIP, [(GONE + digest, b"", b"", number) for number, digest in rows])
        self._database.run("DELETE FROM reply_digests WHERE digest = ?", sorted((digest,) for _, digest in rows))

    def _erase_reasons(self, numbers: Sequence[int]) -> int:
        count = "SELECT count(*) FROM judgments WHERE document = ? AND (reason <> '' OR details IS NOT NULL)"
        told = sum(int(n) for number in numbers for (n,) in self._database.rows(count, number))
        sql = "UPDATE judgments SET reason = '', details = NULL WHERE document = ?"
        self._database.run(sql, [(number,) for number in numbers])
        return told

    def _erase_quotes(self, asked: set[bytes]) -> int:
        """Takes the reasons out of other documents' judgments that came of a reply that went: it saw the document too."""
        told = self._database.rows("SELECT id, request FROM judgments WHERE request IS NOT NULL AND reason <> ''")
        quoting = [(number,) for number, request in list(told) if request in asked]
        self._database.run("UPDATE judgments SET reason = '' WHERE id = ?", quoting)
        return len(quoting)

    def _count(self) -> None:
        """Tells every process that something was erased."""
        before = list(self._database.rows("SELECT value FROM meta WHERE name = ?", ERASURES))
        value = str(1 + int(before[0][0])) if before else "1"
        self._database.put(meta, {"name": ERASURES, "value": value}, "name", ["value"])
