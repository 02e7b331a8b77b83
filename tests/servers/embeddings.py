"""An OpenAI-compatible `/v1/embeddings` server for tests: as strict as the real one about what it is sent, unkind as asked.

    with EmbeddingsServer(dimensions=8) as server:
        server.next((429, {"Retry-After": "0"}), (500, {}))     # these come first, one per request
        Embeddings(recipe_of("openai:tiny"), folder, base_url=server.url)

A text's vector is `vector_of(text)`: what a test compares with.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from servers.in_thread import InThread

FIELDS = {"model", "input", "dimensions", "encoding_format", "user", "input_type", "output_dimension"}


def vector_of(text: str, dimensions: int = 8) -> np.ndarray:
    """A vector of length 1 that nothing but the text decides."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    row = np.random.default_rng(seed).standard_normal(dimensions)
    return (row / np.linalg.norm(row)).astype(np.float32)


class EmbeddingsServer(InThread):
    """`inputs` are the texts it was asked for, in order, `answered` those it gave vectors for, `bodies` the requests.

    Texts of more than `longest` characters are refused as OpenAI does, and so are batches of more than `most` texts; it answers
    backwards with `backwards`, in base64 with `packed`.
    """

    path = "/v1"

    def __init__(
        self,
        dimensions: int = 8,
        *,
        longest: int = 1_000_000,
        most: int = 2048,
        key: str = "",
        backwards: bool = False,
        packed: bool = False,
    ) -> None:
        self.dimensions, self.longest, self.most, self.key = dimensions, longest, most, key
        self.backwards, self.packed = backwards, packed
        self.bodies: list[dict[str, Any]] = []
        self.answered: list[str] = []
        self.most_at_once = self._at_once = 0
        self._faults: deque[tuple[int, dict[str, str]]] = deque()

    @property
    def inputs(self) -> list[str]:
        return [text for body in self.bodies for text in body["input"]]

    def next(self, *faults: tuple[int, dict[str, str]]) -> None:
        """Status and headers that the next requests meet, one each."""
        self._faults.extend(faults)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/embeddings", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            body = orjson.loads(await request.read())
            self.bodies.append(body)
            await asyncio.sleep(0.01)
            if self._faults:
                status, headers = self._faults.popleft()
                return _said(status, "not now", headers)
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                return _said(401, "Incorrect API key provided")
            return self._answer(body)
        finally:
            self._at_once -= 1

    def _answer(self, body: dict[str, Any]) -> web.StreamResponse:
        texts = body["input"]
        if unknown := body.keys() - FIELDS:
            return _said(400, f"Unrecognized request argument supplied: {', '.join(unknown)}")
        if not texts or any(not isinstance(text, str) or not text for text in texts):
            return _said(400, "'$.input' is invalid")
        if len(texts) > self.most:
            return _said(400, f"batch size {len(texts)} > maximum allowed batch size {self.most}")
        if any(len(text) > self.longest for text in texts):
            return _said(400, "This model's maximum context length is 8192 tokens; please reduce your input")
        self.answered += texts
        dimensions = body.get("dimensions") or body.get("output_dimension") or self.dimensions
        rows = [self._row(i, vector_of(text, dimensions)) for i, text in enumerate(texts)]
        data = {"object": "list", "data": rows[::-1] if self.backwards else rows, "model": body["model"]}
        return web.Response(body=orjson.dumps(data), content_type="application/json")

    def _row(self, index: int, vector: np.ndarray) -> dict[str, Any]:
        said = base64.b64encode(vector.tobytes()).decode() if self.packed else vector.tolist()
        return {"object": "embedding", "index": index, "embedding": said}


def _said(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = orjson.dumps({"error": {"message": message, "type": "invalid_request_error"}})
    return web.Response(status=status, headers=headers, body=body, content_type="application/json")
