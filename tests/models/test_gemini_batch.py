"""Gemini's batches against its test server: handed over, found again, collected in any order, refused, failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import unquote

import pytest

from qrelkit.core.doors import BatchModel
from qrelkit.core.errors import InputError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Part, Request, Schema, Settings, Shrink, picture, text
from qrelkit.models.gemini import Gemini
from servers.chat import answering
from servers.gemini import GeminiServer, failing, quota, retry_in, status_of

T = TypeVar("T")
NAME = "gemini:tiny-flash"
KEY = "AIzaVerySecret-1234567890"
SCHEMA = Schema.of("verdict", {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]})


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


def asking(part: Part, **more: Any) -> Request:
    return Request(model=NAME, messages=(Message("system", (text("You judge."),)), Message("user", (part,))), **more)


def three() -> list[Request]:
    return [asking(text(f"document {i}"), schema=SCHEMA) for i in range(3)]


def talk(model: Gemini, say: Callable[[], Awaitable[T]]) -> T:
    async def closing() -> T:
        try:
            return await say()
        finally:
            await model.close()

    return asyncio.run(closing())


def echo(body: dict[str, Any]) -> str:
    return str(body["contents"][0]["parts"][0]["text"])


def test_a_batch_is_submitted_found_and_collected_in_any_order() -> None:
    requests = three()
    with GeminiServer(echo, key=KEY) as server:
        model = Gemini(NAME, base_url=server.base, api_key=KEY)
        assert isinstance(model, BatchModel)
        ticket = talk(model, lambda: model.submit(requests, "qk0123"))
        sent = server.bodies[-1]["batch"]
        waiting = talk(model, lambda: model.collect(ticket))
        server.finish_batch(ticket)  # which answers the last one first
        ended = talk(model, lambda: model.collect(ticket))
    assert server.calls[0] == ("POST", "/v1beta/models/tiny-flash:batchGenerateContent")
    assert sent["displayName"] == "qk0123"
    items = sent["inputConfig"]["requests"]["requests"]
    assert [item["metadata"] for item in items] == [{"key": request.digest} for request in requests]
    assert items[0]["request"]["contents"] == [{"role": "user", "parts": [{"text": "document 0"}]}]
    assert items[0]["request"]["generationConfig"]["responseJsonSchema"] == SCHEMA.schema
    assert (waiting.ended, waiting.replies, waiting.counts) == (False, {}, {"pending": 3})
    assert (ended.ended, ended.counts) == (True, {"answered": 3})
    assert {digest: reply.text for digest, reply in ended.replies.items()} == {
        request.digest: f"document {i}" for i, request in enumerate(requests)
    }
    assert all(reply.batch and reply.outcome == "answered" for reply in ended.replies.values())
    assert all(reply.request == digest for digest, reply in ended.replies.items())


def test_a_batch_is_found_by_its_tag_on_a_later_page(server: GeminiServer) -> None:
    model = Gemini(NAME, base_url=server.base)

    async def many() -> list[str]:
        return [await model.submit(three()[:1], f"qk{i}") for i in range(45)]

    tickets = talk(model, many)
    server.calls.clear()
    assert talk(model, lambda: model.find("qk2")) == tickets[2]
    assert [unquote(path) for _, path in server.calls] == [
        "/v1beta/batches?pageSize=20",
        "/v1beta/batches?pageSize=20&pageToken=20+/=",
        "/v1beta/batches?pageSize=20&pageToken=40+/=",
    ]
    assert talk(model, lambda: model.find("qk-of-a-crash")) is None


def test_what_failed_in_a_batch_is_failed_and_its_field_is_no_longer_sent() -> None:
    plain, wanting = three()[:1], [asking(text("probabilities"), settings=Settings(token_probabilities=True))]
    with GeminiServer(refuse=("responseLogprobs",)) as server:
        model = Gemini(NAME, base_url=server.base)
        ticket = talk(model, lambda: model.submit(plain + wanting, "qk"))
        server.finish_batch(ticket)
        batch = talk(model, lambda: model.collect(ticket))
        talk(model, lambda: model.submit(wanting, "again"))
    assert batch.counts == {"answered": 1, "failed": 1}
    assert batch.replies[plain[0].digest].outcome == "answered"
    failed = batch.replies[wanting[0].digest]
    assert (failed.outcome, failed.error, failed.batch) == ("failed", "Logprobs is not enabled for models/tiny-flash", False)
    config = server.bodies[-1]["batch"]["inputConfig"]["requests"]["requests"][0]["request"]["generationConfig"]
    assert "responseLogprobs" not in config


def test_a_field_that_the_batch_endpoint_does_not_know_is_left_out_at_once() -> None:
    with GeminiServer(unknown=("responseJsonSchema",)) as server:
        model = Gemini(NAME, base_url=server.base)
        assert talk(model, lambda: model.submit(three(), "qk")).startswith("batches/")
    assert len(server.bodies) == 2
    assert "refused responseJsonSchema" in model.notes[0]


@pytest.mark.parametrize("state", ["BATCH_STATE_EXPIRED", "JOB_STATE_CANCELLED", "BATCH_STATE_FAILED"])
def test_a_batch_that_ended_as_a_whole_answers_nothing(server: GeminiServer, state: str) -> None:
    model = Gemini(NAME, base_url=server.base)
    ticket = talk(model, lambda: model.submit(three(), "qk"))
    server.end_batch(ticket, state, status_of(13, "INTERNAL", "the batch failed"))
    batch = talk(model, lambda: model.collect(ticket))
    assert (batch.ended, batch.replies) == (True, {})


def test_replies_without_keys_are_given_to_nobody(server: GeminiServer) -> None:
    model = Gemini(NAME, base_url=server.base)
    ticket = talk(model, lambda: model.submit(three(), "qk"))
    server.finish_batch(ticket, keys=False)
    with pytest.raises(Unreachable, match=rf"{ticket}: .*without the keys"):
        talk(model, lambda: model.collect(ticket))


def test_a_reply_in_a_batch_that_cannot_be_read_fails_alone(server: GeminiServer) -> None:
    model = Gemini(NAME, base_url=server.base)
    requests = three()
    ticket = talk(model, lambda: model.submit(requests, "qk"))
    server.finish_batch(ticket)
    items = server.batches[ticket]["response"]["inlinedResponses"]["inlinedResponses"]
    items[0]["response"] = {"candidates": ["hello"]}
    items[1]["response"] = {"promptFeedback": {"blockReason": "OTHER"}}
    replies = talk(model, lambda: model.collect(ticket)).replies
    assert [replies[request.digest].outcome for request in requests] == ["answered", "refused", "failed"]


def test_a_picture_that_cannot_be_read_stays_out_of_its_batch(server: GeminiServer) -> None:
    bad = asking(picture(Image(digest="1" * 64, read=lambda: b"no image"), Shrink()))
    model = Gemini(NAME, base_url=server.base)
    ticket = talk(model, lambda: model.submit([*three()[:1], bad], "qk"))
    assert [item["metadata"]["key"] for item in server.asked[ticket]] == [three()[0].digest]
    assert "not an image" in model.unreadable.pop(bad.digest)
    assert model.unreadable == {}
    calls = len(server.calls)
    assert talk(model, lambda: model.submit([bad], "qk2")) == ""  # none is left: no batch
    assert (model.unreadable.keys(), len(server.calls)) == ({bad.digest}, calls)
    talk(model, lambda: model.submit(three(), "qk3"))
    assert model.unreadable == {}
    with pytest.raises(InputError, match="at least one"):
        talk(model, lambda: model.submit([], "qk4"))


def test_no_retention_and_a_body_too_large_are_refused_before_anything_leaves(server: GeminiServer) -> None:
    private = Gemini(NAME, base_url=server.base, no_retention=True)
    with pytest.raises(InputError, match="no_retention forbids"):
        talk(private, lambda: private.submit(three(), "qk"))
    model = Gemini(NAME, base_url=server.base)
    huge = [asking(text("x" * 10_500_000)), asking(text("y" * 10_500_000))]
    with pytest.raises(InputError, match=r"2 requests are 21\.0 MB, and a batch holds 20 at most"):
        talk(model, lambda: model.submit(huge, "qk"))
    with pytest.raises(InputError, match="names the wrong model"):
        talk(model, lambda: model.submit([replace(asking(text("?")), model="gemini:other")], "qk"))
    assert server.calls == []


def test_errors_of_the_batch_endpoint_are_errors_that_help(server: GeminiServer) -> None:
    model = Gemini(NAME, base_url=server.base)
    server.next(failing(429, "RESOURCE_EXHAUSTED", "Batch enqueued tokens exceeded", quota("BatchTokensPerDay"), retry_in("1s")))
    with pytest.raises(RateLimited, match="midnight Pacific") as error:
        talk(model, lambda: model.submit(three(), "qk"))
    assert error.value.retry_after_s == 86_400
    with pytest.raises(Rejected, match="batches/gone is not found"):
        talk(model, lambda: model.collect("batches/gone"))
    server.next(answering(b'{"error": {"code": 503, "message": "busy"}}'))
    with pytest.raises(Unreachable, match="503 busy"):
        talk(model, lambda: model.find("qk"))
