"""The user's table of prices, and what a request may be expected to use.

No prices are built in: providers change them without notice and by region, contract and time of day, and a stale figure in
a table of costs would be worse than none. A price that is not given is unknown: None, never 0. The user's own file:

    date: 2026-11-01
    source: https://example.org/pricing
    currency: USD
    rates: {EUR: 1.08, date: 2026-11-01}                              # dollars for one
    models:                                                           # per million tokens
      gpt-4o-mini: {input: 0.15, cached_input: 0.075, output: 0.60, batch: 0.5, images: {rule: tiles, base: 2833, tile: 5667}}

or the mapping of models alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.wire import Picture, Reply, Request, Text
from qrelkit.models.price import Price, read_price

HEAD = ("date", "source", "currency", "rates", "models")
TOKENS_PER_MESSAGE = 4  # the role and the marks around a message, as chat templates write them
Size = Callable[[Picture], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of prices by model name: `openai:gpt-4o@rev`, without its revision or what `Chat` adds, or without `openai:`.

    All in US dollars. `rates` are dollars for one unit of another currency, as of `rates_date`; `date` and `source` are the
    table's own.
    """

    table: Mapping[str, Price] = field(default_factory=dict)
    date: str = ""
    source: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    rates_date: str = ""

    def of(self, model: str) -> Price | None:
        """The price of a model by the most exact of its names in the table; None where there is none."""
        bare = model.partition("?")[0]
        plain = bare.partition("#")[0]
        names = [model, bare, plain, plain.partition("@")[0]]
        names += [name.partition(":")[2] for name in names]
        return next((self.table[name] for name in names if name in self.table), None)

    def cost(self, model: str, reply: Reply) -> float | None:
        """Dollars for a reply of that model; None where the price or the count of tokens is unknown."""
        price = self.of(model)
        return None if price is None else price.cost(reply)

    def usd(self, amount: float, currency: str) -> float:
        """An amount in dollars. Raises InputError, with the way out, for a currency without a rate."""
        if currency == "USD":
            return amount
        if currency not in self.rates:
            way = f"add it to the price file, `rates: {{{currency}: DOLLARS FOR ONE}}`, or say the amount in USD"
            raise InputError(f"no rate for {currency}: {way}")
        return amount * self.rates[currency]


def read_prices(source: Path | str | Mapping[str, Any]) -> Prices:
    """Prices from a YAML file or a mapping, of either form (see above), per million tokens.

    Raises InputError with file and line for what is no such table, UnknownName for a field that does not exist.
    """
    if isinstance(source, Mapping):
        return _prices(source, "prices", lambda model: f"price of {model}")
    rows, lines = _load(Path(source))
    return _prices(rows, str(source), lambda model: f"{source}:{lines.get(model, 1)}: price of {model}")


def _prices(rows: Mapping[Any, Any], where: str, place: Callable[[str], str]) -> Prices:
    if not _has_head(rows):
        return Prices({str(model): read_price(row, place(str(model))) for model, row in rows.items()})
    for name in rows:
        if name not in HEAD:
            raise UnknownName(f"key of a price file ({where})", str(name), HEAD)
    models = rows.get("models") or {}
    if not isinstance(models, Mapping):
        raise InputError(f"{where}: models must be a mapping of model to its price")
    rates, dated = _rates(rows.get("rates") or {}, where)
    date, source = str(rows.get("date") or ""), str(rows.get("source") or "")
    table = Prices({}, date, source, rates, dated)
    usd = table.usd(1.0, str(rows.get("currency") or "USD"))
    prices = {str(m): read_price(row, place(str(m)), usd=usd, date=date, source=source) for m, row in models.items()}
    return Prices(prices, date, source, rates, dated)


def _has_head(rows: Mapping[Any, Any]) -> bool:
    """Whether it is the form with `models:`; a model may be called models, and then it has an input price."""
    models = rows.get("models")
    if isinstance(models, Mapping) and "input" not in models:
        return True
    return bool(rows) and set(rows) <= set(HEAD) and not any(isinstance(row, Mapping) and "input" in row for row in rows.values())


