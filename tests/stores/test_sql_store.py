"""What only a store in a file has: it lasts, it is private, it is small, and it says what is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.errors import StoreBusy, StoreError
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.stores.database import Database
from qrelkit.stores.digests import Digests
from qrelkit.stores.migrations import prepare
from qrelkit.stores.schema import replies as replies_table
from qrelkit.stores.schema import reply_digests
from qrelkit.stores.sql import SqlStore


def asked(said: str, *before: str) -> Request:
    return Request(model="openai:m-1", messages=(Message("user", tuple(text(t) for t in (*before, said))),))


def rows_of(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def change(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql, values)
    connection.commit()
    connection.close()


def test_everything_is_there_after_closing(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        store.add_replies([(asked("q"), Reply(text="a", cost_usd=0.5))])
        store.add_judge("k", "j", {})
        store.add_judgments("k", [Judgment(query_id="q", doc_id="d", grade=1, outcome="graded")])
        store.add_descriptions("p", {"i": "red"})
    with SqlStore(f"sqlite:///{path}") as store:
        assert store.replies([asked("q").digest])[asked("q").digest].text == "a"
        assert (store.spent_usd(), store.known("k").height, store.descriptions("p")) == (0.5, 1, {"i": "red"})
        assert repr(store) == f"SqlStore({path})"
    assert [p.name for p in tmp_path.iterdir()] == ["store.db"]


def test_a_part_is_stored_once_also_after_opening_again(tmp_path):
    path = tmp_path / "store.db"
    for number in range(3):
        with SqlStore(path) as store:
            store.add_replies([(asked(f"d{number}{n}", "you are a judge", "query"), Reply(text="1")) for n in range(10)])
    assert rows_of(path, "SELECT count(*), count(DISTINCT digest) FROM parts") == [(32, 32)]


def test_long_parts_are_deflated_and_digests_are_bytes(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        store.add_replies([(asked("a red shoe " * 300), Reply(text="because " * 300))])
    ((part, answer, digest),) = rows_of(path, "SELECT length(body), length(r.text), r.digest FROM parts, replies r")
    assert isinstance(part, int)
    assert part < 330  # a tenth
    assert isinstance(answer, int)
    assert answer < 240
    assert digest == b"\x01" + bytes.fromhex(asked("a red shoe " * 300).digest[3:])


def test_many_long_parts_are_deflated_at_once_and_come_back(tmp_path):
    long = [asked(f"article {n} " + "of many words " * 2_000) for n in range(12)]
    with SqlStore(tmp_path / "store.db") as store:
        store.add_replies([(r, Reply(text="1")) for r in long])
        for n, request in enumerate(long):
            found = store.conversation(request.digest)
            assert found is not None
            assert found[0]["messages"][0]["parts"][0]["text"].startswith(f"article {n} of many")
        assert store.verify() == []
    ((most,),) = rows_of(tmp_path / "store.db", "SELECT max(length(body)) FROM parts")
    assert most < 1_000  # of 28,000


def test_an_envelope_takes_16_bytes_for_each_digest_and_its_form_is_stored_once(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        store.add_replies([(asked(f"d{n}", "you judge", "query"), Reply(text="1", price="p")) for n in range(10)])
    ((longest, forms),) = rows_of(path, "SELECT max(length(envelope)), (SELECT count(*) FROM texts) FROM replies")
    assert longest == 1 + 4 + 3 * 16
    assert forms == 2  # and the price


def test_requests_of_very_many_forms_are_kept_whole(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        rows = [(Request(model=f"m:{n}", messages=()), Reply(text=str(n))) for n in range(6_500)]
        for start in range(0, len(rows), 650):
            store.add_replies(rows[start : start + 650])
        assert store.verify() == []
        assert store.conversation(rows[-1][0].digest)[0]["model"] == "m:6499"
    assert rows_of(path, "SELECT count(*) FROM texts") == [(5_200,)]  # the step past 5,000 was the last


def test_a_store_that_keeps_grades_is_small_once_they_are_settled(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path, keep="grades") as store:
        requests = [asked(f"{n} {os.urandom(900).hex()}") for n in range(500)]
        store.add_replies([(request, Reply(text="because " * 50)) for request in requests])
        store.add_judge("k", "gpt", {})
        about: dict[str, Any] = {"query_id": "q", "grade": 1, "outcome": "graded"}
        store.add_judgments("k", [Judgment(doc_id=str(n), request=r.digest, **about) for n, r in enumerate(requests)])
    full = path.stat().st_size
    with SqlStore(path, keep="grades") as store:
        store.settle()
    assert path.stat().st_size < full / 4
    assert full > 900_000


def test_rows_are_found_before_and_after_they_settle_into_the_index(tmp_path):
    path, where = tmp_path / "store.db", []
    database, other = Database(path), Database(path)
    prepare(database)
    mine, theirs = (Digests(d, replies_table, reply_digests, settle_at=4) for d in (database, other))
    names = [bytes([n]) * 17 for n in range(10)]
    for number, name in enumerate([*names, names[0]], 1):
        with database.writing():
            assert mine.refresh() == number - 1
            database.add(replies_table, [(number, name, None, 0, "", "", "", *(None,) * 4, 1, b"", None, b"", *(None,) * 4, 0)])
        mine.settle()
        theirs.refresh()
        where.append((mine.find(names), theirs.find(names)))
    assert where[-1] == ({n: i for i, n in enumerate(names, 1)}, {n: i for i, n in enumerate(names, 1)})  # of two the first
    assert all(ours.keys() <= set(names[:i]) and len(seen) == min(i, 10) for i, (ours, seen) in enumerate(where, 1))
    theirs.settle()  # the same rows once more
    later = Digests(other, replies_table, reply_digests)
    assert later.refresh() == 11
    assert later.find(names) == where[-1][0]
    database.close()
    other.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_files_are_private(tmp_path):
    before = os.umask(0)
    try:
        with SqlStore(tmp_path / "store.db") as store:
            store.add_descriptions("p", {"i": "red"})
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_a_store_is_used_from_another_thread_than_the_one_that_opened_it(tmp_path):
    with SqlStore(tmp_path / "store.db") as store:
        requests = [[asked(f"{t}-{n}", "system") for n in range(40)] for t in range(4)]

        def work(some: list[Request]) -> None:
            for request in some:
                store.add_replies([(request, Reply(text="1", cost_usd=0.25))])
                assert store.replies([request.digest])

        threads = [threading.Thread(target=work, args=(some,)) for some in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.spent_usd() == 40.0  # 4 × 40 × 0.25
        assert store.verify() == []


def test_durability_is_a_choice(tmp_path):
    for sync, number in (("full", 2), ("normal", 1)):
        database = Database(tmp_path / f"{sync}.db", sync=sync)  # type: ignore[arg-type]
        assert list(database.rows("PRAGMA synchronous")) == [(number,)]
        assert list(database.rows("PRAGMA journal_mode")) == [("wal",)]
        database.close()


# verify


def test_verify_names_rows_whose_content_was_changed(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        store.add_replies([(asked("short"), Reply(text="1")), (asked("long " * 500), Reply(text="2"))])
        assert store.verify() == []
    change(path, "UPDATE parts SET body = ? WHERE id = 1", b"shorn")
    change(path, "UPDATE parts SET body = ? WHERE id = 2", b"x\x01 broken")
    change(path, "UPDATE replies SET envelope = (SELECT envelope FROM replies WHERE id = 1) WHERE id = 2")
    change(path, "UPDATE replies SET envelope = substr(envelope, 1, 12) WHERE id = 1")
    with SqlStore(path) as store:
        wrong = store.verify()
    assert [w.split(":")[0].split()[0] for w in wrong] == ["part", "part", "request", "request"]
    assert [w[w.index("(row ") :].split(")")[0] for w in wrong] == ["(row 1", "(row 2", "(row 1", "(row 2"]
    assert "unreadable" in wrong[1]


def test_verify_names_parts_that_are_gone_and_a_conversation_says_so(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        store.add_replies([(asked("d", "system"), Reply(text="1"))])
    change(path, "DELETE FROM parts WHERE id = 1")
    with SqlStore(path) as store:
        (line,) = store.verify()
        assert line.endswith(f"part {text('system').digest} is missing")
        with pytest.raises(StoreError, match=f"part {text('system').digest} of a conversation is missing"):
            store.conversation(asked("d", "system").digest)


# what cannot be opened


def test_a_file_that_is_no_store_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but longer than a header would be " * 30, encoding="utf-8")
    with pytest.raises(StoreError, match=r"notes\.txt: is not a qrelkit store; name another file"):
        SqlStore(path)
    assert path.read_text(encoding="utf-8").startswith("not a database")


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE meta (name TEXT, value TEXT)")
    with pytest.raises(StoreError, match="another program"):
        SqlStore(path)
    assert rows_of(path, "SELECT name FROM sqlite_master") == [("meta",)]


def test_a_folder_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(StoreError, match="is a folder; a store is a file in it"):
        SqlStore(tmp_path)
    with pytest.raises(StoreError, match=r"there is no folder .*nowhere"):
        SqlStore(tmp_path / "nowhere" / "store.db")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        SqlStore(tmp_path / "file" / "store.db")
    assert not (tmp_path / "nowhere").exists()


def test_an_unknown_kind_of_database_is_refused():
    with pytest.raises(StoreError, match=r"mysql://user:\*\*\*@host/db: a store is an SQLite file or"):
        SqlStore("mysql://user:secret@host/db")


def test_a_missing_driver_is_named_with_the_way_to_get_it():
    script = "import sys; sys.modules['psycopg'] = None; import qrelkit; qrelkit.SqlStore('postgresql://qk:secret@host/db')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=False)
    assert done.stderr.splitlines()[-1] == (
        "qrelkit.core.errors.MissingExtra: a store in PostgreSQL (postgresql://qk:***@host/db) needs an optional package: "
        'pip install "qrelkit[postgres]"'
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        SqlStore(tmp_path / "store.db")


def test_a_store_held_by_another_is_busy_and_works_again_afterwards(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path, busy_s=0.05) as store, SqlStore(path, busy_s=0.05) as other, other._database.writing():
        with pytest.raises(StoreBusy, match=r"store\.db: another process held the store for more than 0\.05 s"):
            store.add_descriptions("p", {"i": "red"})
        assert store.descriptions("p") == {}  # reading goes on
    with SqlStore(path) as store:
        store.add_descriptions("p", {"i": "red"})
        assert store.descriptions("p") == {"i": "red"}


def test_a_closed_store_says_so(tmp_path):
    store = SqlStore(tmp_path / "store.db")
    store.close()
    store.close()
    for use in (store.spent_usd, store.judgments, lambda: store.add_replies([(asked("q"), Reply(text="a"))])):
        with pytest.raises(StoreError, match="closed"):
            use()
