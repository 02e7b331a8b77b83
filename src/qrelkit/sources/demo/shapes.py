"""Silhouettes of the ten kinds, as data, and the integer geometry that turns them into masks.

A shape is a list of strokes on a grid of 320 × 400 cells (two by two per pixel). `half` gives the right half of an outline
from the top of the middle line to its bottom; the left is its mirror image. Everything is whole numbers: no machine rounds
differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, MIDDLE = 320, 400, 160
Mask = NDArray[np.bool_]
Points = tuple[tuple[int, int], ...]
Role = Literal["body", "trim", "cut", "line", "fold"]


@dataclass(frozen=True, slots=True)
class Stroke:
    """Part of a shape: `body` takes the pattern, `trim` one colour, `cut` removes, `line` is drawn, `fold` is shaded."""

    role: Role
    points: Points = ()
    ellipse: tuple[int, int, int, int] | None = None  # centre x, y, radius x, y
    inside: bool = False  # only where there is body already: a collar


@dataclass(frozen=True, slots=True)
class Shape:
    """The masks of a kind at a size; `ink` is its outline, its seams and its lines."""

    body: Mask
    trim: Mask
    folds: Mask
    ink: Mask


def half(*points: tuple[int, int]) -> Points:
    return points + tuple((2 * MIDDLE - x, y) for x, y in reversed(points))


def box(left: int, top: int, right: int, bottom: int) -> Points:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def flipped(points: Points) -> Points:
    return tuple((2 * MIDDLE - x, y) for x, y in points)


def _pair(role: Role, points: Points) -> tuple[Stroke, Stroke]:
    return Stroke(role, points), Stroke(role, flipped(points))


SHAPES: Mapping[str, tuple[Stroke, ...]] = {
    "t-shirt": (
        Stroke("body", half((160, 66), (192, 66), (236, 84), (300, 152), (262, 192), (232, 164), (234, 344), (160, 350))),
        Stroke("trim", ellipse=(160, 62, 44, 34), inside=True),
        Stroke("cut", ellipse=(160, 60, 34, 24)),
        *_pair("fold", ((214, 200), (222, 200), (214, 330), (202, 346))),
    ),
    "longsleeve": (
        Stroke(
            "body",
            half((160, 66), (190, 66), (232, 82), (266, 134), (300, 300), (264, 310), (230, 186), (232, 350), (160, 356)),
        ),
        *_pair("trim", ((261, 294), (297, 286), (302, 312), (266, 322))),
        Stroke("trim", ellipse=(160, 62, 40, 30), inside=True),
        Stroke("cut", ellipse=(160, 60, 31, 21)),
        *_pair("fold", ((212, 206), (220, 206), (212, 336), (200, 352))),
    ),
    "dress": (
        Stroke(
            "body",
            half((160, 52), (188, 48), (212, 52), (208, 96), (226, 130), (206, 196), (270, 346), (220, 362), (160, 366)),
        ),
        Stroke("trim", half((160, 186), (208, 186), (210, 206), (160, 206))),
        Stroke("cut", ellipse=(160, 48, 30, 50)),
        *_pair("fold", ((182, 214), (190, 214), (222, 358), (206, 360))),
    ),
    "skirt": (
        Stroke("body", half((160, 88), (214, 88), (278, 322), (220, 336), (160, 340))),
        Stroke("trim", half((160, 84), (215, 84), (221, 112), (160, 112))),
        *_pair("fold", ((182, 118), (190, 118), (220, 332), (202, 334))),
    ),
    "trousers": (
        Stroke("body", half((160, 56), (214, 56), (230, 190), (224, 360), (176, 364), (164, 178), (160, 174))),
        Stroke("trim", half((160, 48), (214, 48), (217, 72), (160, 72))),
        Stroke("line", half((157, 72), (163, 72), (163, 122), (157, 122))),
        *_pair("fold", ((186, 176), (192, 176), (196, 360), (184, 360))),
    ),
    "shorts": (
        Stroke("body", half((160, 100), (220, 100), (252, 286), (180, 300), (164, 212), (160, 206))),
        Stroke("trim", half((160, 92), (219, 92), (224, 120), (160, 120))),
        Stroke("line", half((157, 120), (163, 120), (163, 160), (157, 160))),
        *_pair("fold", ((190, 204), (197, 204), (212, 290), (198, 294))),
    ),
    "jacket": (
        Stroke(
            "body",
            half((160, 62), (190, 62), (238, 80), (272, 128), (304, 306), (264, 316), (238, 194), (240, 340), (160, 340)),
        ),
        *_pair("trim", ((262, 300), (302, 291), (306, 316), (267, 325))),
        Stroke("trim", half((160, 330), (241, 330), (241, 354), (160, 354))),
        Stroke("trim", half((160, 116), (192, 48), (206, 70), (172, 134), (160, 134))),
        Stroke("cut", half((160, 98), (184, 48), (160, 40))),
        Stroke("line", box(157, 120, 163, 352)),
        *_pair("line", ((190, 262), (222, 250), (222, 256), (190, 268))),
    ),
    "sneaker": (
        Stroke(
            "body",
            ((44, 148), (56, 134), (112, 138), (124, 146), (158, 184), (206, 202), (256, 212), (282, 234), (290, 262), (40, 262)),
        ),
        Stroke("trim", ((34, 254), (292, 254), (296, 276), (284, 292), (48, 292), (34, 280))),
        Stroke("trim", ((118, 146), (138, 140), (180, 186), (162, 190))),
        Stroke("line", ((120, 178), (162, 160), (165, 165), (123, 183))),
        Stroke("line", ((138, 194), (178, 176), (181, 181), (141, 199))),
        Stroke("line", ((232, 210), (238, 210), (228, 254), (222, 254))),
        Stroke("fold", ((40, 236), (290, 236), (290, 254), (40, 254))),
    ),
    "bag": (
        Stroke("trim", ellipse=(160, 158, 62, 88)),
        Stroke("cut", ellipse=(160, 158, 46, 72)),
        Stroke("body", half((160, 160), (240, 160), (266, 344), (160, 346))),
        Stroke("trim", half((160, 156), (241, 156), (244, 182), (160, 182))),
        Stroke("trim", ellipse=(160, 192, 15, 15)),
        Stroke("fold", half((160, 316), (262, 316), (266, 344), (160, 346))),
    ),
    "beanie": (
        Stroke("trim", ellipse=(160, 96, 40, 40)),
        Stroke("body", half((160, 118), (204, 126), (240, 152), (262, 196), (270, 262), (160, 264))),
        Stroke("trim", half((160, 252), (276, 250), (280, 282), (276, 316), (160, 318))),
        *_pair("fold", ((214, 150), (222, 150), (244, 250), (230, 250))),
    ),
}  # fmt: skip


@lru_cache(maxsize=64)
def shape(kind: str, percent: int) -> Shape:
    """The masks of a kind at a size in percent; read only, since they are shared."""
    empty = np.zeros((HEIGHT, WIDTH), bool)
    masks = {role: empty.copy() for role in ("body", "trim", "line", "fold")}
    for stroke in SHAPES[kind]:
        mask = _mask(stroke, percent)
        if stroke.role == "cut":
            masks = {role: m & ~mask for role, m in masks.items()}
        else:
            masks[stroke.role] |= mask & masks["body"] if stroke.inside else mask
            if stroke.role == "body":
                masks["trim"] &= ~mask  # what is drawn later lies in front
    whole = masks["body"] | masks["trim"]
    ink = _rim(whole, 2) | _rim(masks["trim"], 1) | masks["line"] & whole
    made = (masks["body"] & ~masks["trim"], masks["trim"], masks["fold"] & masks["body"], ink)
    for mask in made:
        mask.flags.writeable = False
    return Shape(*made)


def _mask(stroke: Stroke, percent: int) -> Mask:
    if stroke.ellipse:
        x, y, rx, ry = stroke.ellipse
        return _ellipse(_scaled(x, percent, MIDDLE), _scaled(y, percent, 200), rx * percent // 100, ry * percent // 100)
    points = [(_scaled(x, percent, MIDDLE), _scaled(y, percent, 200)) for x, y in stroke.points]
    mask = _polygon(points)
    return _rounded(mask) if stroke.role in ("body", "trim") else mask


def _scaled(value: int, percent: int, centre: int) -> int:
    return centre + (value - centre) * percent // 100


def _centres() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Twice the middles of the cells, so that they are whole."""
    return 2 * np.arange(WIDTH)[None, :] + 1, 2 * np.arange(HEIGHT)[:, None] + 1


