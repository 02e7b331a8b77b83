"""An OpenAI-compatible server for tests: as strict as the real one about what it is sent, and as unkind as asked.

    with ChatServer(answer=lambda body: '{"verdict": "relevant"}') as server:
        server.next(rate_limited("1"), broken(500))     # these come first, one per request
        OpenAICompatible("openai:tiny", base_url=server.url)

It runs in a thread with its own event loop, on a free port of the loopback interface.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from servers.in_thread import InThread

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
FIELDS = {
    "model", "messages", "temperature", "max_tokens", "max_completion_tokens", "top_p", "seed", "logprobs", "top_logprobs",
    "response_format", "n", "stop", "stream", "user", "reasoning_effort", "frequency_penalty", "presence_penalty",
}  # fmt: skip
VERDICT = '{"reasoning": "It fits.", "verdict": "highly_relevant"}'


class BadRequest(Exception):
    """What the real server answers with 400: message, field, code."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}


class ChatServer(InThread):
    """`answer` makes the text from the request's JSON; `refuse` names fields it will not have; `key` is demanded if given.

    `bodies` and `headers` are what it was sent, `most_at_once` how many requests it ever held together.
    """

    path = "/v1"

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str] = lambda body: VERDICT,
        *,
        key: str | None = None,
        refuse: tuple[str, ...] = (),
        finish: str = "stop",
        refusal: str | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.answer, self.key, self.refuse = answer, key, refuse
        self.finish, self.refusal, self.delay_s = finish, refusal, delay_s
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = self._at_once = 0
        self._faults: deque[Fault] = deque()

    def next(self, *faults: Fault) -> None:
        """What the next requests meet, one each, before the server is itself again."""
        self._faults.extend(faults)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            body = orjson.loads(await request.read())
            self.headers.append(dict(request.headers))
            self.bodies.append(body)
            if self._faults:
                return await self._faults.popleft()(request)
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                given = request.headers.get("Authorization", "")[7:]
                return failure(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")
            checked(body, self.refuse)
            await asyncio.sleep(self.delay_s)
            return reply(self._completion(body))
        except BadRequest as error:
            return web.json_response({"error": error.error}, status=400)
        finally:
            self._at_once -= 1

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        text = self.answer(body)
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": None if self.refusal else text, "refusal": self.refusal},
            "logprobs": _logprobs(text) if body.get("logprobs") else None,
            "finish_reason": self.finish,
        }
        asked = sum(len(orjson.dumps(m["content"])) for m in body["messages"]) // 4 or 1
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": f"{body['model']}-2025-01-01",
            "choices": [choice],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": max(1, len(text) // 4),
                "total_tokens": asked + max(1, len(text) // 4),
                "prompt_tokens_details": {"cached_tokens": asked // 2},
            },
        }


def reply(data: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(data), content_type="application/json")


def _logprobs(text: str) -> dict[str, Any]:
    """Two alternatives per word: itself with probability .9, a dash with .1."""
    words = re.findall(r"\S+\s*", text)
    near = [{"logprob": -0.105360516, "bytes": None}, {"token": "-", "logprob": -2.302585093, "bytes": None}]
    return {
        "content": [{"token": w, **near[0], "top_logprobs": [{"token": w, **near[0]}, near[1]]} for w in words],
        "refusal": None,
    }


# what the real server checks


def checked(body: dict[str, Any], refuse: tuple[str, ...] = ()) -> None:
    """Raises BadRequest as api.openai.com would."""
    for name in body:
        if name not in FIELDS:
            raise BadRequest(f"Unrecognized request argument supplied: {name}", name)
        if name in refuse and name == "max_tokens":
            text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            raise BadRequest(text, name, "unsupported_parameter")
        if name in refuse:
            raise BadRequest(f"Unsupported value: '{name}' does not support this with this model.", name, "unsupported_value")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequest("you must provide a model parameter")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest("[] is too short - 'messages'", "messages")
    if not 0 <= body.get("temperature", 1) <= 2:
        raise BadRequest("Invalid 'temperature': must be between 0 and 2.", "temperature", "decimal_above_max_value")
    if "top_logprobs" in body and not (body.get("logprobs") and 0 <= body["top_logprobs"] <= 20):
        raise BadRequest("Invalid 'top_logprobs': needs logprobs, at most 20.", "top_logprobs")
    for place, message in enumerate(body["messages"]):
        _message(message, f"messages.[{place}]")
    if "response_format" in body:
        _response_format(body["response_format"])


