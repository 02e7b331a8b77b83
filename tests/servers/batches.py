"""OpenAI's files and batches for tests, beside the chat completions of `servers.chat`: strict, and ended by hand or by looks.

    with BatchServer(answer=verdict) as server:
        ticket = asyncio.run(model.submit(requests, "tag"))
        server.end(ticket)                                  # every line answered: status "completed"
        server.end(ticket, "expired", answered=3)           # the others are in the error file, expired
        server.at("POST /batches", dropped)                 # the next one meets this: the batch is not made
        server.lose_answer("POST /batches")                 # the next one is made, and the client never hears of it

With `looks=2` a batch ends by itself at the second look. `azure=True` is Azure's form of address with a deployment.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from servers.chat import BadRequest, ChatServer, Fault, checked, dropped, failure

VERSION = "2024-10-21"
LINE = {"custom_id", "method", "url", "body"}
MOST_LINES, MOST_BYTES = 50_000, 200 * 10**6
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class File:
    name: str
    purpose: str
    data: bytes
    looks: int = 0  # before it is said to be checked


@dataclass
class Running:
    """A batch: what the provider shows of it, its lines, and how often it was looked at."""

    shown: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0


class BatchServer(ChatServer):
    """`files` and `batches` are what the provider holds, `asked` every "METHOD /path" it was sent."""

    def __init__(self, *args: Any, looks: int | None = None, azure: bool = False, file_looks: int = 0, **more: Any) -> None:
        super().__init__(*args, **more)
        self.looks, self.azure, self.file_looks = looks, azure, file_looks
        self.root = "/openai" if azure else "/v1"
        self.line_url = "/chat/completions" if azure else "/v1/chat/completions"
        self.files: dict[str, File] = {}
        self.batches: dict[str, Running] = {}
        self.asked: list[str] = []
        self.page = 100
        self._at: dict[str, deque[Fault]] = {}
        self._lost: set[str] = set()

    @property
    def base(self) -> str:
        """What a client is given as `base_url`."""
        origin = f"http://127.0.0.1:{self.port}"
        return f"{origin}/openai/deployments/tiny?api-version={VERSION}" if self.azure else f"{origin}/v1"

    def at(self, place: str, *faults: Fault) -> None:
        """What the next requests to `METHOD /path` meet, ids written `*`, as in "GET /files/*/content"."""
        self._at.setdefault(place, deque()).extend(faults)

    def lose_answer(self, place: str) -> None:
        """The next request there is served and its answer lost."""
        self._lost.add(place)

    async def _start(self) -> int:
        app = web.Application(client_max_size=256 * 2**20)
        chat = "/openai/deployments/tiny/chat/completions" if self.azure else "/v1/chat/completions"
        app.router.add_post(chat, self._handle)
        routes: dict[str, Handler] = {
            "POST /files": self._upload, "GET /files": self._files, "GET /files/*": self._file,
            "GET /files/*/content": self._content, "DELETE /files/*": self._delete,
            "POST /batches": self._create, "GET /batches": self._list, "GET /batches/*": self._look,
        }  # fmt: skip
        for place, handler in routes.items():
            method, path = place.split()
            app.router.add_route(method, self.root + path.replace("*", "{id}"), self._guarded(place, handler))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    def _guarded(self, place: str, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.asked.append(place)
            if self._at.get(place):
                return await self._at[place].popleft()(request)
            given = request.headers.get("api-key" if self.azure else "Authorization", "")
            if self.key and given.removeprefix("Bearer ") != self.key:
                return failure(401, "Incorrect API key provided", code="invalid_api_key")
            if self.azure and request.query.get("api-version") != VERSION:
                return failure(404, "Resource not found", code="404")
            response = await handler(request)
            if place in self._lost:
                self._lost.discard(place)
                return await dropped(request)
            return response

        return guarded

    # files

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if not re.match(r"multipart/form-data; *boundary=", request.headers.get("Content-Type", "")):
            return failure(415, "Unsupported content type: send multipart/form-data")
        parts: dict[str, Any] = {}
        async for part in await request.multipart():
            if part.name not in ("purpose", "file") or part.name in parts:
                return failure(400, f"Additional properties are not allowed ({part.name!r} was unexpected)")
            parts[part.name] = bytes(await part.read())
            if part.name == "file":
                parts["name"] = part.filename
        if parts.get("purpose") != b"batch":
            return failure(400, f"{parts.get('purpose')!r} is not one of ['fine-tune', 'assistants', 'batch', …] - 'purpose'")
        if not str(parts.get("name") or "").endswith(".jsonl") or not parts["file"]:
            return failure(400, "Invalid file format for Batch API. Must be .jsonl")
        if len(parts["file"]) > MOST_BYTES:
            return failure(413, "Batch input file is too large")
        file = self._keep(parts["name"], "batch", parts["file"], self.file_looks)
        return web.json_response(self._shown(file))

    def _keep(self, name: str, purpose: str, data: bytes, looks: int = 0) -> str:
        file = f"file-{len(self.asked):03}{random.Random(len(self.files)).getrandbits(48):012x}"
        self.files[file] = File(name, purpose, data, looks)
        return file

    def _shown(self, id: str) -> dict[str, Any]:
        file = self.files[id]
        status = "pending" if file.looks > 0 else "processed"
        return {"id": id, "object": "file", "bytes": len(file.data), "created_at": 1_700_000_000, "filename": file.name,
                "purpose": file.purpose, "status": status}  # fmt: skip

    async def _files(self, request: web.Request) -> web.StreamResponse:
        purpose = request.query.get("purpose")
        return self._pages(request, [self._shown(id) for id, f in self.files.items() if purpose in (None, f.purpose)])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["id"]
        if id not in self.files:
            return failure(404, f"No such File object: {id}", code=None, kind="invalid_request_error")
        self.files[id].looks -= 1
        return web.json_response(self._shown(id))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["id"]
        if id not in self.files:
            return failure(404, f"No such File object: {id}", kind="invalid_request_error")
        return web.Response(body=self.files[id].data, content_type="application/octet-stream")

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["id"]
        if self.files.pop(id, None) is None:
            return failure(404, f"No such File object: {id}", kind="invalid_request_error")
        return web.json_response({"id": id, "object": "file", "deleted": True})

    # batches

    async def _create(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if set(asked) != {"input_file_id", "endpoint", "completion_window", "metadata"}:
            return failure(400, f"Unknown or missing parameter among {sorted(asked)}")
        if asked["completion_window"] != "24h" or asked["endpoint"] != self.line_url:
            return failure(400, "Invalid value for completion_window or endpoint")
        if not all(isinstance(v, str) and len(k) <= 64 and len(v) <= 512 for k, v in asked["metadata"].items()):
            return failure(400, "Invalid metadata")
        file = self.files.get(asked["input_file_id"])
        if file is None or file.looks > 0:
            return failure(400, f"Invalid file: {asked['input_file_id']}", code="invalid_file")
        id = f"batch_{len(self.batches):04}"
        none = dict.fromkeys(("output_file_id", "error_file_id", "errors", "completed_at", "failed_at", "expired_at"))
        shown = {"id": id, "object": "batch", **asked, **none, "status": "validating", "created_at": 1_700_000_000}
        self.batches[id] = running = Running(shown)
        if errors := self._validated(file, running):
            shown |= {"status": "failed", "errors": {"object": "list", "data": errors}}
        shown["request_counts"] = {"total": len(running.lines), "completed": 0, "failed": 0}
        return web.json_response(shown)

    def _validated(self, file: File, running: Running) -> list[dict[str, Any]]:
        errors, seen = [], set()
        lines = file.data.split(b"\n")
        if lines.pop() or len(lines) > MOST_LINES:
            return [{"code": "invalid_file", "message": "no line end, or too many lines", "line": None, "param": None}]
        for number, raw in enumerate(lines, 1):
            line = orjson.loads(raw)
            fault = (
                "fields" if set(line) != LINE else
                "custom_id" if line["custom_id"] in seen or not 0 < len(line["custom_id"]) <= 64 else
                "url" if (line["method"], line["url"]) != ("POST", self.line_url) else
                "model" if line["body"].get("model") != "tiny" else ""
            )  # fmt: skip
            if fault:
                errors.append({"code": f"invalid_{fault}", "message": f"The {fault} is wrong", "line": number, "param": fault})
            seen.add(line["custom_id"])
            running.lines.append(line)
        return errors

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return self._pages(request, [running.shown for running in self.batches.values()])

    def _pages(self, request: web.Request, all_of_them: list[dict[str, Any]]) -> web.StreamResponse:
        newest = all_of_them[::-1]
        after, limit = request.query.get("after"), min(int(request.query.get("limit", 20)), self.page)
        start = next((i + 1 for i, one in enumerate(newest) if one["id"] == after), 0)
        page = newest[start : start + limit]
        ids = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return web.json_response({"object": "list", "data": page, **ids, "has_more": start + limit < len(newest)})

    async def _look(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["id"]
        if id not in self.batches:
            return failure(404, f"No batch found with id '{id}'.", kind="invalid_request_error")
        running = self.batches[id]
        running.looks += 1
        if running.shown["status"] in ("validating", "in_progress"):
            running.shown["status"] = "in_progress"
            if self.looks is not None and running.looks >= self.looks:
                self.end(id)
        return web.json_response(running.shown)

    # how it ends

    def end(
        self,
        id: str,
        status: str = "completed",
        *,
        answered: int | None = None,
        failing: dict[str, tuple[int, dict[str, Any]]] | None = None,
        missing: tuple[str, ...] = (),
        seed: int = 0,
    ) -> None:
        """Ends a batch. The first `answered` lines are (None: all), the others have expired or were cancelled with it;
        `failing` has status and body of those that failed by custom_id, `missing` those that nothing is said of."""
        running = self.batches[id]
        output: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for place, line in enumerate(running.lines):
            key = line["custom_id"]
            if key in missing:
                continue
            if answered is not None and place >= answered:
                code = "batch_cancelled" if status == "cancelled" else "batch_expired"
                text = "This request could not be executed before the completion window expired."
                errors.append(_line(key, None, {"code": code, "message": text}))
                continue
            code, body = (failing or {}).get(key) or self._answer(line["body"])
            (output if code == 200 else errors).append(_line(key, {"status_code": code, "request_id": "", "body": body}))
        random.Random(seed).shuffle(output)
        for name, lines in (("output", output), ("error", errors)):
            if lines:
                data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
                running.shown[f"{name}_file_id"] = self._keep(f"{id}_{name}.jsonl", "batch_output", data)
        counts = {"total": len(running.lines), "completed": len(output), "failed": len(errors)}
        running.shown |= {"status": status, "request_counts": counts}

    def _answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            checked(body, self.refuse)
        except BadRequest as error:
            return 400, {"error": error.error}
        return 200, self._completion(body)


def _line(key: str, response: dict[str, Any] | None, error: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": f"batch_req_{key[-6:]}", "custom_id": key, "response": response, "error": error}
