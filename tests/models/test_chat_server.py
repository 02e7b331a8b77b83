"""The test server itself is honest: the official SDK, which checks what it receives, talks to it as to the real one."""

from __future__ import annotations

import base64
import io

import openai
import pytest
from PIL import Image

from servers.chat import VERDICT, ChatServer, failing, quota_spent, rate_limited

SCHEMA = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "verdict": {"type": "string"}},
    "required": ["reasoning", "verdict"],
    "additionalProperties": False,
}


def client(server: ChatServer, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key="k", max_retries=retries)


def with_image(data: bytes) -> list[dict[str, object]]:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    parts = [{"type": "text", "text": "Is this a red dress?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "system", "content": "You judge."}, {"role": "user", "content": parts}]


def test_the_official_sdk_gets_a_completion_for_text_image_and_schema() -> None:
    png = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(png, "PNG")
    with ChatServer(key="k") as server, client(server) as sdk:
        done = sdk.chat.completions.create(
            model="tiny",
            messages=with_image(png.getvalue()),
            temperature=0,
            max_tokens=50,
            logprobs=True,
            top_logprobs=5,
            response_format={"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA, "strict": True}},
        )
    assert done.choices[0].message.content == VERDICT
    assert done.choices[0].finish_reason == "stop"
    assert done.choices[0].logprobs.content[0].top_logprobs[1].token == "-"
    assert done.usage.prompt_tokens_details.cached_tokens == done.usage.prompt_tokens // 2
    assert done.model == "tiny-2025-01-01"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra_body": {"guided_json": {}}}, "Unrecognized request argument supplied: guided_json"),
        ({"temperature": 3}, "between 0 and 2"),
        ({"messages": []}, "too short"),
        ({"messages": [{"role": "user", "content": 5}]}, "Invalid type"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "'role'"),
        ({"messages": with_image(b"no image")}, "unsupported image"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}}, "invalid 'response_format"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}},
                }
            },
            "'additionalProperties' is required",
        ),
    ],
)
def test_a_malformed_request_is_refused_as_by_the_real_one(change: dict[str, object], says: str) -> None:
    request = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]} | change
    with ChatServer() as server, client(server) as sdk, pytest.raises(openai.BadRequestError, match=says):
        sdk.chat.completions.create(**request)


def test_the_sdk_understands_the_faults() -> None:
    request = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
    with ChatServer() as server, client(server) as sdk:
        server.next(rate_limited("0"), quota_spent(), failing(500, "oops"))
        for kind in (openai.RateLimitError, openai.RateLimitError, openai.InternalServerError):
            with pytest.raises(kind):
                sdk.chat.completions.create(**request)
    with ChatServer() as server, client(server, retries=2) as sdk:
        server.next(rate_limited("0.05"), rate_limited("0.05"))
        assert sdk.chat.completions.create(**request).choices[0].message.content == VERDICT
    with ChatServer(key="other") as server, client(server) as sdk, pytest.raises(openai.AuthenticationError):
        sdk.chat.completions.create(**request)
