"""The interval plot: one row per system, one dot with its 95 % whisker per lane, on a common axis.

Each row is an SVG of its own beside its name. Positions across are percentages, so a plot is as wide as the page and its
dots stay round; a lane is told by the form of its dot, and every row says its numbers to who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from qrelkit.reports import words
from qrelkit.reports.tables import Plot, Stat, as_stat

LANE_PX = 15
FORMS = (  # around the origin, about 9 px wide
    '<circle r="4.5"/>',
    '<circle r="4" class="open"/>',
    '<rect x="-4" y="-4" width="8" height="8"/>',
    '<path d="M0-5.4 5.4 0 0 5.4-5.4 0Z" class="open"/>',
    '<path d="M0-5.4 5 4.4H-5Z"/>',
    '<rect x="-3.8" y="-3.8" width="7.6" height="7.6" class="open"/>',
)


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of numbers with round ticks; `at` is where a number lies, in percent of the width."""

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int

    @staticmethod
    def around(values: Sequence[float], *, aim: int = 5) -> Axis:
        """The shortest axis with round ends that holds all values; its ends are ticks."""
        low, high = min(values), max(values)
        if low == high:
            low, high = low - 0.05, high + 0.05
        rough = (high - low) / aim
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        ticks = tuple(round(i * step, digits) for i in range(first, last + 1))
        return Axis(ticks[0], ticks[-1], ticks, digits)

    def at(self, value: float) -> float:
        return 1 + 98 * (value - self.low) / (self.high - self.low)


def intervals(plot: Plot) -> str:
    """The plot as HTML with inline SVG; empty where there is no number to draw."""
    stats = [as_stat(stat) for _, row in plot.rows for stat in row if stat is not None]
    values = [stat[name] for stat in stats for name in ("value", "low", "high") if stat.get(name) is not None]
    if not values:
        return ""
    axis = Axis.around([*values, 0.0] if plot.sign else values)
    body = "".join(_row(name, row, plot, axis) for name, row in plot.rows)
    start = "" if axis.low <= 0 <= axis.high else f" The axis begins at {words.number(axis.low, axis.digits)}, not at 0."
    legend = _legend(plot.lanes) if len(plot.lanes) > 1 else ""
    caption = f"<figcaption><b>{escape(plot.caption)}</b> Dots are means, whiskers 95 % intervals.{start}{legend}</figcaption>"
    return f'<figure class="plot">{caption}<div class="rows">{body}{_ticks(axis, sign=plot.sign)}</div></figure>'


def _row(name: str, row: Sequence[Stat | None], plot: Plot, axis: Axis) -> str:
    height = LANE_PX * len(row) + 11
    lines = "".join(_line(axis.at(t), height, "zero" if plot.sign and t == 0 else "tick") for t in axis.ticks)
    middles = ((i + 0.5) * LANE_PX + 5.5 for i in range(len(row)))
    dots = "".join(_dot(stat, i, y, axis) for i, (stat, y) in enumerate(zip(row, middles, strict=True)))
    told = "; ".join(
        f"{lane} {_told(stat, sign=plot.sign)}".strip()
        for lane, stat in zip(plot.lanes if len(row) > 1 else ("",), row, strict=True)
    )
    label = escape(f"{name}: {told}", quote=True)
    svg = f'<svg role="img" aria-label="{label}" width="100%" height="{height}">{lines}{dots}</svg>'
    return f'<div class="name">{escape(name)}</div>{svg}'


def _line(x: float, height: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="{height}"/>'


def _dot(stat: Stat | None, lane: int, y: float, axis: Axis) -> str:
    """A dot at its mean, over its whisker; nothing where there is no number."""
    stat = as_stat({} if stat is None else stat)
    if stat.get("value") is None:
        return ""
    whisker = ""
    if stat.get("low") is not None and stat.get("high") is not None:
        ends = f'x1="{axis.at(stat["low"]):.2f}%" x2="{axis.at(stat["high"]):.2f}%"'
        whisker = f'<line class="whisker" {ends} y1="{y}" y2="{y}"/>'
    return f'{whisker}<svg class="dot" x="{axis.at(stat["value"]):.2f}%" y="{y}">{FORMS[lane % len(FORMS)]}</svg>'


def _told(stat: Stat | None, *, sign: bool) -> str:
    stat = as_stat({} if stat is None else stat)
    limits = f" {words.limits(stat, sign=sign)}" if words.limits(stat) else ""
    return words.number(stat.get("value"), sign=sign) + limits


def _ticks(axis: Axis, *, sign: bool) -> str:
    last = len(axis.ticks) - 1
    anchors = {0: "start", last: "end"}
    texts = "".join(
        f'<text x="{axis.at(t):.2f}%" y="14" text-anchor="{anchors.get(i, "middle")}">'
        f"{words.number(t, axis.digits, sign=sign and t != 0)}</text>"
        for i, t in enumerate(axis.ticks)
    )
    return f'<div class="name"></div><svg aria-hidden="true" class="axis" width="100%" height="18">{texts}</svg>'


def _legend(lanes: Sequence[str]) -> str:
    """Which form is which set of grades."""
    items = "".join(
        f'<li><svg aria-hidden="true" width="14" height="14"><svg class="dot" x="7" y="7">{FORMS[i % len(FORMS)]}</svg></svg>'
        f"{escape(lane)}</li>"
        for i, lane in enumerate(lanes)
    )
    return f'<ul class="legend">{items}</ul>'
