"""Sessions that stop, stall or see the clock jump: what they hold is let go of in time, and what they bring late is kept."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from faults.endpoints import Endpoint, ask, digests, echo, many, run, within
from qrelkit.core.errors import StoreBusy, StoreError
from qrelkit.core.wire import Reply, Request
from qrelkit.stores.living import BEAT_S
from qrelkit.stores.sql import SqlStore

X, Y = ask("x"), ask("y")
AT_STAKE = 12  # of 8 at once: sent, or come and not stored yet


class Clock:
    """Time as it is told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def two(tmp_path: Path, clock: Clock) -> Iterator[tuple[SqlStore, SqlStore]]:
    """One store, opened twice."""
    with SqlStore(tmp_path / "store.db", now=clock) as one, SqlStore(tmp_path / "store.db", now=clock) as other:
        yield one, other


class Lock:
    """Another program that has the store for itself, for some seconds or until the end of the block."""

    def __init__(self, file: Path) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self.timer: threading.Timer | None = None

    def take(self, seconds: float | None = None) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        if seconds is not None:
            self.timer = threading.Timer(seconds, self.connection.rollback)
            self.timer.start()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        if self.timer is not None:
            self.timer.join()
        self.connection.close()


def its_process_ended(store: SqlStore) -> None:
    """Makes every session that was not ended one of a process that is gone."""
    store._database.rows("UPDATE sessions SET host = 'gone', beat = 0")


def at(number: int, action: Callable[[], None]) -> Callable[[Request], Reply]:
    """Echoes; before the `number`-th answer something happens."""
    count = iter(range(1, 10**9))

    def answer(request: Request) -> Reply:
        if next(count) == number:
            action()
        return echo(request)

    return answer


# sessions that are taken for dead


def test_a_session_that_says_nothing_lets_go_and_what_comes_late_is_kept(two: tuple[SqlStore, SqlStore], clock: Clock) -> None:
    one, other = two
    slow, quick = one.open_session("slow"), other.open_session("quick")
    assert one.exchange(slow, [X.digest]) == {}
    clock.now += BEAT_S - 1
    assert other.exchange(quick, [X.digest]) == {X.digest: 1_700_000_000.0 + BEAT_S}
    clock.now += 2
    assert other.unanswered().select("digest", "session").rows() == [(X.digest, slow)]
    assert other.exchange(quick, [X.digest]) == {}  # from now on it is the other's
    assert one.exchange(slow, [], [(X, Reply(text="late", cost_usd=1.0))]) == {}  # alive again, and paid for
    assert other.exchange(quick, [X.digest])[X.digest].text == "late"  # type: ignore[union-attr]
    other.exchange(quick, [], [(X, Reply(text="second", cost_usd=1.0))])
    assert [store.replies([X.digest])[X.digest].text for store in two] == ["late", "late"]  # the first one counts
    assert one.spent_usd() == 2.0  # and both cost
    assert one.unanswered().height == other.unanswered().height == 0
    assert one.exchange(slow, [Y.digest]) == {}
    assert Y.digest in other.exchange(quick, [Y.digest])  # it holds again what it asks
    for store, session in ((one, slow), (other, quick)):
        store.end_session(session)
    assert (one.unanswered().height, one.verify()) == (0, [])


def test_it_lives_as_long_as_it_is_heard_of(two: tuple[SqlStore, SqlStore], clock: Clock) -> None:
    one, other = two
    slow, quick = one.open_session("slow"), other.open_session("quick")
    one.exchange(slow, [X.digest])
    for _ in range(20):
        clock.now += 20
        one.exchange(slow, [])
        assert X.digest in other.exchange(quick, [X.digest])


@pytest.mark.xfail(strict=True, reason="the flow goes on with a reply that is not the one in the ledger")
def test_a_late_reply_does_not_make_a_judgment_that_the_ledger_does_not_show(tmp_path: Path, clock: Clock) -> None:
    with SqlStore(tmp_path / "store.db", now=clock) as one, SqlStore(tmp_path / "store.db", now=clock) as other:

        def taken_over() -> None:
            clock.now += BEAT_S + 1
            session = other.open_session("other")
            assert other.exchange(session, [ask("w0").digest]) == {}
            other.exchange(session, [], [(ask("w0"), Reply(text="of the other"))])
            other.end_session(session)

        out, _ = run(many(1), Endpoint(at(1, taken_over)), one)
        assert out == [one.replies(digests(1))[ask("w0").digest].text]


# clocks


def test_a_clock_that_is_set_back_loses_no_claim(two: tuple[SqlStore, SqlStore], clock: Clock) -> None:
    one, other = two
    first, second = one.open_session("first"), other.open_session("second")
    one.exchange(first, [X.digest])
    clock.now -= 7_200
    assert X.digest in other.exchange(second, [X.digest])
    one.exchange(first, [Y.digest], [(X, Reply(text="x"))], [(Y.digest, 5.0, "broke off")])
    assert other.exchange(second, [X.digest])[X.digest].text == "x"  # type: ignore[union-attr]
    assert Y.digest in other.exchange(second, [Y.digest])
    one.end_session(first)
    assert other.exchange(second, [Y.digest]) == {}
    assert other.unanswered().height == 0


@pytest.mark.xfail(strict=True, reason="a claim that runs for more than an hour is taken for a batch")
def test_a_clock_that_was_set_back_makes_no_batch_of_a_dead_session(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "store.db", now=lambda: time.time() + 7_200) as ahead:
        ahead.exchange(ahead.open_session("dead"), digests(1))
        ahead._database.rows("UPDATE sessions SET host = 'another'")
    with SqlStore(tmp_path / "store.db") as store:
        out, tally = within(20, lambda: run(many(3), Endpoint(echo), store))
    assert (sorted(out), tally.waiting) == (["W0", "W1", "W2"], 0)


