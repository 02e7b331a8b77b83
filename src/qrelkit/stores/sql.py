"""The store in a database: an SQLite file by default, and by the very same code a PostgreSQL server.

with SqlStore("work/qrelkit.db") as store:
    store.add_replies([(request, reply)])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
from sqlalchemy import select

from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Reply, Request, canonical
from qrelkit.stores import frames, migrations, schema
from qrelkit.stores.database import Database
from qrelkit.stores.dialect import Sync
from qrelkit.stores.ledger import Ledger
from qrelkit.stores.packing import clean
from qrelkit.stores.verdicts import Verdicts


class SqlStore:
    """The `Store` door over a database.

    `sync` "full" has every batch on the disk when it returns, "normal" may lose the last ones in a power cut (never in a
    crash of the program); `now` is the clock, in seconds. One store may be used by any thread, by one at a time, and one
    file by several processes. Raises StoreBusy after waiting `busy_s` for another one, StoreTooNew for a store of a newer
    release, StoreError for anything else that stops it.
    """

    def __init__(
        self, where: str | Path, *, sync: Sync = "full", now: Callable[[], float] = time.time, busy_s: float = 30.0
    ) -> None:
        self._database, self._now = Database(where, sync=sync, busy_s=busy_s), now
        try:
            self.version = migrations.prepare(self._database)
        except BaseException:
            self._database.close()
            raise
        self._ledger, self._verdicts = Ledger(self._database, now), Verdicts(self._database, now)

    def __repr__(self) -> str:
        return f"SqlStore({self._database.where})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the database; closing twice is nothing."""
        self._database.close()

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
        return self._ledger.replies(digests)

    def add_replies(self, rows: Sequence[tuple[Request, Reply]]) -> None:
        self._ledger.add(rows)

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        return self._ledger.conversation(digest)

    def spent_usd(self) -> float:
        return self._ledger.spent_usd()

    def verify(self) -> list[str]:
        return self._ledger.verify()

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
            self._database.add(schema.spending, [(stage, key, *frames.spent(numbers), int(self._now() * 1000))])

    def spending(self, keys: Sequence[str] | None = None) -> pl.DataFrame:
        """What all calls together took, per stage and key; with `keys`, only theirs."""
        table = schema.spending
        chosen = select(*(table.c[name] for name in frames.SPENDING))
        with self._database.reading() as connection:
            return frames.summed(connection.execute(chosen if keys is None else chosen.where(table.c.key.in_(keys))).all())
