"""What simple arithmetic sees in a picture: dominant colours, pattern, shape. It knows nothing of what is depicted.

    bytes ──▶ pixels ──▶ figure (what is not the plain ground) ──▶ shares of named colours, repetition, proportions

Made for product pictures on a plain ground; where the border is not of one colour, the whole picture counts as figure.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qrelkit.core.errors import InputError

Pattern = Literal["plain", "striped", "dotted", "checked", "mixed"]
Direction = Literal["", "horizontal", "vertical", "diagonal"]
Shape = Literal["tall", "square", "wide"]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.int16]  # height × width × 3

COLOURS: Mapping[str, str] = {  # English: German
    "black": "schwarz", "white": "weiß", "grey": "grau", "red": "rot", "orange": "orange", "yellow": "gelb", "green": "grün",
    "turquoise": "türkis", "blue": "blau", "navy": "dunkelblau", "purple": "lila", "pink": "rosa", "brown": "braun",
    "beige": "beige",
}  # fmt: skip
MAX_SIDE_PX = 200
GROUND_NEAR = 13  # how far (of 255, in any channel) a pixel may be from the border's colour and still be ground
TONE_APART = 48  # from here on a pixel has another colour than the figure's main one, not another shade
COLOUR_SHARE = 0.1  # a colour is named when it covers at least this share of the figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen. `colours`: (English name, share of the figure), largest first, together at most 1. `direction` is that of
    stripes, "" for anything else. `shape` is that of the figure's frame: tall or wide when one side is 1.25 times the other.
    """

    colours: tuple[tuple[str, float], ...]
    pattern: Pattern
    direction: Direction
    shape: Shape


def describe(data: bytes) -> Look:
    """What a picture looks like, from its pixels alone.

    `plain` means that nothing repeats (parts of different colours are still plain), `mixed` that something varies and is neither
    stripes, dots nor checks. A picture of one colour is its own figure. Raises InputError for bytes that are no readable image.
    """
    pixels = _pixels(data)
    figure = _figure(pixels)
    inner = _without_rim(figure)
    pattern, direction = _pattern(pixels, inner)
    return Look(colours=_colours(pixels[inner]), pattern=pattern, direction=direction, shape=_shape(figure))


def _pixels(data: bytes) -> Pixels:
    """RGB of at most MAX_SIDE_PX a side, turned upright, transparency on white."""
    from PIL import Image, ImageOps

    most = (MAX_SIDE_PX, MAX_SIDE_PX)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata; and of the size a Source has its own limit
            image = Image.open(io.BytesIO(data))
            image.draft("RGB", most)
            if image.mode in ("L", "RGB", "RGBA", "CMYK"):  # the others have no mean of pixels before they are converted
                image.thumbnail(most, Image.Resampling.BOX)
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, struct.error) as error:
        raise InputError(f"not a readable image ({error})") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"the image is too large to be opened safely ({error})") from None
    flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    flat.thumbnail(most, Image.Resampling.BOX)
    return np.asarray(flat).astype(np.int16)


