"""How many tokens a picture is billed as: one rule per family of models, with the vendor's own numbers in the price table.

    tiles     base + tile · ⌈w / tile_px⌉ · ⌈h / tile_px⌉          gpt-4o, gpt-4o-mini, gpt-4.1
    patches   multiplier · ⌈w / patch_px⌉ · ⌈h / patch_px⌉         gpt-4.1-mini, gpt-5-mini (32 px), Claude since 2026 (28 px)
    area      w · h / px_per_token                                 Claude before
    flat      tokens per tile, or per picture                      Gemini
    qwen      (w / patch_px) · (h / patch_px), sides rounded       Qwen2-VL, Qwen2.5-VL, Qwen3-VL (32 px)

Each rule first makes the picture smaller as its model does; none enlarges it, except `qwen` one that is too small. They are
rules of billing as published, and change with the models: they live in the user's price file, not here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from qrelkit.core.errors import InputError, UnknownName


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiles:
    """The picture within `long_px` × `long_px`, then its shorter side at most `short_px`; `base`, and `tile` for each tile begun.

    gpt-4o: base 85, tile 170. gpt-4o-mini: base 2833, tile 5667, so that it bills a picture higher than its dear sister.
    Source: OpenAI, "Images and vision", calculating costs.
    """

    base: float
    tile: float
    tile_px: float = 512
    long_px: float = 2048
    short_px: float = 768

    def tokens(self, width: int, height: int) -> int:
        w, h = within(width, height, self.long_px)
        scale = min(1.0, self.short_px / min(w, h))
        return math.ceil(self.base + self.tile * covering(w * scale, self.tile_px) * covering(h * scale, self.tile_px))


@dataclass(frozen=True, kw_only=True, slots=True)
class Patches:
    """A token per patch begun, times `multiplier`; a picture of more than `cap` patches, or with a side beyond `long_px` (0: no
    such bound), is made smaller first.

    gpt-4.1-mini: cap 1536, multiplier 1.62. Claude: patch_px 28, cap 1568, long_px 1568, or 4784 and 2576 for the newest.
    Source: OpenAI, "Images and vision", which gives the formula of the shrinking; Anthropic, "Vision".
    """

    patch_px: float = 32
    cap: float = 1536
    multiplier: float = 1.0
    long_px: float = 0

    def tokens(self, width: int, height: int) -> int:
        w, h = within(width, height, self.long_px) if self.long_px else (float(width), float(height))
        if covering(w, self.patch_px) * covering(h, self.patch_px) > self.cap:
            scale = math.sqrt(self.patch_px**2 * self.cap / (w * h))
            across, down = w * scale / self.patch_px, h * scale / self.patch_px
            scale *= min(math.floor(side) / side if side >= 1 else 1.0 for side in (across, down))
            w, h = w * scale, h * scale
        patches = min(self.cap, covering(w, self.patch_px) * covering(h, self.patch_px))
        return math.ceil(round(self.multiplier * patches, 6))


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """A token per `px_per_token` pixels; a side beyond `long_px`, or more than `cap` tokens, is made smaller first.

    Claude before 2026: 750 pixels, 1568 px, about 1600 tokens. Source: Anthropic, "Vision", calculate image costs.
    """

    px_per_token: float = 750
    long_px: float = 1568
    cap: float = 1600

    def tokens(self, width: int, height: int) -> int:
        w, h = within(width, height, self.long_px)
        return math.ceil(min(self.cap, w * h / self.px_per_token))


@dataclass(frozen=True, kw_only=True, slots=True)
class Flat:
    """`tokens` for a picture with no side beyond `small_px`, and for each tile of a larger one; a tile is two thirds of the
    shorter side, within 256 and `tile_px`. With `tile_px: 0` every picture costs `tokens`.

    Gemini 2: 258, 384 px, 768 px; Gemini 3: 1120 and no tiles. Source: Google, "Image understanding" and "Tokens".
    """

    tokens_each: float = 258
    small_px: float = 384
    tile_px: float = 768

    def tokens(self, width: int, height: int) -> int:
        if not self.tile_px or max(width, height) <= self.small_px:
            return math.ceil(self.tokens_each)
        side = min(self.tile_px, max(256.0, math.floor(min(width, height) / 1.5)))
        return math.ceil(self.tokens_each * covering(width, side) * covering(height, side))


@dataclass(frozen=True, kw_only=True, slots=True)
class Qwen:
    """A token per patch of the picture with its sides rounded to whole patches, within `least` and `most` tokens.

    Source: `smart_resize` of Qwen2-VL's image processor (patches of 14 px, merged two by two).
    """

    patch_px: float = 28
    least: float = 4
    most: float = 16384

    def tokens(self, width: int, height: int) -> int:
        across, down = (max(1, round(side / self.patch_px)) for side in (width, height))
        patches = width * height / self.patch_px**2
        if across * down > self.most:
            shrunk = math.sqrt(patches / self.most)
            across, down = (max(1, math.floor(side / shrunk / self.patch_px)) for side in (width, height))
        elif across * down < self.least:
            grown = math.sqrt(self.least / patches)
            across, down = (math.ceil(side * grown / self.patch_px) for side in (width, height))
        return across * down


ImageRule = Tiles | Patches | Area | Flat | Qwen
RULES: Mapping[str, type[ImageRule]] = {"tiles": Tiles, "patches": Patches, "area": Area, "flat": Flat, "qwen": Qwen}
TAKES_ZERO = ("base", "long_px", "tile_px")


def read_rule(row: Any, where: str) -> ImageRule:
    """A rule from `{rule: tiles, base: 85, tile: 170 …}`; the field `tokens` of `flat` is its tokens each.

    Raises InputError, with `where`, for what is no rule or misses a number, UnknownName for a rule or field that does not exist.
    """
    if not isinstance(row, Mapping) or "rule" not in row:
        raise InputError(f"{where}: images needs a rule ({', '.join(RULES)}) and its numbers, not {row!r}")
    name = str(row["rule"])
    if name not in RULES:
        raise UnknownName(f"rule for the tokens of images ({where})", name, RULES)
    known = [_outside(field.name) for field in fields(RULES[name])]
    numbers = {}
    for key, value in row.items():
        if key == "rule":
            continue
        if key not in known:
            raise UnknownName(f"field of the rule {name} ({where})", str(key), known)
        positive = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        if not positive or (value == 0 and key not in TAKES_ZERO):
            raise InputError(f"{where}: images: {key} must be a number above 0, not {value!r}")
        numbers["tokens_each" if key == "tokens" else key] = value
    missing = [key for key in ("base", "tile") if name == "tiles" and key not in numbers]
    if missing:
        raise InputError(f"{where}: the rule tiles needs base and tile; {' and '.join(missing)} missing")
    return RULES[name](**numbers)


def rule_row(rule: ImageRule) -> dict[str, Any]:
    """The rule as `read_rule` reads it."""
    name = next(name for name, kind in RULES.items() if isinstance(rule, kind))
    return {"rule": name} | {_outside(key): value for key, value in asdict(rule).items()}


def within(width: float, height: float, long_px: float) -> tuple[float, float]:
    """Both sides scaled so that the longer is at most `long_px`."""
    scale = min(1.0, long_px / max(width, height))
    return width * scale, height * scale


def covering(side: float, unit: float) -> int:
    """How many units cover a side; at least 1. A hair beyond a whole number is what scaling leaves, and no further unit."""
    return max(1, math.ceil(side / unit - 1e-9))


def _outside(field: str) -> str:
    """A field's name in the price table: `tokens` is the method's name here."""
    return "tokens" if field == "tokens_each" else field
