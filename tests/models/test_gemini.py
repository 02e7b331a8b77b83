"""Gemini against its test server and recorded streams: what is sent, how answers are read, online and by batch."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import orjson
import pytest
from PIL import Image as Pixels

from qrelkit.core.errors import InputError, ModelError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Part, Reply, Request, Schema, Settings, Shrink, picture, text
from qrelkit.models.gemini import Gemini
from qrelkit.models.gemini_format import read_reply
from servers.chat import VERDICT, answering, cut_off, dropped
from servers.gemini import GeminiServer, failing, info, quota, retry_in, status_of

T = TypeVar("T")
NAME = "gemini:tiny-flash"
KEY = "AIzaVerySecret-1234567890"
SCHEMA = Schema.of(
    "verdict",
    {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"], "additionalProperties": False},
)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    with GeminiServer() as running:
        yield running


def asking(*parts: Part, **more: Any) -> Request:
    user = parts or (text("Query: a red dress"),)
    return Request(model=NAME, messages=(Message("system", (text("You judge."),)), Message("user", user)), **more)


def talk(model: Gemini, say: Callable[[], Awaitable[T]]) -> T:
    async def closing() -> T:
        try:
            return await say()
        finally:
            await model.close()

    return asyncio.run(closing())


def asked(model: Gemini, *requests: Request) -> list[Reply]:
    return list(talk(model, lambda: model.replies(requests)))


def photo(width: int = 40, height: int = 20) -> Image:
    out = io.BytesIO()
    Pixels.new("RGB", (width, height), "red").save(out, "PNG")
    return Image(digest=f"{width}x{height}".ljust(64, "0"), read=out.getvalue)


def read(server: GeminiServer, recorded: bytes) -> Reply:
    server.next(answering(recorded))
    return asked(Gemini(NAME, base_url=server.base), asking())[0]


# what is sent


def test_a_request_is_sent_as_the_format_wants_it(server: GeminiServer) -> None:
    settings = Settings(temperature=0.0, max_tokens=50, top_p=0.5, seed=3)
    request = asking(text("Query"), text("Document"), settings=settings, schema=SCHEMA, sample=2)
    asked(Gemini(NAME, base_url=server.base, api_key=KEY), request)
    assert server.calls == [("POST", "/v1beta/models/tiny-flash:generateContent")]
    assert server.bodies == [
        {
            "systemInstruction": {"parts": [{"text": "You judge."}]},
            "contents": [{"role": "user", "parts": [{"text": "Query\n\nDocument"}]}],
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA.schema,
                "temperature": 0.0,
                "topP": 0.5,
                "seed": 5,  # seed + sample: the same seed would give the same answer
                "maxOutputTokens": 50,
            },
        }
    ]
    assert server.headers[0]["x-goog-api-key"] == KEY


def test_settings_that_are_none_are_not_sent(server: GeminiServer) -> None:
    asked(Gemini(NAME, base_url=server.base), asking(settings=Settings(temperature=None, max_tokens=None)))
    assert set(server.bodies[0]) == {"systemInstruction", "contents"}
    assert "x-goog-api-key" not in server.headers[0]


def test_what_the_assistant_said_is_the_models_turn(server: GeminiServer) -> None:
    turns = (Message("user", (text("a"),)), Message("assistant", (text("b"),)), Message("user", (text("c"),)))
    asked(Gemini(NAME, base_url=server.base), Request(model=NAME, messages=turns))
    assert [content["role"] for content in server.bodies[0]["contents"]] == ["user", "model", "user"]
    assert "systemInstruction" not in server.bodies[0]


def test_pictures_are_sent_between_their_texts(server: GeminiServer) -> None:
    big = picture(photo(2000, 1000), Shrink(100, "png"))
    (reply,) = asked(Gemini(NAME, base_url=server.base), asking(text("a"), text("b"), big, text("c"), big))
    parts = server.bodies[0]["contents"][0]["parts"]  # that they are whole images of their type the server has checked
    assert [part.get("text") for part in parts] == ["a\n\nb", None, "c", None]
    assert parts[1]["inlineData"]["mimeType"] == "image/png"
    assert reply.tokens_image == 2 * 258  # as the server counts them


def test_half_a_surrogate_is_sent_as_a_question_mark(server: GeminiServer) -> None:
    asked(Gemini(NAME, base_url=server.base), asking(text("a\ud83d b")))
    assert server.bodies[0]["contents"][0]["parts"] == [{"text": "a? b"}]


def test_extra_settings_join_ours_and_are_part_of_the_name(server: GeminiServer) -> None:
    extra = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "temperature": 1.0}, "safetySettings": []}
    model = Gemini(NAME, base_url=server.base, extra_body=extra)
    asked(model, replace(asking(), model=model.name))
    assert server.bodies[0]["generationConfig"] == {
        "temperature": 1.0,
        "maxOutputTokens": 1024,
        "thinkingConfig": {"thinkingBudget": 0},
    }
    assert server.bodies[0]["safetySettings"] == []
    assert '"thinkingBudget":0' in model.name


def test_a_name_with_its_kind_keeps_it() -> None:
    assert Gemini("gemini:tunedModels/mine", api_key=KEY).dialect.path("tunedModels/mine") == "/tunedModels/mine:generateContent"


# what is read: streams in the published format


def test_a_recorded_reply_is_read_without_its_thoughts(server: GeminiServer) -> None:
    reply = read(
        server,
        b"""{
  "candidates": [
    {
      "content": {
        "parts": [
          {"text": "**Weighing the evidence**\\n\\nThe document says 1.", "thought": true},
          {"text": "{\\"verdict\\": ", "thoughtSignature": "CpwCAcu98PBz"},
          {"text": "\\"relevant\\"}"}
        ],
        "role": "model"
      },
      "finishReason": "STOP",
      "index": 0
    }
  ],
  "usageMetadata": {
    "promptTokenCount": 1290, "candidatesTokenCount": 9, "totalTokenCount": 1372, "cachedContentTokenCount": 1024,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1032}, {"modality": "IMAGE", "tokenCount": 258}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 1024}],
    "thoughtsTokenCount": 73
  },
  "modelVersion": "gemini-2.5-flash",
  "responseId": "mAtiaKzYBeDPz7IPg8r0sQ8"
}
""",
    )
    assert (reply.text, reply.outcome, reply.finish) == ('{"verdict": "relevant"}', "answered", "STOP")
    assert reply.served == "gemini-2.5-flash"
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_image) == (1290, 1024, 258)
    assert (reply.tokens_out, reply.tokens_reasoning) == (9 + 73, 73)


def test_a_recorded_block_of_the_prompt_is_a_refusal_with_its_reason(server: GeminiServer) -> None:
    reply = read(
        server,
        b"""{
  "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
  "usageMetadata": {
    "promptTokenCount": 41, "totalTokenCount": 41, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 41}]
  },
  "modelVersion": "gemini-2.5-flash"
}
""",
    )
    assert (reply.outcome, reply.finish, reply.text) == ("refused", "PROHIBITED_CONTENT", "PROHIBITED_CONTENT")
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_image) == (41, 0, 0)


def test_a_recorded_filter_of_the_reply_is_a_refusal_that_names_the_category(server: GeminiServer) -> None:
    reply = read(
        server,
        b"""{
  "candidates": [
    {
      "finishReason": "SAFETY",
      "finishMessage": "The response was stopped.",
      "index": 0,
      "safetyRatings": [
        {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
        {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "probability": "HIGH", "blocked": true}
      ]
    }
  ],
  "usageMetadata": {"promptTokenCount": 41, "totalTokenCount": 41},
  "modelVersion": "gemini-2.5-flash"
}
""",
    )
    assert (reply.outcome, reply.finish) == ("refused", "SAFETY")
    assert reply.text == "SAFETY: The response was stopped. (HARM_CATEGORY_SEXUALLY_EXPLICIT)"


@pytest.mark.parametrize("odd", ["12", -1, True, 1.5, None, [], 2**63])
def test_what_is_no_count_is_unknown(odd: object) -> None:
    said = {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}
    usage = {f"{name}TokenCount": odd for name in ("prompt", "candidates", "thoughts", "cachedContent")}
    reply = read_reply({**said, "usageMetadata": {**usage, "promptTokensDetails": odd}})
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.tokens_reasoning) == ("x", *[None] * 4)
    assert reply.tokens_image is None
    known = read_reply({**said, "usageMetadata": {**usage, "promptTokenCount": 4}})
    assert (known.tokens_in, known.tokens_out) == (4, None)
    assert read_reply({**said, "usageMetadata": odd}).tokens_in is None


def test_an_input_of_nothing_is_unknown() -> None:
    reply = read_reply({"candidates": [{}], "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0}})
    assert (reply.tokens_in, reply.tokens_out) == (None, 0)


@pytest.mark.parametrize(
    ("finish", "outcome"),
    [
        ("STOP", "answered"),
        ("MALFORMED_RESPONSE", "answered"),  # no verdict can be read from it, so that it is asked once more
        ("MAX_TOKENS", "truncated"),
        ("RECITATION", "refused"),
        ("BLOCKLIST", "refused"),
        ("SPII", "refused"),
        ("A_REASON_OF_THE_FUTURE", "refused"),
    ],
)
def test_the_reason_of_the_end_becomes_the_outcome(finish: str, outcome: str) -> None:
    with GeminiServer(finish=finish) as server:
        (reply,) = asked(Gemini(NAME, base_url=server.base), asking())
    assert (reply.outcome, reply.finish, reply.text) == (outcome, finish, finish if outcome == "refused" else VERDICT)


def test_thoughts_that_took_all_the_tokens_leave_a_truncated_reply_without_text(server: GeminiServer) -> None:
    reply = read(
        server,
        b'{"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}],'
        b' "usageMetadata": {"promptTokenCount": 41, "totalTokenCount": 1061, "thoughtsTokenCount": 1020}}',
    )
    assert (reply.outcome, reply.text, reply.tokens_out, reply.tokens_reasoning) == ("truncated", "", 1020, 1020)
    assert reply.tokens_image is None


def test_token_probabilities_are_read() -> None:
    with GeminiServer(lambda body: "yes no") as server:
        (reply,) = asked(Gemini(NAME, base_url=server.base), asking(settings=Settings(token_probabilities=True)))
    assert (server.bodies[0]["generationConfig"]["responseLogprobs"], server.bodies[0]["generationConfig"]["logprobs"]) == (
        True,
        20,
    )
    # the server gives each word .9 and a dash .1: log .9 = −.10536, log .1 = −2.30259
    assert reply.token_probabilities == (
        ("yes ", {"yes ": -0.105360516, "-": -2.302585093}),
        ("no", {"no": -0.105360516, "-": -2.302585093}),
    )


def test_a_chosen_token_outside_the_likeliest_is_added_to_them(server: GeminiServer) -> None:
    reply = read(
        server,
        b'{"candidates": [{"content": {"parts": [{"text": "2"}]}, "finishReason": "STOP", "logprobsResult": {'
        b'"topCandidates": [{"candidates": [{"token": "1", "logProbability": -0.5}]}],'
        b'"chosenCandidates": [{"token": "2", "logProbability": -1.5}, {"token": ""}]}}]}',
    )
    assert reply.token_probabilities == (("2", {"2": -1.5, "1": -0.5}), ("", {"": 0.0}))  # 0 is left out of Google's JSON


# fields that a model will not have


@pytest.mark.parametrize("field", ["responseJsonSchema", "responseLogprobs", "temperature", "topP", "seed"])
@pytest.mark.parametrize("how", ["refuse", "unknown"])
def test_a_refused_field_is_left_out_from_then_on(field: str, how: str) -> None:
    request = asking(settings=Settings(top_p=0.5, seed=1, token_probabilities=True), schema=SCHEMA)
    with GeminiServer(**{how: (field,)}) as server:
        model = Gemini(NAME, base_url=server.base)
        replies = asked(model, request, request)
    assert [r.outcome for r in replies] == ["answered", "answered"]
    assert [field in body["generationConfig"] for body in server.bodies] == [True, False, False]
    assert len(model.notes) == 1
    assert f"refused {field} (" in model.notes[0]
    assert ("logprobs" in server.bodies[-1]["generationConfig"]) == (field != "responseLogprobs")


def test_without_json_there_is_no_schema_either() -> None:
    with GeminiServer(refuse=("responseMimeType",)) as server:
        model = Gemini(NAME, base_url=server.base)
        asked(model, asking(schema=SCHEMA))
    assert set(server.bodies[-1]["generationConfig"]) == {"temperature", "maxOutputTokens"}
    assert "plain text, which the prompt asks to be JSON" in model.notes[0]


def test_a_schema_that_is_too_deep_is_left_out(server: GeminiServer) -> None:
    said = "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth."
    server.next(failing(400, "INVALID_ARGUMENT", said))
    model = Gemini(NAME, base_url=server.base)
    assert asked(model, asking(schema=SCHEMA))[0].text == VERDICT
    assert "responseJsonSchema" not in server.bodies[1]["generationConfig"]
    assert server.bodies[1]["generationConfig"]["responseMimeType"] == "application/json"


def test_a_prompt_too_long_and_a_limit_too_large_are_not_taken_for_a_field_refused(server: GeminiServer) -> None:
    model = Gemini(NAME, base_url=server.base)
    for said in (
        "The input token count (1200123) exceeds the maximum number of tokens allowed (1048576).",
        "Unable to submit request because it has a maxOutputTokens value of 99999 but the supported range is from 1 to 65536.",
    ):
        server.next(failing(400, "INVALID_ARGUMENT", said))
        with pytest.raises(Rejected, match="400 ") as error:
            asked(model, asking(schema=SCHEMA))
        assert not error.value.fatal
    assert model.notes == ()


# no reply

PER_DAY = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
PER_MINUTE = quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
OVER = "You exceeded your current quota, please check your plan and billing details."
NO_REPLY = [
    (failing(429, "RESOURCE_EXHAUSTED", OVER, PER_MINUTE, retry_in("34.074824224s")), RateLimited, "429 You ex", 34.074824224),
    (failing(429, "RESOURCE_EXHAUSTED", OVER, retry_in("7s")), RateLimited, "429 You exceeded", 7.0),
    (failing(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), RateLimited, "429", None),
    (failing(429, "RESOURCE_EXHAUSTED", OVER, PER_DAY, retry_in("34s")), RateLimited, "day's quota Generate.*midnight", 86_400),
    (failing(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), Rejected, "no money left", True),
    (failing(400, "INVALID_ARGUMENT", "API key expired.", info("API_KEY_INVALID")), Rejected, "check GEMINI_API_KEY", True),
    (failing(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Rejected, "may not use", True),
    (failing(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), Rejected, "403 Your API key.*may not", True),
    (failing(404, "NOT_FOUND", "models/tiny-flash is not found"), Rejected, "check the model's name", True),
    (failing(400, "INVALID_ARGUMENT", "Unable to process input image."), Rejected, "400 Unable to process", False),
    (failing(500, "INTERNAL", "An internal error has occurred."), Unreachable, "500 An internal", None),
    (failing(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), Unreachable, "overloaded", None),
    (failing(504, "DEADLINE_EXCEEDED", "Deadline expired"), Unreachable, "504", None),
    (answering(orjson.dumps({"error": status_of(429, "RESOURCE_EXHAUSTED", "busy", retry_in("9s"))})), RateLimited, "429", 9.0),
    (answering(b'{"error": "model crashed"}'), Unreachable, "500 model crashed", None),
    (answering(b'{"candidates": []}'), Unreachable, "no candidate", None),
    (answering(b'{"candidates": ["hello"]}'), Unreachable, "no chat completion", None),
    (answering(b'{"candid'), Unreachable, "no whole JSON", None),
    (answering(b"<html>Log in</html>", content_type="text/html"), Unreachable, "text/html.*Log in", None),
    (dropped, Unreachable, "is the server running", None),
    (cut_off, Unreachable, "not completed", None),
]


@pytest.mark.parametrize(("fault", "kind", "says", "detail"), NO_REPLY)
def test_what_is_no_reply_is_an_error_that_helps(
    server: GeminiServer, fault: Any, kind: type[ModelError], says: str, detail: object
) -> None:
    server.next(fault)
    with pytest.raises(kind, match=f"(?s){says}") as error:
        asked(Gemini(NAME, base_url=server.base, api_key=KEY), asking())
    assert type(error.value) is kind
    assert "127.0.0.1:" in str(error.value)
    assert getattr(error.value, "retry_after_s", getattr(error.value, "fatal", None)) == detail
    assert len(server.bodies) == 1


# keys


def test_the_key_is_never_in_an_address_and_never_shown(server: GeminiServer) -> None:
    server.key = "another"
    server.next(failing(403, "PERMISSION_DENIED", f"the key {KEY} is blocked"))
    model = Gemini(NAME, base_url=server.base, api_key=KEY)
    with pytest.raises(Rejected, match=r"the key \*\*\* is blocked") as error:
        asked(model, asking())
    with pytest.raises(Rejected, match="401 API key not valid"):
        asked(model, asking())
    assert KEY not in f"{error.value} {error.value!r} {model!r} {model._endpoint!r} {model.notes} {server.calls}"


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_the_key_comes_from_either_variable(server: GeminiServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, KEY + "\n")
    asked(Gemini(NAME, base_url=server.base), asking())
    assert server.headers[0]["x-goog-api-key"] == KEY


def test_a_missing_key_and_a_host_not_allowed_are_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"no key for generativelanguage\.googleapis\.com: set GEMINI_API_KEY"):
        Gemini(NAME)
    with pytest.raises(InputError, match=r"generativelanguage\.googleapis\.com is not allowed"):
        Gemini(NAME, api_key=KEY, allow_hosts=())
