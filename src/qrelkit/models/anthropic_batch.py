"""Anthropic's Message Batches: how our requests are marked in one, and how its results are read. Pure functions, no sockets.

A batch there has no name and no metadata, and its list shows no requests. What carries our tag is the `custom_id` of every
request in it (`^[a-zA-Z0-9_-]{1,64}$`), which the results give back once the batch has ended:

    tag-r1_0123456789abcdef0123456789abcdef        the tag, and the request's digest with `_` for `:`
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from qrelkit.core.errors import InputError, Unreachable
from qrelkit.core.wire import Reply
from qrelkit.models.anthropic_format import read_problem, read_reply
from qrelkit.models.chat_problems import Problem

PATH = "/v1/messages/batches"
AT_MOST = 100_000  # requests in a batch
BYTES = 256_000_000  # of the whole body
PAGE = 1000  # batches in a page of the list
_TAG = re.compile(r"[a-z0-9]{1,20}")
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"([\w-]+)"')  # inside a text its quotes would be escaped


def entry(tag: str, digest: str, body: bytes) -> bytes:
    """One request of a batch, from the body it would be sent with alone; InputError for a tag that no `custom_id` can carry."""
    if not _TAG.fullmatch(tag):
        raise InputError(f"the tag {tag!r} of a batch must be 1 to 20 of a-z and 0-9")
    return b'{"custom_id":"%b","params":%b}' % (custom_id(tag, digest).encode(), body)


def batch_body(entries: Collection[bytes]) -> bytes:
    """The body that creates a batch; InputError for more than the provider takes at once."""
    size = sum(map(len, entries)) + len(entries) + 16
    if len(entries) > AT_MOST or size > BYTES:
        raise InputError(
            f"{len(entries):,} requests of {size / 1e6:.0f} MB are more than a batch takes "
            f"({AT_MOST:,}, {BYTES / 1e6:.0f} MB): hand over fewer at a time"
        )
    return b'{"requests":[%b]}' % b",".join(entries)


def custom_id(tag: str, digest: str) -> str:
    return f"{tag}-{digest.replace(':', '_')}"


def tag_of(results: bytes) -> str | None:
    """The tag of the batch that results, or their first bytes, belong to; None where no `custom_id` is in sight."""
    found = _CUSTOM_ID.search(results)
    return None if found is None else found[1].decode().partition("-")[0]


def read_results(raw: bytes) -> Iterator[tuple[str, Reply, Problem | None]]:
    """Digest, reply and trouble of every line of a results file, which come in any order.

    Raises Unreachable where the file is not whole.
    """
    for number, line in enumerate(io.BytesIO(raw), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            digest, result = row["custom_id"].partition("-")[2].replace("_", ":"), row["result"]
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise Unreachable(f"line {number} of its results is none ({error!r})") from None
        try:
            reply, problem = _read(result)
        except (Unreachable, AttributeError, KeyError, TypeError) as error:  # one odd result is not the others' trouble
            reply, problem = Reply(text="", outcome="failed", error=f"a result that is none ({error!r})"), None
        yield digest, replace(reply, request=digest, batch=True), problem


def _read(result: Mapping[str, Any]) -> tuple[Reply, Problem | None]:
    """What became of one request. Only what succeeded is billed; the rest may be asked again."""
    kind = result["type"]
    if kind == "succeeded":
        return read_reply(result["message"]), None
    if kind == "errored":
        problem = read_problem(200, result["error"])
        if problem.filtered:
            return Reply(text=problem.said, outcome="refused", finish="content_filter"), None
        return Reply(text="", outcome="failed", error=f"{problem.status} {problem.said}"), problem
    why = {"expired": "expired: the batch's 24 hours ended before its turn", "canceled": "cancelled before its turn"}
    return Reply(text="", outcome="failed", error=f"{why.get(kind, kind)}; not billed"), None


def place(ticket: str) -> str:
    """The path of a batch."""
    return f"{PATH}/{quote(ticket, safe='')}"


def undecided(tag: str, running: Sequence[Mapping[str, Any]]) -> str:
    """What to say where a tag is in no batch that has ended and others are still running."""
    ids = ", ".join(str(batch["id"]) for batch in running[:5]) + (f" and {len(running) - 5} more" if len(running) > 5 else "")
    last = max(str(batch.get("expires_at") or "") for batch in running)
    return (
        f"whether the batch {tag} was submitted cannot be told yet: {ids} still running, and a batch shows whose it is only "
        f"once it has ended{last and f', at the latest {last}'}; run again then (a cancelled batch ends soon)"
    )


def counts_of(batch: Mapping[str, Any]) -> dict[str, int]:
    """How many requests of a batch are in which state: processing, succeeded, errored, canceled, expired."""
    return {str(name): int(count) for name, count in (batch.get("request_counts") or {}).items()}


def ended(batch: Mapping[str, Any]) -> bool:
    return bool(batch["processing_status"] == "ended")


def archived(batch: Mapping[str, Any]) -> bool:
    """Whether its results are gone: they are kept for 29 days."""
    return bool(batch.get("archived_at"))
