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


def columns(path: Path) -> dict[str, list[tuple[str, str, bool]]]:
    """Each table's columns: name, type, whether it may be empty."""
    database = Database(path)
    with database.reading() as connection:
        look = inspect(connection)
        found = {t: [(c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(t)] for t in look.get_table_names()}
    database.close()
    return found


def test_a_store_of_the_first_schema_becomes_like_a_new_one(tmp_path):
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    opened(new, *STEPS)
    opened(old)
    database = Database(old)
    with database.writing() as connection:
        connection.execute(text("DROP TABLE spending"))  # schema 1 had all the others
    database.close()
    assert opened(old, *STEPS)[0] == 1 + len(STEPS)
    assert columns(old) == columns(new)
    with SqlStore(old) as store:
        store.add_spending("judge", "k", {"asked": 3})
        assert store.spending()["asked"].to_list() == [3]


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
    opened(path, *STEPS, add_notes)
    knows = 1 + len(STEPS)
    with pytest.raises(StoreTooNew, match=rf"store\.db: has schema {knows + 1} and this qrelkit knows {knows}; .*pip install -U"):
        SqlStore(path)
