"""After forgetting, no file of the database holds the text, deflated or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from qrelkit.core.errors import StoreBusy
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.stores.packing import unpack
from qrelkit.stores.sql import SqlStore

SECRET = "Patient Zacharias Quintelpfau, born 1931"
LONG = SECRET + " had a cough for three weeks and no fever." * 300


def asked(document: str) -> Request:
    return Request(model="m:1", messages=(Message("user", (text("you judge"), text(f"<d>{document}</d>"))),))


def filled(store: SqlStore) -> None:
    """Documents that hold the secret, short and long ones (which are deflated), and 500 that do not."""
    store.add_judge("k", "gpt", {})
    held = {"s": asked(SECRET), "l": asked(LONG)}
    others = {f"d{n}": asked(f"document {n} " * 100) for n in range(500)}
    session = store.open_session("judge")
    pairs = held | others
    store.exchange(session, [r.digest for r in pairs.values()])
    said = {d: f"{SECRET} it says" * 40 if d in held else "fine" for d in pairs}
    store.exchange(session, [], [(r, Reply(text=said[d])) for d, r in pairs.items()])
    store.end_session(session)
    rows = [(d, r.digest, SECRET if d in held else "fine") for d, r in pairs.items()]
    details = {"why": SECRET}
    store.add_judgments(
        "k",
        [
            Judgment(query_id="q", doc_id=d, grade=1, outcome="graded", reason=w, request=r, details=details)
            for d, r, w in rows[:2]
        ],
    )
    store.add_judgments("k", [Judgment(query_id="q", doc_id=d, grade=0, outcome="graded", reason=w) for d, _, w in rows[2:]])
    store.add_descriptions("p", {"ab" * 32: SECRET})
    store.add_batch("t", [asked(LONG + " again")])


def holding(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("keep", ["full", "grades"])
def test_no_file_of_a_sqlite_store_holds_it(tmp_path, keep):
    with SqlStore(tmp_path / "store.db", keep=keep) as store:
        filled(store)
        assert holding(tmp_path)
        if keep == "grades":
            store.settle()
        counts = store.forget(["s", "l"], ["ab" * 32], [SECRET])
        assert counts["judgments"] == 2
        assert holding(tmp_path) == []  # while it is open: the -wal file too
        assert store.verify() == []
        assert store.known("k").height == 502
    connection = sqlite3.connect(tmp_path / "store.db")
    for sql in ("SELECT body FROM parts", "SELECT text FROM replies", "SELECT envelope FROM batch_requests"):
        assert not any(SECRET.encode() in unpack(value) for (value,) in connection.execute(sql))
    connection.close()


def test_a_reader_that_keeps_the_old_content_in_the_file_is_told(tmp_path):
    with SqlStore(tmp_path / "store.db", busy_s=0.1) as store:
        filled(store)
        reader = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM parts").fetchall()
        with pytest.raises(StoreBusy, match="the content is erased, but another process is still reading"):
            store.forget(["s", "l"], ["ab" * 32], [SECRET])
        assert store.replies([asked(LONG).digest]) == {}
        reader.close()
        store.forget(["s", "l"], ["ab" * 32], [SECRET])
        assert holding(tmp_path) == []


def test_no_table_file_of_a_postgres_server_holds_it(postgres):
    with SqlStore(postgres) as store:
        filled(store)
        ((folder,),) = store._database.rows("SHOW data_directory")
        if not Path(str(folder)).is_dir():
            pytest.skip("the server is on another machine")
        list_files = Path(str(folder)) / "base"
        store._database.rows("CHECKPOINT")
        assert holding(list_files)
        store._database.rows("ANALYZE judgments")  # which keeps samples of common values
        store.forget(["s", "l"], ["ab" * 32], [SECRET])
        store._database.rows("CHECKPOINT")
        assert holding(list_files) == []
        assert store.verify() == []
        for sql in ("SELECT body FROM parts", "SELECT text FROM replies", "SELECT envelope FROM batch_requests"):
            assert not any(SECRET.encode() in unpack(bytes(value)) for (value,) in store._database.rows(sql))
