"""A server that speaks Google's generateContent and its batches, for tests: as strict as the real one, as unkind as asked.

    with GeminiServer(answer=lambda body: '{"verdict": "relevant"}') as server:
        server.next(failing(429, "RESOURCE_EXHAUSTED", "Quota exceeded", retry_in("34s")))   # these come first, one per request
        Gemini("gemini:tiny", base_url=server.base)

Formats: ai.google.dev, "Generating content" and "Batch API" of v1beta; its errors are google.rpc.Status. A key in the address
is refused. Batches stay pending until `finish` is called.
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

from servers.chat import VERDICT, ChatServer, Fault

TYPES = "type.googleapis.com/google."
FIELDS = {"contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig", "cachedContent", "model"}
CONFIG = {
    "responseMimeType", "responseSchema", "responseJsonSchema", "responseLogprobs", "logprobs", "temperature", "topP", "topK",
    "seed", "maxOutputTokens", "candidateCount", "stopSequences", "thinkingConfig", "mediaResolution", "responseModalities",
}  # fmt: skip
REFUSALS = {
    "responseLogprobs": "Logprobs is not enabled for models/{model}",
    "responseMimeType": "JSON mode is not enabled for models/{model}",
    "temperature": "temperature is not supported for models/{model}",
    "topP": "top_p is not supported for models/{model}",
    "seed": "Seed is not supported for models/{model}",
    "responseJsonSchema": "The specified schema produces a constraint that has too many states for serving.",
}


class Refused(Exception):
    """What the real server answers with an error: status, words, details."""

    def __init__(self, message: str, *details: dict[str, Any], code: int = 400, status: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.error = status_of(code, status, message, *details)


class GeminiServer(ChatServer):
    """`answer` makes the text from a request's JSON; `refuse` names fields the model will not have; `key` is demanded if given.

    `finish` is the finishReason; `unknown` names fields that this version of the API does not know. `calls` has method and
    path of every request, `batches` the operations by name, `asked` the items of each.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str] = lambda body: VERDICT,
        *,
        finish: str = "STOP",
        unknown: tuple[str, ...] = (),
        **more: Any,
    ) -> None:
        super().__init__(answer, finish=finish, **more)
        self.unknown = unknown
        self.calls: list[tuple[str, str]] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, list[dict[str, Any]]] = {}

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1beta"

    async def _start(self) -> int:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/v1beta/{rest:.*}", self._handle)
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
            if self.key and request.headers.get("x-goog-api-key") != self.key:
                raise Refused("API key not valid. Please pass a valid API key.", info("API_KEY_INVALID"))
            if "key" in request.query:
                raise Refused("a key in the address", code=403, status="PERMISSION_DENIED")
            return reply(self._routed(request))
        except Refused as error:
            return reply({"error": error.error}, error.error["code"])

    def _routed(self, request: web.Request) -> dict[str, Any]:
        rest = request.match_info["rest"]
        if request.method == "POST" and (found := re.fullmatch(r"models/([\w.-]+):(\w+)", rest)):
            model, verb = found.groups()
            if verb == "generateContent":
                known(self.bodies[-1], self.unknown)
                checked(self.bodies[-1], model, self.refuse)
                return self.completion(self.bodies[-1], model)
            if verb == "batchGenerateContent":
                return self._created(self.bodies[-1], model)
        if request.method == "GET" and rest == "batches":
            return self._page(request.query)
        if request.method == "GET" and rest in self.batches:
            return self.batches[rest]
        raise Refused(f"{rest} is not found for API version v1beta.", code=404, status="NOT_FOUND")

    def completion(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        """A GenerateContentResponse: a thought before the text, a token per 4 bytes of JSON, 258 more per image."""
        text = self.answer(body)
        parts = [part for content in body["contents"] for part in content["parts"]]
        words = sum(len(orjson.dumps(part)) // 4 for part in parts if "text" in part)
        images = 258 * sum("inlineData" in part for part in parts)
        counts = [("TEXT", words), ("IMAGE", images)]
        candidate: dict[str, Any] = {
            "content": {"parts": [{"text": "Hm.", "thought": True}, {"text": text}], "role": "model"},
            "finishReason": self.finish,
            "index": 0,
        }
        if body.get("generationConfig", {}).get("responseLogprobs"):
            candidate |= {"avgLogprobs": -0.1, "logprobsResult": _logprobs(text)}
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": words + images,
                "candidatesTokenCount": max(1, len(text) // 4),
                "totalTokenCount": words + images + max(1, len(text) // 4) + 5,
                "promptTokensDetails": [{"modality": kind, "tokenCount": n} for kind, n in counts if n],
                "thoughtsTokenCount": 5,
            },
            "modelVersion": f"{model}-001",
            "responseId": "mAtiaKzYBeDPz7IPg8r0sQ8",
        }

    # batches

    def _created(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        batch = body.get("batch") or {}
        items = batch.get("inputConfig", {}).get("requests", {}).get("requests")
        if set(body) != {"batch"} or not batch.get("displayName") or not items:
            raise Refused("* BatchGenerateContentRequest.batch: displayName and requests are required")
        for place, item in enumerate(items):
            known(item["request"], self.unknown, f"batch.input_config.requests.requests[{place}].request.")
            if set(item) != {"request", "metadata"}:
                raise Refused(f"Unknown fields in {sorted(item)}")
        name = f"batches/{len(self.batches):04d}x7k2m9"
        self.asked[name] = items
        self.batches[name] = {"name": name, "metadata": self._about(name, model, batch["displayName"])}
        return self.batches[name]

    def _about(self, name: str, model: str, tag: str) -> dict[str, Any]:
        count = str(len(self.asked[name]))
        return {
            "@type": f"{TYPES}ai.generativelanguage.v1main.GenerateContentBatch",
            "model": f"models/{model}",
            "displayName": tag,
            "createTime": "2026-09-30T10:11:12.123456789Z",
            "updateTime": "2026-09-30T10:11:12.123456789Z",
            "batchStats": {"requestCount": count, "pendingRequestCount": count},
            "state": "BATCH_STATE_PENDING",
            "name": name,
        }

    def _page(self, query: Any) -> dict[str, Any]:
        start, size = int(query.get("pageToken", "0+/=").removesuffix("+/=")), int(query.get("pageSize", 100))
        names = list(self.batches)[::-1]
        page: dict[str, Any] = {"operations": [self.batches[name] for name in names[start : start + size]]}
        return page | ({"nextPageToken": f"{start + size}+/="} if start + size < len(names) else {})

    def finish_batch(self, name: str, state: str = "BATCH_STATE_SUCCEEDED", *, keys: bool = True) -> None:
        """Answers every request of a batch, the last one first; what the model will not have is that request's own error."""
        batch = self.batches[name]
        model = batch["metadata"]["model"].removeprefix("models/")
        items = [self._item(item, model, keys) for item in reversed(self.asked[name])]
        failed = sum("error" in item for item in items)
        batch["metadata"]["state"] = state
        batch["metadata"]["batchStats"] = {"requestCount": str(len(items))} | {
            kind: str(n) for kind, n in (("successfulRequestCount", len(items) - failed), ("failedRequestCount", failed)) if n
        }
        output = {"inlinedResponses": {"inlinedResponses": items}}
        batch["metadata"]["output"] = output
        batch |= {"done": True, "response": {"@type": f"{TYPES}ai.generativelanguage.v1main.GenerateContentBatchOutput"} | output}

    def end_batch(self, name: str, state: str, error: dict[str, Any]) -> None:
        """Ends a batch as a whole, without replies."""
        self.batches[name]["metadata"]["state"] = state
        self.batches[name] |= {"done": True, "error": error}

    def _item(self, item: dict[str, Any], model: str, keys: bool) -> dict[str, Any]:
        about = {"metadata": item["metadata"]} if keys else {}
        try:
            checked(item["request"], model, self.refuse)
        except Refused as error:
            return about | {"error": {"code": 3, "message": error.error["message"]}}
        return {"response": self.completion(item["request"], model)} | about


def reply(data: dict[str, Any], status: int = 200) -> web.Response:
    body = orjson.dumps(data, option=orjson.OPT_INDENT_2)  # as the real server writes it
    return web.Response(body=body, status=status, content_type="application/json", charset="UTF-8")


def _logprobs(text: str) -> dict[str, Any]:
    """Two alternatives per word: itself with probability .9, a dash with .1."""
    words = re.findall(r"\S+\s*", text)
    chosen = [{"token": w, "tokenId": 7, "logProbability": -0.105360516} for w in words]
    dash = {"token": "-", "tokenId": 8, "logProbability": -2.302585093}
    return {"topCandidates": [{"candidates": [one, dash]} for one in chosen], "chosenCandidates": chosen}


# what the real server checks


def known(body: dict[str, Any], unknown: tuple[str, ...], place: str = "") -> None:
    """Raises Refused for a name that the format does not have."""
    for name in body:
        if name not in FIELDS:
            raise _unknown(name, place[:-1])
    for name in body.get("generationConfig", {}):
        if name not in CONFIG or name in unknown:
            raise _unknown(name, f"{place}generation_config")


def _unknown(name: str, place: str) -> Refused:
    said = f'Invalid JSON payload received. Unknown name "{name}"' + (f" at '{place}'" if place else "") + ": Cannot find field."
    violation = ({"field": place} if place else {}) | {"description": said}
    return Refused(said, {"@type": f"{TYPES}rpc.BadRequest", "fieldViolations": [violation]})


def checked(body: dict[str, Any], model: str, refuse: tuple[str, ...] = ()) -> None:
    """Raises Refused as generativelanguage.googleapis.com would."""
    config = body.get("generationConfig", {})
    for name in refuse:
        if name in config:
            raise Refused(REFUSALS[name].format(model=model))
    if not body.get("contents"):
        raise Refused("* GenerateContentRequest.contents: contents is not specified\n")
    for place, content in enumerate(body["contents"]):
        if content.get("role") not in ("user", "model"):
            raise Refused("Please use a valid role: user, model.")
        _parts(content.get("parts"), f"contents[{place}]")
    if "systemInstruction" in body:
        _parts(body["systemInstruction"].get("parts"), "system_instruction")
    if not 0 <= config.get("temperature", 1) <= 2:
        raise Refused("* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n")
    if "logprobs" in config and not (config.get("responseLogprobs") and 0 <= config["logprobs"] <= 20):
        raise Refused("logprobs needs response_logprobs, and is from 0 to 20.")
    if not -(2**31) <= config.get("seed", 0) < 2**31:
        raise Refused(f"Invalid value at 'generation_config.seed' (TYPE_INT32), {config['seed']}")
    if config.get("maxOutputTokens", 1) < 1:
        raise Refused("max_output_tokens must be positive.")
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        raise Refused("response_json_schema needs the response mime type 'application/json'.")


def _parts(parts: Any, place: str) -> None:
    if not parts:
        raise Refused(f"* GenerateContentRequest.{place}.parts: contents.parts must not be empty.\n")
    for i, part in enumerate(parts):
        if set(part) == {"inlineData"} and set(part["inlineData"]) == {"mimeType", "data"}:
            _image(part["inlineData"])
        elif set(part) != {"text"} or not isinstance(part["text"], str):
            where = f"{place}.parts[{i}].data"
            raise Refused(f"* GenerateContentRequest.{where}: required oneof field 'data' must have one initialized field\n")


def _image(data: dict[str, str]) -> None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(data["data"], validate=True))) as image:
            image.load()
        if f"image/{(image.format or '').lower()}" != data["mimeType"]:
            raise ValueError
    except (ValueError, OSError, binascii.Error):
        raise Refused("Unable to process input image. Please retry or report.") from None


# faults


def status_of(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """google.rpc.Status as JSON."""
    return {"code": code, "message": message, "status": status} | ({"details": list(details)} if details else {})


def failing(code: int, status: str, message: str, *details: dict[str, Any]) -> Fault:
    async def fault(request: web.Request) -> web.Response:
        return reply({"error": status_of(code, status, message, *details)}, code)

    return fault


def info(reason: str) -> dict[str, Any]:
    return {
        "@type": f"{TYPES}rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }


def retry_in(delay: str) -> dict[str, Any]:
    return {"@type": f"{TYPES}rpc.RetryInfo", "retryDelay": delay}


def quota(quota_id: str) -> dict[str, Any]:
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {"quotaMetric": metric, "quotaId": quota_id, "quotaDimensions": {"location": "global"}, "quotaValue": "50"}
    return {"@type": f"{TYPES}rpc.QuotaFailure", "violations": [violation]}
