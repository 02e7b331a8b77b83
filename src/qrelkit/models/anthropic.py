"""Anthropic's models, one request at a time (Messages) or many for half the price within a day (Message Batches)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from qrelkit.core.errors import InputError, ModelError, Rejected, Unreachable
from qrelkit.core.wire import Batch, Reply, Request
from qrelkit.models import anthropic_format
from qrelkit.models.anthropic_batch import (
    AT_MOST,
    PAGE,
    PATH,
    archived,
    batch_body,
    counts_of,
    ended,
    entry,
    place,
    read_results,
    tag_of,
    undecided,
)
from qrelkit.models.chat import Chat
from qrelkit.models.chat_problems import Problem, error_of

VERSION = "2023-06-01"  # of the format; its successor 2026-10-21 takes a temperature from no model, and this one where it can
START: Mapping[str, str] = {"Range": "bytes=0-4095"}  # a server that knows no ranges sends the whole


class AnthropicDialect:
    """Messages as Anthropic writes them; `marks` says whether shared prefixes are marked for the provider's cache."""

    provider = "anthropic"
    keys: Sequence[str] = ("ANTHROPIC_API_KEY",)
    base_url = "https://api.anthropic.com"
    base_variable = "ANTHROPIC_BASE_URL"
    instead: Mapping[str, str] = {
        "output_config": "replies come as plain text, which the prompt asks to be JSON",
        "temperature": "it is no longer sent, and the model's own is used",
    }
    lacks: Mapping[str, str] = {"seed": "seeds", "token_probabilities": "token probabilities"}

    def __init__(self, marks: bool = True) -> None:
        self.marks = marks

    def path(self, model: str) -> str:
        return "/v1/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def opening(self, model: str, request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes:
        return anthropic_format.opening(model, request, pictures, marks=self.marks)

    def tail(self, request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> tuple[bytes, frozenset[str]]:
        return anthropic_format.tail(request, refused, extra)

    def image(self, media_type: str, data: bytes) -> orjson.Fragment:
        return anthropic_format.image_block(media_type, data)

    def read(self, data: Mapping[str, Any], latency_s: float | None) -> Reply:
        return anthropic_format.read_reply(data, latency_s)

    def problem(self, status: int, data: Any) -> Problem:
        return anthropic_format.read_problem(status, data)


class Anthropic(Chat):
    """A model of Anthropic's; options as `Chat` says. Implements `BatchModel`.

    `cache_marks` marks what is common to many requests, so that the provider reads it from its cache at a tenth of the price;
    writing it there costs a quarter more than plain input. Marks are no part of a request's digest.
    """

    batch_at_most = AT_MOST
    batch_mb = 100.0  # the provider takes 256; so many go through 10 Mbit/s within the usual time-out

    def __init__(self, name: str, *, cache_marks: bool = True, **options: Any) -> None:
        super().__init__(name, AnthropicDialect(cache_marks), **options)
        self.cache_marks = cache_marks
        self._tags: dict[str, str] = {}  # of batches that need not be looked into again, by ticket

    def __repr__(self) -> str:
        return f"Anthropic({self._where}{'' if self.cache_marks else ', without cache marks'})"

    async def submit(self, requests: Sequence[Request], tag: str) -> str:
        """Hands requests over as one batch and returns its id.

        A request whose picture cannot be read is left out, as one bad picture must not hold up the others: `unreadable` says
        why. Where none is left there is no batch, and the ticket is "". Where this raises Unreachable the batch may have been
        made all the same: `find` tells.
        Raises InputError where nothing may stay with the provider (`no_retention`: a batch and its results do, for 29 days),
        for requests to another model, a tag that is none, and more than a batch takes.
        """
        if self.no_retention:
            raise InputError(f"{self.name}: a batch stays with the provider for 29 days, and no_retention is set: judge online")
        entries = await self._entries(requests, tag)
        if not entries:
            return ""
        made = await self._object("id", "POST", PATH, batch_body(entries.values()))
        ticket = str(made["id"])
        self._tags[ticket] = tag
        return ticket

    async def _entries(self, requests: Sequence[Request], tag: str) -> dict[str, bytes]:
        if not requests:
            raise InputError("a batch needs at least one request")
        self.unreadable, entries = {}, {}
        for request in requests:
            opening = await self._readable(request)
            if opening is not None:
                entries[request.digest] = entry(tag, request.digest, opening + self._tail(request)[0])
        return entries

    async def find(self, tag: str) -> str | None:
        """The id of the batch that carries a tag; None where there is none whose results could still be had.

        The provider shows what is in a batch only once it has ended. While one runs that this object has neither submitted
        nor collected, it may be the one: then this raises Unreachable, with the ids, and decides when asked again after
        they have ended, which takes a day at most. So collect first what is known, and search then.
        """
        running: list[Mapping[str, Any]] = []
        async for batch in self._listed():
            ticket = str(batch["id"])
            if archived(batch):
                continue
            if ticket not in self._tags:
                if not ended(batch):
                    running.append(batch)
                    continue
                self._tags[ticket] = await self._tag(ticket)
            if self._tags[ticket] == tag:
                return ticket
        if running:
            raise Unreachable(f"{self._where}: {undecided(tag, running)}")
        return None

    async def collect(self, ticket: str) -> Batch:
        """How a batch stands and, once it has ended, what came back, in whatever order it came.

        Nothing comes of a batch whose results are no longer kept. A field that the model would not have is remembered, so
        that the next batch goes without it.
        """
        self._tags.setdefault(ticket, "")  # whose it is the caller knows: it is not the one that `find` seeks
        batch = await self._object("processing_status", "GET", place(ticket))
        if not ended(batch) or archived(batch):
            return Batch(ended=ended(batch), counts=counts_of(batch))
        replies: dict[str, Reply] = {}
        _, raw = await self._call("GET", f"{place(ticket)}/results")
        try:
            for digest, reply, problem in read_results(raw):
                replies[digest] = reply
                if problem and (refused := problem.refuses(problem.refusable)):
                    self._give_up(refused, problem)
        except Unreachable as error:
            raise Unreachable(f"{self._where}: batch {ticket}: {error}") from None
        return Batch(ended=True, replies=replies, counts=counts_of(batch))

    async def _listed(self) -> AsyncIterator[Mapping[str, Any]]:
        """All batches of the key's workspace, the newest first."""
        after = ""
        while True:
            page = await self._object("data", "GET", f"{PATH}?limit={PAGE}{after}")
            for batch in page["data"]:
                yield batch
            if not page.get("has_more"):
                return
            after = f"&after_id={quote(str(page['last_id']), safe='')}"

    async def _tag(self, ticket: str) -> str:
        """The tag in the results of a batch that has ended; "" where they show none of ours."""
        for part in (START, {}):
            _, raw = await self._call("GET", f"{place(ticket)}/results", headers=part)
            if (tag := tag_of(raw)) is not None:
                return tag
        return ""

    async def _object(self, key: str, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """The JSON object that is answered, which must have `key`."""
        headers, raw = await self._call(method, path, body)
        data = self._parsed(200, headers, raw)
        if data.get("error"):
            raise self._error(200, headers, data, path)
        if key not in data:
            raise Unreachable(f"{self._where}: answered JSON without {key!r} to {method} {path.partition('?')[0]}")
        return data

    async def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of a good answer; raises ModelError for any other."""
        status, said, raw = await self._endpoint.request(method, path, body, headers)
        if status not in (200, 206):
            raise self._error(status, said, self._parsed(status, said, raw), path)
        return said, raw

    def _error(self, status: int, headers: Mapping[str, str], data: Mapping[str, Any], path: str) -> ModelError:
        problem = self.dialect.problem(status, data)
        if problem.status == 404 and path.startswith(f"{PATH}/"):
            said = self._endpoint.hidden(problem.said)
            return Rejected(f"{self._where}: 404 {said}; was the batch deleted, or made with another workspace's key?")
        return error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)
