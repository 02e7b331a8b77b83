"""Any endpoint that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp, `transformers serve`, gateways.

    Request ─▶ body (bytes) ─▶ POST base_url/chat/completions ─▶ Reply, or a ModelError that says what to do

No retries here, the driver does them; only a field that a server will not have (`response_format`, `temperature` …) is
left out and the request sent again at once. That is remembered for the life of the model and told in `notes`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.wire import Picture, Reply, Request, Schema, Settings, canonical
from qrelkit.models.chat_format import messages, read_reply, tail
from qrelkit.models.chat_problems import Problem, error_of, read_problem
from qrelkit.models.data_urls import DataUrls
from qrelkit.models.endpoint import Endpoint, address
from qrelkit.models.prices import Prices

OPENAI = "https://api.openai.com/v1"
TAILS = 256  # settings × schema × sample in use; more means that somebody makes new ones for every pair
INSTEAD = {
    "max_tokens": "max_completion_tokens is sent instead",
    "response_format": "replies come as plain text, which the prompt asks to be JSON",
}


class OpenAICompatible:
    """A model behind an OpenAI-compatible endpoint; `name` is `openai:` and the name that the server knows.

    The address is `base_url`, else OPENAI_BASE_URL, else OpenAI's own; the key `api_key`, else OPENAI_API_KEY, and needed
    for OpenAI's own only. `extra_body` is added to every request (`{"reasoning_effort": "low"}`); as it changes the
    answers it becomes part of `name`, and so of every digest, except for `model`, which replaces the name that is sent
    (a folder, a deployment). With `allow_hosts` any other host is refused before a socket is opened.

    Raises InputError for an address, key or option that cannot be used.
    """

    at_most = 1

    def __init__(
        self,
        name: str = "openai:gpt-4o-mini",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        prices: Prices | None = None,
        at_once: int = 64,
        allow_hosts: Collection[str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self._extra = dict(extra_body or {})
        sent_name = self._extra.pop("model", None) or name.partition(":")[2]
        if not sent_name:
            raise InputError(f"a model is named provider:name, as in openai:gpt-4o-mini, not {name!r}")
        self.name = name + (f"?{canonical(self._extra).decode()}" if self._extra else "")
        self._head = b'{"model":%b,"messages":' % orjson.dumps(sent_name)
        url = address(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI, "/chat/completions", allow_hosts)
        key = _key(api_key, needed=url.host == "api.openai.com")
        headers = {"Content-Type": "application/json", "User-Agent": "qrelkit"}
        self._endpoint = Endpoint(
            url=url,
            headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}),
            secret=key,
            timeout_s=timeout_s,
            at_once=at_once,
        )
        self._where = f"{self.name} at {self._endpoint.place}"
        self._price = (prices or Prices()).of(self.name)
        self._refused: dict[str, str] = {}
        self._tails: dict[tuple[Settings, Schema | None, int], tuple[bytes, frozenset[str]]] = {}
        self._data_urls = DataUrls()

    def __repr__(self) -> str:
        return f"OpenAICompatible({self._where})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What this endpoint would not have and is no longer sent, and why."""
        return tuple(self._refused.values())

    def cost_usd(self, reply: Reply) -> float | None:
        """Dollars by the prices given; None where the price or the count of tokens is unknown."""
        price = self._price
        return None if price is None else price.cost(reply.tokens_in, reply.tokens_out, reply.tokens_cached)

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply per request, in order; raises ModelError where one did not come."""
        if len(requests) == 1:  # what the driver does: a call of one needs no list
            return (await self._reply(requests[0]),)
        return [await self._reply(request) for request in requests]

    async def close(self) -> None:
        """Closes the connections; the model may be used again afterwards."""
        await self._endpoint.close()

    async def _reply(self, request: Request) -> Reply:
        if request.model != self.name:
            raise InputError(f"a request to {request.model!r} was given to {self.name!r}: its digest names the wrong model")
        opening = self._head + await self._messages(request)
        while True:
            rest, sent = self._tail(request)
            start = time.perf_counter()
            status, headers, raw = await self._endpoint.post(opening + rest)
            data = self._parsed(status, headers, raw)
            if status == 200 and not data.get("error"):
                return self._read(data, time.perf_counter() - start)
            problem = read_problem(status, data)
            if problem.filtered:
                return Reply(text=self._endpoint.hidden(problem.said), outcome="refused", finish="content_filter")
            refused = problem.refuses(sent)
            if refused is None:
                raise error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)
            self._give_up(refused, problem)

    async def _messages(self, request: Request) -> bytes:
        if not any(type(part) is Picture for message in request.messages for part in message.parts):
            return messages(request, {})
        try:
            return messages(request, await self._data_urls.of(request))
        except (InputError, OSError) as error:  # one bad or vanished picture fails its own pair, not the whole work
            raise Rejected(str(error)) from error

    def _tail(self, request: Request) -> tuple[bytes, frozenset[str]]:
        key = (request.settings, request.schema, request.sample)
        found = self._tails.get(key)
        if found is None:
            if len(self._tails) >= TAILS:
                self._tails.clear()
            found = self._tails[key] = tail(request, self._refused.keys(), self._extra)
        return found

    def _give_up(self, field: str, problem: Problem) -> None:
        """Requests that were already on their way with the field come here too: the first one's reason stays."""
        if field not in self._refused:
            said = self._endpoint.hidden(problem.said)
            self._refused[field] = f"{self._where} refused {field} ({said}); {INSTEAD.get(field, 'it is no longer sent')}"
            self._tails.clear()

    def _parsed(self, status: int, headers: Mapping[str, str], raw: bytes) -> dict[str, Any]:
        """The body as an object; what is none is an error of its status, or of the way here if that claims success."""
        kind = headers.get("Content-Type", "")
        try:
            data = orjson.loads(raw)
        except orjson.JSONDecodeError:
            data = None
        if isinstance(data, dict) and (status != 200 or "json" in kind or not kind or kind.startswith("text/plain")):
            return data
        words = self._endpoint.hidden(" ".join(raw[:200].decode("utf-8", "replace").split()))
        if status == 200:
            raise Unreachable(f"{self._where}: answered {kind or 'something'} that is no whole JSON object: {words!r}")
        return {"error": words}

    def _read(self, data: Mapping[str, Any], latency_s: float) -> Reply:
        try:
            return read_reply(data, latency_s)
        except Unreachable as error:
            raise Unreachable(f"{self._where}: {self._endpoint.hidden(str(error))}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self._where}: answered JSON that is no chat completion ({error!r})") from None


def _key(given: str | None, *, needed: bool) -> str:
    """The key, "" for none; its text never enters an error."""
    key = (given or os.environ.get("OPENAI_API_KEY") or "").strip()
    if not key and needed:
        raise InputError("no key for api.openai.com: set OPENAI_API_KEY, or give base_url (OPENAI_BASE_URL) of your own server")
    if not (key.isascii() and key.isprintable()):
        raise InputError("the API key holds characters that no key has; was something else pasted into OPENAI_API_KEY?")
    return key
