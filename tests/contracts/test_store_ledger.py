"""Who is asking what: sessions, claims, attempts and batches, in every store. Two sessions here are two drives of one process."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from contract_clock import Clock
from qrelkit.core.doors import BatchRow
from qrelkit.core.errors import StoreError
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.stores import frames

START = 1_767_225_600.0
DAY = 86_400.0


def asked(said: str) -> Request:
    return Request(model="openai:m-1", messages=(Message("user", (text("you judge"), text(said))),))


def digests(*said: str) -> list[str]:
    return [asked(s).digest for s in said]


def test_what_nobody_knows_is_claimed_and_what_is_stored_comes_back(store):
    one = store.open_session("judge")
    assert store.exchange(one, digests("a", "b")) == {}
    reply = Reply(text="2", cost_usd=0.5, served="m-1")
    assert store.exchange(one, digests("c"), [(asked("a"), reply)]) == {}
    (a,) = digests("a")
    assert store.exchange(one, [a]) == {a: replace(reply, request=a, known=True)}
    assert store.replies([a]) == {a: replace(reply, request=a, known=True)}
    assert store.spent_usd() == 0.5


def test_a_reply_may_be_asked_for_in_the_turn_that_stores_it(store):
    one, (a,) = store.open_session("judge"), digests("a")
    first = store.exchange(one, [a], [(asked("a"), Reply(text="2", error="slow at first"))])
    assert first == store.exchange(one, [a]) == {a: Reply(text="2", request=a, known=True)}


def test_a_session_may_go_on_asking_what_it_has_claimed(store):
    one = store.open_session("judge")
    assert store.exchange(one, digests("a")) == {}
    assert store.exchange(one, digests("a", "b", "a")) == {}
    assert store.exchange(one, []) == {}


def test_two_sessions_never_claim_the_same_digest(make_store):
    store = make_store(clock := Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    store.exchange(one, digests("a", "b"))
    assert store.exchange(two, digests("b", "c")) == dict.fromkeys(digests("b"), START + 45)
    assert store.exchange(one, digests("c", "d")) == dict.fromkeys(digests("c"), START + 45)
    clock.now += 20
    assert store.exchange(one, digests("d"), [(asked("b"), Reply(text="1"))]) == {}
    assert store.exchange(two, digests("a", "b"))[digests("a")[0]] == START + 65  # heard of 20 s later
    assert isinstance(store.exchange(two, digests("b"))[digests("b")[0]], Reply)


def test_the_end_of_a_session_gives_back_its_claims(make_store):
    store = make_store(Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    store.exchange(one, digests("a"))
    store.end_session(one)
    assert store.exchange(two, digests("a")) == {}
    store.end_session(two)
    assert store.unanswered().is_empty()
    assert store.exchange(store.open_session("judge"), digests("a", "b")) == {}


def test_a_session_that_is_silent_for_too_long_is_dead_and_its_claims_are_taken_over_and_listed(make_store):
    store = make_store(clock := Clock(0))
    one, two = store.open_session("judge"), store.open_session("guide")
    store.exchange(one, digests("a", "b", "c"))
    store.exchange(one, [], [(asked("a"), Reply(text="1"))])
    for _ in range(3):
        clock.now += 14.9
        assert store.exchange(two, digests("b")).keys() == {*digests("b")}
    clock.now += 0.4
    assert store.exchange(two, digests("b", "d")) == {}
    assert store.exchange(two, [], [(asked("b"), Reply(text="2"))]) == {}
    lost = store.unanswered()
    assert lost.schema == pl.Schema(frames.UNANSWERED)
    assert lost["digest"].to_list() == digests("b", "c")  # b was answered to another session: the first asking may be paid too
    assert lost["session"].unique().to_list() == [one]
    assert lost["sent"].unique().to_list() == ["2026-01-01T00:00:00.000Z"]
    store.end_session(two)
    three = store.open_session("judge")  # which buries the dead, and keeps what they left
    assert store.unanswered()["digest"].to_list() == digests("b", "c")
    assert store.exchange(three, digests("c")) == {}


def test_failed_attempts_are_kept_and_the_claim_is_not_lost_by_them(make_store):
    store = make_store(clock := Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    store.exchange(one, digests("a"))
    clock.now += 4
    a = digests("a")[0]
    store.exchange(one, [], failed=[(a, 2.5, "429: slow down"), (a, 1.0, "")])
    assert store.exchange(two, [a]).keys() == {a}
    found = store.attempts()
    assert found.schema == pl.Schema(frames.ATTEMPTS)
    assert found.rows() == [
        (a, one, "2026-01-01T00:00:01.500Z", 2.5, "429: slow down"),
        (a, one, "2026-01-01T00:00:03.000Z", 1.0, "failed"),
    ]
    store.exchange(one, [], [(asked("a"), Reply(text="1"))])
    store.end_session(one)
    assert store.attempts().height == 2
    assert store.unanswered().is_empty()


def test_what_will_not_be_tried_again_is_free(make_store):
    store = make_store(Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    store.exchange(one, digests("a", "b"))
    store.exchange(one, [], [(asked("a"), Reply(text="", outcome="failed", error="timeout"))])
    assert store.exchange(two, digests("a", "b")).keys() == {*digests("b")}
    assert store.replies(digests("a")) == {}


def test_what_failed_long_ago_is_free_while_its_session_lives(make_store):
    store = make_store(clock := Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    store.exchange(one, digests("a", "b"), failed=[])
    store.exchange(one, [], failed=[(digests("a")[0], 1.0, "timeout")])
    for _ in range(23):
        clock.now += 40.9
        store.exchange(one, [])
    assert store.exchange(two, digests("a", "b")).keys() == {*digests("b")}


def test_many_claims_are_taken_and_answered(make_store):
    store = make_store(clock := Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    waiting = [asked("the slow one")]
    store.exchange(one, [waiting[0].digest])
    flying: list[Request] = []
    for turn in range(120):
        clock.now += 1
        fresh = [asked(f"{turn}-{n}") for n in range(40)]
        assert store.exchange(one, [r.digest for r in fresh], [(r, Reply(text="1")) for r in flying]) == {}
        flying = fresh
    held = store.exchange(two, [waiting[0].digest, flying[0].digest, asked("0-0").digest, asked("free").digest])
    assert [type(held.get(d)) for d in (waiting[0].digest, flying[0].digest, asked("0-0").digest)] == [float, float, Reply]
    assert len(held) == 3
    store.exchange(one, [], [(r, Reply(text="1")) for r in (*flying, *waiting)])
    clock.now += 60
    assert store.unanswered()["digest"].to_list() == digests("free")
    assert store.verify() == []


def test_sessions_of_nothing_have_their_frames(store):
    assert store.unanswered().schema == pl.Schema(frames.UNANSWERED)
    assert store.attempts().schema == pl.Schema(frames.ATTEMPTS)
    session = store.open_session("judge")
    assert store.exchange(session, []) == {}
    store.end_session(session)
    assert store.unanswered().is_empty()


# batches


def test_a_batch_holds_its_requests_until_it_ends(make_store):
    store = make_store(clock := Clock(0))
    store.add_batch("t1", [asked("a"), asked("b"), asked("a")])
    assert store.batches() == [
        BatchRow(tag="t1", model="openai:m-1", ticket="", requests=2, answered=0, ended=False, created=START)
    ]
    store.set_ticket("t1", "batch_abc")
    assert store.batches()[0].ticket == "batch_abc"
    assert store.batched("t1") == sorted(digests("a", "b"))
    clock.now += DAY
    one = store.open_session("judge")
    assert store.exchange(one, digests("a", "c")) == dict.fromkeys(digests("a"), START + 2 * DAY)
    store.end_batch("t1")
    assert store.exchange(one, digests("a", "c")) == {}
    assert store.batches()[0].ended
    assert store.batched("t1") == sorted(digests("a", "b"))


def test_a_batch_that_nobody_ends_holds_its_requests_for_two_days(make_store):
    store = make_store(clock := Clock(0))
    store.add_batch("t1", [asked("a")])
    clock.now += 2 * DAY
    assert store.exchange(store.open_session("judge"), digests("a")) == {}
    store.add_batch("t2", [asked("a")])  # handed over again: held by the second
    assert store.exchange(store.open_session("judge"), digests("a")) == dict.fromkeys(digests("a"), START + 4 * DAY)


def test_what_comes_back_is_stored_once_and_failed_requests_become_attempts(make_store):
    store = make_store(clock := Clock(0))
    store.add_batch("t1", [asked("a"), asked("b"), asked("c")])
    clock.now += 3_600
    a, b, c = digests("a", "b", "c")
    came = {
        b: Reply(text="2", cost_usd=0.25, batch=True, price="half"),
        a: Reply(text="", outcome="failed", error="expired"),
        "r1:" + "0" * 32: Reply(text="nobody asked"),
    }
    for _ in range(2):  # a crash before `end_batch`: it is collected again
        store.add_batch_replies("t1", {b: came[b]})
    store.add_batch_replies("t1", came)
    assert store.replies([a, b, c]) == {b: replace(came[b], request=b, known=True)}
    assert store.spent_usd() == 0.25
    assert store.attempts().rows() == [(a, 0, "2026-01-01T00:00:00.000Z", 3_600.0, "expired")]
    assert store.batches()[0].answered == 1
    assert store.verify() == []
    found = store.conversation(b)
    assert found is not None
    assert [p["text"] for p in found[0]["messages"][0]["parts"]] == ["you judge", "b"]
    store.end_batch("t1")
    one = store.open_session("judge")
    assert store.exchange(one, [a, b, c]).keys() == {b}
    assert store.verify() == []


def test_what_a_batch_takes_over_is_no_longer_a_claim(make_store):
    store = make_store(clock := Clock(0))
    one, two = store.open_session("judge"), store.open_session("judge")
    store.exchange(one, digests("a", "b"))
    store.add_batch("t1", [asked("a")])
    assert store.exchange(two, digests("a")) == dict.fromkeys(digests("a"), START + 2 * DAY)
    assert store.exchange(one, digests("a")) == dict.fromkeys(digests("a"), START + 2 * DAY)
    clock.now += 60
    assert store.unanswered()["digest"].to_list() == digests("b")


def test_batches_are_listed_in_order_and_named_once(store):
    for tag in ("z", "a"):
        store.add_batch(tag, [asked(tag)])
    store.add_batch_replies("z", {})
    assert [b.tag for b in store.batches()] == ["z", "a"]
    with pytest.raises(StoreError, match="a batch 'a' is there already"):
        store.add_batch("a", [asked("b")])
    with pytest.raises(StoreError, match="a batch needs requests"):
        store.add_batch("b", [])
    for use in (lambda: store.batched("no"), lambda: store.set_ticket("no", "t"), lambda: store.end_batch("no")):
        with pytest.raises(StoreError, match="there is no batch 'no'"):
            use()
