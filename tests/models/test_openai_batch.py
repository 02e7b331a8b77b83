"""OpenAI's batches: handed over as a file, found again after a crash, collected in any order and in part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import orjson
import pytest

from qrelkit.core.doors import BatchModel
from qrelkit.core.errors import InputError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import Image
from qrelkit.core.wire import Batch, Message, Request, Schema, Settings, Shrink, picture, text
from qrelkit.models.openai_batch import read_lines, reason
from qrelkit.models.openai_compatible import OpenAICompatible, OpenAIDialect
from servers.batches import BatchServer
from servers.chat import answering, cut_off, dropped, failing, rate_limited

T = TypeVar("T")
NAME = "openai:tiny"
TAG = "qk0123456789abcdef"
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
SCHEMA = Schema.of("verdict", NUMBER)


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer(answer=lambda body: f"to {body['messages'][0]['content']}") as running:
        yield running


def asking(said: str, **more: object) -> Request:
    return Request(model=NAME, messages=(Message("user", (text(said),)),), **more)


def model_at(server: BatchServer, **options: object) -> OpenAICompatible:
    model = OpenAICompatible(NAME, base_url=server.base, **options)
    model.look_again_s = 0.01
    return model


def done(model: OpenAICompatible, talk: Callable[[], Awaitable[T]]) -> T:
    async def closing() -> T:
        try:
            return await talk()
        finally:
            await model.close()

    return asyncio.run(closing())


def submitted(model: OpenAICompatible, *requests: Request, tag: str = TAG) -> str:
    return done(model, lambda: model.submit(requests, tag))


def collected(model: OpenAICompatible, ticket: str) -> Batch:
    return done(model, lambda: model.collect(ticket))


def found(model: OpenAICompatible, tag: str = TAG) -> str | None:
    return done(model, lambda: model.find(tag))


# handing over


def test_a_batch_holds_each_request_as_it_is_sent_online(server: BatchServer) -> None:
    model = model_at(server)
    assert isinstance(model, BatchModel)
    one, two = asking("one"), asking("two\nlines", sample=1, schema=SCHEMA, settings=Settings(temperature=None))
    ticket = submitted(model, one, two, one)  # an equal request is there once
    batch = server.batches[ticket]
    assert [line["custom_id"] for line in batch.lines] == [one.digest, two.digest]
    assert [line["body"] for line in batch.lines] == [
        orjson.loads(done(model, lambda: model.body(one))),
        orjson.loads(done(model, lambda: model.body(two))),
    ]
    assert batch.shown["metadata"] == {"qrelkit": TAG}
    assert [file.name for file in server.files.values()] == [f"{TAG}.jsonl"]


def test_a_batch_is_found_by_its_tag_on_any_page(server: BatchServer) -> None:
    model = model_at(server)
    server.page = 2
    tickets = [submitted(model, asking("x"), tag=f"tag{i}") for i in range(5)]
    assert [found(model, f"tag{i}") for i in range(5)] == tickets
    assert found(model, "tag") is None


def test_nothing_leaves_where_nothing_may_stay_with_the_provider(server: BatchServer) -> None:
    with pytest.raises(InputError, match="stay with the provider; no_retention forbids"):
        submitted(model_at(server, no_retention=True), asking("x"))
    assert server.asked == []


def test_more_than_a_batch_takes_is_refused_before_it_is_sent(server: BatchServer) -> None:
    model = model_at(server)
    model.batch_at_most = 2
    with pytest.raises(InputError, match=r"3 requests are 0\.0 MB, and a batch of openai:tiny takes at most 2 requests"):
        submitted(model, *map(asking, "abc"))
    model.batch_at_most, model.batch_mb = 50_000, 0.001
    with pytest.raises(InputError, match="takes at most"):
        submitted(model, asking("x" * 2000))
    with pytest.raises(InputError, match="the wrong model"):
        submitted(model, Request(model="openai:other", messages=()))
    with pytest.raises(InputError, match="at least one"):
        submitted(model)
    assert server.asked == []


def test_a_picture_that_cannot_be_read_does_not_hold_up_the_others(server: BatchServer) -> None:
    bad = picture(Image(digest="0" * 64, read=lambda: b"no image", name="bad"), Shrink())
    broken = Request(model=NAME, messages=(Message("user", (bad,)),))
    model = model_at(server)
    ticket = submitted(model, broken, asking("fine"))
    assert [line["custom_id"] for line in server.batches[ticket].lines] == [asking("fine").digest]
    assert model.unreadable.keys() == {broken.digest}
    assert "bad" in model.unreadable[broken.digest]
    submitted(model, asking("fine"))
    assert model.unreadable == {}


def test_where_no_picture_can_be_read_there_is_no_batch(server: BatchServer) -> None:
    bad = picture(Image(digest="0" * 64, read=lambda: b"no image", name="bad"), Shrink())
    broken = Request(model=NAME, messages=(Message("user", (bad,)),))
    model = model_at(server)
    assert submitted(model, broken) == ""
    assert (model.unreadable.keys(), server.asked) == ({broken.digest}, [])


def test_a_large_file_goes_up_whole(server: BatchServer) -> None:
    requests = [asking(f"{i} " + "é" * 10_000) for i in range(150)]  # 3 MB
    ticket = submitted(model_at(server), *requests)
    assert {line["custom_id"] for line in server.batches[ticket].lines} == {r.digest for r in requests}


def test_a_refused_batch_leaves_no_file_behind(server: BatchServer) -> None:
    server.at("POST /batches", failing(400, "Billing hard limit", code="billing_hard_limit_reached"), rate_limited("7"))
    with pytest.raises(Rejected, match="no money left"):
        submitted(model_at(server), asking("x"))
    assert server.files == {}
    with pytest.raises(RateLimited) as caught:
        submitted(model_at(server), asking("x"))
    assert (caught.value.retry_after_s, server.files) == (7.0, {})


def test_that_the_file_cannot_be_deleted_hides_no_error(server: BatchServer) -> None:
    server.at("POST /batches", failing(400, "Nobody may batch"))
    server.at("DELETE /files/*", failing(500, "cannot delete"))
    with pytest.raises(Rejected, match="Nobody may batch"):
        submitted(model_at(server), asking("x"))


def test_a_wrong_key_is_said_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchServer(key="sk-right") as server, pytest.raises(Rejected, match="check OPENAI_API_KEY") as caught:
        submitted(model_at(server, api_key="sk-wrong"), asking("x"))
    assert caught.value.fatal
    assert "sk-wrong" not in str(caught.value)


def test_a_server_without_batches_is_named(server: BatchServer) -> None:
    server.at("POST /files", failing(404, "Not Found"))
    with pytest.raises(Rejected, match="is there a batch endpoint at this address") as caught:
        submitted(model_at(server), asking("x"))
    assert caught.value.fatal


# after a crash


def test_after_a_crash_between_upload_and_batch_nothing_is_found_and_the_file_is_deleted(server: BatchServer) -> None:
    server.at("POST /batches", dropped)
    with pytest.raises(Unreachable):
        submitted(model_at(server), asking("x"))
    assert len(server.files) == 1  # the batch may have been made: the file is needed then
    other = submitted(model_at(server), asking("y"), tag="other")
    assert found(model_at(server)) is None
    assert [file.name for file in server.files.values()] == ["other.jsonl"]
    server.end(other)
    assert len(collected(model_at(server), other).replies) == 1


def test_a_batch_whose_ticket_was_lost_is_found_and_its_file_kept(server: BatchServer) -> None:
    server.lose_answer("POST /batches")
    with pytest.raises(Unreachable):
        submitted(model_at(server), asking("x"))
    ticket = found(model_at(server))
    assert ticket in server.batches
    assert len(server.files) == 1


def test_a_server_without_a_list_of_files_says_nothing_of_left_over_ones(server: BatchServer) -> None:
    server.at("GET /files", failing(405, "Method not allowed"))
    assert found(model_at(server)) is None


def test_that_the_list_cannot_be_had_is_no_answer(server: BatchServer) -> None:
    server.at("GET /batches", failing(500, "oops"))
    with pytest.raises(Unreachable, match="oops"):
        found(model_at(server))


# collecting


def test_replies_come_in_any_order_and_say_that_they_came_by_batch(server: BatchServer) -> None:
    model = model_at(server)
    requests = [asking(str(i)) for i in range(20)]
    ticket = submitted(model, *requests)
    assert collected(model, ticket) == Batch(ended=False, counts={"total": 20, "completed": 0, "failed": 0})
    server.end(ticket, seed=7)
    batch = collected(model, ticket)
    assert batch.ended
    assert {r.digest: f"to {i}" for i, r in enumerate(requests)} == {d: reply.text for d, reply in batch.replies.items()}
    reply = batch.replies[requests[0].digest]
    assert (reply.batch, reply.outcome, reply.served, reply.latency_s) == (True, "answered", "tiny-2025-01-01", None)
    assert reply.tokens_in is not None
    assert batch.counts == {"total": 20, "completed": 20, "failed": 0}


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling"])
def test_what_has_not_ended_is_on_its_way(server: BatchServer, status: str) -> None:
    ticket = submitted(model_at(server), asking("x"))
    server.end(ticket, status)
    assert collected(model_at(server), ticket).replies == {}
    assert not collected(model_at(server), ticket).ended


def test_our_file_is_deleted_once_the_replies_are_here_and_they_can_be_had_again(server: BatchServer) -> None:
    ticket = submitted(model_at(server), asking("x"))
    server.end(ticket)
    first = collected(model_at(server), ticket)
    assert [file.purpose for file in server.files.values()] == ["batch_output"]
    assert collected(model_at(server), ticket) == first  # a crash before they were stored costs nothing
    assert server.asked.count("DELETE /files/*") == 2


@pytest.mark.parametrize(("status", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_what_an_ended_batch_did_not_come_to_has_failed(server: BatchServer, status: str, code: str) -> None:
    requests = [asking(str(i)) for i in range(5)]
    ticket = submitted(model_at(server), *requests)
    server.end(ticket, status, answered=2)
    replies = collected(model_at(server), ticket).replies
    assert [replies[r.digest].outcome for r in requests] == ["answered"] * 2 + ["failed"] * 3
    assert replies[requests[4].digest].error.startswith(f"in the batch: {code} This request could not be executed")


def test_part_of_a_batch_may_fail_be_filtered_or_be_missing(server: BatchServer) -> None:
    fine, ill, filtered, gone, empty = (asking(word) for word in ("fine", "ill", "filtered", "gone", "empty"))
    ticket = submitted(model_at(server), fine, ill, filtered, gone, empty)
    failures = {
        ill.digest: (500, {"error": {"message": "The server had an error", "type": "server_error"}}),
        filtered.digest: (400, {"error": {"message": "against our policy", "code": "content_filter"}}),
        empty.digest: (200, {"choices": []}),
    }
    server.end(ticket, failing=failures, missing=(gone.digest,))
    replies = collected(model_at(server), ticket).replies
    assert set(replies) == {r.digest for r in (fine, ill, filtered, empty)}
    assert replies[fine.digest].text == "to fine"
    assert (replies[ill.digest].outcome, replies[ill.digest].error) == ("failed", "in the batch: 500 The server had an error")
    assert (replies[filtered.digest].outcome, replies[filtered.digest].finish) == ("refused", "content_filter")
    assert replies[empty.digest].error == "the batch answered what is no chat completion: the reply holds no choice"


def test_a_field_that_the_model_will_not_have_is_left_out_of_the_next_batch() -> None:
    with BatchServer(refuse=("temperature",)) as server:
        model = model_at(server)
        ticket = submitted(model, asking("x"))
        server.end(ticket)
        assert collected(model, ticket).replies[asking("x").digest].outcome == "failed"
        assert "refused temperature" in model.notes[0]
        again = submitted(model, asking("x"), tag="again")
        server.end(again)
        assert collected(model, again).replies[asking("x").digest].outcome == "answered"


def test_of_a_batch_refused_as_a_whole_every_request_has_failed_with_the_reason(server: BatchServer) -> None:
    model = model_at(server, extra_body={"model": "unknown"})
    asked = [replace(asking(x), model=model.name) for x in "xy"]
    ticket = submitted(model, *asked)
    batch = collected(model, ticket)
    assert batch.ended
    assert {d: (r.outcome, r.error) for d, r in batch.replies.items()} == {
        request.digest: ("failed", "the batch was refused: line 1: The model is wrong; line 2: The model is wrong")
        for request in asked
    }
    assert server.files == {}
    assert collected(model, ticket) == Batch(ended=True, counts={"total": 2, "completed": 0, "failed": 0})


def test_reasons_are_quoted_up_to_three() -> None:
    data = [{"message": f"m{i}", "line": i} for i in (1, 2, 3, 4, 5)]
    assert reason({"errors": {"data": data}}) == "line 1: m1; line 2: m2; line 3: m3; and 2 more"
    assert reason({"errors": {"data": [{"code": "token_limit_exceeded", "line": None}]}}) == "token_limit_exceeded"
    assert reason({"errors": None}) == "no reason was given"


def test_a_file_that_comes_broken_is_asked_for_again(server: BatchServer) -> None:
    ticket = submitted(model_at(server), asking("x"))
    server.end(ticket)
    server.at("GET /files/*/content", answering(b'{"custom_id": "r1:', content_type="application/octet-stream"), cut_off)
    for _ in range(2):
        with pytest.raises(Unreachable):
            collected(model_at(server), ticket)
    assert len(collected(model_at(server), ticket).replies) == 1


def test_a_batch_that_is_gone_says_so(server: BatchServer) -> None:
    with pytest.raises(Rejected, match=r"404 No batch found with id 'batch_x'.*it is gone, or of another key") as caught:
        collected(model_at(server), "batch_x")
    assert not caught.value.fatal


# lines in the published format: https://platform.openai.com/docs/guides/batch


RECORDED = b"""\
{"id": "batch_req_123", "custom_id": "r1:a", "response": {"status_code": 200, "request_id": "req_123", "body": {"id": \
"chatcmpl-123", "object": "chat.completion", "created": 1711652795, "model": "gpt-4o-mini-2024-07-18", "choices": [{"index": 0, \
"message": {"role": "assistant", "content": "Hello."}, "logprobs": null, "finish_reason": "stop"}], "usage": {"prompt_tokens": \
22, "completion_tokens": 2, "total_tokens": 24, "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0}, \
"completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0}}, "system_fingerprint": "fp_123"}}, "error": null}

{"id": "batch_req_456", "custom_id": "r1:b", "response": null, "error": {"code": "batch_expired", "message": "This request could \
not be executed before the completion window expired."}}
{"id": "batch_req_789", "custom_id": "r1:c", "response": {"status_code": 429, "request_id": "", "body": {"error": {"message": \
"Rate limit", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}}, "error": null}
"""


def test_recorded_lines_are_read() -> None:
    one, two, three = read_lines(RECORDED, OpenAIDialect())
    reply = one.reply
    assert (one.digest, reply.text, reply.served, reply.batch) == ("r1:a", "Hello.", "gpt-4o-mini-2024-07-18", True)
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out, reply.tokens_reasoning) == (22, 8, 2, 1)
    assert (two.digest, two.reply.outcome, two.reply.batch) == ("r1:b", "failed", True)
    assert (three.reply.outcome, three.reply.error) == ("failed", "in the batch: 429 Rate limit")
    assert three.problem is not None
    assert (three.problem.status, three.problem.code) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize("raw", [b"[]", b'{"custom_id": 1}', b"{}", b'{"custom_id": "r1:a", "resp'])
def test_lines_that_are_none_are_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(read_lines(raw, OpenAIDialect()))
