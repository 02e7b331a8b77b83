"""Batches of Anthropic's: handed over, found again after a crash, collected in any order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import orjson
import pytest

from qrelkit.core.doors import BatchModel
from qrelkit.core.errors import InputError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import Image
from qrelkit.core.wire import Batch, Message, Request, Schema, Settings, Shrink, picture, text
from qrelkit.models import anthropic_batch
from qrelkit.models.anthropic import Anthropic
from servers.anthropic import AnthropicServer, error_body, failing
from servers.chat import answering, cut_off

T = TypeVar("T")
NAME = "anthropic:claude-tiny"
TAG = "qk0123456789abcdef"
OPEN = Schema.of("open", {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}})


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer(lambda body: body["messages"][0]["content"][-1]["text"]) as running:
        yield running


def asking(said: str, **more: object) -> Request:
    return Request(model=NAME, messages=(Message("user", (text(said),)),), **more)


def done(model: Anthropic, talk: Callable[[], Awaitable[T]]) -> T:
    async def closing() -> T:
        try:
            return await talk()
        finally:
            await model.close()

    return asyncio.run(closing())


def submitted(model: Anthropic, *requests: Request, tag: str = TAG) -> str:
    return done(model, lambda: model.submit(requests, tag))


def collected(model: Anthropic, ticket: str) -> Batch:
    return done(model, lambda: model.collect(ticket))


def found(model: Anthropic, tag: str = TAG) -> str | None:
    return done(model, lambda: model.find(tag))


def key(request: Request) -> str:
    """What stands behind the tag in a custom_id."""
    return request.digest.replace(":", "_")


# handing over


def test_a_batch_is_the_requests_as_they_are_sent_one_by_one(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base)
    assert isinstance(model, BatchModel)
    one, two = asking("one"), asking("two", sample=1)
    ticket = submitted(model, one, two, one)  # an equal request is there once
    assert list(server.batches) == [ticket]
    sent = server.batches[ticket]["requests"]
    assert [row["custom_id"] for row in sent] == [f"{TAG}-{key(one)}", f"{TAG}-{key(two)}"]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", row["custom_id"]) for row in sent)
    done(model, lambda: model.replies([one]))
    assert sent[0]["params"] == server.bodies[-1]


def test_the_longest_tag_fits_beside_a_digest() -> None:
    assert len(anthropic_batch.custom_id("a" * 20, asking("one").digest)) <= 64


@pytest.mark.parametrize(
    ("options", "request_", "tag", "says"),
    [
        ({"no_retention": True}, asking("one"), TAG, "stays with the provider for 29 days.*judge online"),
        ({}, asking("one"), "Not a tag", "must be 1 to 20 of a-z and 0-9"),
        ({}, replace(asking("one"), model="anthropic:other"), TAG, "names the wrong model"),
        ({}, None, TAG, "at least one request"),
    ],
)
def test_what_cannot_be_handed_over_is_refused_before_anything_leaves(
    server: AnthropicServer, options: dict[str, bool], request_: Request | None, tag: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        submitted(Anthropic(NAME, base_url=server.base, **options), *([request_] if request_ else []), tag=tag)
    assert server.calls == []


def test_more_than_a_batch_takes_is_refused() -> None:
    with pytest.raises(InputError, match=r"26 requests of 260 MB are more .* fewer at a time"):
        anthropic_batch.batch_body([b"x" * 10_000_000] * 26)
    with pytest.raises(InputError, match="100,001 requests"):
        anthropic_batch.batch_body([b"{}"] * 100_001)


def test_a_bad_picture_is_left_out_and_does_not_hold_up_the_others(server: AnthropicServer) -> None:
    bad = Image(digest="1" * 64, read=lambda: b"no image", name="coat.png")
    request = Request(model=NAME, messages=(Message("user", (picture(bad, Shrink()),)),))
    model = Anthropic(NAME, base_url=server.base)
    ticket = submitted(model, request, asking("one"))
    assert [row["custom_id"] for row in server.batches[ticket]["requests"]] == [f"{TAG}-{key(asking('one'))}"]
    assert "coat.png" in model.unreadable.pop(request.digest)
    assert model.unreadable == {}
    calls = len(server.calls)
    assert submitted(model, request) == ""  # none is left: no batch
    assert (model.unreadable.keys(), len(server.calls)) == ({request.digest}, calls)
    submitted(model, asking("one"))
    assert model.unreadable == {}


def test_a_refused_hand_over_says_why(server: AnthropicServer) -> None:
    server.next(failing("rate_limit_error", "too many batches", headers={"retry-after": "9"}))
    with pytest.raises(RateLimited, match="too many batches") as error:
        submitted(Anthropic(NAME, base_url=server.base), asking("one"))
    assert error.value.retry_after_s == 9
    server.next(answering(orjson.dumps(error_body("overloaded_error", "Overloaded"))))
    with pytest.raises(Unreachable, match="529 Overloaded"):
        submitted(Anthropic(NAME, base_url=server.base), asking("one"))
    server.next(answering(b"{}"))
    with pytest.raises(Unreachable, match="without 'id' to POST /v1/messages/batches"):
        submitted(Anthropic(NAME, base_url=server.base), asking("one"))


# collecting


def test_a_running_batch_says_how_far_it_is(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base)
    batch = collected(model, submitted(model, asking("one"), asking("two")))
    assert (batch.ended, batch.replies, batch.counts["processing"]) == (False, {}, 2)


def test_results_come_in_any_order_and_belong_to_their_requests(server: AnthropicServer) -> None:
    requests = [asking(f"größer {i}") for i in range(5)]
    ticket = submitted(Anthropic(NAME, base_url=server.base), *requests)
    server.end_batch(ticket)  # the results are in reverse order
    batch = collected(Anthropic(NAME, base_url=server.base), ticket)  # another process
    assert batch.ended
    assert batch.counts == {"processing": 0, "succeeded": 5, "errored": 0, "canceled": 0, "expired": 0}
    assert {digest: reply.text for digest, reply in batch.replies.items()} == {
        r.digest: f"größer {i}" for i, r in enumerate(requests)
    }
    reply = batch.replies[requests[0].digest]
    assert (reply.outcome, reply.batch, reply.request, reply.tokens_in) == ("answered", True, requests[0].digest, 10)


def test_what_failed_in_a_batch_says_why(server: AnthropicServer) -> None:
    names = ("good", "late", "stopped", "odd", "filtered", "refused", "strange")
    requests = {name: asking(name) for name in names}
    model = Anthropic(NAME, base_url=server.base)
    ticket = submitted(model, *requests.values())
    results = {
        "late": {"type": "expired"},
        "stopped": {"type": "canceled"},
        "odd": {"type": "errored", "error": error_body("invalid_request_error", "messages.0: odd")},
        "filtered": {
            "type": "errored",
            "error": error_body("invalid_request_error", "Output blocked by content filtering policy"),
        },
        "refused": {
            "type": "succeeded",
            "message": {"type": "message", "content": [], "stop_reason": "refusal", "usage": {"input_tokens": 1}},
        },
        "strange": {"type": "succeeded", "message": {"type": "ping"}},
    }
    server.end_batch(ticket, **{key(requests[name]): result for name, result in results.items()})
    batch = collected(model, ticket)
    replies = {name: batch.replies[request.digest] for name, request in requests.items()}
    assert {name: reply.outcome for name, reply in replies.items()} == {
        "good": "answered", "late": "failed", "stopped": "failed", "odd": "failed",
        "filtered": "refused", "refused": "refused", "strange": "failed",
    }  # fmt: skip
    assert replies["late"].error == "expired: the batch's 24 hours ended before its turn; not billed"
    assert replies["stopped"].error == "cancelled before its turn; not billed"
    assert replies["odd"].error == "400 messages.0: odd"
    assert "no message" in replies["strange"].error
    assert all(reply.batch for reply in replies.values())


def test_a_field_refused_in_a_batch_is_left_out_of_the_next() -> None:
    with AnthropicServer(refuse=("temperature",)) as server:
        model = Anthropic(NAME, base_url=server.base)
        ticket = submitted(model, asking("one"), asking("two"))
        server.end_batch(ticket)
        batch = collected(model, ticket)
        assert {reply.error for reply in batch.replies.values()} == {"400 `temperature` is deprecated for this model."}
        assert len(model.notes) == 1
        assert "refused temperature" in model.notes[0]
        again = submitted(model, asking("one"), tag="again")
        server.end_batch(again)
        assert collected(model, again).replies[asking("one").digest].outcome == "answered"


def test_a_schema_that_structured_outputs_will_not_have_is_told(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base)
    ticket = submitted(model, asking("one", schema=OPEN, settings=Settings(temperature=None)))
    server.end_batch(ticket)
    assert "additionalProperties" in next(iter(collected(model, ticket).replies.values())).error
    assert "replies come as plain text" in model.notes[0]


def test_results_cut_off_are_asked_for_again_and_not_taken_for_all(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base)
    ticket = submitted(model, asking("one"))
    server.end_batch(ticket)
    answer = orjson.dumps(server._batch(ticket))
    for fault in (cut_off, answering(b'{"custom_id": "qk-r1_00", "res', content_type="application/x-jsonl")):
        server.next(answering(answer), fault)
        with pytest.raises(Unreachable):
            collected(model, ticket)
    assert len(collected(model, ticket).replies) == 1


def test_results_no_longer_kept_are_no_replies_and_an_unknown_batch_is_said(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base)
    ticket = submitted(model, asking("one"))
    server.end_batch(ticket)
    server.batches[ticket]["archived"] = "2026-12-30T18:37:24Z"
    batch = collected(model, ticket)
    assert (batch.ended, batch.replies, batch.counts["succeeded"]) == (True, {}, 1)
    with pytest.raises(Rejected, match=r"404 .*deleted, or made with another workspace's key") as error:
        collected(model, "msgbatch_gone")
    assert not error.value.fatal


# finding again after a crash


def after_a_crash(server: AnthropicServer) -> Anthropic:
    """A model that remembers nothing."""
    return Anthropic(NAME, base_url=server.base)


def test_a_tag_that_was_never_submitted_is_nowhere(server: AnthropicServer) -> None:
    assert found(after_a_crash(server)) is None
    server.foreign("my-request-1", "my-request-2", ended=True)
    gone = server.foreign(f"{TAG}-r1_00", ended=True)
    server.batches[gone]["archived"] = "2026-12-30T18:37:24Z"  # nothing could be collected from it
    assert found(after_a_crash(server)) is None


def test_an_ended_batch_is_found_by_its_results_among_others_on_later_pages(server: AnthropicServer) -> None:
    ticket = submitted(after_a_crash(server), asking("one"))
    server.end_batch(ticket)
    for number in range(4):
        server.foreign(f"other-{number}", ended=True)
    assert found(after_a_crash(server)) == ticket
    assert found(after_a_crash(server), "othertag") is None
    lists = [path for _, path in server.calls if "limit=" in path]
    assert lists[0] == "/v1/messages/batches?limit=1000"
    assert "after_id=msgbatch_" in lists[1]


def test_while_an_unknown_batch_runs_it_cannot_be_told_and_is_not_taken_for_absent(server: AnthropicServer) -> None:
    ticket = submitted(after_a_crash(server), asking("one"))
    later = after_a_crash(server)
    with pytest.raises(Unreachable, match=rf"{TAG} was submitted cannot be told yet: {ticket} .*at the latest 2026.*run again"):
        found(later)
    server.end_batch(ticket)
    assert found(later) == ticket


def test_another_tags_running_batch_does_not_hide_that_ours_was_never_submitted(server: AnthropicServer) -> None:
    model = after_a_crash(server)
    submitted(model, asking("one"), tag="first")  # by this object: known
    other = submitted(after_a_crash(server), asking("two"), tag="second")
    collected(model, other)  # a ticket the store knows
    assert found(model) is None
    foreign = server.foreign("theirs", ended=False)
    with pytest.raises(Unreachable, match=f"yet: {foreign} still running"):
        found(model)


def test_results_are_looked_into_once_and_only_at_their_beginning(server: AnthropicServer) -> None:
    server.foreign(*(f"other-{number:050}" for number in range(200)), ended=True)
    model = after_a_crash(server)
    assert (found(model), found(model, "another")) == (None, None)
    reads = [headers for (_, path), headers in zip(server.calls, server.headers, strict=True) if path.endswith("/results")]
    assert [headers.get("Range") for headers in reads] == ["bytes=0-4095"]


def test_results_that_begin_with_a_long_text_are_read_whole(server: AnthropicServer) -> None:
    ticket = submitted(after_a_crash(server), asking('x "custom_id": "no-such" ' * 400))
    server.end_batch(ticket)
    rows = server.batches[ticket]["results"]
    server.batches[ticket]["results"] = [{"result": row["result"], "custom_id": row["custom_id"]} for row in rows]
    assert found(after_a_crash(server)) == ticket
