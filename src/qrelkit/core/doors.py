"""The doors: the only places where something is plugged in.

`Describer` and `GuideWriter` talk like a `Judge` (a flow), about an image and about a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.collection import Collection
from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Document, Image, Judgment, Pair, Query
from qrelkit.core.rewriting import Rewrite
from qrelkit.core.run import Run
from qrelkit.core.wire import Batch, Flow, Limits, Reply, Request, Room

Keep = Literal["full", "replies", "grades"]
Side = Literal["query", "document", "rewrite"]


@runtime_checkable
class Source(Protocol):
    """Where a collection comes from; only a source turns a path or URL into bytes."""

    def collection(self) -> Collection: ...


@runtime_checkable
class Model(Protocol):
    """A language model. `name` is `provider:name[@revision]`, `at_most` how many requests a call takes (1 for chat).

    `replies` returns one reply per request in order, or raises a ModelError for the whole call. It never opens a file
    or fetches a URL: images arrive as records. `cost_usd(reply)` is None where the price is unknown, never 0 then; `price` is
    what it reckons by, as JSON with date and source ("" where unknown). `tokens_in(request)` is about how many input tokens
    the request will be counted as. `limits` are what the user knows of its limits, `room` what the server last said.
    """

    name: str
    at_most: int
    limits: Limits

    @property
    def price(self) -> str: ...
    @property
    def room(self) -> Room | None: ...
    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]: ...
    def cost_usd(self, reply: Reply) -> float | None: ...
    def tokens_in(self, request: Request) -> int: ...
    async def close(self) -> None: ...


@runtime_checkable
class BatchModel(Model, Protocol):
    """A model whose provider also takes many requests at once and answers within a day, usually at half the price.

    `submit` hands over at most `batch_at_most` requests of at most `batch_mb` megabytes together, all at one call, marked
    with a `tag` of ours, and returns the provider's ticket; `find` looks a tag up in the provider's own list (None: it is not
    there, so it was never submitted); `collect` says how the batch stands and, when it has ended, what came back. All three
    raise ModelError like `replies`.
    """

    batch_at_most: int
    batch_mb: float

    async def submit(self, requests: Sequence[Request], tag: str) -> str: ...
    async def find(self, tag: str) -> str | None: ...
    async def collect(self, ticket: str) -> Batch: ...


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
class Rewriter(Protocol):
    """Writes texts that a query is searched with besides; `documents` are what a first search found (LameR)."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...

    def flow(self, query: Query, documents: Sequence[Document] = ()) -> Flow[Rewrite]: ...


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors. `settings` is JSON and covers everything that changes a vector: model and revision, pooling,
    lengths, prefixes, number format. `similarity` is what its vectors are made to be compared by.

    `encode` gives float32, texts × dimensions, in order. A "rewrite" is a hypothetical document that is searched *with*: encoded
    as the model's authors do, usually without the query's instruction.
    """

    name: str
    similarity: Literal["cos", "dot"]

    @property
    def settings(self) -> Mapping[str, Any]: ...
    def encode(self, texts: Sequence[str], side: Side) -> NDArray[np.float32]: ...


@runtime_checkable
class Reranker(Protocol):
    """Scores the documents of one query, the higher the better; they stand in the order of the first search."""

    name: str

    @property
    def settings(self) -> Mapping[str, Any]: ...
    def scores(self, query: Query, documents: Sequence[Document]) -> Sequence[float]: ...


@runtime_checkable
class Retriever(Protocol):
    """Answers a batch of queries: array work.

    `settings` is JSON and covers everything that its answers depend on besides the queries (the collection's fingerprint too,
    where it searches one), as it was asked for: known before any work is done, so that a run made with the same settings need
    not be made again. What became of them (the analyzer that "auto" chose) is in the run's `notes["retriever"]`.
    """

    name: str

    @property
    def settings(self) -> Mapping[str, Any]: ...

    def search(self, queries: Sequence[Query], depth: int) -> Run: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRow:
    """A batch as a store keeps it: `ticket` is "" between intent and the provider's answer; `created` in seconds since 1970."""

    tag: str
    model: str
    ticket: str
    requests: int
    answered: int
    ended: bool
    created: float


