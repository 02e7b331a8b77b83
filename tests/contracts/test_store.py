"""What every store keeps: one suite over the memory, SQLite and a real PostgreSQL. Its fixtures are in conftest.py."""

from __future__ import annotations

import math
from dataclasses import replace

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract_clock import Clock
from qrelkit.core.doors import Store
from qrelkit.core.errors import StoreError
from qrelkit.core.records import OUTCOMES, Image, Judgment
from qrelkit.core.wire import Message, Reply, Request, Schema, Settings, Shrink, picture, text
from qrelkit.stores import frames

SCHEMA = Schema.of("verdict", {"type": "object", "properties": {"grade": {"type": "integer"}}})
KEY = "0123456789abcdef" * 2


def asked(said: str, sample: int = 0) -> Request:
    return Request(model="openai:m-1", messages=(Message("user", (text(said),)),), sample=sample)


def graded(query_id: str, doc_id: str, grade: int | None = 1, outcome: str = "graded", **more: object) -> Judgment:
    return Judgment(query_id=query_id, doc_id=doc_id, grade=grade, outcome=outcome, **more)  # type: ignore[arg-type]


def counting(store: Store) -> list[tuple[object, ...]]:
    return store.known("k").select("query_id", "doc_id", "grade", "outcome", "sample").sort("query_id", "doc_id").rows()


def test_it_is_a_store(store):
    assert isinstance(store, Store)


# replies


def test_a_reply_comes_back_with_all_its_columns(store):
    request = asked("how relevant?")
    reply = Reply(
        text='{"grade": 2}',
        outcome="truncated",
        served="m-1-2026",
        finish="length",
        tokens_in=10,
        tokens_out=4,
        tokens_cached=8,
        tokens_reasoning=3,
        tokens_image=5,
        cost_usd=0.25,
        price='{"in": 1.0, "date": "2026-01-01"}',
        batch=True,
        latency_s=1.5,
        attempts=3,
        token_probabilities=(("2", {"2": -0.1, "1": -math.inf}), ("}", {"}": -0.0})),
    )
    store.add_replies([(request, reply)])
    assert store.replies([request.digest]) == {request.digest: replace(reply, request=request.digest, known=True)}


def test_unknown_digests_are_not_in_the_answer(store):
    request = asked("known")
    store.add_replies([(request, Reply(text="yes"))])
    other = asked("other").digest
    assert list(store.replies([other, request.digest, "r2:" + KEY, "no digest at all", ""])) == [request.digest]
    assert store.replies([]) == {}


def test_many_digests_are_found_in_one_call(store):
    rows = [(asked(f"document {n}"), Reply(text=str(n))) for n in range(1_300)]
    for start in range(0, len(rows), 32):
        store.add_replies(rows[start : start + 32])
    found = store.replies([request.digest for request, _ in rows])
    assert {d: r.text for d, r in found.items()} == {request.digest: reply.text for request, reply in rows}


def test_a_failed_reply_is_never_stored(store):
    request = asked("lost")
    store.add_replies([(request, Reply(text="", outcome="failed", error="timeout")), (asked("kept"), Reply(text="k"))])
    store.add_replies([(request, Reply(text="", outcome="failed"))])
    store.add_replies([])
    assert store.replies([request.digest, asked("kept").digest]).keys() == {asked("kept").digest}


def test_the_first_reply_to_a_request_counts_and_all_money_is_counted(store):
    request = asked("twice")
    store.add_replies([(request, Reply(text="first", cost_usd=1.0))])
    assert store.spent_usd() == 1.0
    store.add_replies([(request, Reply(text="second", cost_usd=0.5)), (asked("free"), Reply(text="x", cost_usd=None))])
    assert store.replies([request.digest])[request.digest].text == "first"
    assert store.spent_usd() == 1.5


def test_nothing_is_spent_at_first(store):
    assert store.spent_usd() == 0.0


def test_money_is_counted_since_a_moment(store):
    for n in range(4):  # the clock goes on by a second for each
        store.add_replies([(asked(f"q{n}"), Reply(text="a", cost_usd=1.0))])
    start = 1_767_225_600.0
    assert [store.spent_usd(start + n) for n in (0, 1, 3, 4, 1)] == [4.0, 3.0, 1.0, 0.0, 3.0]
    store.add_replies([(asked("q4"), Reply(text="a", cost_usd=0.5))])
    assert (store.spent_usd(start + 1), store.spent_usd()) == (3.5, 4.5)


