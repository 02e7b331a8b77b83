"""Finding rows by their digest, without writing to a random place of an index at every commit.

A digest is random, so an index over it takes one page per row and commit, more than the row itself (plain sqlite3, replies
and parts: 58 against 22 µs per reply at 200,000). The newest rows are therefore kept in memory only, read once from the end
of the table when a store is opened; when they are SETTLE_AT, they go into the index table in one sorted portion, which takes
each of its pages once. Rows are numbered in the order of their commits, so "newer than the last one seen" also finds what
other processes wrote. Rows whose content was erased are found no more: the count of erasures in `meta` says when everything
that is remembered must be read again.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table, bindparam, select

from qrelkit.stores.database import Database
from qrelkit.stores.schema import meta

SETTLE_AT = 16_384
ERASURES = "erasures"


class Digests:
    """Where the rows of one table are, by digest; of two rows with one digest the first counts."""

    def __init__(self, database: Database, rows: Table, index: Table, settle_at: int = SETTLE_AT) -> None:
        self._database, self.rows, self.index, self._settle_at = database, rows, index, settle_at
        self.mark = f"{index.name} up to"
        self._marked = database.text("mark", lambda: select(meta.c.value).where(meta.c.name == bindparam("name")))
        self._newer = database.text(
            ("newer", rows.name),
            lambda: select(rows.c.id, rows.c.digest).where(rows.c.id > bindparam("after")).order_by(rows.c.id),
        )
        self._recent: dict[bytes, int] = {}
        self._settled = self.last = -1  # the rows up to `settled` must be looked for in the index
        self.erasures = 0  # how often something was erased, when last looked

    def refresh(self) -> int:
        """Takes in what was committed since; returns the number of the last row."""
        erasures = self._value(ERASURES)
        if self.last < 0 or erasures != self.erasures:
            self.erasures = erasures
            self._settled = self.last = self._value(self.mark)
            self._recent.clear()
        for number, digest in self._database.rows(self._newer, self.last):
            self._recent.setdefault(digest, number)
            self.last = number
        return self.last

    def _value(self, name: str) -> int:
        for (value,) in self._database.rows(self._marked, name):
            return int(value)
        return 0

    def written(self, digests: Sequence[bytes]) -> None:
        """Takes in rows that this process has just committed, numbered on from the last one: they need not be read back."""
        for digest in digests:
            self.last += 1
            self._recent.setdefault(digest, self.last)

    def find(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """The row of each digest that is there, as of the last refresh."""
        found = {d: self._recent[d] for d in digests if d in self._recent}
        if self._settled:  # in the index are the older rows, so they come last
            found.update(self._database.matching((self.index.c.digest, self.index.c.id), self.index.c.digest, digests))
        return found

    def settle(self) -> None:
        """Moves the newest rows into the index when they are many."""
        if len(self._recent) < self._settle_at:
            return
        with self._database.writing():
            last = self.refresh()
            self._database.add(self.index, sorted(self._recent.items()), once=True)
            self._database.put(meta, {"name": self.mark, "value": str(last)}, "name", ["value"])
        self._settled = last
        self._recent.clear()
