"""Our Anthropic client against a server in the published format: what it sends, reads, and makes of what is no reply."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from PIL import Image as Pixels

from qrelkit.core.errors import InputError, ModelError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Part, Reply, Request, Schema, Settings, Shrink, picture, text
from qrelkit.models.anthropic import Anthropic
from qrelkit.models.anthropic_format import read_reply
from qrelkit.project.config import checked
from qrelkit.project.project import Project
from servers.anthropic import AnthropicServer, error_body, failing
from servers.chat import VERDICT, answering, cut_off, dropped

NAME = "anthropic:claude-tiny"
KEY = "sk-ant-very-secret-1234567890"
MARK = {"cache_control": {"type": "ephemeral"}}
SCHEMA = Schema.of(
    "verdict",
    {
        "type": "object",
        "properties": {"reasoning": {"type": "string"}, "verdict": {"type": "string"}},
        "required": ["reasoning", "verdict"],
        "additionalProperties": False,
    },
)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as running:
        yield running


def asking(*parts: Part, then: tuple[Message, ...] = (), **more: object) -> Request:
    user = Message("user", parts or (text("Query: a red dress"), text("Document: a scarf"), text("Judge.")))
    return Request(model=NAME, messages=(Message("system", (text("You judge."),)), user, *then), **more)


def asked(model: Anthropic, *requests: Request) -> list[Reply]:
    async def talk() -> list[Reply]:
        try:
            return list(await model.replies(requests))
        finally:
            await model.close()

    return asyncio.run(talk())


def photo() -> Image:
    out = io.BytesIO()
    Pixels.new("RGB", (40, 20), "red").save(out, "PNG")
    return Image(digest="1" * 64, read=out.getvalue)


# what is sent


def test_a_request_is_sent_as_the_format_wants_it(server: AnthropicServer) -> None:
    settings = Settings(temperature=0.0, max_tokens=50, seed=3, token_probabilities=True)
    asked(Anthropic(NAME, base_url=server.base, api_key=KEY), asking(settings=settings, schema=SCHEMA))
    assert server.bodies == [
        {
            "model": "claude-tiny",
            "system": [{"type": "text", "text": "You judge.", **MARK}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Query: a red dress\n\n", **MARK},
                        {"type": "text", "text": "Document: a scarf\n\nJudge."},
                    ],
                }
            ],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA.schema}},
            "temperature": 0.0,
            "max_tokens": 50,
        }  # neither seed nor token probabilities exist there
    ]
    assert server.calls == [("POST", "/v1/messages")]
    assert server.headers[0]["x-api-key"] == KEY
    assert server.headers[0]["anthropic-version"] == "2023-06-01"


def test_what_differs_between_the_pairs_of_a_query_stands_behind_the_last_mark(server: AnthropicServer) -> None:
    one, two = asking(text("Q"), text("a"), text("Judge.")), asking(text("Q"), text("b"), text("Judge."))
    asked(Anthropic(NAME, base_url=server.base), one, two)
    first, second = (orjson.dumps(body) for body in server.bodies)
    until = first.rindex(b'"cache_control"')
    assert first[:until] == second[:until]
    assert first != second


def test_cache_marks_can_be_left_out_and_change_no_digest(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base, cache_marks=False)
    request = asking()
    before = request.digest
    asked(model, request)
    assert b"cache_control" not in orjson.dumps(server.bodies[0])
    assert server.bodies[0]["messages"][0]["content"] == [
        {"type": "text", "text": "Query: a red dress\n\nDocument: a scarf\n\nJudge."}
    ]
    assert request.digest == before
    assert repr(model) == f"Anthropic({NAME} at 127.0.0.1:{server.port}, without cache marks)"
    assert "marks" not in repr(Anthropic(NAME, base_url=server.base))


@pytest.mark.parametrize("said", [{}, {"cache_marks": True}, {"cache_marks": False}])
def test_a_project_says_whether_cache_marks_are_set(server: AnthropicServer, tmp_path: Path, said: dict[str, bool]) -> None:
    with Project(checked({"models": {NAME: {"base_url": server.base, **said}}}, "here"), tmp_path) as project:
        asked(project.model(NAME), asking())  # type: ignore[arg-type]
    assert (b"cache_control" in orjson.dumps(server.bodies[0])) == said.get("cache_marks", True)


@pytest.mark.parametrize("parts", [(text("alone"),), (picture(photo(), Shrink()), text("Describe."))])
def test_a_turn_without_a_shared_beginning_is_not_marked(server: AnthropicServer, parts: tuple[Part, ...]) -> None:
    asked(Anthropic(NAME, base_url=server.base), asking(*parts))
    assert not any("cache_control" in block for block in server.bodies[0]["messages"][0]["content"])


def test_pictures_stand_between_their_texts(server: AnthropicServer) -> None:
    shown = picture(photo(), Shrink(100, "png"))
    asked(Anthropic(NAME, base_url=server.base), asking(text("q"), shown, text("d"), text("e"), shown, text("Judge.")))
    content = server.bodies[0]["messages"][0]["content"]  # that the bytes are whole images the server has checked
    assert [block["type"] for block in content] == ["text", "image", "text", "image", "text"]
    assert [block.get("text") for block in content] == ["q", None, "d\n\ne", None, "Judge."]
    assert content[1]["source"]["media_type"] == "image/png"
    assert "cache_control" in content[0]


def test_turns_alternate_and_blank_texts_are_left_out(server: AnthropicServer) -> None:
    # a judge asks again after an empty reply: its own turn has nothing to say, and two user turns become one
    again = (Message("assistant", (text(""),)), Message("user", (text("Once more."), text(" \n"))))
    asked(Anthropic(NAME, base_url=server.base), asking(text("q"), text("d"), then=again))
    assert server.bodies[0]["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "q\n\n", **MARK}, {"type": "text", "text": "d\n\nOnce more."}]}
    ]
    said = (Message("assistant", (text("hm"),)), Message("user", (text("Once more."),)))
    asked(Anthropic(NAME, base_url=server.base), asking(text("q"), text("d"), then=said))
    assert [m["role"] for m in server.bodies[1]["messages"]] == ["user", "assistant", "user"]


def test_half_a_surrogate_is_sent_as_a_question_mark(server: AnthropicServer) -> None:
    asked(Anthropic(NAME, base_url=server.base), asking(text("a\ud83d b")))
    assert server.bodies[0]["messages"][0]["content"][0]["text"] == "a? b"


def test_a_limit_is_sent_even_where_none_is_set(server: AnthropicServer) -> None:
    asked(Anthropic(NAME, base_url=server.base), asking(settings=Settings(temperature=None, max_tokens=None)))
    assert server.bodies[0]["max_tokens"] == 4096
    assert "temperature" not in server.bodies[0]


def test_a_temperature_above_one_is_refused_before_it_is_sent(server: AnthropicServer) -> None:
    with pytest.raises(InputError, match=r"temperature 1\.5: Anthropic's models take 0 to 1"):
        asked(Anthropic(NAME, base_url=server.base), asking(settings=Settings(temperature=1.5)))
    assert server.bodies == []


def test_extra_fields_are_added_and_join_ours(server: AnthropicServer) -> None:
    extra = {"output_config": {"effort": "low"}, "max_tokens": 7}
    model = Anthropic(NAME, base_url=server.base, extra_body=extra)
    request = asking(schema=SCHEMA)
    asked(model, Request(model=model.name, messages=request.messages, schema=SCHEMA))
    assert set(server.bodies[0]["output_config"]) == {"format", "effort"}
    assert server.bodies[0]["max_tokens"] == 7


# what is read


def test_a_reply_counts_all_tokens_whether_cached_written_or_neither(server: AnthropicServer) -> None:
    (reply,) = asked(Anthropic(NAME, base_url=server.base), asking())
    assert (reply.text, reply.outcome, reply.finish, reply.served) == (VERDICT, "answered", "end_turn", "claude-tiny-20251001")
    # marked: "You judge." 10 characters and "Query: a red dress" 18 with two newlines: 30 read; 10 fresh and 3 written besides
    assert (reply.tokens_in, reply.tokens_cached) == (43, 30)
    assert (reply.tokens_out, reply.tokens_reasoning, reply.tokens_image) == (len(VERDICT) // 4, 1, None)
    assert not reply.batch


@pytest.mark.parametrize("odd", ["12", -1, True, 1.5, None, [], 2**63])
def test_what_is_no_count_is_unknown(odd: object) -> None:
    message = {"type": "message", "content": [{"type": "text", "text": "x"}]}
    counts = {f"{name}input_tokens": odd for name in ("", "cache_read_", "cache_creation_")}
    usage = {**counts, "output_tokens": odd, "output_tokens_details": {"thinking_tokens": odd}}
    reply = read_reply({**message, "usage": usage})
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.tokens_reasoning) == ("x", *[None] * 4)
    assert read_reply({**message, "usage": odd}).tokens_in is None


def test_an_input_of_nothing_is_unknown_and_one_from_the_cache_alone_is_known() -> None:
    message = {"type": "message", "content": []}
    zeros = read_reply({**message, "usage": {"input_tokens": 0, "output_tokens": 0}})
    assert (zeros.tokens_in, zeros.tokens_out) == (None, 0)
    assert read_reply({**message, "usage": {"input_tokens": 0, "cache_read_input_tokens": 7}}).tokens_in == 7


def test_settings_that_do_not_exist_there_are_told_once(server: AnthropicServer) -> None:
    model = Anthropic(NAME, base_url=server.base)
    asked(model, asking())
    assert model.notes == ()
    for sample in range(2):
        asked(model, asking(settings=Settings(seed=0, token_probabilities=True), sample=sample))
    said = ("anthropic has no seeds: not sent", "anthropic has no token probabilities: not sent")
    assert model.notes == said
    assert not {"seed", "logprobs"} & server.bodies[-1].keys()


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [("max_tokens", "truncated"), ("model_context_window_exceeded", "truncated"), ("stop_sequence", "answered")],
)
def test_why_it_stopped_becomes_the_outcome(stop: str, outcome: str) -> None:
    with AnthropicServer(stop=stop) as server:
        assert asked(Anthropic(NAME, base_url=server.base), asking())[0].outcome == outcome


def test_a_refusal_is_an_outcome_with_its_explanation() -> None:
    with AnthropicServer(lambda body: "", stop="refusal", refusal="Not that.") as server:
        (reply,) = asked(Anthropic(NAME, base_url=server.base), asking())
    assert (reply.text, reply.outcome, reply.finish) == ("Not that.", "refused", "refusal")


def test_a_filtered_output_is_a_refusal(server: AnthropicServer) -> None:
    server.next(failing("invalid_request_error", "Output blocked by content filtering policy"))
    (reply,) = asked(Anthropic(NAME, base_url=server.base), asking())
    assert (reply.outcome, reply.finish) == ("refused", "content_filter")


def test_the_room_left_is_read_from_the_headers(server: AnthropicServer) -> None:
    headers = {"anthropic-ratelimit-requests-remaining": "41", "anthropic-ratelimit-input-tokens-remaining": "9000"}
    server.next(failing("overloaded_error", headers=headers))
    model = Anthropic(NAME, base_url=server.base)
    with pytest.raises(Unreachable):
        asked(model, asking())
    assert model.room is not None
    assert (model.room.requests, model.room.tokens) == (41, 9000)


# fields that a model will not have


@pytest.mark.parametrize("field", ["output_config", "temperature", "top_p"])
def test_a_refused_field_is_left_out_from_then_on(field: str) -> None:
    request = asking(settings=Settings(top_p=0.5), schema=SCHEMA)
    with AnthropicServer(refuse=(field,)) as server:
        model = Anthropic(NAME, base_url=server.base)
        replies = asked(model, request, request)
    assert [r.outcome for r in replies] == ["answered", "answered"]
    assert [field in body for body in server.bodies] == [True, False, False]
    assert {"output_config", "temperature", "top_p"} - set(server.bodies[-1]) == {field}
    assert len(model.notes) == 1
    assert f"refused {field} (" in model.notes[0]


def test_a_prompt_too_long_refuses_no_field(server: AnthropicServer) -> None:
    server.next(failing("invalid_request_error", "prompt is too long: 205123 tokens > 200000 maximum"))
    model = Anthropic(NAME, base_url=server.base)
    with pytest.raises(Rejected, match="prompt is too long") as error:
        asked(model, asking())
    assert not error.value.fatal
    assert model.notes == ()


# no reply

NO_REPLY = [
    (failing("rate_limit_error", "slow down", headers={"retry-after": "7"}), RateLimited, "429 slow down", 7.0),
    (failing("rate_limit_error", "slow down"), RateLimited, "429", None),
    (failing("overloaded_error", "Overloaded"), Unreachable, "529 Overloaded", None),
    (failing("overloaded_error", "Overloaded", headers={"retry-after": "3"}), RateLimited, "529", 3.0),
    (failing("api_error", "Internal server error"), Unreachable, "500", None),
    (failing("authentication_error", "invalid x-api-key"), Rejected, "check ANTHROPIC_API_KEY", True),
    (failing("permission_error", "not for you"), Rejected, "may not use", True),
    (failing("not_found_error", "model: claude-tiny"), Rejected, "check the model's name", True),
    (failing("request_too_large", "Request exceeds the maximum size"), Rejected, "413", False),
    (failing("invalid_request_error", "messages.0: odd"), Rejected, "400 messages.0: odd", False),
    (failing("billing_error", "pay"), Rejected, "no money left", True),
    (failing("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), Rejected, "no money", True),
    (failing("invalid_request_error", "You have reached your specified API usage limits."), Rejected, "no money left", True),
    (failing("rate_limit_error", "cap", details={"error_code": "enforced_spend_limit_reached"}), Rejected, "no money left", True),
    (answering(orjson.dumps(error_body("overloaded_error", "Overloaded"))), Unreachable, "529 Overloaded", None),
    (answering(orjson.dumps(error_body("new_error", "what"))), Unreachable, "500 what", None),
    (answering(b"<html>Bad gateway</html>", status=502, content_type="text/html"), Unreachable, "502 <html>Bad gateway", None),
    (answering(b'{"type": "message", "content": [{"ty'), Unreachable, "no whole JSON", None),
    (answering(b'{"type": "message"}'), Unreachable, "no message", None),
    (answering(b'{"type": "message", "content": ["hello"]}'), Unreachable, "no chat completion", None),
    (answering(b'{"choices": []}'), Unreachable, "no message", None),
    (dropped, Unreachable, "is the server running", None),
    (cut_off, Unreachable, "not completed", None),
]


@pytest.mark.parametrize(("fault", "kind", "says", "detail"), NO_REPLY)
def test_what_is_no_reply_is_an_error_that_helps(
    server: AnthropicServer, fault: object, kind: type[ModelError], says: str, detail: object
) -> None:
    server.next(fault)
    with pytest.raises(kind, match=says) as error:
        asked(Anthropic(NAME, base_url=server.base, api_key=KEY), asking())
    assert type(error.value) is kind
    assert getattr(error.value, "retry_after_s", getattr(error.value, "fatal", None)) == detail
    assert len(server.bodies) == 1


# address and key


def test_the_key_is_needed_for_the_vendors_own_address_and_never_shown() -> None:
    with pytest.raises(InputError, match=r"no key for api\.anthropic\.com: set ANTHROPIC_API_KEY"):
        Anthropic(NAME)
    with AnthropicServer(key="another") as server:
        model = Anthropic(NAME, base_url=server.base, api_key=KEY)
        with pytest.raises(Rejected, match="401 invalid x-api-key") as error:
            asked(model, asking())
    assert KEY not in f"{error.value} {error.value!r} {model!r} {model.notes}"


def test_address_and_key_come_from_the_vendors_variables(server: AnthropicServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    asked(Anthropic(NAME), asking())
    assert server.headers[0]["x-api-key"] == KEY