def _message(message: Any, place: str) -> None:
    if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant", "developer"):
        raise BadRequest(f"Invalid value: 'role' at {place}", place)
    content = message.get("content")
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        raise BadRequest(f"Invalid type for '{place}.content': expected a string or an array of parts", place)
    for part in content:
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            continue
        if part.get("type") != "image_url" or message["role"] != "user":
            raise BadRequest(f"Invalid value at '{place}.content': {part.get('type')!r}", place)
        _data_url(part["image_url"]["url"], place)


def _data_url(url: str, place: str) -> None:
    from PIL import Image

    found = re.fullmatch(r"data:image/(jpeg|png|webp|gif);base64,(.+)", url)
    try:
        if found is None:
            raise ValueError
        with Image.open(io.BytesIO(base64.b64decode(found[2], validate=True))) as image:
            image.load()
        if (image.format or "").lower() != found[1]:
            raise ValueError
    except (ValueError, OSError, binascii.Error):
        raise BadRequest(f"You uploaded an unsupported image at {place}.", place, "invalid_image_format") from None


def _response_format(form: Any) -> None:
    kind = form.get("type")
    if kind in ("text", "json_object"):
        return
    schema = form.get("json_schema") or {}
    if kind != "json_schema" or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", schema.get("name", "")) or "schema" not in schema:
        raise BadRequest("Missing or invalid 'response_format.json_schema'", "response_format")
    if schema.get("strict"):
        _strict(schema["schema"], schema["name"])


def _strict(schema: Any, name: str) -> None:
    """Strict schemas close every object and require every property."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            if schema.get("additionalProperties") is not False:
                text = f"Invalid schema for response_format '{name}': 'additionalProperties' is required to be false."
                raise BadRequest(text, "response_format")
            if set(schema.get("required", ())) != set(schema.get("properties", {})):
                raise BadRequest(
                    f"Invalid schema for response_format '{name}': 'required' must name every key.", "response_format"
                )
        for value in schema.values():
            _strict(value, name)
    elif isinstance(schema, list):
        for value in schema:
            _strict(value, name)


# faults


def failure(
    status: int, message: str, *, code: Any = None, kind: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    error = {"error": {"message": message, "type": kind or "error", "param": None, "code": code}}
    return web.Response(body=orjson.dumps(error), status=status, content_type="application/json", headers=headers)


def failing(status: int, message: str, **more: Any) -> Fault:
    """An error in OpenAI's form."""

    async def fault(request: web.Request) -> web.Response:
        return failure(status, message, **more)

    return fault


def rate_limited(retry_after: str | None = None, **headers: str) -> Fault:
    """429; `retry_after` as in the header of that name, other headers with _ for -."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return failing(429, "Rate limit reached", headers=said | ({"Retry-After": retry_after} if retry_after else {}))


def quota_spent() -> Fault:
    return failing(429, "You exceeded your current quota", code="insufficient_quota", kind="insufficient_quota")


def filtered() -> Fault:
    """400 as Azure's content filter answers."""
    return failing(400, "The response was filtered due to the prompt triggering our policy.", code="content_filter")


def answering(body: bytes, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Fault:
    """Whatever bytes."""

    async def fault(request: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type=content_type, headers=headers)

    return fault


async def dropped(request: web.Request) -> web.StreamResponse:
    """Hangs up without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_off(request: web.Request) -> web.StreamResponse:
    """Promises 1,000 bytes and hangs up after 20."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"messa')
    assert request.transport is not None
    request.transport.close()
    return response


def slow(seconds: float) -> Fault:
    async def fault(request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        return web.Response(body=b"{}", content_type="application/json")

    return fault


def dripping(every_s: float, *, headers: bool = False) -> Fault:
    """A slow loris: one byte at a time, of the body or even of the head."""

    async def fault(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
        request.transport.write(head + (b"X-Slow: " if headers else b"\r\n"))
        while not request.transport.is_closing():
            request.transport.write(b"a" if headers else b" ")
            await asyncio.sleep(every_s)
        return web.Response()

    return fault
