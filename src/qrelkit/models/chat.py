"""What every chat endpoint has in common; what is its own is a `Dialect`.

    Request ─▶ dialect writes (bytes) ─▶ POST ─▶ dialect reads ─▶ Reply, or a ModelError that says what to do

No retries here, the driver does them; only a field that a server will not have (`response_format`, `temperature` …) is
left out and the request sent again at once. That is remembered for the life of the model and told in `notes`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import orjson

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.wire import Limits, Picture, Reply, Request, Room, Schema, Settings, canonical
from qrelkit.models.chat_problems import Problem, error_of
from qrelkit.models.data_urls import DataUrls, Freight
from qrelkit.models.limits import room_of
from qrelkit.models.prices import Prices, tokens_of_request
from qrelkit.net.endpoint import Endpoint
from qrelkit.net.hosts import address

Tail = tuple[bytes, frozenset[str]]  # what `Dialect.tail` writes

TAILS = 256  # settings × schema × sample in use; more means that somebody makes new ones for every pair


class Dialect(Protocol):
    """How one provider writes requests and replies: pure functions and constants, no sockets.

    `keys` are the environment variables a key may be in, the first of them the vendor's own; `base_url` is the vendor's, and
    `base_variable` ("" for none) may name another. `opening` is the body up to what `tail` writes: all that depends on the
    pair, beginning with `{`; `tail` is the rest, with the fields in it that a server may refuse, and depends on settings,
    schema and sample alone, so it is rendered once. `instead` says what is done without a refused field; `lacks` names the
    fields of `Settings` that do not exist there, each with its plural in words.
    """

    provider: str
    keys: Sequence[str]
    base_url: str
    base_variable: str
    instead: Mapping[str, str]
    lacks: Mapping[str, str]

    def path(self, model: str) -> str: ...
    def headers(self, key: str) -> Mapping[str, str]: ...
    def opening(self, model: str, request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes: ...
    def tail(self, request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> Tail: ...
    def image(self, media_type: str, data: bytes) -> orjson.Fragment: ...
    def read(self, data: Mapping[str, Any], latency_s: float | None) -> Reply: ...
    def problem(self, status: int, data: Any) -> Problem: ...


class Chat:
    """A model behind a chat endpoint; `name` is `provider:` and the name that the server knows.

    The address is `base_url`, else the dialect's variable, else the vendor's own; the key `api_key`, else the vendor's
    variable, and needed for the vendor's own address only. `extra_body` is added to every request; as it changes the answers
    it becomes part of `name`, and so of every digest: `provider:name#sent?{…}`, where `sent` is its `model`, which replaces the
    name that is sent (a folder, a deployment). `unreadable` is what the last `submit` of a batch left out because its picture
    cannot be read: why, by request digest. With `allow_hosts` any other host is refused before a socket is opened. Of encoded
    pictures at most `images_in_flight_mb` are on their way together. `no_retention` is a promise that nothing stays with the
    provider: the batch endpoints refuse to work then.

    Raises InputError for an address, key or option that cannot be used.
    """

    at_most = 1

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        connect_timeout_s: float = 10.0,
        stalled_s: float | None = None,
        prices: Prices | None = None,
        at_once: int = 64,
        allow_hosts: Collection[str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        limits: Limits = Limits(),
        no_retention: bool = False,
        images_in_flight_mb: float = 256.0,
    ) -> None:
        self._extra = dict(extra_body or {})
        own_name = name.partition(":")[2]
        self.sent_name = str(self._extra.pop("model", None) or own_name)
        if not self.sent_name:
            raise InputError(f"a model is named provider:name, as in {dialect.provider}:some-name, not {name!r}")
        sent = f"#{self.sent_name}" if self.sent_name != own_name else ""
        self.name = name + sent + (f"?{canonical(self._extra).decode()}" if self._extra else "")
        self.dialect, self.limits, self.no_retention = dialect, limits, no_retention
        base = base_url or (os.environ.get(dialect.base_variable) if dialect.base_variable else None) or dialect.base_url
        url = address(base, allow_hosts)
        key = _key(api_key, dialect, needed=base == dialect.base_url)
        self._endpoint = Endpoint(
            base=url,
            path=dialect.path(self.sent_name),
            headers={"Content-Type": "application/json", "User-Agent": "qrelkit", **dialect.headers(key)},
            secret=key,
            timeout_s=timeout_s,
            at_once=at_once,
            connect_timeout_s=connect_timeout_s,
            stalled_s=stalled_s,
            closed=allow_hosts is not None,
        )
        self._where = f"{self.name} at {self._endpoint.place}"
        self._prices = prices or Prices()
        self._price = self._prices.of(self.name)
        self._room: Room | None = None
        self._refused: dict[str, str] = {}
        self._lacked: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        self._tails: dict[tuple[Settings, Schema | None, int], Tail] = {}
        self._last_tail: tuple[Settings, Schema | None, int, Tail] | None = None
        self._data_urls, self._freight = DataUrls(dialect.image), Freight(images_in_flight_mb * 1e6)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._where})"

    @property
    def place(self) -> str:
        """Host and port that are asked."""
        return self._endpoint.place

    @property
    def notes(self) -> tuple[str, ...]:
        """What this endpoint does not have or would not have and is not sent, and why."""
        return (*self._refused.values(), *self._lacked.values())

    @property
    def price(self) -> str:
        """The price that costs are reckoned by, as JSON; "" where none is known."""
        return "" if self._price is None else self._price.json

    @property
    def room(self) -> Room | None:
        """What the server last said is left of its limits."""
        return self._room

    def cost_usd(self, reply: Reply) -> float | None:
        """Dollars by the prices given; None where the price or the count of tokens is unknown."""
        return None if self._price is None else self._price.cost(reply, written=reply.tokens_written or 0)

    def tokens_in(self, request: Request) -> int:
        """About how many input tokens a request is, images by the model's own rule where the price table has one."""
        return tokens_of_request(request, self._price)

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply per request, in order; raises ModelError where one did not come."""
        if len(requests) == 1:  # what the driver does: a call of one needs no list
            return (await self._reply(requests[0]),)
        return [await self._reply(request) for request in requests]

    async def close(self) -> None:
        """Closes the connections; the model may be used again afterwards."""
        await self._endpoint.close()

    async def body(self, request: Request) -> bytes:
        """The bytes that are sent for a request, pictures included."""
        return await self._opening(request) + self._tail(request)[0]

    async def _reply(self, request: Request) -> Reply:
        self._own(request)
        if not _pictured(request):
            return await self._exchange(request, self.dialect.opening(self.sent_name, request, {}))
        size = self._data_urls.size(request)
        await self._freight.load(size)
        try:
            return await self._exchange(request, await self._opening(request))
        finally:
            self._freight.unload(size)

    async def _exchange(self, request: Request, opening: bytes) -> Reply:
        while True:
            rest, sent = self._tail(request)
            start = time.perf_counter()
            status, headers, raw = await self._endpoint.post(opening + rest)
            self._room = room_of(headers, time.time()) or self._room
            data = self._parsed(status, headers, raw)
            if status == 200 and not data.get("error"):
                return self._read(data, time.perf_counter() - start)
            problem = self.dialect.problem(status, data)
            if problem.filtered:
                return Reply(text=self._endpoint.hidden(problem.said), outcome="refused", finish="content_filter")
            refused = problem.refuses(sent)
            if refused is None:
                raise error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)
            self._give_up(refused, problem)

    async def _opening(self, request: Request) -> bytes:
        if not _pictured(request):
            return self.dialect.opening(self.sent_name, request, {})
        try:
            return self.dialect.opening(self.sent_name, request, await self._data_urls.of(request))
        except (InputError, OSError) as error:  # one bad or vanished picture fails its own pair, not the whole work
            raise Rejected(str(error)) from error

    async def _readable(self, request: Request) -> bytes | None:
        """The opening of a request of a batch; None, and why in `unreadable`, where its picture cannot be read."""
        self._own(request)
        try:
            return await self._opening(request)
        except Rejected as error:
            self.unreadable[request.digest] = str(error)
            return None

    def _own(self, request: Request) -> None:
        if request.model != self.name:
            raise InputError(f"a request to {request.model!r} was given to {self.name!r}: its digest names the wrong model")

    def _tail(self, request: Request) -> Tail:
        if (last := self._last_tail) is not None:  # mostly of the very same objects, which takes long to find out by hashing
            settings, schema, sample, found = last
            if settings is request.settings and schema is request.schema and sample == request.sample:
                return found
        key = (request.settings, request.schema, request.sample)
        kept = self._tails.get(key)
        if kept is None:
            if len(self._tails) >= TAILS:
                self._tails.clear()
            kept = self._tails[key] = self.dialect.tail(request, self._refused.keys(), self._extra)
            for name, plural in self.dialect.lacks.items():
                if (wanted := getattr(request.settings, name)) is not None and wanted is not False:
                    self._lacked[name] = f"{self.dialect.provider} has no {plural}: not sent"
        self._last_tail = (*key, kept)
        return kept

    def _give_up(self, field: str, problem: Problem) -> None:
        """Requests that were already on their way with the field come here too: the first one's reason stays."""
        if field not in self._refused:
            said = self._endpoint.hidden(problem.said)
            instead = self.dialect.instead.get(field, "it is no longer sent")
            self._refused[field] = f"{self._where} refused {field} ({said}); {instead}"
            self._tails.clear()
            self._last_tail = None

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
            return self.dialect.read(data, latency_s)
        except Unreachable as error:
            raise Unreachable(f"{self._where}: {self._endpoint.hidden(str(error))}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self._where}: answered JSON that is no chat completion ({error!r})") from None


def _pictured(request: Request) -> bool:
    for message in request.messages:
        for part in message.parts:
            if type(part) is Picture:
                return True
    return False


def _key(given: str | None, dialect: Dialect, *, needed: bool) -> str:
    """The key, "" for none; its text never enters an error."""
    found = next((value for name in dialect.keys if (value := os.environ.get(name))), None)
    key = (given or found or "").strip()
    if not key and needed:
        host = dialect.base_url.split("/")[2]
        raise InputError(f"no key for {host}: set {dialect.keys[0]}, or give base_url of your own server")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"the API key holds characters that no key has; was something else pasted into {dialect.keys[0]}?")
    return key
