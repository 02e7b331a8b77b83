"""The doors: the only places where something is plugged in.

`Describer` and `GuideWriter` talk like a `Judge` (a flow), about an image and about a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Image, Judgment, Pair, Query
from qrelkit.core.run import Run
from qrelkit.core.wire import Flow, Reply, Request


@runtime_checkable
class Source(Protocol):
    """Where a collection comes from; only a source turns a path or URL into bytes."""

    def collection(self) -> Collection: ...


@runtime_checkable
class Model(Protocol):
    """A language model. `name` is `provider:name[@revision]`, `at_most` how many requests a call takes (1 for chat).

    `replies` returns one reply per request in order, or raises a ModelError for the whole call. It never opens a file
    or fetches a URL: images arrive as records. `cost_usd(reply)` is None where the price is unknown, never 0 then.
    """

    name: str
    at_most: int

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]: ...
    def cost_usd(self, reply: Reply) -> float | None: ...
    async def close(self) -> None: ...


@runtime_checkable
class Judge(Protocol):
    """Turns pairs of one query (usually one) into judgments, by conversation.

    `key` is the digest of `settings`. `query_key` and `doc_key` digest what of a pair's two sides decides a judgment (the
    document's images by digest): with `key` they are what a known judgment is found by.
    """

    @property
    def name(self) -> str: ...  # the assessor's name in tables
    @property
    def key(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    def query_key(self, query_id: str, fingerprint: str, images: Sequence[str]) -> str: ...
    def doc_key(self, doc_id: str, fingerprint: str, images: Sequence[str]) -> str: ...
    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]: ...


@runtime_checkable
class Describer(Protocol):
    """Turns an image into text, once per image and settings; None where it could not."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...

    def flow(self, image: Image) -> Flow[str | None]: ...


@runtime_checkable
class GuideWriter(Protocol):
    """Writes a query's own part of the guideline; None where the reply could not be read."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...

    def flow(self, query: Query) -> Flow[QueryGuideline | None]: ...


@runtime_checkable
class Retriever(Protocol):
    """Answers a batch of queries: array work."""

    name: str

    def search(self, queries: Sequence[Query], depth: int) -> Run: ...


@runtime_checkable
class Store(Protocol):
    """Everything that was paid for or typed. Append-only; every `add_…` is on disk when it returns.

    Frames: `judgments(judge_key)` has id, judge_key, assessor, query_id, doc_id, grade (Int32), outcome, reason,
    probabilities (list[f64]), guideline, request, sample, query_key, doc_key, replaces (Int64), cost_usd, created, in order of
    writing. `known(judge_key)` has only query_id, doc_id, query_key, doc_key, grade, outcome, sample of the newest row per
    (query_id, doc_id, query_key, doc_key): what a join needs, fast at 500,000 rows. `spending(keys)` has stage, key, and the
    sums of asked, known, joined, failed, tokens_in, tokens_out, tokens_cached, unpriced (Int64), cost_usd and seconds (Float64)
    of all `add_spending`, one row per stage and key, sorted.
    """

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]: ...
    def add_replies(self, rows: Sequence[tuple[Request, Reply]]) -> None: ...
    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None: ...
    def spent_usd(self) -> float: ...

    def add_judge(self, key: str, name: str, settings: Mapping[str, Any]) -> None: ...
    def judges(self) -> pl.DataFrame: ...
    def known(self, judge_key: str) -> pl.DataFrame: ...
    def judgments(self, judge_key: str | None = None) -> pl.DataFrame: ...
    def add_judgments(self, judge_key: str, judgments: Sequence[Judgment]) -> None: ...

    def guidelines(self) -> pl.DataFrame: ...
    def add_guidelines(self, guidelines: Iterable[QueryGuideline], origin: str) -> int: ...

    def descriptions(self, describer_key: str) -> dict[str, str]: ...
    def add_descriptions(self, describer_key: str, texts: Mapping[str, str]) -> None: ...

    def add_spending(self, stage: str, key: str, numbers: Mapping[str, float]) -> None: ...
    def spending(self, keys: Sequence[str] | None = None) -> pl.DataFrame: ...

    def verify(self) -> list[str]: ...
    def close(self) -> None: ...