# a store that others hold


def test_a_store_that_is_locked_for_a_while_costs_only_time(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with SqlStore(file, sync="normal") as store, Lock(file) as lock:
        model, started = Endpoint(at(20, lambda: lock.take(1.0))), time.monotonic()
        out, tally = run(many(60), model, store, at_once=8)
        assert (len(out), len(model.asked), tally.failed) == (60, 60, 0)
        assert time.monotonic() - started >= 1.0


def test_a_store_that_is_locked_for_good_stops_in_words(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with SqlStore(file, sync="normal", busy_s=0.05) as store, Lock(file) as lock:
        model = Endpoint(at(20, lock.take))
        with pytest.raises(StoreBusy, match=r"another process held the store for more than 0\.05 s; let it end, then"):
            run(many(60), model, store, at_once=8)
        kept = len(store.replies(digests(60)))
        assert len(model.asked) - AT_STAKE <= kept < 60
    with SqlStore(file, sync="normal") as store:
        its_process_ended(store)
        again = Endpoint(echo)
        out, tally = run(many(60), again, store)
        assert (len(out), tally.known, len(again.asked)) == (60, kept, 60 - kept)


def test_what_was_paid_is_kept_when_the_store_is_free_again(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    locks: list[Lock] = []

    class Held(SqlStore):
        """Locked in the turn that brings the first replies."""

        def exchange(self, session: int, asking: Sequence[str], answered: Any = (), failed: Any = ()) -> dict[str, Reply | float]:
            if locks or not answered:
                return super().exchange(session, asking, answered, failed)
            with Lock(file) as lock:
                locks.append(lock)
                lock.take()
                return super().exchange(session, asking, answered, failed)

    model = Endpoint(echo)
    with Held(file, sync="normal", busy_s=0.1) as store:
        with pytest.raises(StoreBusy):
            run(many(60), model, store, at_once=8)
        assert len(store.replies(digests(60))) == len(model.asked)


@pytest.mark.xfail(strict=True, reason="a session that could not be ended is alive for 45 s, as its process is: ours")
def test_a_drive_that_failed_does_not_hold_up_the_next_in_the_same_process(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "store.db", sync="normal") as store:
        driver = store._database._driver
        breaks = at(20, lambda: driver.execute("PRAGMA query_only = ON"))
        with pytest.raises(StoreError):
            run(many(60), Endpoint(breaks), store, at_once=8)
        driver.execute("PRAGMA query_only = OFF")
        out, _ = within(4, lambda: run(many(60), Endpoint(echo), store))
        assert len(out) == 60


# waiting for another


def test_what_another_lets_go_of_is_taken_up_soon(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "store.db") as one, SqlStore(tmp_path / "store.db") as other:
        session = other.open_session("other")
        other.exchange(session, digests(5))
        timer = threading.Timer(0.5, lambda: other.end_session(session))
        timer.start()
        started = time.monotonic()
        out, _ = run(many(20), Endpoint(echo), one, at_once=4)
        took_s = time.monotonic() - started
        timer.join()
    assert sorted(out) == sorted(f"W{n}" for n in range(20))
    assert took_s < 4


def test_thousands_of_held_requests_hold_up_nobody(tmp_path: Path) -> None:
    """As many as a batch holds that somebody fills; every one of them is known to be held, and the others are judged."""
    with SqlStore(tmp_path / "store.db", sync="normal") as one, SqlStore(tmp_path / "store.db", sync="normal") as other:
        session, held = other.open_session("other"), digests(24_000)
        for start in range(0, len(held), 1_000):
            other.exchange(session, held[start : start + 1_000])
        mine = one.open_session("mine")
        started = time.process_time()
        for start in range(0, 1_000, 20):
            assert len(one.exchange(mine, held[start : start + 20])) == 20
            other.exchange(session, [ask(f"new {start}").digest])
        assert time.process_time() - started < 10
        other.end_session(session)
        assert one.exchange(mine, held[:20]) == {}


def cut_connections(postgres: str) -> None:
    """What a restart of the server does to its clients."""
    from sqlalchemy import create_engine, make_url, text

    engine = create_engine(make_url(postgres).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    of_others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {of_others}"))
    engine.dispose()


def test_a_connection_to_postgres_that_is_cut_stops_in_words_and_the_next_run_goes_on(postgres: str) -> None:
    store, model = SqlStore(postgres), Endpoint(at(20, lambda: cut_connections(postgres)))
    with pytest.raises(StoreError, match=r"postgresql://.*: .*(connection|terminat)"):
        run(many(60), model, store, at_once=8)
    with SqlStore(postgres) as store:
        kept = len(store.replies(digests(60)))
        assert len(model.asked) - AT_STAKE <= kept < 60
        its_process_ended(store)
        again = Endpoint(echo)
        out, _ = run(many(60), again, store)
        assert (len(out), len(again.asked)) == (60, 60 - kept)


@pytest.mark.xfail(strict=True, reason="closing rolls back on a connection that is gone, and raises what SQLAlchemy says of it")
def test_a_store_whose_server_has_gone_can_be_closed(postgres: str) -> None:
    store = SqlStore(postgres)
    cut_connections(postgres)
    with pytest.raises(StoreError):
        store.replies(digests(1))
    problem = ""
    try:
        store.close()
    except Exception as error:
        problem = repr(error)
    del store
    gc.collect()  # what SQLAlchemy logs of the connection it finds broken comes here, and not while pytest is at work
    assert problem == ""
