"""A rerank server for tests, of both forms: it scores a document by how many of the query's words it has.

    with RerankServer() as server:
        server.next(failing(503), missing(1))       # these come first, one per request
        RerankEndpoint("rerank:tiny", base_url=server.url)

It refuses fields and numbers of documents that the real ones refuse, and runs in a thread with its own event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from servers.in_thread import InThread

Change = Callable[[list[dict[str, Any]]], web.Response | list[dict[str, Any]]]
FIELDS = {
    "rerank": {"model", "query", "documents", "top_n", "truncate_prompt_tokens", "return_documents"},
    "tei": {"query", "texts", "raw_scores", "return_text", "truncate", "truncation_direction"},
}


class RerankServer(InThread):
    """`form` is rerank or tei; `bodies` and `headers` are what it was sent."""

    def __init__(self, form: str = "rerank", *, key: str = "") -> None:
        self.form, self.key = form, key
        self.path = "/v1" if form == "rerank" else ""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._changes: deque[Change] = deque()

    def next(self, *changes: Change) -> None:
        """What becomes of the next answers, one each."""
        self._changes.extend(changes)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/rerank" if self.form == "rerank" else "/rerank", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return failure(401, "invalid api key")
        texts = body["documents" if self.form == "rerank" else "texts"]
        if strange := set(body) - FIELDS[self.form]:
            return failure(422, f"unknown field {sorted(strange)[0]}")
        if self.form == "tei" and len(texts) > 32:
            return failure(413, f"batch size {len(texts)} > maximum allowed batch size 32")
        words = set(body["query"].lower().split())
        scores = [float(len(words & set(text.lower().split()))) for text in texts]
        name = "relevance_score" if self.form == "rerank" else "score"
        rows = [{"index": i, name: score} for i, score in enumerate(scores)]
        rows.sort(key=lambda row: -row[name])
        changed = self._changes.popleft()(rows) if self._changes else rows
        if isinstance(changed, web.Response):
            return changed
        return answer({"id": "1", "model": body["model"], "results": changed} if self.form == "rerank" else changed)


def answer(data: Any, status: int = 200, **headers: str) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json", headers=headers)


def failure(status: int, message: str, **headers: str) -> web.Response:
    return answer({"error": {"message": message}}, status, **headers)


def failing(status: int, **headers: str) -> Change:
    """An error instead of an answer."""
    return lambda rows: failure(status, "not now", **headers)


def missing(count: int) -> Change:
    """An answer without the last documents."""
    return lambda rows: rows[:-count]
