"""Rerankers behind an address, in the two forms that there are.

    rerank    POST BASE/rerank {model, query, documents, top_n} → {results: [{index, relevance_score}]}   Cohere, Jina, vLLM …
    tei       POST BASE/rerank {query, texts, raw_scores, truncate} → [{index, score}]                     TEI

An answer has one score for every document that was sent. One that misses a document, has one twice, or a score that is no number
is no answer: that query fails, and nothing of it becomes 0. What was answered is kept by what was sent, on disk before it is
used: a killed run pays for nothing twice.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson

from qrelkit.core.errors import InputError, RateLimited, Rejected, UnknownName, Unreachable
from qrelkit.core.records import Document, Query, counted
from qrelkit.models.chat_problems import error_of, read_problem
from qrelkit.models.encoders_kept import ENDPOINTS, Kept, Rows
from qrelkit.net.endpoint import Endpoint
from qrelkit.net.hosts import address
from qrelkit.text.leaving import MayLeave, leaving_document, leaving_query, refuse_nothing

T = TypeVar("T")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
KEYS: Mapping[str, str] = {"api.cohere.com": "COHERE_API_KEY", "api.cohere.ai": "COHERE_API_KEY", "api.jina.ai": "JINA_API_KEY"}
OWN_KEY = "RERANK_API_KEY"  # of a server of one's own


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of server is asked: the field of the documents, what else it is sent, and how many it takes at once."""

    documents: str
    always: Mapping[str, Any]
    named: bool  # whether it is told the model and how many are wanted
    at_most: int


FORMS: Mapping[str, Form] = {
    "rerank": Form("documents", {}, True, 1000),
    "tei": Form("texts", {"raw_scores": True, "truncate": True}, False, 32),  # 32: its --max-client-batch-size unless set
}


