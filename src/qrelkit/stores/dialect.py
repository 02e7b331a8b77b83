"""The one place that knows which database it is: opening, locking, inserting once, and what its errors mean.

SQLite is a file in WAL mode. A PostgreSQL URL goes through the very same statements. Both have one writer at a time
(BEGIN IMMEDIATE; an advisory lock), so row numbers rise in the order in which rows become visible.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from qrelkit.core.errors import MissingExtra, StoreBusy, StoreError

Sync = Literal["full", "normal"]
PAGE_BYTES = 8192  # a reply and its new part are about 2 kB: a batch touches half as many pages as with 4096
CACHE_KIB = 65_536
WAL_AGAIN_S = 0.01
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
AN_OLD_LOG = "CHECKPOINT"  # lets PostgreSQL let go of its log; not everybody may say so
WRITER_LOCK = 7_119_027_815  # any number that other programs in the same database do not use


def url_of(where: str | Path) -> URL:
    """The address of a store given as URL or as path of a file."""
    return make_url(where) if isinstance(where, str) and "://" in where else URL.create("sqlite", database=str(where))


def open_engine(url: URL, *, sync: Sync, busy_s: float) -> Engine:
    """An engine without a pool of its own, for one kept connection that commits only when told."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, sync, busy_s)
    if url.get_backend_name() != "postgresql":
        raise StoreError(f"{url.render_as_string()}: a store is an SQLite file or a postgresql:// address")
    shown = url.render_as_string()
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", paramstyle="format")
    except ImportError:
        raise MissingExtra(f"a store in PostgreSQL ({shown})", "postgres") from None

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = {int(busy_s * 1000)}")
        connection.execute(f"SET synchronous_commit = {'on' if sync == 'full' else 'off'}")

    return engine


def _sqlite(url: URL, sync: Sync, busy_s: float) -> Engine:
    path = Path(url.database or "")
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; a store is a file in it, such as {path / 'qrelkit.db'}")
    try:  # 0600 from the first byte; SQLite gives -wal and -shm the mode of the file
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no folder {path.parent}; make it, or name another file") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); choose a folder that you may write to") from None
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args={"check_same_thread": False, "timeout": busy_s}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # only while the file is still empty
        _to_wal(connection, busy_s)
        connection.execute(f"PRAGMA synchronous = {sync.upper()}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    return engine


def _to_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Switches to WAL. Of several that do so at once SQLite refuses all but one, without the wait it keeps elsewhere."""
    until = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(WAL_AGAIN_S)


def begin(engine: Engine) -> tuple[str, ...]:
    """The statements that open a transaction as the only writer."""
    if engine.dialect.name == "sqlite":
        return ("BEGIN IMMEDIATE",)
    return ("BEGIN", f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")


def before_erasing(engine: Engine) -> tuple[str, ...]:
    """The statements after which what is deleted is overwritten with zeros."""
    return ("PRAGMA secure_delete = ON",) if engine.dialect.name == "sqlite" else ()


def after_erasing(engine: Engine) -> tuple[str, ...]:
    return ("PRAGMA secure_delete = OFF",) if engine.dialect.name == "sqlite" else ()


def free_pages(engine: Engine) -> tuple[str, ...]:
    """The statements that say how many pages of the file are free, and how many it has; none where the database sees to it."""
    return ("PRAGMA freelist_count", "PRAGMA page_count") if engine.dialect.name == "sqlite" else ()


def purge(engine: Engine, tables: Sequence[str]) -> tuple[str, ...]:
    """The statements after which no old version of a row is in the database's files, nor in its samples of common values."""
    if engine.dialect.name == "sqlite":
        return ("VACUUM", CHECKPOINT)
    return (*(f"VACUUM (FULL, ANALYZE) {table}" for table in tables), "VACUUM FULL pg_catalog.pg_statistic", AN_OLD_LOG)


def insert(engine: Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that knows ON CONFLICT."""
    return sqlite.insert(table) if engine.dialect.name == "sqlite" else postgresql.insert(table)


def store_error(error: Exception, where: str, busy_s: float) -> StoreError:
    """The driver's error in words for a person, with the way out."""
    cause = getattr(error, "orig", None) or error
    name = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "55P03")) or "database is locked" in str(cause):
        return StoreBusy(f"{where}: another process held the store for more than {busy_s:g} s; let it end, then run again")
    for prefixes, text in _MEANINGS:
        if name.startswith(prefixes):
            return StoreError(f"{where}: {text} ({cause})")
    return StoreError(f"{where}: {cause}")


_MEANINGS = (
    (("SQLITE_NOTADB",), "is not a qrelkit store; name another file, or move this one away"),
    (
        ("SQLITE_FULL", "SQLITE_IOERR", "53100"),
        "could not be written, is the disk full? What came before is safe; make room and run again",
    ),
    (("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"), "cannot be written; give yourself the right, or copy it elsewhere"),
    (("SQLITE_CORRUPT",), 'is damaged; go back to a copy of it, or save what can be read with "sqlite3 FILE .recover"'),
)
