"""A store is of one version or of the next, never between them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from qrelkit.core.errors import StoreTooNew
from qrelkit.stores.database import Database
from qrelkit.stores.migrations import STEPS, prepare
from qrelkit.stores.schema import metadata
from qrelkit.stores.sql import SqlStore


def add_notes(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))


def add_authors(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE notes ADD COLUMN author TEXT"))


def breaks(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half (id INTEGER)"))
    raise RuntimeError("the power went")


def opened(path: Path, *steps: object) -> tuple[int, set[str]]:
    database = Database(path)
    try:
        version = prepare(database, steps)  # type: ignore[arg-type]
        with database.reading() as connection:
            return version, set(inspect(connection).get_table_names())
    finally:
        database.close()


def test_a_new_store_has_every_table_and_the_newest_version(tmp_path):
    assert opened(tmp_path / "store.db", *STEPS) == (1 + len(STEPS), set(metadata.tables))


def test_an_old_store_takes_the_missing_steps_once(tmp_path):
    path = tmp_path / "store.db"
    assert opened(path)[0] == 1
    assert opened(path, add_notes) == (2, {*metadata.tables, "notes"})
    assert opened(path, add_notes, add_authors)[0] == 3
    assert opened(path, add_notes, add_authors)[0] == 3


def test_a_step_that_breaks_leaves_neither_its_change_nor_its_record(tmp_path):
    path = tmp_path / "store.db"
    opened(path)
    with pytest.raises(RuntimeError, match="the power went"):
        opened(path, add_notes, breaks)
    assert opened(path, add_notes) == (2, {*metadata.tables, "notes"})


def test_a_store_of_a_newer_release_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "store.db"
    opened(path)
    opened(path, add_notes)
    with pytest.raises(StoreTooNew, match=r"store\.db: has schema 2 and this qrelkit knows 1; .*pip install -U qrelkit"):
        SqlStore(path)
