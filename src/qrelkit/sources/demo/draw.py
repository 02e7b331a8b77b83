"""Draws a product: shape, colour and pattern on a plain light ground, each a little different from the next.

The grid is twice as fine as the picture; a pixel is the mean of four cells, taken to the nearest of 16 colours. All of it
in whole numbers, so that every machine draws the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qrelkit.sources.demo.catalogue import Product
from qrelkit.sources.demo.chance import Chance
from qrelkit.sources.demo.png import png
from qrelkit.sources.demo.shapes import HEIGHT, WIDTH, Mask, shape
from qrelkit.sources.demo.words import COLOURS

RGB = tuple[int, int, int]
GROUNDS: tuple[RGB, ...] = ((236, 233, 228), (230, 235, 240), (238, 233, 222), (230, 237, 232), (239, 231, 230))
SIZES = (88, 92, 96, 100)
PAINTS = ("ground", "shadow", "ink", "base", "base dark", "second", "second dark", "trim")
MIXES = (
    ("ground", "ink"), ("shadow", "ink"), ("base", "ink"), ("base dark", "ink"),
    ("second", "ink"), ("trim", "ink"), ("base", "second"), ("base dark", "second dark"),
)  # fmt: skip


def draw(product: Product, seed: int) -> bytes:
    """The picture of a product: 160 × 200 pixels, PNG."""
    chance = Chance(seed, f"picture of {product.doc_id}")
    paints = _paints(product, chance)
    mixes = [_mixed(paints[a], paints[b]) for a, b in MIXES]
    palette = [*paints.values(), *mixes]
    return png(_pixels(_paint_cells(product, chance), palette), palette)


def _paints(product: Product, chance: Chance) -> Mapping[str, RGB]:
    """The eight paints, in the order of PAINTS; the shade of a colour differs from product to product."""
    shift = chance.below(21, "shade") - 10
    base, second = (_tinted(COLOURS[name].rgb, chance, name, shift) for name in (product.colour, product.second))
    ground = chance.pick(GROUNDS, "ground")
    trim = _scaled(base, 80) if sum(base) > 200 else _lifted(base, 34)
    if product.kind.name == "sneaker":
        trim = (250, 249, 245)
    elif product.pattern != "plain" and chance.happens(50, "trim of second"):
        trim = second
    paints = (ground, _lifted(ground, -9), _ink(base), base, _scaled(base, 90), second, _scaled(second, 90), trim)
    return dict(zip(PAINTS, paints, strict=True))


def _paint_cells(product: Product, chance: Chance) -> NDArray[np.int64]:
    """Which paint each cell has; a later layer covers the earlier ones."""
    made = shape(product.kind.name, chance.pick(SIZES, "size"))
    motif = made.body & _pattern(product.pattern, chance)
    layers: tuple[tuple[str, Mask], ...] = (
        ("shadow", np.roll(made.body | made.trim, (9, 8), (0, 1))),
        ("base", made.body),
        ("base dark", made.folds),
        ("second", motif),
        ("second dark", motif & made.folds),
        ("trim", made.trim),
        ("ink", made.ink),
    )
    cells = np.zeros((HEIGHT, WIDTH), np.int64)
    for paint, mask in layers:
        cells[mask] = PAINTS.index(paint)
    down, right = 2 * (chance.below(9, "down") - 4), 2 * (chance.below(9, "right") - 4)
    return np.roll(cells, (down, right), (0, 1))


def _pattern(name: str, chance: Chance) -> Mask:
    """Where the second colour goes; less than half of the cells, or a striped thing would be of two colours."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    period = chance.pick((28, 32, 38), "period")
    phase = chance.below(period, "phase")
    if name == "striped":
        along = x if chance.happens(30, "upright") else y
        return np.broadcast_to((along + phase) % period < period * 3 // 8, (HEIGHT, WIDTH))
    if name == "checked":
        thick = period // 5
        return np.asarray(((x + phase) % period < thick) | ((y + phase) % period < thick))
    if name == "dotted":
        row = (y + phase) // period
        dx, dy = (x + row % 2 * (period // 2)) % period - period // 2, (y + phase) % period - period // 2
        return np.asarray(dx**2 + dy**2 <= (period * 3 // 10) ** 2)
    return np.zeros((HEIGHT, WIDTH), bool)


def _pixels(cells: NDArray[np.int64], palette: list[RGB]) -> NDArray[np.uint8]:
    """The palette's nearest colour to the mean of each pixel's four cells."""
    four = np.stack([cells[0::2, 0::2], cells[0::2, 1::2], cells[1::2, 0::2], cells[1::2, 1::2]])
    out = four[0].astype(np.uint8)
    mixed = (four != four[0]).any(axis=0)
    colours = np.array(palette)
    sums = colours[four[:, mixed]].sum(axis=0)  # four times the mean, so still whole
    distances = ((sums[:, None, :] - 4 * colours[None, :, :]) ** 2).sum(axis=2)
    out[mixed] = distances.argmin(axis=1)
    return np.asarray(out)


def _scaled(colour: RGB, percent: int) -> RGB:
    r, g, b = (value * percent // 100 for value in colour)
    return r, g, b


def _lifted(colour: RGB, by: int) -> RGB:
    r, g, b = (min(255, max(0, value + by)) for value in colour)
    return r, g, b


def _mixed(one: RGB, other: RGB) -> RGB:
    r, g, b = ((x + y) // 2 for x, y in zip(one, other, strict=True))
    return r, g, b


def _tinted(colour: RGB, chance: Chance, name: str, shift: int) -> RGB:
    """The colour a little lighter or darker, and each channel a little off."""
    r, g, b = (min(255, max(0, v + shift + chance.below(9, f"{name} {c}") - 4)) for v, c in zip(colour, "rgb", strict=True))
    return r, g, b


def _ink(base: RGB) -> RGB:
    """The outline: the colour itself, much darker; for very dark things lighter, so that folds and seams still show."""
    return _scaled(base, 45) if sum(base) > 200 else _lifted(base, 44)
