"""What is said to a model and what it answers, content-addressed.

A `Request` is made of parts (texts, pictures), each hashed once however many pairs share it. The digest of a request
covers model name and revision, every part of the messages, sampling settings, reply schema and sample number; not
time-outs, retries, concurrency, prices, keys. All digests are SHA-256 over canonical JSON, hex, first 32 digits (128
bits), with a recipe tag in front, so that a change of the recipe is visible:

    r1:  {"model": …, "messages": [[role, [part digest, …]], …], "settings": {…}, "schema": digest | null, "sample": n}

Canonical JSON: keys sorted, no blanks, UTF-8, no floats that are whole numbers written with exponent; what orjson with
OPT_SORT_KEYS writes. `tests/golden/digests.json` holds digests that no release may change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import orjson

from qrelkit.core.records import Image

RECIPE = "r1:"
T = TypeVar("T")


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no blanks, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest_bytes(data: bytes) -> str:
    """First 128 bits of SHA-256, as 32 hex digits."""
    return hashlib.sha256(data).hexdigest()[:32]


def digest_of(value: Any) -> str:
    """Digest of a JSON value."""
    return digest_bytes(canonical(value))


class Text:
    """A piece of text inside a message; made by `text()`, which hashes it. Two with one digest are equal.

    A long text that many requests share need not be kept: `again(make)` is the same part, which makes its text anew when
    somebody looks at it. `chars` is its length, and `ascii` whether it has no other characters.
    """

    __slots__ = ("_make", "_text", "ascii", "chars", "digest")

    def __init__(self, text: str, digest: str) -> None:
        self._text: str | None = text
        self._make: Callable[[], str] | None = None
        self.digest, self.chars, self.ascii = digest, len(text), text.isascii()

    @property
    def text(self) -> str:
        if self._text is not None:
            return self._text
        assert self._make is not None
        return self._make()

    def again(self, make: Callable[[], str]) -> Text:
        """This part without its text, which `make` will give."""
        other = Text("", self.digest)
        other.chars, other.ascii, other._text, other._make = self.chars, self.ascii, None, make
        return other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Text({self.chars:,} characters, {self.digest})"


def text(value: str) -> Text:
    """A text part with its digest."""
    return Text(value, digest_bytes(b"t:" + value.encode("utf-8", "surrogatepass")))


@dataclass(frozen=True, slots=True)
class Shrink:
    """How an image is made smaller before it leaves: part of the request, so of its digest."""

    max_side_px: int = 768
    format: Literal["jpeg", "png"] = "jpeg"
    quality: int = 85

    @property
    def key(self) -> str:
        return f"{self.format}:{self.max_side_px}:{self.quality}"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image inside a message: named by its original bytes and the shrink settings, encoded only on its way out."""

    image: Image
    shrink: Shrink
    digest: str = field(compare=False)


def picture(image: Image, shrink: Shrink) -> Picture:
    """A picture part with its digest."""
    return Picture(image, shrink, digest_bytes(f"i:{image.digest}:{shrink.key}".encode()))


