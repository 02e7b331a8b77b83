"""Replies that were recorded, said again: published recordings, another store, yesterday's run without a network.

A recording is JSONL, one reply per line; only `request` and `text` are needed, the rest are the fields of `Reply`:

    {"request": "r1:…", "model": "openai:gpt-4o-mini", "text": "…", "outcome": "answered", "tokens_in": 812, …}

What others recorded knows no digests; `foreign` reads it by query and document.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import orjson

from qrelkit.core.doors import Store
from qrelkit.core.errors import InputError, Rejected
from qrelkit.core.wire import Limits, Reply, Request, Room
from qrelkit.models.prices import tokens_of_request

Lookup = Callable[[Sequence[str]], Mapping[str, Reply]]
KEPT = tuple(f.name for f in fields(Reply) if f.name not in ("request", "known", "error"))
OUTCOMES = ("answered", "refused", "truncated", "truncated_input")
COLUMNS = {"query_id": "query_id", "doc_id": "doc_id", "text": "text"}


class Replay:
    """A model that answers from a recording. A request is found by its digest, which covers the model's name.

    So `name` is that of the recorded model: read from the file where it names one model, else to be given. What was not
    recorded is Rejected, with its digest. Raises InputError for a file that is no recording.
    """

    at_most = 1
    limits = Limits()
    price = ""
    room: Room | None = None

    def __init__(self, path: Path | str, name: str | None = None) -> None:
        path = Path(path)
        recorded, models = _read(path)
        if name is None and len(models) != 1:
            several = f"names {len(models)} models ({', '.join(sorted(models))})" if models else "names no model"
            raise InputError(f"{path}: the recording {several}; give the name of the one to replay")
        self.name = name or min(models)
        self.origin = str(path)
        self._look_up: Lookup = lambda digests: {d: recorded[d] for d in digests if d in recorded}

    @classmethod
    def from_store(cls, store: Store, name: str) -> Replay:
        """The model `name` as another store remembers it."""
        model = cls.__new__(cls)
        model.name, model.origin, model._look_up = name, "the store", store.replies
        return model

    def __repr__(self) -> str:
        return f"Replay({self.name} from {self.origin})"

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """The recorded replies, in order; raises Rejected for the first request that was not recorded."""
        digests = [request.digest for request in requests]
        found = self._look_up(digests)
        for digest in digests:
            if digest not in found:
                raise Rejected(
                    f"{self.name}: {digest} is not in {self.origin}; prompt, settings, guideline or texts differ from "
                    "those of the recording: use the same, or ask the real model"
                )
        return [replace(found[digest], request=digest) for digest in digests]

    def cost_usd(self, reply: Reply) -> float | None:
        """What the recording says it cost then; None where it does not."""
        return reply.cost_usd

    def tokens_in(self, request: Request) -> int:
        """About how many tokens a request is."""
        return tokens_of_request(request)

    async def close(self) -> None:
        """Nothing to close."""


def write_replay(path: Path | str, rows: Iterable[tuple[Request, Reply]]) -> int:
    """Writes a recording and returns how many replies it holds; `failed` ones, which are no replies, are left out.

    The file appears whole or not at all.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with unfinished.open("wb") as out:
            for request, reply in rows:
                if reply.outcome != "failed":
                    out.write(orjson.dumps({"request": request.digest, "model": request.model} | _row(reply)) + b"\n")
                    count += 1
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def foreign(path: Path | str, columns: Mapping[str, str] | None = None) -> dict[tuple[str, str], str]:
    """Raw replies that others recorded, by (query_id, doc_id), from JSONL.

    `columns` says what `query_id`, `doc_id` and `text` are called there. Raises InputError, with file and line, for a
    missing column, an id that is no text or number, and for a pair that is there twice with different replies.
    """
    path, names = Path(path), COLUMNS | dict(columns or {})
    out: dict[tuple[str, str], str] = {}
    for number, row in _lines(path):
        missing = [name for name in names.values() if row.get(name) is None]
        if missing:
            raise InputError(f"{path}:{number}: no {', '.join(missing)}; it has {', '.join(map(str, row))}")
        pair = (_id(row[names["query_id"]], path, number), _id(row[names["doc_id"]], path, number))
        text = str(row[names["text"]])
        if out.setdefault(pair, text) != text:
            raise InputError(f"{path}:{number}: a second, different reply for query {pair[0]} and document {pair[1]}")
    return out


def _row(reply: Reply) -> dict[str, Any]:
    """What is worth keeping of a reply: the text, and whatever is not as by default."""
    empty = Reply(text="")
    row = {name: getattr(reply, name) for name in KEPT}
    return {name: value for name, value in row.items() if name == "text" or value != getattr(empty, name)}


def _read(path: Path) -> tuple[dict[str, Reply], set[str]]:
    """The replies of a recording by digest, and the models it names."""
    replies: dict[str, Reply] = {}
    models: set[str] = set()
    for number, row in _lines(path):
        digest, outcome = row.get("request"), row.get("outcome", "answered")
        if not isinstance(digest, str) or not isinstance(row.get("text"), str):
            raise InputError(f"{path}:{number}: a recorded reply needs `request` (a digest) and `text`")
        if outcome not in OUTCOMES:
            raise InputError(f"{path}:{number}: the outcome {outcome!r} is none of {', '.join(OUTCOMES)}")
        reply = _reply(row)
        if replies.setdefault(digest, reply).text != reply.text:
            raise InputError(f"{path}:{number}: a second, different reply to {digest}")
        if row.get("model"):
            models.add(str(row["model"]))
    return replies, models


def _reply(row: Mapping[str, Any]) -> Reply:
    known = {name: row[name] for name in KEPT if row.get(name) is not None}
    if "token_probabilities" in known:
        known["token_probabilities"] = tuple((token, dict(near)) for token, near in known["token_probabilities"])
    return Reply(**known)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: no recording can be read there ({error.strerror})") from None
    with file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{path}:{number}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: an object is needed, not {row!r}")
            yield number, row


def _id(value: Any, path: Path, number: int) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{path}:{number}: {value!r} is no id")
    return str(value)
