"""Our client against the test server: what it sends, how it reads answers, and every way in which none comes."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from PIL import Image as Pixels

from qrelkit.core.errors import InputError, ModelError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Part, Reply, Request, Schema, Settings, Shrink, picture, text
from qrelkit.models.chat_format import read_reply
from qrelkit.models.data_urls import DataUrls
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.models.prices import read_prices
from qrelkit.net.hosts import LOOPBACK
from servers.chat import (
    VERDICT,
    ChatServer,
    answering,
    cut_off,
    dropped,
    failing,
    filtered,
    quota_spent,
    rate_limited,
    slow,
)

NAME = "openai:tiny"
KEY = "sk-very-secret-1234567890"
SCHEMA = Schema.of(
    "verdict",
    {
        "type": "object",
        "properties": {"reasoning": {"type": "string"}, "verdict": {"type": "string"}},
        "required": ["reasoning", "verdict"],
        "additionalProperties": False,
    },
)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


def asking(*parts: Part, **more: object) -> Request:
    user = parts or (text("Query: a red dress"),)
    return Request(model=NAME, messages=(Message("system", (text("You judge."),)), Message("user", user)), **more)


def asked(model: OpenAICompatible, *requests: Request) -> list[Reply]:
    async def talk() -> list[Reply]:
        try:
            return list(await model.replies(requests))
        finally:
            await model.close()

    return asyncio.run(talk())


def photo(width: int = 40, height: int = 20, name: str = "") -> Image:
    out = io.BytesIO()
    Pixels.new("RGB", (width, height), "red").save(out, "PNG")
    return Image(digest=f"{width}x{height}".ljust(64, "0"), read=out.getvalue, name=name)


# what is sent


def test_a_request_is_sent_as_the_format_wants_it(server: ChatServer) -> None:
    settings = Settings(temperature=0.0, max_tokens=50, top_p=0.5, seed=3)
    request = asking(text("Query"), text("Document"), settings=settings, schema=SCHEMA, sample=2)
    asked(OpenAICompatible(NAME, base_url=server.url, api_key=KEY), request)
    assert server.bodies == [
        {
            "model": "tiny",
            "messages": [{"role": "system", "content": "You judge."}, {"role": "user", "content": "Query\n\nDocument"}],
            "temperature": 0.0,
            "max_tokens": 50,
            "top_p": 0.5,
            "seed": 5,  # seed + sample: the same seed would give the same answer
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "schema": SCHEMA.schema, "strict": True},
            },
        }
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_settings_that_are_none_are_not_sent(server: ChatServer) -> None:
    asked(OpenAICompatible(NAME, base_url=server.url), asking(settings=Settings(temperature=None, max_tokens=None)))
    assert set(server.bodies[0]) == {"model", "messages"}
    assert "Authorization" not in server.headers[0]


def test_pictures_are_shrunk_and_sent_between_their_texts(server: ChatServer) -> None:
    big = picture(photo(2000, 1000), Shrink(100, "png"))
    asked(OpenAICompatible(NAME, base_url=server.url), asking(text("a"), text("b"), big, text("c"), big))
    content = server.bodies[0]["messages"][1]["content"]  # that the data URLs hold whole images the server has checked
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url"]
    assert [part.get("text") for part in content] == ["a\n\nb", None, "c", None]
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_picture_is_encoded_once_for_many_requests(server: ChatServer) -> None:
    reads = []
    image = replace(photo(), read=lambda: reads.append(1) or photo().read())
    requests = [asking(text(f"document {i}"), picture(image, Shrink(20))) for i in range(8)]
    model = OpenAICompatible(NAME, base_url=server.url)

    async def at_once() -> None:
        await asyncio.gather(*(model.replies([request]) for request in requests))
        await model.replies(requests)
        await model.close()

    asyncio.run(at_once())
    assert (len(server.bodies), len(reads)) == (16, 1)


def test_encoded_pictures_are_forgotten_beyond_their_share_of_memory() -> None:
    reads: list[int] = []

    async def twice(kept_bytes: int) -> int:
        reads.clear()
        urls = DataUrls(kept_bytes=kept_bytes)
        for width in (30, 40, 30, 40):
            image = replace(photo(width), read=lambda width=width: reads.append(width) or photo(width).read())
            await urls.of(asking(picture(image, Shrink(50))))
        return len(reads)

    assert asyncio.run(twice(10**6)) == 2
    assert asyncio.run(twice(1)) == 4


def test_a_bad_picture_fails_its_own_request_only(server: ChatServer, tmp_path: Path) -> None:
    bad = picture(replace(photo(name="coat.png"), read=lambda: b"no image", digest="1" * 64), Shrink())
    with pytest.raises(Rejected, match=r"image coat\.png: not an image") as error:
        asked(OpenAICompatible(NAME, base_url=server.url), asking(bad))
    assert not error.value.fatal
    gone = picture(replace(photo(), read=(tmp_path / "gone.png").read_bytes, digest="2" * 64), Shrink())
    with pytest.raises(Rejected, match=r"gone\.png"):
        asked(OpenAICompatible(NAME, base_url=server.url), asking(gone))
    assert server.bodies == []


def test_a_document_of_more_than_a_megabyte_and_half_a_surrogate_are_sent(server: ChatServer) -> None:
    asked(OpenAICompatible(NAME, base_url=server.url), asking(text("x" * 3_000_000)), asking(text("a\ud83d b")))
    assert len(server.bodies[0]["messages"][1]["content"]) == 3_000_000
    assert server.bodies[1]["messages"][1]["content"] == "a? b"


def test_extra_fields_are_sent_and_are_part_of_the_name(server: ChatServer) -> None:
    extra = {"reasoning_effort": "low", "max_completion_tokens": 99, "model": "/models/tiny"}
    model = OpenAICompatible(NAME, base_url=server.url, extra_body=extra)
    assert model.name == 'openai:tiny#/models/tiny?{"max_completion_tokens":99,"reasoning_effort":"low"}'
    asked(model, replace(asking(), model=model.name))
    sent = server.bodies[0]
    assert (sent["model"], sent["reasoning_effort"], sent["max_completion_tokens"]) == ("/models/tiny", "low", 99)
    assert "max_tokens" not in sent
    with pytest.raises(InputError, match="names the wrong model"):
        asked(model, asking())


def test_models_that_are_sent_under_another_name_are_never_taken_for_each_other() -> None:
    """Two configurations of one name that ask different models: no reply of one may answer for the other."""
    prices = read_prices({NAME: {"input": 1, "output": 2}})
    sent = [{}, {"model": "tiny"}, {"model": "a"}, {"model": "b"}]
    models = [OpenAICompatible(NAME, base_url="http://127.0.0.1:9/v1", extra_body=extra, prices=prices) for extra in sent]
    assert [model.name for model in models] == [NAME, NAME, f"{NAME}#a", f"{NAME}#b"]
    assert [model.sent_name for model in models] == ["tiny", "tiny", "a", "b"]
    assert len({replace(asking(), model=model.name).digest for model in models}) == 3
    assert {model.price for model in models} == {models[0].price} != {""}


# what is read


def test_a_reply_has_text_name_tokens_cost_and_time(server: ChatServer) -> None:
    model = OpenAICompatible(
        NAME, base_url=server.url, prices=read_prices({"tiny": {"input": 1, "output": 2, "cached_input": 0}})
    )
    (reply,) = asked(model, asking())
    # the server counts a token per 4 bytes of JSON: ("You judge.": 12 + "Query: a red dress": 20) // 4 = 8, half of them cached
    assert (reply.text, reply.outcome, reply.finish, reply.served) == (VERDICT, "answered", "stop", "tiny-2025-01-01")
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out) == (8, 4, len(VERDICT) // 4)
    assert model.cost_usd(reply) == pytest.approx((4 * 1 + len(VERDICT) // 4 * 2) / 1e6)
    assert reply.latency_s is not None
    assert 0 < reply.latency_s < 5
    assert OpenAICompatible(NAME, base_url=server.url).cost_usd(reply) is None


def test_finish_and_refusal_become_outcomes() -> None:
    with ChatServer(finish="length") as server:
        assert asked(OpenAICompatible(NAME, base_url=server.url), asking())[0].outcome == "truncated"
    with ChatServer(finish="content_filter") as server:
        assert asked(OpenAICompatible(NAME, base_url=server.url), asking())[0].outcome == "refused"
    with ChatServer(refusal="I'm sorry, I can't.") as server:
        (reply,) = asked(OpenAICompatible(NAME, base_url=server.url), asking())
        assert (reply.text, reply.outcome) == ("I'm sorry, I can't.", "refused")


def test_a_filtered_prompt_is_a_refusal(server: ChatServer) -> None:
    server.next(filtered())
    (reply,) = asked(OpenAICompatible(NAME, base_url=server.url), asking())
    assert (reply.outcome, reply.finish) == ("refused", "content_filter")
    assert "policy" in reply.text


def test_token_probabilities_are_read() -> None:
    with ChatServer(lambda body: "yes no") as server:
        (reply,) = asked(OpenAICompatible(NAME, base_url=server.url), asking(settings=Settings(token_probabilities=True)))
    assert server.bodies[0]["top_logprobs"] == 20
    # the server gives each word .9 and a dash .1: log .9 = −.10536, log .1 = −2.30259
    assert reply.token_probabilities == (
        ("yes ", {"yes ": -0.105360516, "-": -2.302585093}),
        ("no", {"no": -0.105360516, "-": -2.302585093}),
    )


@pytest.mark.parametrize(
    ("said", "total", "hidden", "cached", "out"),
    [
        (9, 135, 94, None, 103),  # xAI: the 94 of reasoning beside the 9 of the answer, 32 + 9 + 94 = 135
        (103, 135, 94, None, 103),  # OpenAI: among them
        (9, None, 94, None, 103),  # more than all of it: beside it, then
        (9, 135, None, None, 103),  # in the total alone
        (None, 135, None, None, 103),
        (9, 0, None, None, 9),  # totals that are no sum
        (9, 999, 4, None, 9),
        (9, 61, None, 20, 9),  # 20 of the prompt came from a cache and are not among its 32
    ],
)
def test_all_of_the_output_is_counted_wherever_the_reasoning_stands(
    said: int | None, total: int | None, hidden: int | None, cached: int | None, out: int
) -> None:
    usage = {
        "prompt_tokens": 32,
        "completion_tokens": said,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": hidden},
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    reply = read_reply({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_reasoning) == (32, out, hidden)


@pytest.mark.parametrize("odd", ["12", -1, True, 1.5, None, [], {}, 2**63])
def test_what_is_no_count_is_unknown(odd: object) -> None:
    details = {"cached_tokens": odd, "image_tokens": odd}
    usage = {"prompt_tokens": odd, "completion_tokens": odd, "total_tokens": odd, "prompt_tokens_details": details}
    reply = read_reply({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.tokens_image) == ("x", *[None] * 4)
    assert read_reply({"choices": [{"message": {"content": "x"}}], "usage": odd}).tokens_in is None


def test_a_usage_of_zeros_says_nothing_of_the_input() -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    reply = read_reply({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert (reply.tokens_in, reply.tokens_out) == (None, 0)


def test_content_in_parts_and_missing_usage_are_read(server: ChatServer) -> None:
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}], "usage": None}
    server.next(answering(orjson.dumps(body), content_type="text/plain"))
    (reply,) = asked(OpenAICompatible(NAME, base_url=server.url), asking())
    assert (reply.text, reply.outcome, reply.tokens_in, reply.served) == ("ab", "answered", None, "")


# fields that a server will not have


@pytest.mark.parametrize("field", ["response_format", "temperature", "top_p", "seed", "logprobs", "max_tokens"])
def test_a_refused_field_is_left_out_from_then_on(field: str) -> None:
    request = asking(settings=Settings(top_p=0.5, seed=1, token_probabilities=True), schema=SCHEMA)
    with ChatServer(refuse=(field,)) as server:
        model = OpenAICompatible(NAME, base_url=server.url)
        replies = asked(model, request, request)
    assert [r.outcome for r in replies] == ["answered", "answered"]
    assert [field in body for body in server.bodies] == [True, False, False]
    assert ("max_completion_tokens" in server.bodies[-1]) == (field == "max_tokens")
    assert len(model.notes) == 1
    assert f"refused {field} (" in model.notes[0]


def test_everything_may_be_refused_by_many_requests_at_once() -> None:
    request = asking(settings=Settings(token_probabilities=True), schema=SCHEMA)
    with ChatServer(refuse=("response_format", "temperature", "logprobs", "max_tokens"), delay_s=0.01) as server:
        model = OpenAICompatible(NAME, base_url=server.url)

        async def talk() -> None:
            await asyncio.gather(*(model.replies([request]) for _ in range(10)))
            await model.close()

        asyncio.run(talk())
    assert set(server.bodies[-1]) == {"model", "messages", "max_completion_tokens"}
    assert len(model.notes) == 4


def test_a_refusal_in_fastapis_words_is_understood(server: ChatServer) -> None:
    detail = [
        {"type": "extra_forbidden", "loc": ["body", "response_format"], "msg": "Extra inputs are not permitted", "input": 1}
    ]
    server.next(answering(orjson.dumps({"detail": detail}), status=422))
    model = OpenAICompatible(NAME, base_url=server.url)
    assert asked(model, asking(schema=SCHEMA))[0].text == VERDICT
    assert "body.response_format: Extra inputs are not permitted" in model.notes[0]


@pytest.mark.parametrize(
    "said",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum context length is 512 tokens",
        "max_tokens must be at least 16",
        "This model's maximum context length is 8192 tokens; temperature has no part in it",
    ],
)
def test_a_value_too_large_is_not_taken_for_a_field_refused(server: ChatServer, said: str) -> None:
    server.next(failing(400, said))
    model = OpenAICompatible(NAME, base_url=server.url)
    with pytest.raises(Rejected) as error:
        asked(model, asking())
    assert not error.value.fatal
    assert model.notes == ()


# no reply

NO_REPLY = [
    (rate_limited("7"), RateLimited, "429 Rate limit reached", 7.0),
    (rate_limited(x_ratelimit_reset_tokens="6m0s"), RateLimited, "429", 360.0),
    (rate_limited(), RateLimited, "429", None),
    (failing(503, "overloaded", headers={"Retry-After": "3"}), RateLimited, "503 overloaded", 3.0),
    (quota_spent(), Rejected, "no money left", True),
    (failing(402, "Insufficient Balance"), Rejected, "no money left", True),
    (failing(401, "Incorrect API key"), Rejected, "check OPENAI_API_KEY", True),
    (failing(403, "not for you"), Rejected, "may not use", True),
    (failing(404, "The model `tiny` does not exist"), Rejected, "does not exist; check the model's name", True),
    (
        answering(b"", status=301, Location="https://elsewhere.example/v1"),
        Rejected,
        "redirects to https://elsewhere.example/v1",
        True,
    ),
    (failing(413, "too large"), Rejected, "413 too large", False),
    (failing(400, "bad image"), Rejected, "400 bad image", False),
    (failing(500, "oops"), Unreachable, "500 oops", None),
    (answering(b"<html>Bad gateway</html>", status=502, content_type="text/html"), Unreachable, "502 <html>Bad gateway", None),
    (answering(b'{"error": {"message": "busy", "code": 429}}'), RateLimited, "429 busy", None),
    (answering(b'{"error": "model crashed"}'), Unreachable, "500 model crashed", None),
    (answering(b'{"choices": [{"messa'), Unreachable, "no whole JSON", None),
    (answering(b"<html>Log in</html>", content_type="text/html"), Unreachable, "text/html.*Log in", None),
    (answering(b'{"choices": []}', content_type="text/html"), Unreachable, "text/html", None),
    (answering(b'{"choices": []}'), Unreachable, "no choice", None),
    (answering(b'{"choices": [{"message": "hello"}]}'), Unreachable, "no chat completion", None),
    (answering(b'{"choices": [{"finish_reason": "error", "error": {"message": "lost"}}]}'), Unreachable, "broke off: lost", None),
    (answering(b"[1]"), Unreachable, "no whole JSON object", None),
    (dropped, Unreachable, "is the server running", None),
    (cut_off, Unreachable, "is the server running", None),
]


@pytest.mark.parametrize(("fault", "kind", "says", "detail"), NO_REPLY)
def test_what_is_no_reply_is_an_error_that_helps(
    server: ChatServer, fault: object, kind: type[ModelError], says: str, detail: object
) -> None:
    server.next(fault)
    with pytest.raises(kind, match=f"(?s){says}") as error:
        asked(OpenAICompatible(NAME, base_url=server.url, api_key=KEY), asking())
    assert type(error.value) is kind
    assert "openai:tiny at 127.0.0.1" in str(error.value) or "127.0.0.1:" in str(error.value)
    assert getattr(error.value, "retry_after_s", getattr(error.value, "fatal", None)) == detail
    assert "redirects" in says or len(server.bodies) == 1


def test_a_slow_server_is_left_and_a_silent_port_is_said(server: ChatServer) -> None:
    server.next(slow(5))
    start = time.perf_counter()
    with pytest.raises(Unreachable, match=r"no whole answer within 0\.1 s"):
        asked(OpenAICompatible(NAME, base_url=server.url, timeout_s=0.1), asking())
    assert time.perf_counter() - start < 3
    with pytest.raises(Unreachable, match="is the server running"):
        asked(OpenAICompatible(NAME, base_url="http://127.0.0.1:9/v1"), asking())


def test_a_cancelled_request_leaves_the_model_usable(server: ChatServer) -> None:
    server.next(slow(5))

    async def talk() -> Reply:
        model = OpenAICompatible(NAME, base_url=server.url)
        task = asyncio.ensure_future(model.replies([asking()]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (reply,) = await model.replies([asking()])
        await model.close()
        return reply

    assert asyncio.run(talk()).text == VERDICT


def test_no_more_requests_are_held_at_once_than_allowed() -> None:
    with ChatServer(delay_s=0.01) as server:
        model = OpenAICompatible(NAME, base_url=server.url, at_once=3)

        async def talk() -> None:
            await asyncio.gather(*(model.replies([asking()]) for _ in range(12)))
            await model.close()

        asyncio.run(talk())
    assert server.most_at_once == 3


# addresses and keys


def test_the_key_is_never_shown() -> None:
    with ChatServer(key="another") as server:
        model = OpenAICompatible(NAME, base_url=server.url, api_key=KEY)
        with pytest.raises(Rejected, match=r"Incorrect API key provided: \*\*\*") as error:
            asked(model, asking())
    assert KEY not in f"{error.value} {error.value!r} {model!r} {model._endpoint!r} {model.notes}"
    assert repr(model) == f"OpenAICompatible(openai:tiny at 127.0.0.1:{server.port})"


def test_address_and_key_come_from_the_environment(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    asked(OpenAICompatible(NAME), asking())
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "no key for api.openai.com: set OPENAI_API_KEY"),
        ({"api_key": "пароль", "base_url": "http://127.0.0.1/v1"}, "characters that no key has"),
        ({"base_url": "localhost:8000/v1"}, "is no address"),
        ({"base_url": "http://user:secret@127.0.0.1/v1"}, "leave name and password out"),
        ({"base_url": "http://127.0.0.1:port/v1"}, "base_url"),
        ({"name": "gpt-4o"}, "provider:name"),
        ({"base_url": "http://models.example/v1", "allow_hosts": LOOPBACK}, r"models\.example is not allowed \(allowed: 127"),
        ({"base_url": "http://127.0.0.1:81/v1", "allow_hosts": ["127.0.0.1:80"]}, "not allowed"),
        ({"api_key": "k", "allow_hosts": ()}, r"api\.openai\.com is not allowed \(allowed: none\)"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        OpenAICompatible(**options)
    assert "secret" not in str(error.value)


def test_allowed_hosts_and_queries_in_the_address_work(server: ChatServer) -> None:
    for allowed in (LOOPBACK, [f"127.0.0.1:{server.port}"]):
        model = OpenAICompatible(NAME, base_url=server.url + "?api-version=1", allow_hosts=allowed)
        assert asked(model, asking())[0].text == VERDICT
