"""The describer that asks no model: dominant colours, pattern and shape by arithmetic. An honest baseline; it names no object."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.core.records import Image
from qrelkit.core.wire import Flow, digest_of
from qrelkit.images.palette import COLOURS, Look, describe

PATTERNS: Mapping[str, str] = {
    "plain": "plain (einfarbig)",
    "striped": "striped, stripes (gestreift, Streifen)",
    "dotted": "dotted, dots (gepunktet, Punkte)",
    "checked": "checked, checks (kariert, Karos)",
    "mixed": "mixed (gemustert)",
}
DIRECTIONS: Mapping[str, str] = {
    "": "",
    "horizontal": ", horizontal (quer)",
    "vertical": ", vertical (längs)",
    "diagonal": ", diagonal (schräg)",
}
SHAPES: Mapping[str, str] = {"tall": "tall (hoch)", "square": "square (quadratisch)", "wide": "wide (breit)"}


class Palette:
    """Implements the `Describer` door; its flow asks nothing and returns at once, None for an image that cannot be read."""

    name = "palette"

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return {"kind": "palette", "version": 1}  # a change of the words or of images/palette.py is a new version

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, image: Image) -> Flow[str | None]:
        yield from ()
        try:
            return words(describe(image.read()))
        except InputError:
            return None


def words(look: Look) -> str:
    """What was seen, in English and German, as nouns and adjectives: that is how people search.

    "Picture: dominant colours red (rot), white (weiß); pattern plain (einfarbig); shape tall (hoch)."
    """
    colours = ", ".join(f"{name} ({COLOURS[name]})" for name, _ in look.colours)
    pattern = PATTERNS[look.pattern] + DIRECTIONS[look.direction]
    return f"Picture: dominant colours {colours}; pattern {pattern}; shape {SHAPES[look.shape]}."