Part = Text | Picture


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Sampling settings; None is not sent."""

    temperature: float | None = 0.0
    max_tokens: int | None = 1024
    top_p: float | None = None
    seed: int | None = None
    token_probabilities: bool = False  # ask for the probabilities of the tokens, where the server gives them

    def json(self) -> dict[str, Any]:
        """What is given; a temperature or `top_p` as a float, so that 0 and 0.0 are one request."""
        reals = {"temperature": self.temperature, "top_p": self.top_p}
        out: dict[str, Any] = {name: float(value) for name, value in reals.items() if value is not None}
        out |= {name: value for name, value in (("max_tokens", self.max_tokens), ("seed", self.seed)) if value is not None}
        return out | ({"token_probabilities": True} if self.token_probabilities else {})


@dataclass(frozen=True, slots=True)
class Schema:
    """The JSON schema a reply should keep to, with the name servers want for it."""

    name: str
    schema: dict[str, Any] = field(hash=False)
    digest: str = ""

    @staticmethod
    def of(name: str, schema: dict[str, Any]) -> Schema:
        return Schema(name, schema, digest_of([name, schema]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One question to one model. `model` is `provider:name`, with `@revision` where there is one."""

    model: str
    messages: tuple[Message, ...]
    settings: Settings = Settings()
    schema: Schema | None = None
    sample: int = 0

    _envelope: bytes = field(default=b"", init=False, repr=False, compare=False)

    def envelope(self) -> bytes:
        """The canonical JSON that the digest covers: parts by their digests. Computed once."""
        if not self._envelope:
            value = {
                "model": self.model,
                "messages": [[m.role, [p.digest for p in m.parts]] for m in self.messages],
                "settings": self.settings.json(),
                "schema": self.schema.digest if self.schema else None,
                "sample": self.sample,
            }
            object.__setattr__(self, "_envelope", canonical(value))
        return self._envelope

    @property
    def digest(self) -> str:
        """The request's name in the ledger: the recipe's tag and 32 hex digits."""
        return RECIPE + digest_bytes(self.envelope())


ReplyOutcome = Literal["answered", "refused", "truncated", "truncated_input", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back. `outcome` is "answered", "refused" (the model or a filter declined), "truncated" (the length
    limit cut it), "truncated_input" (the server counted far fewer tokens than it was sent: it cut the prompt and answered all
    the same), or "failed" (nothing came; `error` says why). Only "failed" was not paid for and is never stored as a reply.

    Tokens: `tokens_in` are all of the input, of which `tokens_cached` came from the provider's cache and `tokens_image` are
    images; `tokens_out` are all of the output, of which `tokens_reasoning` were not shown. None where the server did not say.
    `price` is the price that `cost_usd` was reckoned by, as JSON with its date and source ("" where none is known); `batch`
    says that it came through a batch endpoint, at that price. `token_probabilities` is one entry per output token: (token,
    {alternative: log probability}).
    """

    text: str
    outcome: ReplyOutcome = "answered"
    served: str = ""  # the model's name as the server reports it
    finish: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    tokens_image: int | None = None
    tokens_written: int | None = None  # of the input, into the provider's cache, which some charge for; only until it is priced
    cost_usd: float | None = None
    price: str = ""
    batch: bool = False
    latency_s: float | None = None
    attempts: int = 1
    error: str = ""
    token_probabilities: tuple[tuple[str, dict[str, float]], ...] | None = None
    request: str = ""  # digest of the request it answers
    known: bool = False  # it came from the ledger: no request left the house

    def kept(self, request: str, cost_usd: float | None, price: str, outcome: ReplyOutcome | None = None) -> Reply:
        """This reply as the ledger keeps it. Written out, since `dataclasses.replace` takes three times as long."""
        return Reply(
            text=self.text,
            outcome=outcome or self.outcome,
            served=self.served,
            finish=self.finish,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            tokens_cached=self.tokens_cached,
            tokens_reasoning=self.tokens_reasoning,
            tokens_image=self.tokens_image,
            cost_usd=cost_usd,
            price=price,
            batch=self.batch,
            latency_s=self.latency_s,
            attempts=self.attempts,
            error=self.error,
            token_probabilities=self.token_probabilities,
            request=request,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How fast a model may be asked, as far as its user knows: per minute. None is not known."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a server said, with its last answer, is left of its own limits until they begin anew in `reset_s` seconds.

    The two limits have resets of their own. None is not said.
    """

    requests: int | None = None
    tokens: int | None = None
    requests_reset_s: float | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """How a batch stands with its provider: `replies` (by request digest) is filled once it has `ended`, in part or whole.

    A request that expired, was cancelled or was refused in it is a reply with the outcome "failed" and its error; one that is
    missing was never answered. `counts` is what the provider says of its progress.
    """

    ended: bool
    replies: Mapping[str, Reply] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


Round = Sequence[Request]
Flow = Generator[Round, Sequence[Reply], T]