def _ellipse(cx: int, cy: int, rx: int, ry: int) -> Mask:
    x, y = _centres()
    inside: Mask = (x - 2 * cx) ** 2 * ry**2 + (y - 2 * cy) ** 2 * rx**2 <= 4 * rx**2 * ry**2
    return inside


def _polygon(points: Sequence[tuple[int, int]]) -> Mask:
    """Even-odd rule: a cell is inside when a ray to the right crosses the outline an odd number of times."""
    x, y = _centres()
    inside = np.zeros((HEIGHT, WIDTH), bool)
    for (ax, ay), (bx, by) in zip(points, (*points[1:], points[0]), strict=True):
        (ax, ay), (bx, by) = ((2 * ax, 2 * ay), (2 * bx, 2 * by)) if ay <= by else ((2 * bx, 2 * by), (2 * ax, 2 * ay))
        inside ^= (ay <= y) & (y < by) & ((x - ax) * (by - ay) < (y - ay) * (bx - ax))
    return inside


def _rim(mask: Mask, cells: int) -> Mask:
    """The cells of the mask within `cells` of its outside."""
    return mask & (_boxed(~mask, cells) > 0)


def _rounded(mask: Mask, cells: int = 4) -> Mask:
    """Softer corners: a cell stays when half of its neighbourhood is inside."""
    return 2 * _boxed(mask, cells) > (2 * cells + 1) ** 2


def _boxed(mask: Mask, cells: int) -> NDArray[np.int64]:
    """How many cells of the mask lie in the square around each cell."""
    side = 2 * cells + 1
    sums = np.pad(np.cumsum(np.cumsum(np.pad(mask, cells).astype(np.int64), 0), 1), ((1, 0), (1, 0)))
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
