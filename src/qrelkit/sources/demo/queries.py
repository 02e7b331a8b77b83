"""What the shoppers of the demo want: forty queries with known requirements, and the truth that follows from them.

The rule of the constructed qrels, on the scale product-3; nobody judged anything, so they are never called human:

    2  the kind, the colour and, where one is asked for, the pattern are those of the product
    1  one near miss: the kind is right, and either the colour is right and the pattern another one,
       or the pattern is right and the colour a neighbour (red for pink; `words.COLOURS` says whose neighbour)
    0  everything else: another kind, a colour that is no neighbour, or both colour and pattern only near

The colour of a product is that of its ground: a navy skirt with red stripes is navy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qrelkit.core.guideline import QueryGuideline, Requirement
from qrelkit.sources.demo.chance import Chance
from qrelkit.sources.demo.words import COLOURS, KINDS, LANGUAGES, PATTERNS, Colour, Kind, Language, inflected

ASKED: tuple[str | None, ...] = ("striped", "dotted", "checked", None)  # one query of each per kind; None asks for no pattern
EN, DE = LANGUAGES


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A query and what it asks for; `pattern` None when any will do, `weight` its traffic in searches per week."""

    query_id: str
    text: str
    language: Language
    category: str
    weight: int
    kind: str
    colour: str
    pattern: str | None

    def grade(self, kind: str, colour: str, pattern: str) -> int:
        """The constructed grade of a product with these attributes: 0, 1 or 2, by the rule above."""
        if kind != self.kind:
            return 0
        same_pattern = self.pattern in (None, pattern)
        if colour == self.colour:
            return 2 if same_pattern else 1
        return 1 if same_pattern and colour in COLOURS[self.colour].near else 0

    def guideline(self) -> QueryGuideline:
        """The requirements as a guideline: what an ideal guide writer would have found out."""
        asked = [("kind", self.kind, "must_have"), ("colour", self.colour, "approximate_is_okay")]
        asked += [("pattern", self.pattern, "approximate_is_okay")] if self.pattern else []
        kind, other = next(k for k in KINDS if k.name == self.kind), DE if self.language == EN else EN
        return QueryGuideline(
            query_id=self.query_id,
            query=self.text,
            translation=phrase(kind, COLOURS[self.colour], self.pattern, other, 0).lower(),
            specificity="specific" if self.pattern else "broad",
            requirements=tuple(Requirement(name=n, value=v, importance=i) for n, v, i in asked),
        )


def needs(seed: int = 7) -> list[Need]:
    """The forty queries: four per kind (stripes, dots, checks, any pattern), two in each language."""
    drafts = []
    for kind in KINDS:
        chance = Chance(seed, f"queries for {kind.name}")
        colours = _apart(chance)
        languages = chance.shuffled((*LANGUAGES, *LANGUAGES), "languages")
        for pattern, colour, language in zip(ASKED, colours, languages, strict=True):
            text = phrase(kind, colour, pattern, language, chance.below(3, f"wording {pattern}")).lower()
            drafts.append((kind, colour, pattern, language, text))
    ranks = Chance(seed, "traffic").shuffled(range(1, len(drafts) + 1), "rank")  # 1,000 over the root of the rank
    return [
        Need(
            query_id=f"q{number:02d}",
            text=text,
            language=language,
            category=kind.category,
            weight=math.isqrt(1_000_000 // rank),
            kind=kind.name,
            colour=colour.name,
            pattern=pattern,
        )
        for number, (rank, (kind, colour, pattern, language, text)) in enumerate(zip(ranks, drafts, strict=True), start=1)
    ]


def phrase(kind: Kind, colour: Colour, pattern: str | None, language: Language, wording: int) -> str:
    """A wish in words, in one of three wordings: "red striped t-shirt", "red t-shirt with stripes", "t-shirt red striped"."""
    noun, own = kind.word(language), PATTERNS[pattern] if pattern else None
    before = colour.before(kind, language)
    if own is None:
        return f"{noun} in {colour.word(language)}" if wording == 1 else f"{before} {noun}"
    if wording == 0:
        adjective = inflected(own.de, kind.gender) if language == "de" else own.name
        return f"{before} {adjective} {noun}"
    if wording == 1:
        return f"{before} {noun} {own.phrase(language)}"
    return f"{noun} {colour.word(language)} {own.word(language)}"


def _apart(chance: Chance) -> list[Colour]:
    """Four colours of which none is another's neighbour."""
    chosen: list[Colour] = []
    for colour in chance.shuffled(tuple(COLOURS.values()), "colours"):
        if all(colour.name not in c.near and c.name not in colour.near for c in chosen):
            chosen.append(colour)
    return chosen[: len(ASKED)]
