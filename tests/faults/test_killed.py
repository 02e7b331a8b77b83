"""A process that ends in the middle: what was paid for is there, once, and the next one goes on."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from cli.calling import call
from faults.many import expected, judged, judging, pair_of, point, verdict, wait_for, write_many
from servers.chat import ChatServer

Capture = pytest.CaptureFixture[str]
AT_ONCE = 8
PAIRS = 200


def stored(folder: Path) -> int:
    """Replies on disk, read beside the process that writes them."""
    file = folder / ".qrelkit" / "store.db"
    if not file.exists():
        return 0
    import sqlite3

    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return int(connection.execute("select count(*) from replies").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0
    finally:
        connection.close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_many(tmp_path))
    return tmp_path


def test_kill_minus_nine(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict, delay_s=0.03) as server:
        point(shop, server.url, AT_ONCE)
        with judging(shop) as process:
            wait_for(lambda: stored(shop) >= 60)
            process.kill()
            process.wait(30)
        asked = len(server.bodies)
        kept = stored(shop)
        assert 60 <= kept < PAIRS
        assert asked - kept <= AT_ONCE  # only what was on its way is lost
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) == asked + PAIRS - kept  # every stored reply was read from the ledger
        twice = [pair for pair, count in Counter(map(pair_of, server.bodies)).items() if count > 1]
        assert len(twice) <= AT_ONCE
    assert judged(shop) == expected()
    assert stored(shop) == PAIRS


def test_killed_again_and_again(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict, delay_s=0.01) as server:
        point(shop, server.url, AT_ONCE)
        for target in (50, 100):
            with judging(shop) as process:
                wait_for(lambda target=target: stored(shop) >= target)  # type: ignore[misc]
                process.kill()
                process.wait(30)
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) <= PAIRS + 2 * AT_ONCE
    assert judged(shop) == expected()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_waits_for_what_is_on_its_way_and_loses_nothing(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict, delay_s=0.03) as server:
        point(shop, server.url, AT_ONCE)
        with judging(shop) as process:
            wait_for(lambda: stored(shop) >= 40)
            process.send_signal(signal.SIGINT)
            out, words = process.communicate(timeout=30)
        assert process.returncode == 130, words
        assert "interrupted; nothing is lost" in words
        assert "Traceback" not in words
        asked = len(server.bodies)
        assert asked == stored(shop) < PAIRS
        assert f"graded\t{asked}" in out  # nothing is left for the next run to read from the ledger
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) == PAIRS
    assert judged(shop) == expected()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_a_second_ctrl_c_does_not_wait(shop: Path) -> None:
    with ChatServer(answer=verdict, delay_s=20) as server:
        point(shop, server.url, AT_ONCE)
        with judging(shop) as process:
            wait_for(lambda: len(server.bodies) == AT_ONCE)
            process.send_signal(signal.SIGINT)
            with pytest.raises(Exception, match="timed out"):
                process.wait(0.3)
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=10)
        assert process.returncode == 130, words
        assert "Traceback" not in words


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_a_polite_end_by_another_program_loses_no_stored_reply(shop: Path, capsys: Capture) -> None:
    """SIGTERM: what a cluster sends first, and what a machine sends that is shut down."""
    with ChatServer(answer=verdict, delay_s=0.03) as server:
        point(shop, server.url, AT_ONCE)
        with judging(shop) as process:
            wait_for(lambda: stored(shop) >= 40)
            process.terminate()
            _, words = process.communicate(timeout=30)
        assert process.returncode != 0
        assert "Traceback" not in words
        asked, kept = len(server.bodies), stored(shop)
        assert kept >= 40
        assert asked - kept <= AT_ONCE
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) == asked + PAIRS - kept
    assert judged(shop) == expected()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_during_a_wait_for_the_endpoint(tmp_path: Path) -> None:
    from servers.chat import rate_limited

    write_many(tmp_path)
    with ChatServer(answer=verdict) as server:
        server.next(*[rate_limited("30")] * AT_ONCE)
        point(tmp_path, server.url, AT_ONCE)
        with judging(tmp_path) as process:
            wait_for(lambda: len(server.bodies) == AT_ONCE)
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=10)
        assert process.returncode == 130, words


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_during_the_first_ten_calls_of_run(tmp_path: Path) -> None:
    write_many(tmp_path, queries=2, documents=15)
    with ChatServer(answer=verdict, delay_s=0.3) as server:
        point(tmp_path, server.url, AT_ONCE)
        with judging(tmp_path, "run", "--yes") as process:
            wait_for(lambda: len(server.bodies) >= 4)
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=30)
        assert process.returncode == 130, words
        assert len(server.bodies) == 10
