"""What replies cost, and what a request may be expected to use.

No prices are built in: providers change them without notice and by region, contract and time of day, and a stale figure in
a table of costs would be worse than none. A price that is not given is unknown: None, never 0. The user's own table:

    gpt-4o-mini: {input: 0.15, output: 0.60, cached_input: 0.075}     # dollars per million tokens
    openai:my-own-server: {input: 0, output: 0}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.wire import Reply, Request, Text

FIELDS = ("input", "output", "cached_input")
TOKENS_PER_MESSAGE = 4  # the role and the marks around a message, as chat templates write them


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """Dollars per million tokens. `cached_input` None counts cached tokens like the others: an upper bound."""

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, tokens_in: int | None, tokens_out: int | None, tokens_cached: int | None = None) -> float | None:
        """Dollars for one reply; `tokens_cached` are part of `tokens_in`. None where the server did not count."""
        if tokens_in is None or tokens_out is None:
            return None
        cached = min(tokens_cached or 0, tokens_in)
        at_cached = self.input if self.cached_input is None else self.cached_input
        return ((tokens_in - cached) * self.input + cached * at_cached + tokens_out * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of prices by model name: `openai:gpt-4o@rev`, without its revision or options, or without `openai:`."""

    table: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """The price of a model by the most exact of its names in the table; None where there is none."""
        bare = model.partition("?")[0]
        names = [model, bare, bare.partition("@")[0]]
        names += [name.partition(":")[2] for name in names]
        return next((self.table[name] for name in names if name in self.table), None)

    def cost(self, model: str, reply: Reply) -> float | None:
        """Dollars for a reply of that model; None where the price or the count of tokens is unknown."""
        price = self.of(model)
        return None if price is None else price.cost(reply.tokens_in, reply.tokens_out, reply.tokens_cached)


def read_prices(source: Path | str | Mapping[str, Any]) -> Prices:
    """Prices from a YAML file or a mapping {model: {input, output, cached_input?}}, in dollars per million tokens.

    Raises InputError with file and line for what is no such table, UnknownName for a field that does not exist.
    """
    if isinstance(source, Mapping):
        return Prices({str(model): _price(row, f"price of {model}") for model, row in source.items()})
    rows, lines = _load(Path(source))
    place = {model: f"{source}:{lines.get(str(model), 1)}: price of {model}" for model in rows}
    return Prices({str(model): _price(row, place[model]) for model, row in rows.items()})


def _load(path: Path) -> tuple[dict[Any, Any], dict[str, int]]:
    """The rows of a YAML file and the line of each."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        rows = yaml.safe_load(text) or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of prices") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(rows, dict):
        raise InputError(f"{path}: prices are a mapping of model to {{input, output, cached_input}}")
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    keys = [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    return rows, {str(key.value): key.start_mark.line + 1 for key in keys}


def _price(row: Any, where: str) -> Price:
    if not isinstance(row, Mapping) or not {"input", "output"} <= set(row):
        raise InputError(f"{where}: needs input and output, in dollars per million tokens, not {row!r}")
    for name, value in row.items():
        if name not in FIELDS:
            raise UnknownName(f"field of a price ({where})", str(name), FIELDS)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise InputError(f"{where}: {name} must be a number of dollars from 0, not {value!r}")
    return Price(**row)


def tokens_of_text(text: str) -> int:
    """About how many tokens a text is: (chars − wide) / 4 + wide, with wide = (UTF-8 bytes − chars) / 2.

    Four characters of English, or one of Chinese, Japanese or Korean, are about one token; Cyrillic, Greek and accents
    come out between. Rough (± 30 %), meant for reserving money, never for reporting it.
    """
    chars = len(text)
    wide = 0.0 if text.isascii() else (len(text.encode("utf-8", "surrogatepass")) - chars) / 2
    return math.ceil((chars - wide) / 4 + wide)


def tokens_of_image(width: int, height: int) -> int:
    """About how many tokens an image is: width × height / 750.

    Rough: 786 for 768 × 768, where Anthropic's documentation gives the same formula, OpenAI's tiles for GPT-4o give 765
    and Qwen2.5-VL's patches of 28 × 28 give 752. Some models count far more (GPT-4o-mini 25,501), others far less.
    """
    return math.ceil(width * height / 750)


def tokens_of_request(request: Request) -> int:
    """About how many tokens a request is; an image counts as a square of the longest side it may have."""
    total = 0
    for message in request.messages:
        total += TOKENS_PER_MESSAGE
        for part in message.parts:
            if isinstance(part, Text):
                total += tokens_of_text(part.text)
            else:
                total += tokens_of_image(part.shrink.max_side_px, part.shrink.max_side_px)
    return total
