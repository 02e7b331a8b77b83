"""Google's Gemini API, online and by batch; the key goes in a header and never in the address."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from qrelkit.core.errors import InputError, ModelError, Unreachable
from qrelkit.core.wire import Batch, Reply, Request
from qrelkit.models import gemini_format
from qrelkit.models.chat import Chat
from qrelkit.models.chat_problems import Problem, error_of
from qrelkit.models.gemini_batch import answers, batch_body, read_batch

PAGE = 20  # batches per page of the provider's list, which shows them with all their replies
BODY_MB = 20.0  # what the batch endpoint takes in one body
INVALID = (3, 400)  # how the replies of a batch call INVALID_ARGUMENT: by gRPC's number or by HTTP's


class GeminiDialect:
    """generateContent of the API's version v1beta."""

    provider = "gemini"
    keys: Sequence[str] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    base_url = "https://generativelanguage.googleapis.com/v1beta"
    base_variable = ""
    instead: Mapping[str, str] = {
        "responseJsonSchema": "JSON of any form is asked for, and the prompt says of which",
        "responseMimeType": "replies come as plain text, which the prompt asks to be JSON",
        "responseLogprobs": "there are no probabilities of tokens",
    }
    lacks: Mapping[str, str] = {}

    def path(self, model: str) -> str:
        return f"/{_resource(model)}:generateContent"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"x-goog-api-key": key} if key else {}

    def opening(self, model: str, request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes:
        return gemini_format.opening(request, pictures)

    def tail(self, request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> tuple[bytes, frozenset[str]]:
        return gemini_format.tail(request, refused, extra)

    def image(self, media_type: str, data: bytes) -> orjson.Fragment:
        return gemini_format.image_part(media_type, data)

    def read(self, data: Mapping[str, Any], latency_s: float | None) -> Reply:
        return gemini_format.read_reply(data, latency_s)

    def problem(self, status: int, data: Any) -> Problem:
        return gemini_format.read_problem(status, data)


class Gemini(Chat):
    """A Gemini model, `gemini:name`; options as `Chat` says.

    `max_tokens` bounds thoughts and reply together: a model that thinks wants more of it than one that does not, or less to
    think by `extra_body: {generationConfig: {thinkingConfig: …}}`.
    """

    batch_at_most = 10_000
    batch_mb = BODY_MB - 1  # pictures are reckoned before they are encoded

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, GeminiDialect(), **options)

    async def submit(self, requests: Sequence[Request], tag: str) -> str:
        """Hands the requests over, in one body; the ticket is the batch's name, `batches/…`.

        A request whose picture cannot be read is left out: `unreadable` says why. Where none is left there is no batch, and
        the ticket is "". Raises InputError, before anything has left, where nothing may stay with the provider, and for more
        than one body may hold.
        """
        if self.no_retention:
            raise InputError(f"{self.name}: a batch and its replies stay with the provider for days; no_retention forbids that")
        asked = await self._openings(requests)
        if not asked:
            return ""
        while True:
            tails = [self._tail(request) for request, _ in asked]
            bodies = [(r.digest, start + rest) for (r, start), (rest, _) in zip(asked, tails, strict=True)]
            body = batch_body(tag, bodies)
            if len(body) > BODY_MB * 1e6:
                took = f"{len(bodies):,} requests are {len(body) / 1e6:.1f} MB"
                raise InputError(f"{self.name}: {took}, and a batch holds {BODY_MB:g} at most; shrink the images, or ask online")
            status, headers, raw = await self._endpoint.request(
                "POST", f"/{_resource(self.sent_name)}:batchGenerateContent", body
            )
            data = self._parsed(status, headers, raw)
            if status == 200 and data.get("name"):
                return str(data["name"])
            problem = self.dialect.problem(status, data)
            refused = problem.refuses({name for _, fields in tails for name in fields})
            if refused is None:
                raise self._error(problem, headers)
            self._give_up(refused, problem)

    async def find(self, tag: str) -> str | None:
        """The ticket of the batch with this tag, from the provider's own list; None where it is not there."""
        page = ""
        while True:
            data = await self._get(f"/batches?pageSize={PAGE}" + (f"&pageToken={quote(page, safe='')}" if page else ""))
            for operation in data.get("operations") or ():
                if (operation.get("metadata") or {}).get("displayName") == tag:
                    return str(operation["name"])
            page = data.get("nextPageToken") or ""
            if not page:
                return None

    async def collect(self, ticket: str) -> Batch:
        """How a batch stands. A field that its replies call invalid is no longer sent, online or by batch."""
        operation = await self._get(f"/{ticket}")
        try:
            batch = read_batch(operation)
        except Unreachable as error:
            raise Unreachable(f"{self._where}: {ticket}: {error}") from None
        for item in answers(operation) if batch.ended else ():
            said = item.get("error")
            if isinstance(said, Mapping) and said.get("code") in INVALID:
                problem = self.dialect.problem(400, {"error": said})
                if refused := problem.refuses(problem.refusable):
                    self._give_up(refused, problem)
        return batch

    async def _openings(self, requests: Sequence[Request]) -> list[tuple[Request, bytes]]:
        if not requests:
            raise InputError("a batch needs at least one request")
        self.unreadable = {}
        found = [(request, await self._readable(request)) for request in requests]
        return [(request, opening) for request, opening in found if opening is not None]

    async def _get(self, path: str) -> dict[str, Any]:
        status, headers, raw = await self._endpoint.request("GET", path)
        data = self._parsed(status, headers, raw)
        if status == 200 and (not data.get("error") or data.get("name")):  # an operation that failed has both
            return data
        raise self._error(self.dialect.problem(status, data), headers)

    def _error(self, problem: Problem, headers: Mapping[str, str]) -> ModelError:
        return error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)


def _resource(model: str) -> str:
    """`models/name`; a name with its kind (`tunedModels/…`) stays."""
    return model if "/" in model else f"models/{model}"
