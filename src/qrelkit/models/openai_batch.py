"""OpenAI's batch endpoint: the requests go as a file of JSON lines, the replies come back as one or two.

    upload FILE ─▶ create BATCH (tag in its metadata) ─▶ … ─▶ ended: OUTPUT and ERROR files, in any order ─▶ FILE is deleted

A line of ours is `{custom_id, method, url, body}`, of theirs `{custom_id, response: {status_code, body}, error}`; the
`custom_id` is the request's digest. https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote

import orjson

from qrelkit.core.errors import InputError, ModelError, Rejected, Unreachable
from qrelkit.core.wire import Batch, Reply, Request
from qrelkit.models.chat import Chat, Dialect
from qrelkit.models.chat_problems import Problem, error_of
from qrelkit.net.endpoint import under

if TYPE_CHECKING:
    from yarl import URL

ENDED = {"completed", "expired", "cancelled", "failed"}
CHECKED_LATER = {"pending", "running", "notRunning"}  # a file's states on its way, where they are told (Azure)
PAGE = 100
TAG = "qrelkit"  # the key of our tag in a batch's metadata
TRANSFER_S = 900.0  # a whole file, 200 MB, through 2 Mbit/s
_OURS = re.compile(rb'^\{"custom_id":"(r1:[0-9a-f]{32})"', re.MULTILINE)


class BatchDialect(Dialect, Protocol):
    """A dialect of a provider that takes batches."""

    def batch_root(self, base: URL) -> URL:
        """The address in front of `/files` and `/batches`."""

    def batch_url(self, base: URL) -> str:
        """What every line names as its endpoint."""


class Answered(NamedTuple):
    """A line that came back: whose it is, its reply, and the problem where it is none."""

    digest: str
    reply: Reply
    problem: Problem | None


class BatchChat(Chat):
    """A chat endpoint with OpenAI's batches beside it; `core.doors.BatchModel` says what the three verbs promise."""

    dialect: BatchDialect
    batch_at_most = 50_000
    batch_mb = 190.0  # the provider takes 200
    look_again_s = 2.0  # between two looks at a file that is being checked

    async def submit(self, requests: Sequence[Request], tag: str) -> str:
        """Hands requests over as one batch and returns its id.

        A request whose picture cannot be read is left out, as one bad picture must not hold up the others: `unreadable` says
        why. Where none is left there is no batch, and the ticket is "". The file is deleted again where the batch
        is refused; where the answer does not come, it may have been made all the same: `find` tells, and deletes what is left
        over.
        Raises InputError where nothing may stay with the provider, for requests to another model, and for more than a
        batch takes.
        """
        if self.no_retention:
            raise InputError(f"{self.name}: a batch's requests and replies stay with the provider; no_retention forbids that")
        lines = await self._lines(requests)
        if not lines:
            return ""
        uploaded = await self._upload(lines, tag)
        file = str(uploaded["id"])
        asked = {
            "input_file_id": file,
            "endpoint": self.dialect.batch_url(self._endpoint.base),
            "completion_window": "24h",
            "metadata": {TAG: tag},
        }
        try:
            await self._checked(file, uploaded)
            return str((await self._object("id", "POST", "/batches", orjson.dumps(asked)))["id"])
        except Unreachable:
            raise
        except ModelError:
            await self._delete(file)
            raise

    async def find(self, tag: str) -> str | None:
        """The id of the batch that carries a tag; None where there is none. Then a file that was uploaded for it and never
        became a batch is deleted."""
        async for batch in self._listed("/batches"):
            if (batch.get("metadata") or {}).get(TAG) == tag:
                return str(batch["id"])
        try:
            async for file in self._listed("/files", "&purpose=batch"):
                if file.get("filename") == f"{tag}.jsonl":
                    await self._delete(str(file["id"]))
        except ModelError:  # a server without a list of files: the batch is not there all the same
            return None
        return None

    async def collect(self, ticket: str) -> Batch:
        """How a batch stands and, once it has ended, what came back.

        A field that the model would not have is remembered, so that the next batch goes without it. Of a batch that was
        refused as a whole, every request has failed with the provider's reason.
        """
        batch = await self._object("status", "GET", f"/batches/{_segment(ticket)}")
        counts = {name: n for name, n in (batch.get("request_counts") or {}).items() if isinstance(n, int)}
        if batch["status"] not in ENDED:
            return Batch(ended=False, counts=counts)
        source = str(batch.get("input_file_id") or "")
        replies = await self._failed(source, batch) if batch["status"] == "failed" else {}
        for name in ("error_file_id", "output_file_id"):  # an answer counts before an error
            if file := batch.get(name):
                _, raw = await self._call("GET", f"/files/{_segment(str(file))}/content", timeout_s=TRANSFER_S)
                replies |= await self._read_file(raw, ticket)
        if source:
            await self._delete(source)
        return Batch(ended=True, replies=replies, counts=counts)

    async def _lines(self, requests: Sequence[Request]) -> bytes:
        if not requests:
            raise InputError("a batch needs at least one request")
        url, self.unreadable = self.dialect.batch_url(self._endpoint.base), {}
        lines: dict[str, bytes] = {}  # an equal request is there once: a custom_id must be
        for request in requests:
            opening = await self._readable(request)
            if opening is not None:
                head = f'{{"custom_id":"{request.digest}","method":"POST","url":"{url}","body":'.encode()
                lines[request.digest] = head + opening + self._tail(request)[0] + b"}\n"
        mb = sum(map(len, lines.values())) / 1e6
        if len(lines) > self.batch_at_most or mb > self.batch_mb * 1.05:
            most = f"{self.batch_at_most:,} requests of {self.batch_mb:g} MB together"
            raise InputError(f"{len(lines):,} requests are {mb:,.1f} MB, and a batch of {self.name} takes at most {most}")
        return b"".join(lines.values())

    async def _upload(self, lines: bytes, tag: str) -> dict[str, Any]:
        from aiohttp import FormData

        form = FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", io.BytesIO(lines), filename=f"{tag}.jsonl", content_type="application/jsonl")
        return await self._object("id", "POST", "/files", form, timeout_s=TRANSFER_S)

    async def _checked(self, file: str, seen: Mapping[str, Any]) -> None:
        """Returns once the provider has looked at an uploaded file, where it says that it has not yet."""
        until = time.monotonic() + TRANSFER_S
        while seen.get("status") in CHECKED_LATER:
            if time.monotonic() > until:
                raise Rejected(f"{self._where}: the uploaded file {file} was not checked within {TRANSFER_S:g} s")
            await asyncio.sleep(self.look_again_s)
            seen = await self._object("id", "GET", f"/files/{_segment(file)}")

    async def _delete(self, file: str) -> bool:
        """Whether a file is gone; that it stays is no error, since the provider deletes batch files in time."""
        try:
            await self._call("DELETE", f"/files/{_segment(file)}")
        except ModelError:
            return False
        return True

    async def _read_file(self, raw: bytes, ticket: str) -> dict[str, Reply]:
        try:
            found = await asyncio.to_thread(lambda: list(read_lines(raw, self.dialect)))  # it may be 100 MB
        except ValueError:
            raise Unreachable(f"{self._where}: batch {ticket}: a file of replies came broken") from None
        for _, _, problem in found:
            if problem and (refused := problem.refuses(problem.refusable)):
                self._give_up(refused, problem)
        return {digest: reply if problem is None else self._clean(reply) for digest, reply, problem in found}

    def _clean(self, reply: Reply) -> Reply:
        hidden = self._endpoint.hidden
        return dataclasses.replace(reply, text=hidden(reply.text), error=hidden(reply.error))

    async def _failed(self, source: str, batch: Mapping[str, Any]) -> dict[str, Reply]:
        """A failed reply for every request of a batch that did not even start; none where our file is no longer there."""
        said = self._endpoint.hidden(reason(batch))
        try:
            _, raw = await self._call("GET", f"/files/{_segment(source)}/content", timeout_s=TRANSFER_S)
        except ModelError:
            return {}
        failed = Reply(text="", outcome="failed", error=f"the batch was refused: {said}", batch=True)
        return {digest.decode(): failed for digest in _OURS.findall(raw)}

    async def _listed(self, path: str, more: str = "") -> AsyncIterator[Mapping[str, Any]]:
        """Everything in one of the provider's lists, the newest first."""
        after = ""
        while True:
            page = await self._object("data", "GET", f"{path}?limit={PAGE}{more}{after}")
            for one in page["data"]:
                yield one
            last = page.get("last_id") or (page["data"][-1].get("id") if page["data"] else None)
            if not page.get("has_more") or not last or (again := f"&after={quote(str(last), safe='')}") == after:
                return
            after = again

    async def _object(self, key: str, method: str, path: str, body: Any = None, timeout_s: float | None = None) -> dict[str, Any]:
        """The JSON object that is answered, which must have `key`."""
        headers, raw = await self._call(method, path, body, timeout_s)
        data = self._parsed(200, headers, raw)
        if key not in data:
            raise Unreachable(f"{self._where}: answered JSON without {key!r} to {method} {path.partition('?')[0]}")
        return data

    async def _call(
        self, method: str, path: str, body: Any = None, timeout_s: float | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of a good answer; raises ModelError for any other."""
        place = str(under(self.dialect.batch_root(self._endpoint.base), path))
        status, headers, raw = await self._endpoint.request(method, place, body, timeout_s=timeout_s)
        if 200 <= status < 300:
            return headers, raw
        problem = self.dialect.problem(status, self._parsed(status, headers, raw))
        if problem.status == 404:
            one, said = path.count("/") > 1, self._endpoint.hidden(problem.said)
            what = "it is gone, or of another key" if one else "is there a batch endpoint at this address?"
            raise Rejected(f"{self._where}: 404 {said} ({method} {path.partition('?')[0]}); {what}", fatal=not one)
        raise error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)


def read_lines(raw: bytes, dialect: Dialect) -> Iterator[Answered]:
    """The lines of an output or error file; raises ValueError where one is no JSON object with a `custom_id`."""
    for line in raw.splitlines():
        if not line.strip():
            continue
        data = orjson.loads(line)
        if not isinstance(data, dict) or not isinstance(data.get("custom_id"), str):
            raise ValueError("a line without custom_id")
        reply, problem = _answer(data, dialect)
        yield Answered(data["custom_id"], dataclasses.replace(reply, batch=True), problem)


def _answer(line: Mapping[str, Any], dialect: Dialect) -> tuple[Reply, Problem | None]:
    response, error = line.get("response") or {}, line.get("error")
    status, body = response.get("status_code") or 0, response.get("body") or {}
    if status == 200 and not error and not (isinstance(body, dict) and body.get("error")):
        try:
            return dialect.read(body, None), None
        except (Unreachable, AttributeError, KeyError, TypeError, ValueError) as broken:
            return Reply(text="", outcome="failed", error=f"the batch answered what is no chat completion: {broken}"), None
    problem = dialect.problem(status or 500, {"error": error} if error else body)
    if problem.filtered:
        return Reply(text=problem.said, outcome="refused", finish="content_filter"), problem
    code = problem.code if error else str(status)
    return Reply(text="", outcome="failed", error=f"in the batch: {code} {problem.said}".rstrip()), problem


def reason(batch: Mapping[str, Any]) -> str:
    """Why a batch was refused, in the provider's words; of many lines the first three."""
    errors = [error for error in (batch.get("errors") or {}).get("data") or () if isinstance(error, dict)]
    lines = [f"line {error['line']}: " if error.get("line") else "" for error in errors[:3]]
    said = [line + str(error.get("message") or error.get("code") or "") for line, error in zip(lines, errors, strict=False)]
    more = [f"and {len(errors) - 3:,} more"] if len(errors) > 3 else []
    return "; ".join(said + more) or "no reason was given"


def _segment(name: str) -> str:
    """A provider's id as one part of a path."""
    return quote(name, safe="")
