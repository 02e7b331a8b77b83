"""Killed writers, two writers at once, a full disk: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from qrelkit.core.errors import StoreError
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.stores.sql import SqlStore

WRITER = textwrap.dedent(
    """
    import sys
    from qrelkit.core.records import Judgment
    from qrelkit.core.wire import Message, Reply, Request, text
    from qrelkit.stores.sql import SqlStore

    path, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    store = SqlStore(path)
    store.add_judge("k", "judge", {})
    for batch in range(batches):
        names = [f"{name}-{batch}-{n}" for n in range(size)]
        parts = [(text("shared by all"), text(n + " word" * 100)) for n in names]
        requests = [Request(model="m:1", messages=(Message("user", p),)) for p in parts]
        store.add_replies([(r, Reply(text=n, cost_usd=0.25)) for r, n in zip(requests, names)])
        store.add_judgments("k", [Judgment(query_id=f"q{batch}", doc_id=n, grade=1, outcome="graded") for n in names])
        sys.stdout.write(f"{batch}\\n")
        sys.stdout.flush()
    """
)


def writer(path: Path, name: str, batches: int, size: int = 8, before: str = "") -> subprocess.Popen[str]:
    """A process that acknowledges every batch with a line, once it was stored."""
    command = [sys.executable, "-c", before + WRITER, str(path), name, str(batches), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


def digests(name: str, batch: int, size: int = 8) -> list[str]:
    said = [f"{name}-{batch}-{n}" for n in range(size)]
    messages = [(Message("user", (text("shared by all"), text(s + " word" * 100))),) for s in said]
    return [Request(model="m:1", messages=m).digest for m in messages]


def test_a_killed_writer_loses_no_acknowledged_batch(tmp_path):
    path = tmp_path / "store.db"
    with writer(path, "a", 100_000) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(30)]
        process.kill()
        seen += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    assert seen == list(range(len(seen)))
    with SqlStore(path) as store:
        for batch in seen:
            assert len(store.replies(digests("a", batch))) == 8
        judged = store.judgments("k").group_by("query_id").len()
        assert set(judged["len"]) == {8}  # no batch is there by half
        assert judged.height in (len(seen), len(seen) + 1)
        assert store.verify() == []
        store.add_replies([(Request(model="m:1", messages=()), Reply(text="goes on"))])


def test_two_processes_write_to_one_store_at_once(tmp_path):
    path = tmp_path / "store.db"
    with writer(path, "a", 60) as one, writer(path, "b", 60) as two:
        said = [process.communicate(timeout=60) for process in (one, two)]
    assert [(len(out.split()), err) for out, err in said] == [(60, ""), (60, "")]
    with SqlStore(path) as store:
        assert store.spent_usd() == 240.0  # 2 × 60 × 8 × 0.25
        for name in "ab":
            assert sum(len(store.replies(digests(name, batch))) for batch in range(60)) == 480
        assert store.known("k").height == 960
        assert store.verify() == []
        ((parts,),) = store._database.rows("SELECT count(*) FROM parts")
    assert parts == 961  # each document's, and the shared one once


def test_what_another_process_writes_is_seen_at_once(tmp_path):
    path = tmp_path / "store.db"
    with SqlStore(path) as store:
        assert store.replies(digests("a", 0)) == {}
        with writer(path, "a", 1) as process:
            assert process.communicate(timeout=60) == ("0\n", "")
        assert len(store.replies(digests("a", 0))) == 8
        assert store.known("k").height == 8
        assert store.spent_usd() == 2.0


def test_a_full_database_is_an_error_and_keeps_what_was_stored(tmp_path):
    request = [Request(model="m:1", messages=(Message("user", (text(f"{n}" * 3_000),)),)) for n in range(60)]
    with SqlStore(tmp_path / "store.db") as store:
        store.add_replies([(r, Reply(text="1")) for r in request[:10]])
        ((pages,),) = store._database.rows("PRAGMA page_count")
        list(store._database.rows(f"PRAGMA max_page_count = {pages + 2}"))
        with pytest.raises(StoreError, match="is the disk full"):
            store.add_replies([(r, Reply(text="x" * 3_000)) for r in request[10:]])
        assert len(store.replies([r.digest for r in request])) == 10
        list(store._database.rows("PRAGMA max_page_count = 100000"))
        store.add_replies([(r, Reply(text="2")) for r in request[10:]])  # parts of the lost batch are not taken for stored
        assert len(store.replies([r.digest for r in request])) == 60
        assert store.verify() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of a file")
def test_a_writer_that_meets_a_full_disk_keeps_every_acknowledged_batch(tmp_path):
    path = tmp_path / "store.db"
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
    with writer(path, "a", 2_000, before=limited) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "StoreError" in err
    assert "is the disk full" in err
    seen = out.split()
    assert len(seen) > 5
    with SqlStore(path) as store:
        assert all(len(store.replies(digests("a", batch))) == 8 for batch in range(len(seen)))
        assert set(store.judgments("k").group_by("query_id").len()["len"]) == {8}
        assert store.verify() == []