def test_money_since_a_moment_goes_on_being_counted(make_store):
    store = make_store(clock := Clock(0))
    store.add_replies([(asked("old"), Reply(text="a", cost_usd=4.0))])
    clock.now += 100
    since = clock.now
    assert store.spent_usd(since) == 0.0
    for n, spent in enumerate((1.0, 2.0, 3.0)):
        store.add_replies([(asked(f"q{n}"), Reply(text="a", cost_usd=1.0)), (asked(f"free{n}"), Reply(text="a"))])
        assert store.spent_usd(since) == spent
    assert store.spent_usd() == 7.0


def test_each_price_is_what_its_reply_was_reckoned_by(store):
    rows = [(asked(f"q{n}"), Reply(text="a", price=price)) for n, price in enumerate(["", "a", "b", "a", ""])]
    store.add_replies(rows[:2])
    store.add_replies(rows[2:])
    found = store.replies([request.digest for request, _ in rows])
    assert [found[request.digest].price for request, _ in rows] == ["", "a", "b", "a", ""]


def test_samples_of_one_question_are_different_requests(store):
    store.add_replies([(asked("q", n), Reply(text=str(n))) for n in range(3)])
    assert [store.replies([asked("q", n).digest])[asked("q", n).digest].text for n in range(3)] == ["0", "1", "2"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.text(st.characters(), max_size=300), token=st.text(st.characters(), max_size=3), p=st.floats(max_value=0))
def test_any_text_comes_back_byte_for_byte(store, said, token, p):
    request, long = asked(said), said * 40
    reply = Reply(text=long, token_probabilities=((token, {token: p}),))
    store.add_replies([(request, reply)])
    found = store.replies([request.digest])[request.digest]
    first = store.conversation(request.digest)
    assert first is not None
    assert first[0]["messages"] == [{"role": "user", "parts": [{"type": "text", "text": said}]}]
    assert found.text == long
    assert found.token_probabilities is not None  # those of the first reply to this text


@pytest.mark.parametrize("said", ["\0", "lone \ud800 surrogate", "x\x01 looks deflated", "x\x01", "ünïcödé " * 700, "x" * 9_000])
def test_hard_texts_come_back(store, said):
    rows = [(asked(f"{said}{n}"), Reply(text=said, token_probabilities=((said[:2], {said[:2]: -1.5}),))) for n in range(20)]
    store.add_replies(rows[:1])  # a batch of one is deflated sooner than a full one
    store.add_replies(rows[1:])
    for request, reply in rows:
        found = store.conversation(request.digest)
        assert found is not None
        assert found[0]["messages"][0]["parts"][0]["text"] == request.messages[0].parts[0].text
        assert (found[1].text, found[1].token_probabilities) == (reply.text, reply.token_probabilities)
    assert store.verify() == []


# conversations


def test_a_conversation_is_rebuilt_from_its_parts(store):
    image = Image(digest="ab" * 32, read=lambda: b"never read", name="shoe.png")
    request = Request(
        model="openai:m-1@rev",
        messages=(
            Message("system", (text("be fair"),)),
            Message("user", (text("a shoe"), picture(image, Shrink(512, "png", 90)), text("a shoe"))),
        ),
        settings=Settings(temperature=0.5, seed=7, token_probabilities=True),
        schema=SCHEMA,
        sample=2,
    )
    store.add_replies([(request, Reply(text="1", cost_usd=0.5))])
    found = store.conversation(request.digest)
    assert found is not None
    assert found[0] == {
        "model": "openai:m-1@rev",
        "settings": {"temperature": 0.5, "max_tokens": 1024, "seed": 7, "token_probabilities": True},
        "schema": {"name": "verdict", "schema": SCHEMA.schema},
        "sample": 2,
        "messages": [
            {"role": "system", "parts": [{"type": "text", "text": "be fair"}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "text": "a shoe"},
                    {"type": "image", "digest": "ab" * 32, "shrink": "png:512:90"},
                    {"type": "text", "text": "a shoe"},
                ],
            },
        ],
    }
    assert found[1] == Reply(text="1", cost_usd=0.5, request=request.digest, known=True)


