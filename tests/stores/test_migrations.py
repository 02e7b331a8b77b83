"""A store is of one version or of the next, never between them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from qrelkit.core.errors import StoreTooNew
from qrelkit.core.wire import Message, Request
from qrelkit.core.wire import text as text_part
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


def columns(where: Path | str) -> dict[str, list[tuple[str, str, bool]]]:
    """Each table's columns: name, type, whether it may be empty."""
    database = Database(where)
    with database.reading() as connection:
        look = inspect(connection)
        found = {t: [(c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(t)] for t in look.get_table_names()}
        keys = {t: look.get_pk_constraint(t)["constrained_columns"] for t in found}
    database.close()
    return {t: [*about, ("key", ",".join(keys[t]), False)] for t, about in found.items()}


def test_a_store_of_the_first_schema_becomes_like_a_new_one(tmp_path):
    old, new = older(tmp_path / "old.db"), tmp_path / "new.db"
    change(old, "DROP TABLE spending; UPDATE meta SET value = '1' WHERE name = 'schema'")  # schema 1 had all the others
    opened(new, *STEPS)
    assert opened(old, *STEPS)[0] == 1 + len(STEPS)
    assert columns(old) == columns(new)
    with SqlStore(old) as store:
        store.add_spending("judge", "k", {"asked": 3})
        assert store.spending()["asked"].to_list() == [3]


def older(path: Path) -> Path:
    """A store of schema 2."""
    change(path, (Path(__file__).parent / "schema_2.sql").read_text(encoding="utf-8"))
    return path


def change(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_a_store_of_the_second_schema_becomes_like_a_new_one_and_keeps_everything(tmp_path):
    old, new = older(tmp_path / "old.db"), tmp_path / "new.db"
    opened(new, *STEPS)
    request = Request(model="openai:m-1", messages=(Message("user", (text_part("how relevant?"),)),))
    with SqlStore(old) as store:
        assert (store.version, store.spent_usd(), store.verify()) == (3, 0.5, [])
        found = store.conversation(request.digest)
        assert found is not None
        assert found[0]["messages"][0]["parts"] == [{"type": "text", "text": "how relevant?"}]
        assert (found[1].text, found[1].price, found[1].batch, found[1].tokens_reasoning) == ("2", "", False, None)
        assert store.judgments().select("reason", "details", "cost_usd").rows() == [("fits", "", 0.5)]
        assert store.spending().select("tokens_in", "tokens_image", "seconds", "busy_s").rows() == [(100, 0, 1.5, 0.0)]
        session = store.open_session("judge")
        assert list(store.exchange(session, [request.digest])) == [request.digest]
    assert columns(old) == columns(new)


def test_a_postgres_store_of_the_second_schema_becomes_like_a_new_one(postgres):
    SqlStore(postgres).close()
    new, database = columns(postgres), Database(postgres)
    added = {"replies": "tokens_reasoning tokens_image price session batch", "judgments": "details"}
    added["spending"] = "tokens_reasoning tokens_image saved_usd busy_s"
    with database.writing() as connection:
        for table, names in added.items():
            for name in names.split():
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {name}"))
        for table in ("texts", "sessions", "attempts", "batches", "batch_requests"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE meta SET value = '2' WHERE name = 'schema'"))
    database.close()
    with SqlStore(postgres) as store:
        assert store.version == 3
        assert store.exchange(store.open_session("judge"), ["r1:" + "0" * 32]) == {}
    assert columns(postgres) == new


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
