"""No room left on the disk in the middle of judging: it stops in words, keeps what it had, and goes on when there is room."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cli.calling import call
from faults.many import expected, judged, pair_of, point, verdict, write_many
from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer

AT_ONCE, QUERIES, DOCUMENTS = 8, 4, 120
PAIRS = QUERIES * DOCUMENTS
JUDGE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from qrelkit.cli.main import main
main(["judge"])
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_many(tmp_path, queries=QUERIES, documents=DOCUMENTS))
    return tmp_path


def stored(folder: Path) -> int:
    with SqlStore(folder / ".qrelkit" / "store.db") as store:
        ((count,),) = store._database.rows("SELECT count(*) FROM replies")
        assert store.verify() == []
        return int(count)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of a file")
def test_no_room_for_the_next_reply(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(answer=verdict) as server:
        point(shop, server.url, AT_ONCE)
        kept = [0]
        for limit in (800_000, 1_000_000):  # no file larger than that: neither the store nor its log
            asked = len(server.bodies)
            command = [sys.executable, "-c", JUDGE, str(limit)]
            ended = subprocess.run(command, cwd=shop, capture_output=True, encoding="utf-8", timeout=60)
            assert ended.returncode == 1, ended.stderr
            last = ended.stderr.splitlines()[-1]
            assert last.startswith("qrelkit: .qrelkit/store.db: could not be written, is the disk full? What came before is safe")
            assert "Traceback" not in ended.stderr
            kept.append(stored(shop))
            assert kept[-2] < kept[-1] < PAIRS
            lost = len(server.bodies) - asked - (kept[-1] - kept[-2])
            assert 0 <= lost <= AT_ONCE  # only what there was no room for
        asked = len(server.bodies)
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) == asked + PAIRS - kept[-1]
        assert max(Counter(map(pair_of, server.bodies)).values()) <= 3
    assert judged(shop) == expected(QUERIES, DOCUMENTS)
    assert stored(shop) == PAIRS
