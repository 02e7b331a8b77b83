"""The store in a database: an SQLite file by default, and by the very same code a PostgreSQL server.

with SqlStore("work/qrelkit.db") as store:
    store.add_replies([(request, reply)])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
from sqlalchemy import select

from qrelkit.core.doors import BatchRow, Keep
from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Reply, Request, canonical
from qrelkit.stores import frames, migrations, schema
from qrelkit.stores.batches import NOBODY, Batches
from qrelkit.stores.claims import Claims
from qrelkit.stores.database import Database
from qrelkit.stores.dialect import Sync
from qrelkit.stores.erase import Eraser
from qrelkit.stores.ledger import Ledger, verified
from qrelkit.stores.packing import clean, request_blob
from qrelkit.stores.parts import Parts
from qrelkit.stores.spending import Spending
from qrelkit.stores.verdicts import Verdicts


class SqlStore:
    """The `Store` door over a database.

    `keep` says what stays of a conversation (see `Store`).
    `sync` "full" has every batch on the disk when it returns, "normal" may lose the last ones in a power cut (never in a
    crash of the program); `now` is the clock, in seconds. One store may be used by any thread, by one at a time, and one
    file by several processes. Raises StoreBusy after waiting `busy_s` for another one, StoreTooNew for a store of a newer
    release, StoreError for anything else that stops it.
    """

    def __init__(
        self,
        where: str | Path,
        *,
        sync: Sync = "full",
        keep: Keep = "full",
        now: Callable[[], float] = time.time,
        busy_s: float = 30.0,
    ) -> None:
        self._database, self._now, self.keep = Database(where, sync=sync, busy_s=busy_s), now, keep
        try:
            self.version = migrations.prepare(self._database)
        except BaseException:
            self._database.close()
            raise
        self._parts = Parts(self._database, bodies=keep != "replies")
        self._ledger, self._verdicts = Ledger(self._database, self._parts, now), Verdicts(self._database, now)
        self._claims = Claims(self._database, self._ledger.digests, now)
        self._spending = Spending(self._database, self._claims, now)
        self._batches, self._eraser = Batches(self._database, now), Eraser(self._database, self._ledger.texts, self._claims)

    def __repr__(self) -> str:
        return f"SqlStore({self._database.where})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the database; closing twice is nothing."""
        self._database.close()
        self._parts.close()

    # the ledger

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
        with self._database.reading():
            return self._ledger.replies(digests)

    def add_replies(self, rows: Sequence[tuple[Request, Reply]]) -> None:
        answered = [row for row in rows if row[1].outcome != "failed"]  # one that failed was not paid for
        if answered:
            with self._database.reading():
                with self._database.writing():
                    self._ledger.digests.refresh()
                    writing = self._ledger.write(answered)
                self._ledger.written(writing)
                self._ledger.settle_digests()

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        with self._database.reading():
            return self._ledger.conversation(digest)

    def spent_usd(self, since: float | None = None) -> float:
        return self._ledger.spent_usd(since)

    def verify(self) -> list[str]:
        """Every part and request whose content does not give its digest, and every part that is not there."""
        there: set[str] = set()
        with self._database.reading():
            last, waiting = self._ledger.digests.refresh(), self._batches.waiting()
        wrong = [*self._parts.verify(there), *self._ledger.verify(there, last)]  # not what others store meanwhile
        return wrong + [line for request in waiting for line in verified(*request, there)]

    # sessions

    def open_session(self, what: str) -> int:
        with self._database.writing():
            self._claims.bury()
            self._spending.take_over()
            return self._claims.open(what)

    def exchange(
        self,
        session: int,
        asking: Sequence[str],
        answered: Sequence[tuple[Request, Reply]] = (),
        failed: Sequence[tuple[str, float, str]] = (),
    ) -> dict[str, Reply | float]:
        """See `Store`. A reply in `answered` whose outcome is "failed" gives its claim back: it will not be tried again."""
        wanted = {request_blob(digest): digest for digest in asking}
        with self._database.reading():
            if not (answered or failed or self._claims.beat_due(session)):
                self._refresh()
                found = self._look_up(session, wanted)
                if len(found) == len(wanted):
                    return found
            return self._exchange(session, wanted, answered, failed)

    def _exchange(
        self,
        session: int,
        wanted: Mapping[bytes, str],
        answered: Sequence[tuple[Request, Reply]],
        failed: Sequence[tuple[str, float, str]],
    ) -> dict[str, Reply | float]:
        paid = [row for row in answered if row[1].outcome != "failed"]
        given_up = [request_blob(request.digest) for request, reply in answered if reply.outcome == "failed"]
        with self._database.writing():
            if self._claims.beat_due(session):
                self._claims.beat(session)
            self._refresh()
            found = self._look_up(session, wanted)
            writing = self._ledger.write(paid, session)
            now_known = {row[1]: reply for row, (_, reply) in zip(writing.rows, paid, strict=True) if row[1] in wanted}
            found |= {wanted[blob]: _known(wanted[blob], reply) for blob, reply in now_known.items()}
            self._claims.give_back(session, given_up)
            rows = self._claims.claim(session, [blob for blob, digest in wanted.items() if digest not in found])
            rows += self._claims.fail(session, failed, len(rows))
            self._claims.sweep(session)
        self._ledger.written(writing)
        self._claims.taken(session, rows, [*given_up, *(row[1] for row in writing.rows)])
        self._ledger.settle_digests()
        return found

    def _refresh(self) -> None:
        """Takes in what other processes stored and claimed."""
        self._ledger.digests.refresh()
        self._claims.refresh()

    def _look_up(self, session: int, wanted: Mapping[bytes, str]) -> dict[str, Reply | float]:
        """What is known of the wanted digests, or held by others."""
        if not wanted:
            return {}
        found: dict[str, Reply | float] = dict(self._ledger.found(list(wanted)))
        if self.keep == "grades":
            self._claims.give(session, [request_blob(digest) for digest in found])
        missing = [blob for blob, digest in wanted.items() if digest not in found]
        held = self._claims.held(session, missing) | self._batches.held(missing)
        return found | {wanted[blob]: until for blob, until in held.items()}

    def end_session(self, session: int) -> None:
        with self._database.reading():
            with self._database.writing():
                self._claims.end(session)
                self._spending.give_back(session)
            self._claims.ended(session)
            self._claims.finish(session)

    def unanswered(self) -> pl.DataFrame:
        """Claims of sessions that died, without an answer: what may have been sent, and paid. See `Store`."""
        with self._database.reading():
            return self._claims.unanswered()

    def attempts(self) -> pl.DataFrame:
        """Every attempt that failed, in order."""
        with self._database.reading():
            return self._claims.attempts()

    # batches

    def add_batch(self, tag: str, requests: Sequence[Request]) -> None:
        with self._database.reading():
            with self._database.writing():
                writing = self._ledger.write_parts(requests)
                digests = self._batches.add(tag, requests)
                self._claims.give_back_everywhere(digests)
            self._ledger.written(writing)
            self._claims.given_back_everywhere(digests)

    def set_ticket(self, tag: str, ticket: str) -> None:
        with self._database.writing():
            self._batches.set_ticket(tag, ticket)

    def batches(self) -> list[BatchRow]:
        with self._database.reading():
            return self._batches.rows()

    def batched(self, tag: str) -> list[str]:
        with self._database.reading():
            return self._batches.batched(tag)

    def add_batch_replies(self, tag: str, replies: Mapping[str, Reply]) -> None:
        with self._database.reading():
            with self._database.writing():
                self._refresh()
                writing, failed = self._batches.add_replies(tag, replies, self._ledger, self._claims)
            self._ledger.written(writing)
            self._claims.taken(NOBODY, failed)
            self._ledger.settle_digests()

    def end_batch(self, tag: str) -> None:
        with self._database.writing():
            self._batches.end(tag)

    # keeping less

    def settle(self) -> None:
        """With `keep="grades"`, removes what was said in the session that ended last, for it has all become judgments."""
        if self.keep == "grades":
            self._eraser.settle()

    def forget(self, doc_ids: Sequence[str], image_digests: Sequence[str], texts: Sequence[str]) -> dict[str, int]:
        """Erases what holds one of these documents, from the files too. See stores/erase.py."""
        return self._eraser.forget(doc_ids, image_digests, texts)

    # assessors

    def add_judge(self, key: str, name: str, settings: Mapping[str, Any]) -> None:
        self._verdicts.add_judge(key, name, settings)

    def judges(self) -> pl.DataFrame:
        return self._verdicts.judges()

    def known(self, judge_key: str) -> pl.DataFrame:
        return self._verdicts.known(judge_key)

    def judgments(self, judge_key: str | None = None) -> pl.DataFrame:
        return self._verdicts.judgments(judge_key)

    def add_judgments(self, judge_key: str, judgments: Sequence[Judgment]) -> None:
        self._verdicts.add(judge_key, judgments)

    def guidelines(self) -> pl.DataFrame:
        """query_id, version, content (JSON), approved, origin, created; a query's last row is its newest."""
        table = schema.guidelines
        with self._database.reading() as connection:
            chosen = select(*(table.c[n] for n in frames.GUIDELINES)).order_by(table.c.id)
            return frames.dated(connection.execute(chosen).all(), frames.GUIDELINES)

    def add_guidelines(self, guidelines: Iterable[QueryGuideline], origin: str) -> int:
        """Stores each that differs, in version or approval, from the newest of its query; returns how many those were."""
        table, created, added = schema.guidelines, int(self._now() * 1000), []
        with self._database.writing() as connection:
            stored = connection.execute(select(table.c.query_id, table.c.version, table.c.approved).order_by(table.c.id))
            newest = {query_id: (version, approved) for query_id, version, approved in stored}
            for one in guidelines:
                if newest.get(one.query_id) != (one.version, one.approved):
                    newest[one.query_id] = (one.version, one.approved)
                    content = canonical(one.content()).decode()
                    added.append((one.query_id, one.version, content, one.approved, origin, created))
            self._database.add(table, added)
        return len(added)

    def descriptions(self, describer_key: str) -> dict[str, str]:
        """The newest text per image digest."""
        table = schema.descriptions
        chosen = select(table.c.image, table.c.text).where(table.c.describer_key == describer_key).order_by(table.c.id)
        with self._database.reading() as connection:
            return dict(connection.execute(chosen).all())

    def add_descriptions(self, describer_key: str, texts: Mapping[str, str]) -> None:
        created = int(self._now() * 1000)
        rows = [(describer_key, image, clean(text), created) for image, text in texts.items()]
        with self._database.writing():
            self._database.add(schema.descriptions, rows)

    def add_spending(self, stage: str, key: str, numbers: Mapping[str, float]) -> None:
        """Keeps what one call of a stage took; `frames.SPENT` are the numbers, and one that is not named is 0."""
        with self._database.writing():
            self._spending.add(stage, key, numbers)

    def spending(self, keys: Sequence[str] | None = None) -> pl.DataFrame:
        """What all calls together took, per stage and key; with `keys`, only theirs."""
        return self._spending.sums(keys)


def _known(digest: str, reply: Reply) -> Reply:
    """A reply that is stored in this very turn, as it would be found in the next."""
    return replace(reply, request=digest, known=True, error="")