class RerankEndpoint:
    """Implements the `Reranker` door; `name` is FORM:MODEL, as in rerank:BAAI/bge-reranker-v2-m3.

    The key is `api_key`, else the vendor's environment variable (`KEYS`), for any other address RERANK_API_KEY. `extra_body` is
    added to every request, and part of the settings (truncate_prompt_tokens of vLLM, say). A request that nobody answered is
    sent again up to `retries` times. It may be asked from `at_once` threads at a time. `may_leave` as in `text/leaving.py`; with
    `allow_hosts` any other host is refused before a socket is opened. Answers are kept below the folder `keep`, if one is given.

    Raises InputError for an address or a key that cannot be used.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        at_once: int = 8,
        timeout_s: float = 120.0,
        retries: int = 4,
        may_leave: MayLeave = None,
        allow_hosts: Collection[str] | None = None,
        keep: Path | None = None,
    ) -> None:
        form, colon, self._model = name.partition(":")
        if form not in FORMS or not colon or not self._model:
            raise UnknownName("kind of rerank endpoint (FORM:MODEL)", name, [f"{known}:MODEL" for known in FORMS])
        self.name, self.at_once, self._form, self._form_name = name, at_once, FORMS[form], form
        self._extra, self.retries, self._may_leave = dict(extra_body or {}), retries, may_leave
        refuse_nothing(may_leave)
        url = address(base_url, allow_hosts)
        self._variable = KEYS.get(url.host or "", OWN_KEY)
        key = (api_key or os.environ.get(self._variable) or "").strip()
        if not key and self._variable != OWN_KEY:
            raise InputError(f"no key for {url.host}: set {self._variable}")
        self._endpoint = Endpoint(
            base=url,
            path="/rerank",
            headers={
                "Content-Type": "application/json",
                "User-Agent": "qrelkit",
                **({"Authorization": f"Bearer {key}"} if key else {}),
            },
            secret=key,
            timeout_s=timeout_s,
            at_once=at_once,
            closed=allow_hosts is not None,
        )
        place = str(self._endpoint.base.with_query(None))
        self._kept = None if keep is None else Kept(keep / ENDPOINTS, f"rerank-{name}", [form, place])
        self._where = f"{name} at {self._endpoint.place}"
        self._starting = threading.Lock()
        self._running: asyncio.AbstractEventLoop | None = None

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        said = {"kind": self._form_name, "model": self._model, "place": self._endpoint.place}
        leaves = {} if self._may_leave is None else {"may_leave": sorted(self._may_leave)}
        return said | leaves | ({"extra_body": self._extra} if self._extra else {})

    def scores(self, query: Query, documents: Sequence[Document]) -> list[float]:
        """One score per document, in order. Raises ModelError where they cannot be had."""
        asked = leaving_query(query, self._may_leave).text
        texts = [leaving_document(document, self._may_leave).text for document in documents]
        most = self._form.at_most
        lots = [texts[start : start + most] for start in range(0, len(texts), most)]
        return [score for lot in lots for score in self._of_lot(asked, lot)]

    def _of_lot(self, query: str, texts: Sequence[str]) -> list[float]:
        """The scores of as many texts as a request may have: kept, or asked for now. Single precision, as a Run compares them."""
        body = self._body(query, texts)

        def ask(sent: list[str]) -> Rows:
            rows = np.array([self._wait(self._answered(body, len(texts)))], np.float32)
            if self._kept is not None:
                self._kept.add(sent, rows)
            return rows

        said = [body.decode()]
        row = ask(said) if self._kept is None else self._kept.through(said, ask)
        found: list[float] = row[0].tolist()
        return found

    def close(self) -> None:
        """Closes the connections and ends the thread that holds them; it may be used again afterwards."""
        with self._starting:
            if self._running is None:
                return
            asyncio.run_coroutine_threadsafe(self._endpoint.close(), self._running).result()
            self._running.call_soon_threadsafe(self._running.stop)
            self._thread.join()
            self._running.close()
            self._running = None

    def __repr__(self) -> str:
        return f"RerankEndpoint({self._where})"

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Has work done by the one loop that holds the connections, whatever thread asks for it."""
        with self._starting:
            if self._running is None:
                self._running = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._running.run_forever, daemon=True)
                self._thread.start()
        answer: Future[T] = asyncio.run_coroutine_threadsafe(work, self._running)
        return answer.result()

    def _body(self, query: str, texts: Sequence[str]) -> bytes:
        named = {"model": self._model, "top_n": len(texts)} if self._form.named else {}
        return orjson.dumps({**named, "query": query, self._form.documents: texts, **self._form.always, **self._extra})

    async def _answered(self, body: bytes, count: int) -> list[float]:
        wait_s = FIRST_WAIT_S
        for left in range(self.retries, -1, -1):
            try:
                return await self._once(body, count)
            except (RateLimited, Unreachable) as error:
                if not left:
                    raise
                told = error.retry_after_s if isinstance(error, RateLimited) else None
                await asyncio.sleep(wait_s if told is None else min(told, 10 * LONGEST_WAIT_S))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise AssertionError("not reached")

    async def _once(self, body: bytes, count: int) -> list[float]:
        status, headers, raw = await self._endpoint.post(body)
        try:
            data: Any = orjson.loads(raw)
        except orjson.JSONDecodeError:
            data = None
        if status != 200:
            words = data if isinstance(data, dict) else {"error": " ".join(raw[:200].decode("utf-8", "replace").split())}
            problem = replace(read_problem(status, words), key_variable=self._variable)
            raise error_of(problem, headers, self._where, time.time(), self._endpoint.hidden)
        return read_scores(data, count, self._where)


def read_scores(data: Any, count: int, where: str) -> list[float]:
    """The scores of `count` documents in an answer, in the order in which they were sent. Raises Rejected where it is not one
    number for each."""
    rows = data.get("results", data.get("data")) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise Rejected(f"{where}: answered no list of results")
    found: dict[int, float] = {}
    for row in rows:
        index = row.get("index") if isinstance(row, dict) else None
        score = row.get("relevance_score", row.get("score")) if isinstance(row, dict) else None
        if type(index) is not int or not 0 <= index < count or index in found:
            raise Rejected(f"{where}: answered with index {index!r}, which is no document or comes twice")
        if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
            raise Rejected(f"{where}: answered with the score {score!r} for document {index}")
        found[index] = float(score)
    if len(found) < count:
        raise Rejected(f"{where}: answered about {len(found)} of {counted(count, 'document')}")
    return [found[index] for index in range(count)]