@runtime_checkable
class Store(Protocol):
    """Everything that was paid for or typed. Append-only; every `add_…` is on disk when it returns.

    **Ledger.** A request is *planned* (a flow holds it), *sent* (claimed by a session), *answered* (its reply is stored) or
    failed (an attempt with its error is). `open_session` begins one drive; `exchange` is its one call per turn, all in one
    transaction: `answered` replies and `failed` attempts (digest, seconds, error) are stored, and of the digests it is `asking`
    for it returns the stored reply of those that have one, the moment (seconds since 1970) until which it is held of those
    that another living session is asking or that wait in a batch, and claims the rest: whoever is not in the answer may be
    sent. A session lives while it exchanges at least every 30 s and its process is there. `end_session` gives back its claims.
    `unanswered()` has digest, session, host, pid, sent: claims of sessions that died, that is what may have been sent, and
    paid, and was never answered. `attempts()` has digest, session, sent, seconds, error of every failed attempt.

    **Batches.** `add_batch` keeps the intent with its requests, whole, before anything is submitted; its requests are held
    until `end_batch`. `add_batch_replies` stores what came back for them; failed ones become attempts.

    **Frames.** `judgments(judge_key)` has id, judge_key, assessor, query_id, doc_id, grade (Int32), outcome, reason,
    probabilities (list[f64]), guideline, request, sample, query_key, doc_key, replaces (Int64), cost_usd, details (JSON, ""
    for none), created, in order of writing. `known(judge_key)` has only query_id, doc_id, query_key, doc_key, grade, outcome,
    sample of the newest row per (query_id, doc_id, query_key, doc_key): what a join needs, fast at 500,000 rows.
    `spending(keys)` has stage, key, and the sums of asked, known, joined, failed, tokens_in, tokens_out, tokens_cached,
    tokens_reasoning, tokens_image, unpriced (Int64), cost_usd, saved_usd and seconds, busy_s (Float64) of all `add_spending`,
    one row per stage and key, sorted.

    **Keeping less.** `keep` is what stays of a conversation: "full" (requests and replies), "replies" (no request's content),
    "grades" (neither, once `settle` says that every reply so far has become a judgment). `forget` erases every text, picture
    and reply of these documents (see `steps/forget.py`).
    """

    keep: Keep

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]: ...
    def add_replies(self, rows: Sequence[tuple[Request, Reply]]) -> None: ...
    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None: ...
    def spent_usd(self, since: float | None = None) -> float: ...

    def open_session(self, what: str) -> int: ...
    def exchange(
        self,
        session: int,
        asking: Sequence[str],
        answered: Sequence[tuple[Request, Reply]] = (),
        failed: Sequence[tuple[str, float, str]] = (),
    ) -> dict[str, Reply | float]: ...
    def end_session(self, session: int) -> None: ...
    def unanswered(self) -> pl.DataFrame: ...
    def attempts(self) -> pl.DataFrame: ...

    def add_batch(self, tag: str, requests: Sequence[Request]) -> None: ...
    def set_ticket(self, tag: str, ticket: str) -> None: ...
    def batches(self) -> list[BatchRow]: ...
    def batched(self, tag: str) -> list[str]: ...
    def add_batch_replies(self, tag: str, replies: Mapping[str, Reply]) -> None: ...
    def end_batch(self, tag: str) -> None: ...

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

    def settle(self) -> None: ...
    def forget(self, doc_ids: Sequence[str], image_digests: Sequence[str], texts: Sequence[str]) -> dict[str, int]: ...
    def verify(self) -> list[str]: ...
    def close(self) -> None: ...
