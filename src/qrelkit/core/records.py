"""The single rows: used where one pair is talked about. Bulk work is done on frames.

`Judgment` is what an assessor said of a pair. A grade is `int | None`; None always has an outcome other
than "graded", and is never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from qrelkit.core.rewriting import Combine

Outcome = Literal["graded", "refused", "unparsable", "out_of_range", "failed", "truncated_input"]
OUTCOMES: tuple[Outcome, ...] = ("graded", "refused", "unparsable", "out_of_range", "failed", "truncated_input")
PAID: tuple[Outcome, ...] = ("refused", "unparsable", "out_of_range", "truncated_input")  # a reply came and was no grade


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image is its bytes: `digest` is their SHA-256 (hex). Only a Source knows where they come from.

    `read()` gives the original bytes; `position` counts from 0 inside its document or query.
    """

    digest: str
    read: Callable[[], bytes] = field(repr=False, compare=False)
    caption: str = ""
    position: int = 0
    name: str = ""  # for people (a file name); never part of any digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a system is asked; `columns` holds whatever else the file said (language, weight …).

    `rewrites` are texts to search with besides (hypothetical documents), `combine` is the rule that joins them with the query:
    for a retriever only, never shown to an assessor.
    """

    query_id: str
    text: str
    images: tuple[Image, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict, compare=False)
    fingerprint: str = ""
    rewrites: tuple[str, ...] = ()
    combine: Combine | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """The retrieved unit; `text` is title and text joined by a space, as retrieval sees it."""

    doc_id: str
    text: str
    title: str = ""
    images: tuple[Image, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict, compare=False)
    fingerprint: str = ""

    def whole(self) -> Document:
        """This document with everything read."""
        return self


class LateDocument(Document):
    """A document that is read when somebody looks at more than its id and fingerprint: a judge that has shown it before
    does not."""

    __slots__ = ("_read",)
    _read: Callable[[], Document]

    def __init__(self, doc_id: str, fingerprint: str, read: Callable[[], Document]) -> None:
        object.__setattr__(self, "doc_id", doc_id)
        object.__setattr__(self, "fingerprint", fingerprint)
        object.__setattr__(self, "_read", read)

    def whole(self) -> Document:
        return self._read()

    @property
    def text(self) -> str:
        return self._read().text

    @property
    def title(self) -> str:
        return self._read().title

    @property
    def images(self) -> tuple[Image, ...]:
        return self._read().images

    @property
    def columns(self) -> Mapping[str, Any]:
        return self._read().columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A query and a document to be judged; the two keys are all that a known judgment is found by."""

    query: Query
    document: Document
    query_key: str = ""
    doc_key: str = ""
    sample: int = 0  # how often it was asked before: a retry is the next sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgment:
    """One assessor's verdict on one pair.

    `probabilities` has one number per grade of the scale, lowest first, summing to 1. `request` is the digest of
    the last request asked, `guideline` the version used ("" for none), `replaces` the id of a corrected row. `details` is
    what else a strategy wants kept, as JSON values: the position in a shared request, the votes of a panel, the stage of a
    cascade.
    """

    query_id: str
    doc_id: str
    grade: int | None
    outcome: Outcome
    reason: str = ""
    probabilities: tuple[float, ...] | None = None
    guideline: str = ""
    request: str = ""
    sample: int = 0
    query_key: str = ""
    doc_key: str = ""
    replaces: int | None = None
    cost_usd: float | None = None
    details: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.grade is None) == (self.outcome == "graded"):
            raise ValueError(f"a judgment with grade {self.grade!r} cannot have the outcome {self.outcome!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number that never travels alone: its value, a 95 % interval, and what it was counted from.

    `n` is the number of units that the interval resamples (queries, unless said otherwise). A mean of nothing is
    NaN with a `reason`. `low` and `high` are NaN where no interval can be given.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    reason: str = ""

    def json(self) -> dict[str, Any]:
        """The stable form scripts rely on: NaN is null, with its reason."""
        out: dict[str, Any] = {name: finite(getattr(self, name)) for name in ("value", "low", "high")}
        out["n"] = self.n
        if self.reason:
            out["reason"] = self.reason
        return out

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "n/a"
        if math.isnan(self.low):
            return f"{self.value:.4f}"
        return f"{self.value:.4f} [{self.low:.3f}, {self.high:.3f}]"


def finite(value: float | None) -> float | None:
    """None for NaN and infinities, which JSON does not have."""
    return None if value is None or not math.isfinite(value) else float(value)


def counted(n: int, noun: str) -> str:
    """`1 query`, `2 queries`, `1,000 pairs`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{n:,} {noun if n == 1 else plural}"