def _rates(rows: Any, where: str) -> tuple[dict[str, float], str]:
    if not isinstance(rows, Mapping):
        raise InputError(f"{where}: rates are dollars for one of each currency, such as {{EUR: 1.08}}, not {rows!r}")
    rates = {str(name): value for name, value in rows.items() if name not in ("date", "source")}
    for name, value in rates.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InputError(f"{where}: rates: {name} must be dollars for one, above 0, not {value!r}")
    return rates, str(rows.get("date") or "")


def _load(path: Path) -> tuple[dict[Any, Any], dict[str, int]]:
    """The rows of a YAML file, and the line of each model."""
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
    lines: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        inner = value.value if _has_head(rows) and key.value == "models" and isinstance(value, yaml.MappingNode) else ()
        lines |= {str(name.value): name.start_mark.line + 1 for name, _ in [(key, value), *inner]}
    return rows, lines


def tokens_of_text(text: str) -> int:
    """About how many tokens a text is: (chars − wide) / 4 + wide, with wide = (UTF-8 bytes − chars) / 2.

    Four characters of English, or one of Chinese, Japanese or Korean, are about one token; Cyrillic, Greek and accents
    come out between. Measured against OpenAI's encodings: English papers and passages need 0.83–0.87 of it (o200k and
    cl100k), Chinese medical texts 0.97 (o200k) and 1.43–1.47 (cl100k). Meant for reserving money, never for reporting it.
    """
    narrow, wide = characters(text)
    return math.ceil(narrow / 4 + wide)


def characters(text: str) -> tuple[float, float]:
    """Characters of which four are about a token, and of which one is."""
    chars = len(text)
    wide = 0.0 if text.isascii() else (len(text.encode("utf-8", "surrogatepass")) - chars) / 2
    return chars - wide, wide


def tokens_of_image(width: int, height: int) -> int:
    """About how many tokens an image is where no rule is known: width × height / 750.

    Rough: 786 for 768 × 768, where OpenAI's tiles for GPT-4o give 765 and Qwen2.5-VL's patches of 28 × 28 give 729. Some models
    count far more (GPT-4o-mini 25,501), others far less.
    """
    return math.ceil(width * height / 750)


def longest(picture: Picture) -> tuple[int, int]:
    """The largest a picture may be when it leaves, without looking at it: a square of the longest side it may have."""
    return picture.shrink.max_side_px, picture.shrink.max_side_px


def measured(picture: Picture) -> tuple[int, int]:
    """The size a picture has when it leaves, from its header; `longest` for one that cannot be read."""
    from qrelkit.images.read import opened
    from qrelkit.images.shrink import fitted

    try:
        raster = opened(picture.image.read(), picture.image.name)
    except (InputError, OSError):
        return longest(picture)
    return fitted(raster.width, raster.height, picture.shrink.max_side_px)


def tokens_of_picture(picture: Picture, price: Price | None = None, size: Size = longest) -> int:
    """About how many tokens a picture is, by the model's own rule where the price has one."""
    count = tokens_of_image if price is None or price.images is None else price.images.tokens
    return count(*size(picture))


def tokens_of_request(request: Request, price: Price | None = None, size: Size = longest) -> int:
    """About how many tokens a request is; `size=measured` reads the pictures' headers and is exacter, and slower."""
    total = 0
    for message in request.messages:
        total += TOKENS_PER_MESSAGE
        for part in message.parts:
            total += tokens_of_text(part.text) if isinstance(part, Text) else tokens_of_picture(part, price, size)
    return total


def tokens_of_asked(asked: Mapping[str, Any], price: Price | None = None) -> int | None:
    """The same of a conversation as the ledger shows it, a picture as its `longest` square; None where a part was not kept."""
    total = 0
    for message in asked["messages"]:
        total += TOKENS_PER_MESSAGE
        for part in message["parts"]:
            if part["type"] == "text":
                total += tokens_of_text(part["text"])
            elif part["type"] == "image":
                side = int(part["shrink"].split(":")[1])
                total += tokens_of_image(side, side) if price is None or price.images is None else price.images.tokens(side, side)
            else:
                return None
    return total
