"""Keeping less, and forgetting, in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contract_clock import Clock
from qrelkit.core.errors import StoreError
from qrelkit.core.records import Image, Judgment
from qrelkit.core.wire import Message, Reply, Request, Schema, Shrink, picture, text
from qrelkit.stores.sql import SqlStore

SYSTEM = text("You judge how relevant a document is.")
QUERY = text("query: red shoe")
SCHEMA = Schema.of("verdict", {"type": "object"})
PHOTO = Image(digest="ab" * 32, read=lambda: b"")


def asked(document: str, query: str = "query: red shoe", *more: str) -> Request:
    parts = (text(query), text(f"<document>{document}</document>"), *map(text, more))
    return Request(model="m:1", messages=(Message("system", (SYSTEM,)), Message("user", parts)), schema=SCHEMA)


def shown(image: Image) -> Request:
    return Request(model="m:1", messages=(Message("user", (text("what is in it?"), picture(image, Shrink()))),))


def judged(doc_id: str, request: Request, query_id: str = "q") -> Judgment:
    about = {"reason": f"because {doc_id}", "details": {"votes": [doc_id]}}
    return Judgment(query_id=query_id, doc_id=doc_id, grade=1, outcome="graded", request=request.digest, cost_usd=0.5, **about)


def filled(store, pairs: dict[str, Request]) -> None:
    store.add_judge("k", "gpt", {})
    store.add_replies([(r, Reply(text=f"it says {d}", cost_usd=0.5, tokens_in=9)) for d, r in pairs.items()])
    store.add_judgments("k", [judged(d, r) for d, r in pairs.items()])


def parts_of(found) -> list[dict[str, str]]:
    assert found is not None
    return [part for message in found[0]["messages"] for part in message["parts"]]


# keeping less


def test_replies_without_what_was_asked(make_store):
    store = make_store(keep="replies")
    assert store.keep == "replies"
    filled(store, {"d1": asked("one"), "d2": asked("two")})
    store.settle()
    digest = asked("one").digest
    found = store.conversation(digest)
    assert {part["type"] for part in parts_of(found)} == {"not kept"}
    assert found[0]["schema"] == {"type": "not kept"}
    assert (found[0]["model"], found[1].text) == ("m:1", "it says d1")
    assert store.replies([digest])[digest].text == "it says d1"
    assert store.exchange(store.open_session("judge"), [digest]).keys() == {digest}
    assert store.judgments()["reason"].to_list() == ["because d1", "because d2"]
    assert store.verify() == []


def test_batches_without_what_was_asked(make_store):
    store = make_store(keep="replies")
    store.add_batch("t", [asked("one"), asked("two")])
    digest = asked("one").digest
    store.add_batch_replies("t", {digest: Reply(text="1", batch=True)})
    assert store.replies([digest])[digest].text == "1"
    assert store.verify() == []
    store.end_batch("t")
    assert store.verify() == []


def test_grades_only_once_they_are_settled(make_store):
    store = make_store(keep="grades")
    filled(store, {"d1": asked("one"), "d2": asked("two")})
    store.add_judgments("k", [replace(judged("d3", asked("x")), request="", reason="a person said so")])
    digest = asked("one").digest
    assert store.replies([digest])[digest].text == "it says d1"  # a crash now must lose nothing
    assert len(parts_of(store.conversation(digest))) == 3
    for _ in range(2):
        store.settle()
        assert store.replies([digest, asked("two").digest]) == {}
        assert store.judgments()["reason"].to_list() == ["", "", "a person said so"]
        assert store.known("k")["grade"].to_list() == [1, 1, 1]
        assert (store.spent_usd(), store.judgments()["cost_usd"].sum()) == (1.0, 1.5)
        with pytest.raises(StoreError, match=f"{digest} was answered and paid, and what was said was not kept"):
            store.conversation(digest)
        assert store.conversation(asked("never").digest) is None
        assert store.verify() == []


def test_what_was_settled_is_asked_again_and_kept_again(make_store):
    store = make_store(keep="grades")
    filled(store, {"d1": asked("one")})
    store.settle()
    session, digest = store.open_session("judge"), asked("one").digest
    assert store.exchange(session, [digest]) == {}
    assert store.exchange(session, [digest], [(asked("one"), Reply(text="again", cost_usd=0.25))])[digest].text == "again"
    assert store.replies([digest])[digest].text == "again"
    assert store.conversation(digest)[1].text == "again"
    assert store.spent_usd() == 0.75
    assert store.verify() == []
    store.end_session(session)
    store.settle()
    assert store.replies([digest]) == {}


def test_what_another_session_is_at_work_on_is_not_settled_yet(make_store):
    store = make_store(keep="grades")
    one, two = store.open_session("judge"), store.open_session("judge")
    mine, other = asked("one"), asked("two")
    store.exchange(one, [mine.digest])
    store.exchange(two, [other.digest])
    store.exchange(one, [], [(mine, Reply(text="1"))])
    store.exchange(two, [], [(other, Reply(text="2"))])
    store.add_batch("t", [asked("three")])
    store.end_session(one)
    store.settle()
    assert store.replies([mine.digest, other.digest]).keys() == {other.digest}
    assert len(parts_of(store.conversation(other.digest))) == 3
    store.add_batch_replies("t", {asked("three").digest: Reply(text="3")})
    assert len(parts_of(store.conversation(asked("three").digest))) == 3
    assert store.verify() == []


def test_what_was_paid_and_has_not_become_a_judgment_is_not_settled_by_somebody_else(make_store):
    """One drive dies, one is stopped, and another judge finishes."""
    store = make_store(clock := Clock(0), keep="grades")
    dead, stopped = store.open_session("judge"), store.open_session("judge")
    store.exchange(dead, [], [(asked("one"), Reply(text="1")), (asked("two"), Reply(text="2")), (asked("bad"), Reply(text="3"))])
    store.exchange(stopped, [], [(asked("four"), Reply(text="4"))])
    store.end_session(stopped)
    clock.now += 100  # silent for too long
    store.add_judge("k", "gpt", {})
    failed = replace(judged("d3", asked("bad")), grade=None, outcome="failed")
    store.add_judgments("k", [judged("d2", asked("two")), failed])
    last = store.open_session("judge")
    store.exchange(last, [], [(asked("five"), Reply(text="5"))])
    store.end_session(last)
    store.settle()
    digests = {said: asked(said).digest for said in ("one", "two", "bad", "four", "five")}
    assert store.replies([*digests.values()]).keys() == {digests["one"], digests["bad"], digests["four"]}
    again = store.open_session("judge")
    assert store.exchange(again, [*digests.values()]).keys() == {digests["one"], digests["bad"], digests["four"]}
    store.end_session(again)
    store.settle()  # whoever was given them has made judgments of them
    assert store.replies([*digests.values()]) == {}
    assert store.verify() == []


def test_settling_is_nothing_where_everything_is_kept(store):
    filled(store, {"d1": asked("one")})
    store.settle()
    assert store.keep == "full"
    assert store.replies([asked("one").digest]).keys() == {asked("one").digest}


# forgetting


def test_forgetting_a_document_erases_its_text_and_what_was_said_of_it(store):
    pairs = {"d1": asked("secret one"), "d2": asked("two"), "d3": asked("three")}
    filled(store, pairs)
    found = store.forget(["d1"], [], ["secret one"])
    assert found == {"parts": 1, "replies": 1, "judgments": 1, "descriptions": 0}
    assert store.replies([r.digest for r in pairs.values()]).keys() == {pairs["d2"].digest, pairs["d3"].digest}
    with pytest.raises(StoreError, match="was not kept"):
        store.conversation(pairs["d1"].digest)
    assert [p["text"] for p in parts_of(store.conversation(pairs["d2"].digest))] == [
        SYSTEM.text,
        QUERY.text,
        "<document>two</document>",
    ]
    rows = store.judgments().select("doc_id", "grade", "reason", "details", "cost_usd").rows()
    assert rows[0] == ("d1", 1, "", "", 0.5)
    assert [row[2] for row in rows] == ["", "because d2", "because d3"]
    assert store.known("k").height == 3
    assert store.spent_usd() == 1.5
    assert store.verify() == []
    assert store.forget(["d1"], [], ["secret one"]) == {"parts": 0, "replies": 0, "judgments": 0, "descriptions": 0}


def test_a_document_that_was_shortened_in_its_request_is_found_by_its_judgments(store):
    filled(store, {"d1": asked("secret"), "d2": asked("two")})
    assert store.forget(["d1"], [], ["secret, and much more than was shown"])["parts"] == 1
    assert store.replies([asked("secret").digest]) == {}
    assert [p["text"] for p in parts_of(store.conversation(asked("two").digest))][:2] == [SYSTEM.text, QUERY.text]


def test_every_request_that_used_a_part_is_erased_and_so_is_what_quotes_its_reply(store):
    first = asked("secret one")
    again = asked("secret one", QUERY.text, "it says secret", "please answer with a number")
    other_query = asked("secret one", "query: coat")
    filled(store, {"d1": again, "d2": asked("two")})
    store.add_replies([(first, Reply(text="it says secret")), (other_query, Reply(text="secret too"))])
    found = store.forget(["d1"], [], ["secret one"])
    assert found["replies"] == 3
    assert found["parts"] == 4  # the document, the quoted reply, the admonition and the coat: only these requests had them
    assert store.replies([r.digest for r in (first, again, other_query, asked("two"))]).keys() == {asked("two").digest}


def test_a_request_for_several_documents_goes_with_each_of_them(store):
    both = asked("secret one</document><document>two")
    filled(store, {"d1": both, "d2": both, "d3": asked("three")})
    store.forget(["d1"], [], ["secret one"])
    assert store.replies([both.digest]) == {}
    assert store.judgments()["reason"].to_list() == ["", "", "because d3"]  # d2 was read beside it, and its reason may quote it


def test_forgetting_a_picture_erases_its_descriptions_and_what_quotes_them(store):
    other = Image(digest="cd" * 32, read=lambda: b"")
    store.add_replies([(shown(PHOTO), Reply(text="a face")), (shown(other), Reply(text="a shoe"))])
    store.add_descriptions("p", {PHOTO.digest: "a known face", other.digest: "a shoe"})
    store.add_descriptions("p2", {PHOTO.digest: "again a face"})
    filled(store, {"d9": asked("picture: a known face"), "d2": asked("two")})
    found = store.forget(["d1"], [PHOTO.digest], [])
    assert found == {"parts": 2, "replies": 2, "judgments": 1, "descriptions": 2}
    assert (store.descriptions("p"), store.descriptions("p2")) == ({other.digest: "a shoe"}, {})
    gone, kept = (shown(PHOTO).digest, asked("picture: a known face").digest), (shown(other).digest, asked("two").digest)
    assert store.replies([*gone, *kept]).keys() == {*kept}


def test_what_waits_in_a_batch_is_forgotten_too_and_its_cost_is_still_counted(store):
    secret, other = asked("secret one"), asked("two")
    store.add_batch("t", [secret, other])
    store.exchange(store.open_session("judge"), [], failed=[(secret.digest, 1.0, "400: <document>secret one</document>")])
    store.forget(["d1"], [], ["secret one"])
    assert store.verify() == []
    assert store.attempts()["error"].to_list() == ["erased"]
    store.add_batch_replies("t", {r.digest: Reply(text="of secret one", cost_usd=0.5) for r in (secret, other)})
    assert store.replies([secret.digest, other.digest]).keys() == {other.digest}
    assert (store.spent_usd(), store.batches()[0].answered) == (1.0, 2)
    assert store.verify() == []


def test_a_forgotten_document_may_be_judged_anew(store):
    request = asked("secret one")
    filled(store, {"d1": request, "d2": asked("two")})
    store.forget(["d1"], [], ["secret one"])
    store.add_replies([(request, Reply(text="new"))])
    assert store.replies([request.digest])[request.digest].text == "new"
    assert [p["text"] for p in parts_of(store.conversation(request.digest))][2] == "<document>secret one</document>"
    assert store.verify() == []
    assert store.forget(["d1"], [], ["secret one"])["parts"] == 1


def test_forgetting_nothing_erases_nothing(store):
    filled(store, {"d1": asked("one")})
    assert store.forget([], [], ["", " "]) == {"parts": 0, "replies": 0, "judgments": 0, "descriptions": 0}
    assert store.forget(["unknown"], ["ef" * 32], ["nowhere to be found"])["replies"] == 0
    assert store.replies([asked("one").digest])


def test_an_open_store_learns_that_another_forgot(where):
    with SqlStore(where) as store, SqlStore(where) as other:
        filled(store, {"d1": asked("secret one"), "d2": asked("two")})
        assert other.replies([asked("secret one").digest])
        other.forget(["d1"], [], ["secret one"])
        session = store.open_session("judge")
        assert store.exchange(session, [asked("secret one").digest]) == {}
        store.exchange(session, [], [(asked("secret one"), Reply(text="new"))])
        assert other.conversation(asked("secret one").digest)[1].text == "new"
        assert other.verify() == store.verify() == []
