"""Several processes and one store, SQLite and PostgreSQL: no request is granted twice, and the dead hold nothing."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.stores import living
from qrelkit.stores.sql import SqlStore

COUNT = 600
ASKER = textwrap.dedent(
    """
    import random, sys, time
    from qrelkit.core.wire import Message, Reply, Request, text
    from qrelkit.stores.sql import SqlStore

    where, seed = sys.argv[1], int(sys.argv[2])
    store, paid, flying = SqlStore(where), [], []
    requests = {r.digest: r for r in (Request(model="m:1", messages=(Message("user", (text(str(n)),)),)) for n in range(600))}
    print("ready", flush=True)
    sys.stdin.readline()
    open_ones = list(requests)
    random.Random(seed).shuffle(open_ones)
    session = store.open_session("judge")
    until = time.time() + 60
    while open_ones and time.time() < until:
        asking = open_ones[:20]
        found = store.exchange(session, asking, [(requests[d], Reply(text=str(seed), cost_usd=1.0)) for d in flying])
        flying = [d for d in asking if d not in found]
        paid += flying
        known = {d for d, what in found.items() if isinstance(what, Reply)}
        held = [d for d in asking if d in found and d not in known]
        open_ones = open_ones[20:] + held
        time.sleep(0.005)  # the endpoint's time
    store.exchange(session, [], [(requests[d], Reply(text=str(seed), cost_usd=1.0)) for d in flying])
    store.end_session(session)
    print(" ".join(paid), flush=True)
    """
)
HANGER = textwrap.dedent(
    """
    import sys, time
    from qrelkit.stores.sql import SqlStore

    store = SqlStore(sys.argv[1])
    session = store.open_session("judge")
    store.exchange(session, sys.argv[2:])
    print(session, flush=True)
    time.sleep(60)
    """
)


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as one:
        try:
            yield one
        finally:
            one.kill()


def asked(said: str) -> Request:
    return Request(model="m:1", messages=(Message("user", (text(said),)),))


def line(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().strip()


def test_no_request_is_granted_to_two_processes(where):
    with process(ASKER, where, "1") as one, process(ASKER, where, "2") as two:
        assert [line(p) for p in (one, two)] == ["ready", "ready"]
        said = []
        for p in (one, two):
            assert p.stdin is not None
            p.stdin.write("go\n")
            p.stdin.flush()
        said = [line(p).split() for p in (one, two)]
    every = [asked(str(n)).digest for n in range(COUNT)]
    assert sorted(itertools.chain(*said)) == sorted(every)
    assert all(said)  # both had a share
    with SqlStore(where) as store:
        assert store.spent_usd() == COUNT  # each was paid once
        answers = store.replies(every)
        assert [{answers[d].text for d in paid} for paid in said] == [{"1"}, {"2"}]
        assert store.unanswered().is_empty()
        assert store.verify() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be asked whether a process is there")
def test_a_killed_process_holds_nothing_and_what_it_may_have_sent_is_listed(where):
    digests = [asked(str(n)).digest for n in range(3)]
    with SqlStore(where) as store:
        session = store.open_session("judge")
        with process(HANGER, where, *digests) as other:
            theirs = int(line(other))
            held = store.exchange(session, digests[:2])
            assert all(isinstance(until, float) and 30 < until - time.time() <= 45 for until in held.values())
            assert held.keys() == {*digests[:2]}
            assert store.unanswered().is_empty()
            other.kill()
            while living.exists(other.pid):  # nobody has waited for it yet: it is a zombie, and dead
                time.sleep(0.01)
            assert store.exchange(session, digests[:2]) == {}
            lost = store.unanswered()
            assert lost.select("digest", "session", "pid").rows() == [(d, theirs, other.pid) for d in digests]
        store.exchange(session, [], [(asked("0"), Reply(text="1"))])
        store.end_session(session)
    with SqlStore(where) as store:
        assert store.unanswered()["digest"].to_list() == digests


def test_what_another_process_asks_is_held_only_while_it_is_heard_of(where):
    digest = asked("0").digest
    with SqlStore(where, now=lambda: time.time() + 100) as store, process(HANGER, where, digest) as other:
        line(other)
        assert store.exchange(store.open_session("judge"), [digest]) == {}


def test_two_stores_of_one_process_hold_against_each_other(where):
    digest = asked("0").digest
    with SqlStore(where) as one, SqlStore(where) as two:
        first, second = one.open_session("judge"), two.open_session("judge")
        assert one.exchange(first, [digest]) == {}
        assert isinstance(two.exchange(second, [digest])[digest], float)
        one.end_session(first)
        assert two.exchange(second, [digest]) == {}
        assert isinstance(one.exchange(one.open_session("judge"), [digest])[digest], float)


def test_the_host_is_named_without_its_boot(where):
    with SqlStore(where, now=lambda: 1e9) as store:
        store.exchange(store.open_session("judge"), [asked("0").digest])
    with SqlStore(where) as store:
        (row,) = store.unanswered().rows(named=True)
        assert row["host"] == living.host().split()[0]
        assert orjson.loads(orjson.dumps(row))["sent"] == "2001-09-09T01:46:40.000Z"


def test_what_a_session_took_that_died_is_said_once_by_the_next_and_taken_back_where_it_lives_after_all(where):
    now = [1_000_000.0]
    with SqlStore(where, now=lambda: now[0]) as silent, SqlStore(where, now=lambda: now[0]) as store:
        session = silent.open_session("judge k")
        replies = [Reply(text="1", cost_usd=0.5, tokens_in=10, tokens_out=2), Reply(text="2", tokens_in=7)]
        silent.exchange(session, [], [(asked(r.text), r) for r in replies])
        store.end_session(store.open_session("judge k"))
        assert store.spending().is_empty()  # it lives
        now[0] += 100
        for _ in range(2):
            store.end_session(store.open_session("guide g"))
            (row,) = store.spending().rows(named=True)
            assert (row["stage"], row["key"], row["asked"], row["unpriced"]) == ("judge", "k", 2, 1)
            assert (row["tokens_in"], row["tokens_out"], row["cost_usd"]) == (17, 2, 0.5)
        silent.exchange(session, [], [(asked("3"), Reply(text="3", cost_usd=0.25))])
        silent.end_session(session)
        silent.add_spending("judge", "k", {"asked": 3, "cost_usd": 0.75})
        (row,) = store.spending().rows(named=True)
        assert (row["asked"], row["cost_usd"], row["tokens_in"], row["seconds"]) == (3, 0.75, 0, 0.0)