def test_a_conversation_without_schema_says_null_and_an_unknown_one_is_none(store):
    store.add_replies([(asked("q"), Reply(text="a"))])
    found = store.conversation(asked("q").digest)
    assert found is not None
    assert found[0]["schema"] is None
    assert store.conversation(asked("other").digest) is None


def test_a_sound_store_has_nothing_to_report(store):
    store.add_replies([(replace(asked(f"d{n}"), schema=SCHEMA), Reply(text="a" * 500)) for n in range(5)])
    assert store.verify() == []


# judges and judgments


def test_judges_are_listed_in_order_and_may_change_their_name(store):
    store.add_judge("k2", "gpt", {"temperature": 0.0, "b": [1, None]})
    store.add_judge("k1", "ann", {})
    store.add_judge("k2", "gpt-new", {"temperature": 9})
    frame = store.judges()
    assert frame.schema == pl.Schema(frames.JUDGES)
    assert frame.select("judge_key", "assessor").rows() == [("k2", "gpt-new"), ("k1", "ann")]
    assert orjson.loads(frame["settings"][0]) == {"temperature": 0.0, "b": [1, None]}


def test_judgments_have_the_columns_of_the_door(store):
    store.add_judge("k", "gpt", {})
    full = Judgment(
        query_id="007",
        doc_id="d/1.x",
        grade=2,
        outcome="graded",
        reason="fits",
        probabilities=(0.1, 0.2, 0.7),
        guideline=KEY,
        request=asked("q").digest,
        sample=1,
        query_key=KEY,
        doc_key=KEY[::-1],
        cost_usd=0.125,
        details={"position": 2, "votes": [1, 2, 2]},
    )
    store.add_judgments("k", [full])
    store.add_judgments("k", [graded("7", "d", None, "refused", replaces=1)])
    frame = store.judgments("k")
    assert frame.schema == pl.Schema(frames.JUDGMENTS)
    first, second = frame.rows(named=True)
    assert first.pop("created").startswith("2026-01-01T00:00:0")
    assert first.pop("id") < second["id"]
    assert first == {
        "judge_key": "k",
        "assessor": "gpt",
        "query_id": "007",
        "doc_id": "d/1.x",
        "grade": 2,
        "outcome": "graded",
        "reason": "fits",
        "probabilities": [0.1, 0.2, 0.7],
        "guideline": KEY,
        "request": asked("q").digest,
        "sample": 1,
        "query_key": KEY,
        "doc_key": KEY[::-1],
        "replaces": None,
        "cost_usd": 0.125,
        "details": '{"position":2,"votes":[1,2,2]}',
    }
    assert second["details"] == ""
    assert (second["query_id"], second["grade"], second["outcome"], second["replaces"]) == ("7", None, "refused", 1)
    assert (second["probabilities"], second["request"], second["query_key"], second["cost_usd"]) == (None, "", "", None)


def test_every_outcome_survives(store):
    store.add_judge("k", "j", {})
    rows = [graded("q", o, 0 if o == "graded" else None, o) for o in OUTCOMES]
    store.add_judgments("k", rows)
    assert store.judgments("k")["outcome"].to_list() == list(OUTCOMES)
    assert store.judgments("k")["grade"].to_list() == [0, None, None, None, None, None]


def test_judgments_of_all_judges_come_in_order_of_writing(store):
    for key in ("k", "other"):
        store.add_judge(key, key.upper(), {})
    for key, doc_id in (("k", "a"), ("other", "b"), ("k", "c")):
        store.add_judgments(key, [graded("q", doc_id)])
    assert store.judgments().select("assessor", "doc_id").rows() == [("K", "a"), ("OTHER", "b"), ("K", "c")]
    assert store.judgments("other")["doc_id"].to_list() == ["b"]
    assert store.judgments()["id"].is_sorted()


def test_frames_of_nothing_have_their_columns(store):
    assert store.known("nobody").schema == pl.Schema(frames.KNOWN)
    assert store.judgments("nobody").schema == store.judgments().schema == pl.Schema(frames.JUDGMENTS)
    assert store.judges().schema == pl.Schema(frames.JUDGES)
    assert store.guidelines().schema == pl.Schema(frames.GUIDELINES)
    store.add_judge("k", "j", {})
    store.add_judgments("k", [])
    assert store.known("k").is_empty()
    assert store.judgments("k").is_empty()


