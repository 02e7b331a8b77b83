"""The products of the demo: their true attributes, and how much of them the shop's text gives away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from qrelkit.sources.demo.chance import Chance
from qrelkit.sources.demo.queries import Need, needs
from qrelkit.sources.demo.words import BRANDS, COLOURS, KINDS, LINES, MATERIALS, PATTERNS, Kind, Language

PER_KIND = 48
COMMON = ("plain", "plain", "plain", "striped", "striped", "dotted", "checked", "checked")  # how often patterns are made
Told = Literal["plainly", "fancifully", "not"]
Picture = Literal["fine", "absent", "garbage", "cut"]
SPOILT: tuple[Picture, ...] = ("absent", "garbage", "absent", "cut", "absent")  # about 1 % of the pictures, to show failures


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One product: what it is, what its text tells of it, and the state of its picture."""

    doc_id: str
    kind: Kind
    colour: str
    second: str  # the colour of stripes, dots, lines or trim
    pattern: str
    material: tuple[str, str]
    brand: str
    line: str
    languages: tuple[Language, ...]
    colour_told: Told
    pattern_told: bool
    misleading: bool  # the text names other colours and kinds: "also in red and blue"
    picture: Picture

    @property
    def image(self) -> str:
        """Where its picture is, from the catalogue's folder."""
        return f"images/{self.doc_id}.png"


def products(seed: int = 7) -> list[Product]:
    """All 480 products with their true attributes, in order of their ids."""
    wishes = needs(seed)
    plans = [(kind, *look) for kind in KINDS for look in _looks(kind, [n for n in wishes if n.kind == kind.name], seed)]
    plans = Chance(seed, "catalogue").shuffled(plans, "ids")  # an id tells nothing
    spoilt = dict(zip(Chance(seed, "catalogue").shuffled(range(len(plans)), "spoilt"), SPOILT, strict=False))
    return [_product(number, *plan, spoilt.get(number, "fine"), seed) for number, plan in enumerate(plans)]


def _looks(kind: Kind, wishes: list[Need], seed: int) -> list[tuple[str, str]]:
    """Colour and pattern of each product of a kind: enough for every query, the rest as chance has it."""
    chance = Chance(seed, f"looks of {kind.name}")
    asked = [look for wish in wishes for look in _asked(wish, Chance(seed, f"looks for {wish.query_id}"))]
    rest = range(len(asked), PER_KIND)
    colours = tuple(COLOURS)
    return asked + [(chance.pick(colours, f"colour {i}"), chance.pick(COMMON, f"pattern {i}")) for i in rest]


def _asked(wish: Need, chance: Chance) -> Iterator[tuple[str, str]]:
    """Four to six products that answer a wish, and four to six near misses."""
    for i in range(4 + chance.below(3, "right")):
        yield wish.colour, wish.pattern or chance.pick(COMMON, f"right {i}")
    others = [p for p in PATTERNS if p != wish.pattern]
    for i in range(2 + chance.below(2, "other pattern") if wish.pattern else 0):
        yield wish.colour, chance.pick(others, f"other pattern {i}")
    for i in range(2 + chance.below(2, "near colour")):
        yield chance.pick(COLOURS[wish.colour].near, f"near {i}"), wish.pattern or chance.pick(COMMON, f"near pattern {i}")


def _product(number: int, kind: Kind, colour: str, pattern: str, picture: Picture, seed: int) -> Product:
    doc_id = f"p{number + 1:03d}"
    chance = Chance(seed, doc_id)
    languages: tuple[tuple[Language, ...], ...] = (("en",), ("de",), ("en", "de"), ("de", "en"))
    told: tuple[Told, ...] = ("plainly",) * 10 + ("fancifully",) * 6 + ("not",) * 4  # 50 %, 30 %, 20 %
    return Product(
        doc_id=doc_id,
        kind=kind,
        colour=colour,
        second=chance.pick(COLOURS[colour].seconds, "second"),
        pattern=pattern,
        material=chance.pick(MATERIALS, "material"),
        brand=chance.pick(BRANDS, "brand"),
        line=chance.pick(LINES, "line"),
        languages=chance.pick(languages, "languages"),
        colour_told=chance.pick(told, "colour told"),
        pattern_told=chance.happens(15 if pattern == "plain" else 50, "pattern told"),
        misleading=chance.happens(50, "misleading"),
        picture=picture,
    )
