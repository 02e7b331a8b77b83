"""Gemini's batch format: requests written under their digests, what came back read. Pure functions, no sockets.

    {"batch": {"displayName": tag, "inputConfig": {"requests": {"requests": [{"request": …, "metadata": {"key": digest}}, …]}}}}
    ─▶ an operation {"name": "batches/…", "metadata": {state, displayName, batchStats, output}, "done", "response" | "error"}

Replies are known by their keys alone: they have been seen in another order than the requests (googleapis/python-genai, issue
1909), whatever the reference says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from qrelkit.core.errors import Unreachable
from qrelkit.core.wire import Batch, Reply
from qrelkit.models.gemini_format import read_reply

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")  # after BATCH_STATE_ or, in older answers, JOB_STATE_
COUNTS = {"successfulRequestCount": "answered", "failedRequestCount": "failed", "pendingRequestCount": "pending"}


def batch_body(tag: str, bodies: Iterable[tuple[str, bytes]]) -> bytes:
    """The body that hands over these requests, each a digest and the body it would be sent with."""
    items = b",".join(b'{"request":%b,"metadata":{"key":%b}}' % (body, orjson.dumps(digest)) for digest, body in bodies)
    return b'{"batch":{"displayName":%b,"inputConfig":{"requests":{"requests":[%b]}}}}' % (orjson.dumps(tag), items)


def read_batch(operation: Mapping[str, Any]) -> Batch:
    """How a batch stands; its replies by digest once it has ended.

    Requests of a batch that failed, was cancelled or expired as a whole are missing, as the provider says nothing of them.
    Raises Unreachable where it claims answers and none can be told whose it is.
    """
    about = operation.get("metadata") or {}
    stats = about.get("batchStats") or {}
    counts = {ours: int(stats[name]) for name, ours in COUNTS.items() if int(stats.get(name) or 0)}
    if not (operation.get("done") or str(about.get("state") or "").endswith(ENDED)):
        return Batch(ended=False, counts=counts)
    items = answers(operation)
    replies = {key: _read(item) for item in items if (key := _key(item))}
    if not replies and (items or counts.get("answered")):
        raise Unreachable("the batch has ended, and its replies are missing or without the keys that say what they answer")
    return Batch(ended=True, replies=replies, counts=counts)


def answers(operation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the provider says of each request: `{"metadata": {"key"}, "response" | "error"}`."""
    output = operation.get("response") or (operation.get("metadata") or {}).get("output") or {}
    inlined = output.get("inlinedResponses") or {}
    items = inlined.get("inlinedResponses") if isinstance(inlined, Mapping) else inlined
    return [item for item in items or () if isinstance(item, Mapping)]


def _key(item: Mapping[str, Any]) -> str:
    return str((item.get("metadata") or {}).get("key") or "")


def _read(item: Mapping[str, Any]) -> Reply:
    error, key = item.get("error"), _key(item)
    if error:
        words = error.get("message") if isinstance(error, Mapping) else error
        return Reply(text="", outcome="failed", error=str(words or "the batch says only that it failed"), request=key)
    try:
        return replace(read_reply(item.get("response") or {}), batch=True, request=key)
    except (Unreachable, AttributeError, KeyError, TypeError, ValueError) as problem:
        return Reply(text="", outcome="failed", error=f"no reply that can be read: {problem}", request=key)
