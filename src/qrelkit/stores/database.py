"""One kept connection to a database, usable from any thread, with transactions of one writer at a time.

Statements are written in SQLAlchemy Core. The hot ones are compiled once and run on the driver's own cursor, with positional
parameters: SQLAlchemy's way from a statement to its rows costs more than what SQLite has to do for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Column, Connection, Table, bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from qrelkit.core.errors import StoreBusy, StoreError
from qrelkit.stores import dialect

CHUNK = 5_000
IN_AT_MOST = 512  # values of one IN list; lists are filled up to a power of two, so that few statements are ever compiled


_STILL_THERE = (
    "the content is erased, but another process is still reading the store, and its -wal file may hold traces; let it end, "
    "then do this again"
)


class Database:
    """The connection of one store; `where` names it in errors, without a password."""

    def __init__(self, where: str | Path, *, sync: dialect.Sync = "full", busy_s: float = 30.0) -> None:
        url = dialect.url_of(where)
        self.where = url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string()
        self._busy_s = busy_s
        self._lock = threading.RLock()
        self._engine = dialect.open_engine(url, sync=sync, busy_s=busy_s)
        self._begin = dialect.begin(self._engine)
        self._mark = "?" if url.get_backend_name() == "sqlite" else "%s"
        self._texts: dict[Any, str] = {}
        try:
            self._connection = self._engine.connect()
            self._driver: Any = self._connection.connection.dbapi_connection
        except self._errors as error:
            raise dialect.store_error(error, self.where, busy_s) from error

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        return (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The connection, outside of a transaction: each statement sees everything that is committed."""
        with self._lock:
            try:
                yield self._connection
            except self._errors as error:
                raise dialect.store_error(error, self.where, self._busy_s) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The connection inside a transaction: all of it is on disk afterwards, or nothing where anything was raised."""
        with self.reading() as connection:
            try:
                for statement in self._begin:
                    self.rows(statement)
                yield connection
                self._driver.commit()
            except BaseException:
                if not connection.closed:
                    self._driver.rollback()
                raise

    def text(self, name: Any, statement: Callable[[], ClauseElement], **options: Any) -> str:
        """The SQL of a statement, compiled at its first use."""
        if name not in self._texts:
            self._texts[name] = str(statement().compile(dialect=self._engine.dialect, **options))
        return self._texts[name]

    def rows(self, sql: str, *values: Any) -> Iterable[tuple[Any, ...]]:
        """The rows as the driver gives them; `sql` comes from `text`, or is plain SQL with `?` for its values."""
        cursor = self._driver.cursor()
        cursor.execute(sql.replace("?", self._mark), values)
        return cast("Iterable[tuple[Any, ...]]", cursor)

    def add(self, table: Table, rows: Sequence[tuple[Any, ...]], *, once: bool = False) -> None:
        """Inserts `rows`, whose values are in the order of the table's columns, without `id` where the database counts.

        `once` passes over rows that are there already.
        """
        if not rows:
            return
        names = [c.name for c in table.columns if c is not table.autoincrement_column]

        def statement() -> ClauseElement:
            plain = dialect.insert(self._engine, table)
            return plain.on_conflict_do_nothing() if once else plain

        self._driver.cursor().executemany(self.text(("insert", table.name, once), statement, column_keys=names), rows)

    def put(self, table: Table, value: dict[str, Any], key: str, newer: Sequence[str]) -> None:
        """Inserts one row, or sets the columns `newer` of the row that has this `key`."""
        plain = dialect.insert(self._engine, table).values(**value)
        self._connection.execute(plain.on_conflict_do_update(index_elements=[key], set_={n: value[n] for n in newer}))

    def matching(self, columns: Sequence[Column[Any]], column: Column[Any], values: Sequence[Any]) -> Iterator[Any]:
        """The rows in which `column` is one of `values`, of any number, in no order."""
        for start in range(0, len(values), IN_AT_MOST):
            chunk = tuple(values[start : start + IN_AT_MOST])
            size = 1 << (len(chunk) - 1).bit_length()

            def statement(size: int = size) -> ClauseElement:
                return select(*columns).where(column.in_([bindparam(f"v{i}", type_=column.type) for i in range(size)]))

            sql = self.text((column, tuple(columns), size), statement)
            yield from list(self.rows(sql, *chunk, *(chunk[-1:] * (size - len(chunk)))))  # whole: an open cursor holds a snapshot

    def all(self, *columns: Column[Any]) -> Iterator[tuple[Any, ...]]:
        """All rows in portions, so that nobody waits and nothing large is held; the first column is the row's number."""
        some = select(*columns).where(columns[0] > bindparam("after")).order_by(columns[0])
        sql, last = f"{self.text(('all', columns), lambda: some)} LIMIT {CHUNK}", 0
        while True:
            with self.reading():
                rows = list(self.rows(sql, last))
            if not rows:
                return
            yield from rows
            last = rows[-1][0]

    def run(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """A statement, once for each of `rows`."""
        if rows:
            self._driver.cursor().executemany(sql.replace("?", self._mark), rows)

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """Inside, what is deleted or written over is not only let go of but overwritten, where the database needs telling."""
        with self.reading():
            for statement in dialect.before_erasing(self._engine):
                self.rows(statement)
            try:
                yield
            finally:
                for statement in dialect.after_erasing(self._engine):
                    self.rows(statement)

    def shrink(self) -> None:
        """Gives the disk back what was deleted, where that is most of the file and nobody else is at work."""
        with self.reading():
            sizes = [next(iter(self.rows(sql)))[0] for sql in dialect.free_pages(self._engine)]
            if sizes and sizes[0] * 2 > sizes[1]:
                with suppress(*self._errors):  # another time
                    self.rows("VACUUM")

    def purge(self, tables: Sequence[str]) -> None:
        """Leaves nothing of what was erased from `tables` in the files of the database; outside of a transaction."""
        with self.reading():
            for statement in dialect.purge(self._engine, tables):
                try:
                    found = self.rows(statement)
                except self._errors:
                    if statement != dialect.AN_OLD_LOG:
                        raise
                if statement == dialect.CHECKPOINT and next(iter(found))[0]:
                    raise StoreBusy(f"{self.where}: {_STILL_THERE}")

    def close(self) -> None:
        with self._lock:
            try:
                self._connection.close()
            except self._errors as error:
                raise dialect.store_error(error, self.where, self._busy_s) from error
            finally:
                self._engine.dispose()

    def refuse(self, text: str) -> StoreError:
        """An error about this store."""
        return StoreError(f"{self.where}: {text}")