def _figure(pixels: Pixels) -> Mask:
    """What is not ground: ground is what has the border's colour and hangs together with the border."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0).astype(np.int16)
    near = _apart(pixels, colour) <= GROUND_NEAR
    plain = (_apart(border, colour) <= GROUND_NEAR).mean() >= 0.75
    figure = ~_reached(near)
    return figure if plain and figure.mean() >= 0.01 else np.ones_like(near)


def _apart(pixels: Pixels, other: Pixels) -> Pixels:
    """How far pixels are from others: the largest difference of a channel, 0–255."""
    difference = np.abs(pixels - other)
    return np.asarray(np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2]))


def _reached(free: Mask) -> Mask:
    """The free pixels that a walk from the border over free pixels reaches, run by run along rows and columns in turn."""
    reached = free.copy()
    reached[1:-1, 1:-1] = False
    while True:
        wider = _along_rows(free, _along_rows(free.T, reached.T).T)
        if (wider == reached).all():
            return reached
        reached = wider


def _along_rows(free: Mask, reached: Mask) -> Mask:
    """Every run of free pixels in a row that holds a reached one."""
    runs = _runs(free)
    hit = np.bincount(runs.ravel(), reached.ravel()) > 0
    return hit[runs] & free


def _runs(mask: Mask) -> NDArray[np.int64]:
    """The number of the run each pixel belongs to: pixels of one row, side by side, that are equal."""
    new = np.ones(mask.shape, bool)
    new[:, 1:] = mask[:, 1:] != mask[:, :-1]
    return np.cumsum(new.ravel()).reshape(mask.shape) - 1


def _without_rim(figure: Mask, px: int = 2) -> Mask:
    """The figure less its outline, which mixes with the ground; the figure itself when it is too thin for that."""
    inner = np.pad(figure, px)
    for axis in (0, 1):
        inner = np.logical_and.reduce([np.roll(inner, step, axis) for step in range(-px, px + 1)])
    inner = inner[px:-px, px:-px]
    return inner if inner.sum() >= 0.3 * figure.sum() else figure


def _colours(pixels: Pixels) -> tuple[tuple[str, float], ...]:
    """Named colours of n × 3 pixels with their shares, largest first; at least one."""
    shares = np.bincount(named(pixels), minlength=len(COLOURS)) / max(1, len(pixels))
    order = np.argsort(-shares, kind="stable")
    names = tuple(COLOURS)
    return tuple((names[i], round(float(shares[i]), 3)) for i in order if shares[i] >= COLOUR_SHARE or i == order[0])


def named(pixels: Pixels) -> NDArray[np.int64]:
    """The index in COLOURS of the name of each of n × 3 pixels, by bins of hue (0–360), chroma and value (0–255)."""
    r, g, b = (pixels[:, i].astype(np.float64) for i in range(3))
    value, low = pixels.max(axis=1).astype(np.float64), pixels.min(axis=1)
    chroma = value - low
    saturation, c = chroma / np.maximum(value, 1), np.maximum(chroma, 1)
    sixth = np.select([value == r, value == g], [((g - b) / c) % 6, (b - r) / c + 2], (r - g) / c + 4)
    hue = 60 * sixth
    warm, bluish = (hue < 70) | (hue >= 340), (hue >= 195) & (hue < 265)
    grey = (chroma < 24) | (saturation < 0.12)
    bins: tuple[tuple[str, NDArray[np.bool_]], ...] = (
        ("navy", bluish & (value < 135) & (chroma >= 28)),
        ("black", (value < 62) | (grey & (value < 70))),
        ("white", grey & (value >= 224)),
        ("grey", grey),
        ("beige", (hue >= 15) & (hue < 60) & (saturation < 0.45) & (value >= 165)),
        ("brown", warm & (hue >= 8) & (hue < 50) & (value < 165)),
        ("pink", ((hue >= 300) & (hue < 350)) | (warm & ((hue < 15) | (hue >= 340)) & (saturation < 0.6) & (value >= 180))),
        ("red", (hue < 15) | (hue >= 350)),
        ("orange", hue < 38),
        ("yellow", (hue < 68) & (value >= 140)),
        ("green", hue < 160),
        ("turquoise", hue < 195),
        ("blue", hue < 250),
    )
    names = list(COLOURS)
    return np.select([inside for _, inside in bins], [names.index(name) for name, _ in bins], names.index("purple"))


def _patterned(pixels: Pixels, inner: Mask) -> Mask:
    """The figure less its solid areas: squares without an edge, a quarter as wide as the figure, where no pattern can be."""
    edge: Mask = np.zeros_like(inner)
    for axis in (0, 1):
        steps = _apart(pixels, np.roll(pixels, -1, axis))
        edge |= (steps >= TONE_APART // 2) & inner & np.roll(inner, -1, axis)
    cells = int(inner.sum() ** 0.5 / 9)
    solid = _boxed(_boxed(edge, cells) == 0, cells) > 0
    return inner & ~solid


def _boxed(mask: Mask, cells: int) -> NDArray[np.int64]:
    """How many pixels of the mask lie in the square around each pixel, `cells` to either side."""
    side = 2 * cells + 1
    sums = np.pad(np.pad(mask, cells).astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return np.asarray(sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side])


def _other_tone(pixels: Pixels, zone: Mask) -> Mask:
    """Where the zone has another colour than its main one."""
    coarse = (pixels[zone] >> 5) @ np.array([64, 8, 1])
    main = np.bincount(coarse).argmax()
    base = np.median(pixels[zone][coarse == main], axis=0).astype(np.int16)
    return np.asarray(zone & (_apart(pixels, base) >= TONE_APART))


def _pattern(pixels: Pixels, inner: Mask) -> tuple[Pattern, Direction]:
    """Stripes run one way, checks both ways, dots neither, and all of them repeat."""
    zone = _patterned(pixels, inner)
    if zone.sum() < 0.2 * inner.sum():
        return "plain", ""
    other = _other_tone(pixels, zone)
    if other.sum() < 0.1 * zone.sum():
        return "plain", ""
    (width, across), (height, down) = _lengths(other), _lengths(other.T)
    per_row, per_column = len(across) / zone.any(axis=1).sum(), len(down) / zone.any(axis=0).sum()
    ratio = width[other] / height.T[other]
    flat, upright = (ratio >= 3).mean(), (ratio <= 1 / 3).mean()
    if min(flat, upright) >= 0.15 and min(per_row, per_column) >= 1:
        return "checked", ""
    if flat >= 0.5 and per_column >= 1.5:
        return "striped", "horizontal"
    if upright >= 0.5 and per_row >= 1.5:
        return "striped", "vertical"
    if min(per_row, per_column) < 1:
        return "plain", ""
    return _neither_way(other, zone, across, flat + upright < 0.5)


def _neither_way(other: Mask, zone: Mask, lengths: NDArray[np.int64], compact: bool) -> tuple[Pattern, Direction]:
    """What repeats both along rows and along columns: slanting stripes, squares, discs, or parts of no common size."""
    low, middle, high, top = np.quantile(lengths, (0.25, 0.5, 0.75, 0.85))
    if middle < 3 or other.sum() > 0.6 * zone.sum():
        return "mixed", ""
    if _slanting(other, zone, int(middle) // 2):
        return "striped", "diagonal"
    if not compact or top > 2 * middle:
        return "mixed", ""
    return ("dotted" if low < 0.8 * high else "checked"), ""  # chords of a disc differ in length, those of a square do not


def _slanting(other: Mask, zone: Mask, step: int) -> bool:
    """Whether a move of `step` pixels down and as many to one side changes next to nothing."""
    for side in (step, -step):
        moved_zone, moved = (np.roll(mask, (step, side), (0, 1)) for mask in (zone, other))
        both = zone & moved_zone
        if both.any() and (other == moved)[both].mean() >= 0.85:
            return True
    return False


def _lengths(other: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Along the rows: for each pixel the length of its run, and the lengths of all runs of `other`."""
    runs = _runs(other)
    lengths = np.bincount(runs.ravel())
    return lengths[runs], lengths[np.unique(runs[other])]


def _shape(figure: Mask) -> Shape:
    rows, columns = np.nonzero(figure)
    ratio = (np.ptp(rows) + 1) / (np.ptp(columns) + 1)
    return "tall" if ratio >= 1.25 else "wide" if ratio <= 0.8 else "square"
