"""Brings a store to the schema of this release.

A new store gets the tables of `schema.py`. An old one takes each missing step in turn; a step and the record that it was
taken share one transaction, so a store is never between two versions. Step n leads from version n to n + 1. The tests hold
a store of every version that was ever released against a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, insert, inspect, select, text, update

from qrelkit.core.errors import StoreError, StoreTooNew
from qrelkit.stores.database import Database
from qrelkit.stores.schema import meta, metadata

Step = Callable[[Connection], None]
FORMAT = "qrelkit store"


def add_spending(connection: Connection) -> None:
    """1 → 2: what each stage took is kept. Written out, because `schema.py` goes on changing and a step never does."""
    counts = ("asked", "known", "joined", "failed", "tokens_in", "tokens_out", "tokens_cached")
    columns = ["stage TEXT NOT NULL", "key TEXT NOT NULL", *(f"{name} BIGINT NOT NULL" for name in counts)]
    columns += ["cost_usd FLOAT NOT NULL", "unpriced BIGINT NOT NULL", "seconds FLOAT NOT NULL", "created BIGINT NOT NULL"]
    connection.execute(text(f"CREATE TABLE spending ({', '.join(columns)})"))


def add_sessions(connection: Connection) -> None:
    """2 → 3: who asks what, batches, prices, and more numbers of replies and stages."""
    number, blob = ("INTEGER", "BLOB") if connection.dialect.name == "sqlite" else ("BIGINT", "BYTEA")
    for column in (f"tokens_{n} INTEGER" for n in ("reasoning", "image")):
        connection.execute(text(f"ALTER TABLE replies ADD COLUMN {column}"))
    for column in (f"price {number}", f"session {number}", "batch INTEGER DEFAULT 0 NOT NULL"):
        connection.execute(text(f"ALTER TABLE replies ADD COLUMN {column}"))
    connection.execute(text("ALTER TABLE judgments ADD COLUMN details TEXT"))
    for name, kind in (("tokens_reasoning", "BIGINT"), ("tokens_image", "BIGINT"), ("saved_usd", "FLOAT"), ("busy_s", "FLOAT")):
        connection.execute(text(f"ALTER TABLE spending ADD COLUMN {name} {kind} DEFAULT 0 NOT NULL"))
    names = "tag TEXT NOT NULL, model TEXT NOT NULL, ticket TEXT NOT NULL"
    counts, moments = "requests INTEGER NOT NULL, answered INTEGER NOT NULL", "started BIGINT NOT NULL, beat BIGINT NOT NULL"
    tables = {
        "texts": "text TEXT NOT NULL",
        "sessions": f"host TEXT NOT NULL, pid {number} NOT NULL, what TEXT NOT NULL, {moments}, ended BIGINT",
        "attempts": f"session {number} NOT NULL, digest {blob} NOT NULL, sent BIGINT NOT NULL, seconds FLOAT, error TEXT",
        "batches": f"{names}, {counts}, created BIGINT NOT NULL, ended BIGINT",
    }
    for name, columns in tables.items():
        connection.execute(text(f"CREATE TABLE {name} (id {number} NOT NULL, {columns}, PRIMARY KEY (id))"))
    columns = f"digest {blob} NOT NULL, batch {number} NOT NULL, envelope {blob} NOT NULL, answered INTEGER NOT NULL"
    rowid = " WITHOUT ROWID" if number == "INTEGER" else ""
    connection.execute(text(f"CREATE TABLE batch_requests ({columns}, PRIMARY KEY (digest, batch)){rowid}"))


STEPS: tuple[Step, ...] = (add_spending, add_sessions)


def prepare(database: Database, steps: Sequence[Step] = STEPS) -> int:
    """Makes the tables, or takes the missing steps; returns the version, which is 1 + the number of steps.

    Raises StoreTooNew for a store of a newer release and StoreError for a database of another program.
    """
    newest = 1 + len(steps)
    with database.writing() as connection:
        version = _version(connection, database.where)
        if version == 0:
            metadata.create_all(connection)
            connection.execute(insert(meta), [{"name": "format", "value": FORMAT}, {"name": "schema", "value": str(newest)}])
            version = newest
    if version > newest:
        raise StoreTooNew(
            f"{database.where}: has schema {version} and this qrelkit knows {newest}; update it: pip install -U qrelkit"
        )
    while version < newest:
        version = _take(database, steps)
    return version


def _version(connection: Connection, where: str) -> int:
    """The version of the schema; 0 where nothing is there yet."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return 0
    about = dict(connection.execute(select(meta.c.name, meta.c.value)).all()) if meta.name in tables else {}
    if about.get("format") != FORMAT:
        raise StoreError(f"{where}: is a database of another program; name another file for the store")
    return int(about["schema"])


def _take(database: Database, steps: Sequence[Step]) -> int:
    """One step and its record; the version is read again, for another process may have taken it meanwhile."""
    with database.writing() as connection:
        version = _version(connection, database.where)
        if version <= len(steps):
            steps[version - 1](connection)
            version += 1
            connection.execute(update(meta).where(meta.c.name == "schema").values(value=str(version)))
    return version
