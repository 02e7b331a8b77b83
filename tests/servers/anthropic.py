"""A server that speaks Anthropic's Messages and Message Batches, for tests: as strict as the real one, and as unkind as asked.

    with AnthropicServer(answer=lambda body: '{"verdict": "relevant"}') as server:
        server.next(failing("overloaded_error"))        # these come first, one per request
        Anthropic("anthropic:claude-tiny", base_url=server.base)

Formats: platform.claude.com, Messages (anthropic-version 2023-06-01), "Structured outputs", "Prompt caching", "Errors" and
"Message Batches". Batches stay in progress until `end_batch` is called.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from servers.chat import VERDICT, ChatServer, Fault, reply

STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "overloaded_error": 529,
}  # fmt: skip
FIELDS = {
    "model", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "stream", "metadata",
    "output_config", "thinking", "tools", "tool_choice", "service_tier", "cache_control", "inference_geo", "container",
}  # fmt: skip
UNSUPPORTED_SCHEMA = {"minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems"}
REFUSALS = {
    "temperature": "`temperature` is deprecated for this model.",
    "top_p": "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    "output_config": "'claude-tiny' does not support output format.",
}


class Refused(Exception):
    """What the real server answers with an error: its type and its words."""

    def __init__(self, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.kind = kind


class AnthropicServer(ChatServer):
    """`answer` makes the text from a request's JSON; `refuse` names fields the model will not have; `key` is demanded if given.

    `stop` is the stop_reason. `batches` are the batches by id, each {"created", "requests", "results" (None: in progress),
    "archived"}; `calls` the method and path of every request.
    """

    def __init__(
        self, answer: Callable[[dict[str, Any]], str] = lambda body: VERDICT, *, stop: str = "end_turn", **more: Any
    ) -> None:
        super().__init__(answer, **more)
        self.stop = stop
        self.calls: list[tuple[str, str]] = []
        self.batches: dict[str, dict[str, Any]] = {}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _start(self) -> int:
        app = web.Application(client_max_size=300 * 2**20)
        app.router.add_route("*", "/v1/messages{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.calls.append((request.method, request.path_qs))
        self.headers.append(dict(request.headers))
        if raw:
            self.bodies.append(orjson.loads(raw))
        if self._faults:
            return await self._faults.popleft()(request)
        try:
            if request.headers.get("anthropic-version") != "2023-06-01":
                raise Refused("anthropic-version: header is required")
            if self.key and request.headers.get("x-api-key") != self.key:
                raise Refused("invalid x-api-key", "authentication_error")
            return self._routed(request)
        except Refused as error:
            return failure(error.kind, str(error))

    def _routed(self, request: web.Request) -> web.Response:
        rest = request.match_info["rest"]
        if (request.method, rest) == ("POST", ""):
            checked(self.bodies[-1], self.refuse)
            return reply(self.message(self.bodies[-1]))
        if (request.method, rest) == ("POST", "/batches"):
            return reply(self._created(self.bodies[-1]))
        if (request.method, rest) == ("GET", "/batches"):
            return reply(self._page(request.query))
        ticket, _, results = rest.removeprefix("/batches/").partition("/")
        if request.method != "GET" or ticket not in self.batches or results not in ("", "results"):
            raise Refused(f"Not found: {rest}", "not_found_error")
        return self._results(ticket, request) if results else reply(self._batch(ticket))

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """A message as published; what a mark covers counts as read from the cache, with 3 tokens written to it."""
        text = self.answer(body)
        marked = [b for b in [*body.get("system", ()), *body["messages"][0]["content"]] if "cache_control" in b]
        said = [{"type": "text", "text": text, "citations": None}] if text else []
        return {
            "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
            "type": "message",
            "role": "assistant",
            "model": f"{body['model']}-20251001",
            "content": [{"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}, *said],
            "stop_reason": self.stop,
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": None, "explanation": self.refusal} if self.refusal else None,
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 3 if marked else 0,
                "cache_read_input_tokens": sum(len(b["text"]) for b in marked),
                "cache_creation": {"ephemeral_5m_input_tokens": 3 if marked else 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": max(1, len(text) // 4),
                "output_tokens_details": {"thinking_tokens": 1},
                "service_tier": "standard",
            },
        }

    # batches

    def end_batch(self, ticket: str, **instead: dict[str, Any]) -> None:
        """Ends a batch: what is not answered `instead` (digest without its tag → result) is answered, in reverse order."""
        rows = []
        for row in reversed(self.batches[ticket]["requests"]):
            result = instead.get(row["custom_id"].partition("-")[2]) or self._result(row["params"])
            rows.append({"custom_id": row["custom_id"], "result": result})
        self.batches[ticket]["results"] = rows

    def foreign(self, *ids: str, ended: bool) -> str:
        """A batch of somebody else's."""
        ticket = self._add([{"custom_id": name, "params": {}} for name in ids])
        if ended:
            self.batches[ticket]["results"] = [{"custom_id": name, "result": {"type": "expired"}} for name in ids]
        return ticket

    def _result(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            checked(body, self.refuse)
        except Refused as error:  # parameters are looked at only once the batch runs
            return {"type": "errored", "error": error_body(error.kind, str(error))}
        return {"type": "succeeded", "message": self.message(body)}

    def _created(self, body: dict[str, Any]) -> dict[str, Any]:
        requests = body.get("requests")
        if set(body) != {"requests"} or not isinstance(requests, list) or not 1 <= len(requests) <= 100_000:
            raise Refused("requests: List should have 1 to 100000 items")
        for place, row in enumerate(requests):
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", row.get("custom_id", "")):
                raise Refused(f"requests.{place}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
            if set(row) != {"custom_id", "params"}:
                raise Refused(f"requests.{place}: Extra inputs are not permitted")
        if len({row["custom_id"] for row in requests}) < len(requests):
            raise Refused("requests: custom_id must be unique")
        return self._batch(self._add(requests))

    def _add(self, requests: list[dict[str, Any]]) -> str:
        ticket = f"msgbatch_{len(self.batches) + 1:02}HkcTjaV5uDC8jWR4ZsDV8d"
        created = f"2026-11-{len(self.batches) % 28 + 1:02}T18:37:24.100435Z"
        self.batches[ticket] = {"created": created, "requests": requests, "results": None, "archived": None}
        return ticket

    def _batch(self, ticket: str) -> dict[str, Any]:
        batch = self.batches[ticket]
        kinds = [row["result"]["type"] for row in batch["results"] or ()]
        counts = {kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")}
        return {
            "id": ticket,
            "type": "message_batch",
            "processing_status": "in_progress" if batch["results"] is None else "ended",
            "request_counts": {"processing": len(batch["requests"]) if batch["results"] is None else 0, **counts},
            "created_at": batch["created"],
            "expires_at": batch["created"].replace("T18", "T20"),
            "ended_at": None if batch["results"] is None else batch["created"],
            "archived_at": batch["archived"],
            "cancel_initiated_at": None,
            "results_url": None if batch["results"] is None else f"{self.base}/v1/messages/batches/{ticket}/results",
        }

    def _page(self, query: Any) -> dict[str, Any]:
        size = min(int(query.get("limit", 20)), 2)  # a small page, so that there are several
        if not 1 <= int(query.get("limit", 20)) <= 1000:
            raise Refused("limit: Input should be 1 to 1000")
        newest = list(self.batches)[::-1]
        start = newest.index(query["after_id"]) + 1 if "after_id" in query else 0
        page = newest[start : start + size]
        more = start + size < len(newest)
        ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
        return {"data": [self._batch(ticket) for ticket in page], "has_more": more, **ends}

    def _results(self, ticket: str, request: web.Request) -> web.Response:
        batch = self.batches[ticket]
        if batch["results"] is None or batch["archived"]:
            raise Refused(f"Message Batch {ticket} has no available results", "not_found_error")
        lines = b"".join(orjson.dumps(row) + b"\n" for row in batch["results"])
        found = re.fullmatch(r"bytes=0-(\d+)", request.headers.get("Range", ""))
        body = lines[: int(found[1]) + 1] if found else lines
        return web.Response(body=body, status=206 if found else 200, content_type="application/x-jsonl")


# what the real server checks


def checked(body: dict[str, Any], refuse: tuple[str, ...] = ()) -> None:
    """Raises Refused as api.anthropic.com would."""
    for name in body:
        if name not in FIELDS:
            raise Refused(f"{name}: Extra inputs are not permitted")
        if name in refuse:
            raise Refused(REFUSALS[name])
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refused("model: Field required")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise Refused("max_tokens: Field required")
    if not 0 <= body.get("temperature", 1) <= 1:
        raise Refused("temperature: range: 0..1")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused("messages: at least one message is required")
    if [m["role"] for m in messages] != ["user", "assistant"] * (len(messages) // 2) + ["user"]:
        raise Refused("messages: roles must alternate between user and assistant, and end with user")
    blocks = [*body.get("system", ()), *(block for m in messages for block in m["content"])]
    if sum("cache_control" in block for block in blocks) > 4:
        raise Refused("A maximum of 4 blocks with cache_control may be provided.")
    for block in blocks:
        _block(block)
    if "output_config" in body:
        _schema(body["output_config"]["format"]["schema"])


def _block(block: dict[str, Any]) -> None:
    if block.get("cache_control", {"type": "ephemeral"}) != {"type": "ephemeral"}:
        raise Refused("cache_control: Extra inputs are not permitted")
    if block["type"] == "image":
        return _image(block["source"])
    if block["type"] != "text" or set(block) - {"type", "text", "cache_control"}:
        raise Refused(f"content: Input tag {block['type']!r} found using 'type' does not match any of the expected tags")
    if not block["text"].strip():
        raise Refused("messages: text content blocks must be non-empty")
    return None


def _image(source: dict[str, Any]) -> None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(source["data"], validate=True))) as image:
            image.load()
        if source["type"] != "base64" or source["media_type"] != f"image/{(image.format or '').lower()}":
            raise ValueError
    except (KeyError, ValueError, OSError, binascii.Error):
        raise Refused("messages.0.content.0.image.source.base64.data: Could not process image") from None


def _schema(schema: Any) -> None:
    """Structured outputs: every object is closed, and numbers, lengths and counts cannot be bounded."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
            raise Refused(
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        if found := UNSUPPORTED_SCHEMA & set(schema):
            raise Refused(f"output_config.format.schema: properties {', '.join(sorted(found))} are not supported")
        for value in schema.values():
            _schema(value)
    elif isinstance(schema, list):
        for value in schema:
            _schema(value)


# errors


def error_body(kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def failure(
    kind: str, message: str, status: int | None = None, headers: dict[str, str] | None = None, **more: Any
) -> web.Response:
    body = orjson.dumps(error_body(kind, message, **more))
    return web.Response(body=body, status=status or STATUS[kind], content_type="application/json", headers=headers)


def failing(kind: str, message: str = "Overloaded", **more: Any) -> Fault:
    """An error in Anthropic's form."""

    async def fault(request: web.Request) -> web.Response:
        return failure(kind, message, **more)

    return fault
