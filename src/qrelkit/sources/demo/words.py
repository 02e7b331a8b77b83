"""The vocabulary of the demo catalogue: kinds, colours, patterns, in English and German, and what lies near what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = ("en", "de")
Gender = Literal["m", "f", "n", "pl"]
ENDINGS: Mapping[Gender, str] = {"m": "er", "f": "e", "n": "es", "pl": "e"}  # rotER Rock, rotE Hose, rotES Kleid, rotE Sneaker


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product: its words, the other word a shop may use in a title, and the gender German adjectives follow."""

    name: str
    category: str
    en: str
    de: str
    en_other: str
    de_other: str
    gender: Gender

    def word(self, language: Language) -> str:
        return self.en if language == "en" else self.de

    def other(self, language: Language) -> str:
        return self.en_other if language == "en" else self.de_other


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour: its words, what the brands call it, the paint, the colours of its second tone, and its neighbours."""

    name: str
    de: str
    inflects: bool
    fancy: tuple[tuple[str, str], ...]  # (English, German)
    rgb: tuple[int, int, int]
    seconds: tuple[str, ...]
    near: tuple[str, ...]

    def word(self, language: Language) -> str:
        return self.name if language == "en" else self.de

    def before(self, kind: Kind, language: Language) -> str:
        """The colour as an adjective before the noun."""
        return inflected(self.de, kind.gender) if language == "de" and self.inflects else self.word(language)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as adjective and as "with …"."""

    name: str
    de: str
    en_with: str
    de_with: str

    def word(self, language: Language) -> str:
        return self.name if language == "en" else self.de

    def phrase(self, language: Language) -> str:
        return self.en_with if language == "en" else self.de_with


def inflected(adjective: str, gender: Gender) -> str:
    """A German adjective before its noun, without an article: rot → rotes (Kleid)."""
    return adjective + ENDINGS[gender]


KINDS: tuple[Kind, ...] = (
    Kind("t-shirt", "tops", "t-shirt", "T-Shirt", "tee", "Kurzarmshirt", "n"),
    Kind("longsleeve", "tops", "long-sleeved shirt", "Langarmshirt", "longsleeve", "Longsleeve", "n"),
    Kind("dress", "dresses", "dress", "Kleid", "sundress", "Sommerkleid", "n"),
    Kind("skirt", "bottoms", "skirt", "Rock", "a-line skirt", "A-Linien-Rock", "m"),
    Kind("trousers", "bottoms", "trousers", "Hose", "pants", "Stoffhose", "f"),
    Kind("shorts", "bottoms", "shorts", "Shorts", "bermudas", "Bermudas", "pl"),
    Kind("jacket", "outerwear", "jacket", "Jacke", "blouson", "Blouson", "f"),
    Kind("sneaker", "shoes", "sneakers", "Sneaker", "trainers", "Turnschuhe", "pl"),
    Kind("bag", "accessories", "handbag", "Handtasche", "bag", "Tasche", "f"),
    Kind("beanie", "accessories", "beanie", "Mütze", "knitted hat", "Strickmütze", "f"),
)

COLOURS: Mapping[str, Colour] = {
    c.name: c
    for c in (
        Colour("black", "schwarz", True, (("raven", "Rabe"), ("midnight street", "Nachtstraße")),
               (40, 40, 44), ("white", "red", "yellow"), ("grey", "navy")),
        Colour("white", "weiß", True, (("polar", "Polarschnee"), ("first snow", "Neuschnee")),
               (253, 253, 251), ("navy", "red", "black", "green"), ("beige", "grey")),
        Colour("grey", "grau", True, (("graphite", "Graphit"), ("harbour fog", "Hafennebel")),
               (146, 148, 152), ("white", "black"), ("black", "white")),
        Colour("red", "rot", True, (("ember", "Glut"), ("poppy field", "Mohnfeld")),
               (204, 38, 46), ("white", "navy"), ("pink", "orange")),
        Colour("orange", "orange", False, (("apricot evening", "Abendsonne"), ("marigold", "Ringelblume")),
               (238, 126, 36), ("white", "brown"), ("red", "yellow")),
        Colour("yellow", "gelb", True, (("honey", "Honig"), ("lemon grove", "Zitronenhain")),
               (246, 208, 66), ("navy", "white", "grey"), ("orange", "beige")),
        Colour("green", "grün", True, (("moss", "Moos"), ("deep forest", "Tannenwald")),
               (64, 142, 76), ("white", "yellow"), ("turquoise",)),
        Colour("turquoise", "türkis", False, (("lagoon", "Lagune"), ("glacier lake", "Gletschersee")),
               (48, 178, 172), ("white", "navy"), ("green", "blue")),
        Colour("blue", "blau", True, (("nordic fjord", "nordischer Fjord"), ("open sky", "weiter Himmel")),
               (58, 112, 206), ("white", "yellow"), ("navy", "turquoise")),
        Colour("navy", "dunkelblau", True, (("midnight sea", "Mitternachtssee"), ("admiral", "Admiral")),
               (36, 48, 98), ("white", "red", "beige"), ("blue", "black")),
        Colour("purple", "lila", False, (("plum", "Pflaume"), ("heather", "Heidekraut")),
               (126, 72, 166), ("white", "pink"), ("pink",)),
        Colour("pink", "rosa", False, (("peony", "Pfingstrose"), ("candyfloss", "Zuckerwatte")),
               (242, 146, 182), ("white", "purple", "red"), ("red", "purple")),
        Colour("brown", "braun", True, (("espresso", "Espresso"), ("walnut", "Walnuss")),
               (122, 80, 50), ("beige", "white"), ("beige",)),
        Colour("beige", "beige", False, (("oat", "Hafer"), ("dune", "Düne")),
               (222, 198, 160), ("brown", "navy"), ("brown", "white")),
    )
}  # fmt: skip

PATTERNS: Mapping[str, Pattern] = {
    p.name: p
    for p in (
        Pattern("plain", "einfarbig", "without pattern", "ohne Muster"),
        Pattern("striped", "gestreift", "with stripes", "mit Streifen"),
        Pattern("dotted", "gepunktet", "with dots", "mit Punkten"),
        Pattern("checked", "kariert", "with checks", "mit Karos"),
    )
}

MATERIALS: tuple[tuple[str, str], ...] = (
    ("cotton", "Baumwolle"), ("linen", "Leinen"), ("wool", "Wolle"),
    ("viscose", "Viskose"), ("canvas", "Canvas"), ("corduroy", "Cord"),
)  # fmt: skip
BRANDS: tuple[str, ...] = (
    "Fjellby", "Maribu", "Tolvane", "Klarmo", "Osterwik", "Perlona", "Quintano", "Wendelin", "Yarrowby", "Zimtal",
)  # fmt: skip
LINES: tuple[str, ...] = ("Nova", "Lotte", "Arne", "Mira", "Jonte", "Svea", "Theo", "Ida", "Bela", "Runa", "Enno", "Lilo")