def test_known_has_the_newest_row_of_each_pair(store):
    store.add_judge("k", "j", {})
    store.add_judge("other", "j", {})
    store.add_judgments("k", [graded("q", "a", 0), graded("q", "b", 1), graded("q", "a", 3, sample=1)])
    store.add_judgments("other", [graded("q", "a", 9)])
    assert store.known("k").schema == pl.Schema(frames.KNOWN)
    assert counting(store) == [("q", "a", 3, "graded", 1), ("q", "b", 1, "graded", 0)]


def test_pairs_with_other_keys_are_other_pairs(store):
    store.add_judge("k", "j", {})
    rows = [graded("q", "a", n, query_key=q, doc_key=d) for n, (q, d) in enumerate([("1", "1"), ("1", "2"), ("2", "1")])]
    store.add_judgments("k", rows)
    found = store.known("k").sort("grade").select("query_key", "doc_key", "grade").rows()
    assert found == [("1", "1", 0), ("1", "2", 1), ("2", "1", 2)]


def test_a_failed_row_never_hides_a_grade_and_hides_everything_else(store):
    store.add_judge("k", "j", {})
    store.add_judgments(
        "k", [graded("q", "graded", 2), graded("q", "refused", None, "refused"), graded("q", "lost", None, "failed")]
    )
    store.add_judgments("k", [graded("q", d, None, "failed", sample=1) for d in ("graded", "refused", "lost", "new")])
    assert counting(store) == [
        ("q", "graded", 2, "graded", 0),
        ("q", "lost", None, "failed", 1),
        ("q", "new", None, "failed", 1),
        ("q", "refused", None, "failed", 1),
    ]


def test_a_paid_answer_without_grade_replaces_an_older_grade(store):
    store.add_judge("k", "j", {})
    store.add_judgments("k", [graded("q", "a", 2), graded("q", "a", None, "unparsable", sample=1)])
    assert counting(store) == [("q", "a", None, "unparsable", 1)]


def test_a_verdict_that_another_stored_meanwhile_is_left_out(make_store):
    """Two processes worked on one pool: each reply was paid once and became a judgment in both."""
    one, two = make_store(), make_store()
    if type(one).__name__ == "MemoryStore":
        two = one
    one.add_judge("k", "gpt", {})
    one.add_judge("other", "gpt", {})
    assert one.known("k").is_empty()
    assert two.known("k").is_empty()
    r = asked("q").digest
    same = graded("q", "d", request=r)
    one.add_judgments(
        "k", [same, graded("q", "e", request=r), graded("q", "person"), graded("q", "f", None, "failed", request=r)]
    )
    changes = ({"grade": 0}, {"sample": 1}, {"request": asked("p").digest}, {"doc_key": "z"})
    others = [replace(same, **change) for change in changes]
    two.add_judgments("k", [graded("q", "person"), same, *others, graded("q", "f", None, "failed", request=r)])
    two.add_judgments("other", [same])
    one.add_judgments("k", [graded("q", "g", request=r), others[0]])
    assert one.judgments("k").select("doc_id", "grade", "sample", "doc_key").rows() == [
        ("d", 1, 0, ""),
        ("e", 1, 0, ""),
        ("person", 1, 0, ""),
        ("f", None, 0, ""),
        ("person", 1, 0, ""),
        ("d", 0, 0, ""),
        ("d", 1, 1, ""),
        ("d", 1, 0, ""),
        ("d", 1, 0, "z"),
        ("g", 1, 0, ""),
    ]
    assert one.judgments("other").height == 1


def test_judgments_of_an_unknown_judge_are_refused(store):
    with pytest.raises(StoreError, match="add_judge"):
        store.add_judgments("k", [graded("q", "a")])
    assert store.judgments().is_empty()


def test_a_reason_that_no_frame_can_hold_is_mended(store):
    store.add_judge("k", "j", {})
    store.add_judgments("k", [graded("q", "a", reason="a\0b\ud800c ü")])
    assert store.judgments("k")["reason"].to_list() == ["a\ufffdb\ufffdc ü"]
