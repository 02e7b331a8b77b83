"""What one model's replies cost: dollars per million tokens of each kind, with the date and source of the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.wire import Reply, canonical
from qrelkit.models.image_tokens import ImageRule, read_rule, rule_row

NUMBERS = ("input", "output", "cached_input", "cache_write", "reasoning", "per_image")
FIELDS = (*NUMBERS, "batch", "images", "date", "source")


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """Dollars per million tokens, but `per_image`: dollars for one picture, beside its tokens.

    None means: `cached_input` and `cache_write` like `input` (for cached tokens an upper bound), `reasoning` like `output`,
    `batch` like everything online (an upper bound), `images` by no rule that is known. `json` is the price as the ledger keeps
    it beside a reply, and `read_price` reads it back.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    reasoning: float | None = None
    per_image: float | None = None
    batch: Price | None = None
    images: ImageRule | None = None
    date: str = ""
    source: str = ""
    json: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "json", canonical(self._row()).decode())

    def cost(self, reply: Reply, *, images: int | None = None, written: int = 0) -> float | None:
        """Dollars for one reply, at the batch price where it came by batch; the server's own counts, none estimated.

        None where the server did not count its tokens, or where a picture has a price (`per_image`) and nobody says how many
        `images` there were. `written` of the input tokens went into the provider's cache.
        """
        if reply.tokens_in is None or reply.tokens_out is None:
            return None
        at = self.batch if reply.batch and self.batch is not None else self
        pictures = (0 if reply.tokens_image == 0 else None) if images is None else images
        if at.per_image and pictures is None:
            return None
        cached = min(reply.tokens_cached or 0, reply.tokens_in)
        written = min(written, reply.tokens_in - cached)
        thought = min(reply.tokens_reasoning or 0, reply.tokens_out)
        millionths = (
            (reply.tokens_in - cached - written) * at.input
            + cached * _or(at.cached_input, at.input)
            + written * _or(at.cache_write, at.input)
            + (reply.tokens_out - thought) * at.output
            + thought * _or(at.reasoning, at.output)
        )
        return millionths / 1e6 + (pictures or 0) * (at.per_image or 0.0)

    def _row(self) -> dict[str, Any]:
        row = {name: getattr(self, name) for name in NUMBERS} | {"date": self.date or None, "source": self.source or None}
        row["batch"] = None if self.batch is None else {name: getattr(self.batch, name) for name in NUMBERS}
        row["images"] = None if self.images is None else rule_row(self.images)
        return _said(row)


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is unknown; a price of 0 stays."""
    return {k: _said(v) if isinstance(v, Mapping) else v for k, v in row.items() if v is not None}


def _or(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price


def read_price(row: Any, where: str = "price", *, usd: float = 1.0, date: str = "", source: str = "") -> Price:
    """A price from a mapping (or its JSON) in a currency of which one is worth `usd` dollars.

    `batch` is a mapping like the price itself, or a factor: 0.5. `date` and `source` are the table's, where the row has none.
    Raises InputError, with `where`, for what is no price, UnknownName for a field that does not exist.
    """
    row = orjson.loads(row) if isinstance(row, str) and row.startswith("{") else row
    numbers = _numbers(row, FIELDS, where, usd)
    batch = row.get("batch")
    if isinstance(batch, Mapping):
        cheaper = Price(**_numbers(batch, NUMBERS, f"{where}: batch", usd))
    elif batch is not None:
        factor = _number(batch, f"{where}: batch must be a factor such as 0.5, or {{input, output}}", "factor")
        cheaper = Price(**{name: value * factor for name, value in numbers.items()})
    return Price(
        **numbers,
        batch=None if batch is None else cheaper,
        images=None if row.get("images") is None else read_rule(row["images"], where),
        date=str(row.get("date") or date),
        source=str(row.get("source") or source),
    )


def _numbers(row: Any, known: tuple[str, ...], where: str, usd: float) -> dict[str, Any]:
    if not isinstance(row, Mapping) or not {"input", "output"} <= set(row):
        raise InputError(f"{where}: needs input and output, in dollars per million tokens, not {row!r}")
    for name in row:
        if name not in known:
            raise UnknownName(f"field of a price ({where})", str(name), known)
    return {name: _number(row[name], where, name) * usd for name in NUMBERS if name in row}


def _number(value: Any, where: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(f"{where}: {name} must be a number of dollars from 0, not {value!r}")
    return value
