"""A project of many pairs, and a real `qrelkit` process that works on it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer, Fault, reply
from verbs.tiny import texts_of, write_config, write_lines, write_run


def write_many(folder: Path, *, queries: int = 4, documents: int = 50) -> Path:
    """A shop with `documents` documents, all of them retrieved for each of `queries` queries."""
    shop = folder / "shop"
    shop.mkdir(parents=True)
    ids = [f"d{n:03}" for n in range(documents)]
    write_lines(shop / "corpus.jsonl", [{"id": i, "text": f"Thing {i}."} for i in ids])
    write_lines(shop / "queries.jsonl", [{"id": f"q{n}", "text": f"wish {n}"} for n in range(queries)])
    write_run(folder / "all.trec", "all", {f"q{n}": " ".join(ids) for n in range(queries)})
    return folder


def point(folder: Path, url: str | None, at_once: int = 8, *, timeout_s: float = 120.0, **config: Any) -> None:
    """Lets the project judge with the model of a server; without `url` it is the one that OPENAI_BASE_URL says."""
    models = {"openai:tiny": {"base_url": url, "timeout_s": timeout_s}}
    write_config(folder, runs=["all.trec"], depth=500, at_once=at_once, judge={"model": "openai:tiny"}, models=models, **config)


def pair_of(body: dict[str, Any]) -> tuple[str, str]:
    """The pair that a request is about."""
    said = texts_of(body)
    return "q" + said.partition("wish ")[2][0], said.partition("Thing ")[2][:4]


def verdict(body: dict[str, Any]) -> str:
    """A grade that follows from the pair."""
    query, document = pair_of(body)
    labels = ("irrelevant", "acceptable_substitute", "highly_relevant")
    return orjson.dumps(
        {"reasoning": f"{query} {document}", "verdict": labels[(int(query[1:]) + int(document[1:])) % 3]}
    ).decode()


def expected(queries: int = 4, documents: int = 50) -> dict[tuple[str, str], int]:
    """The table that judging ends in, whatever happens on the way."""
    return {(f"q{q}", f"d{d:03}"): (q + d) % 3 for q in range(queries) for d in range(documents)}


def judged(where: Path | str) -> dict[tuple[str, str], int]:
    """The table of the store of a project (or at an address): every pair has one graded row."""
    with SqlStore(where if isinstance(where, str) else where / ".qrelkit" / "store.db") as store:
        rows = store.judgments().filter(outcome="graded").select("query_id", "doc_id", "grade").rows()
        assert store.verify() == []
    assert len({row[:2] for row in rows}) == len(rows)
    return {(query, document): grade for query, document, grade in rows}


@contextlib.contextmanager
def judging(folder: Path, *argv: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`qrelkit judge`, or another command, in a process of its own; it does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "qrelkit", *(argv or ("judge",))],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"QRELKIT_CACHE": str(folder / "cache")} | environment,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def fine(server: ChatServer) -> Fault:
    """No fault: what the server answers otherwise."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return reply(server._completion(orjson.loads(await request.read())))

    return answer


def sometimes(server: ChatServer, faults: list[Fault], every: int, count: int) -> None:
    """Of the next `count` requests every `every`th meets a fault, in turn."""
    given = iter(faults * count)
    server.next(*(next(given) if n % every == every - 1 else fine(server) for n in range(count)))
