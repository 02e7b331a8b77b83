"""What the shop writes about a product: a title and a few sentences, in English, in German, or in both."""

from __future__ import annotations

from qrelkit.sources.demo.catalogue import Product
from qrelkit.sources.demo.chance import Chance
from qrelkit.sources.demo.words import COLOURS, KINDS, PATTERNS, Language

CARE = {
    "en": ("Machine wash at 30 degrees.", "A favourite of our team.", "Made to last for many seasons.", "Falls true to size."),
    "de": ("Bei 30 Grad waschbar.", "Ein Liebling unseres Teams.", "Gemacht für viele Saisons.", "Fällt normal aus."),
}
CUT = {
    "t-shirt": ("short sleeves and a round neck", "kurzen Ärmeln und Rundhals"),
    "longsleeve": ("long sleeves and soft cuffs", "langen Ärmeln und weichen Bündchen"),
    "dress": ("a fitted waist and no sleeves", "schmaler Taille und ohne Ärmel"),
    "skirt": ("a high waistband", "hohem Bund"),
    "trousers": ("straight legs", "geradem Bein"),
    "shorts": ("a comfortable waistband", "bequemem Bund"),
    "jacket": ("a zip, a collar and long sleeves", "Reißverschluss, Kragen und langen Ärmeln"),
    "sneaker": ("a light rubber sole", "leichter Gummisohle"),
    "bag": ("a round handle", "rundem Henkel"),
    "beanie": ("a turned-up edge and a pompom", "Umschlag und Bommel"),
}


def title(product: Product, seed: int) -> str:
    """The title, in the first language of the text; a third also gives away what the text tells of the colour."""
    chance, language = Chance(seed, f"title of {product.doc_id}"), product.languages[0]
    noun = product.kind.other(language) if chance.happens(25, "other word") else product.kind.word(language)
    words = f"{product.brand} {product.line} {noun}"
    colour = _colour(product, language, seed)
    return f"{words}, {colour}" if colour and chance.happens(35, "colour") else words


def text(product: Product, seed: int) -> str:
    """The sentences in each of the product's languages, one after the other."""
    return " ".join(_sentences(product, language, seed) for language in product.languages)


def _sentences(product: Product, language: Language, seed: int) -> str:
    chance = Chance(seed, f"text of {product.doc_id} in {language}")
    noun, colour = product.kind.word(language), _colour(product, language, seed)
    if language == "en":
        what = f"{noun.capitalize()} made of {product.material[0]} with {CUT[product.kind.name][0]}."
        look = f"Colour: {colour}."
    else:
        what = f"{noun} aus {product.material[1]} mit {CUT[product.kind.name][1]}."
        look = f"Farbe: {colour}."
    parts = [what]
    parts += [look] if colour else []
    parts += [_surface(product, language, chance)] if product.pattern_told else []
    parts += [_elsewhere(product, language, chance)] if product.misleading else []
    return " ".join([*parts, chance.pick(CARE[language], "care")])


def _surface(product: Product, language: Language, chance: Chance) -> str:
    """The pattern, as an adjective or as a noun."""
    pattern, adjective = PATTERNS[product.pattern], chance.happens(50, "adjective")
    if language == "en":
        return f"The fabric is {pattern.name}." if adjective else f"A fabric {pattern.en_with}."
    return f"Der Stoff ist {pattern.de}." if adjective else f"Ein Stoff {pattern.de_with}."


def _colour(product: Product, language: Language, seed: int) -> str:
    """The colour's word, the brand's fancy name for it, or nothing."""
    colour = COLOURS[product.colour]
    if product.colour_told == "not":
        return ""
    if product.colour_told == "plainly":
        return colour.word(language)
    english, german = Chance(seed, f"fancy {product.doc_id}").pick(colour.fancy, "name")
    return english if language == "en" else german


def _elsewhere(product: Product, language: Language, chance: Chance) -> str:
    """Marketing that names colours, patterns and kinds which the product is not."""
    others = [c for c in COLOURS.values() if c.name != product.colour]
    first, second, third = (c.word(language) for c in chance.shuffled(others, "colours")[:3])
    noun = chance.pick([k for k in KINDS if k.name != product.kind.name], "kind").word(language)
    pattern = PATTERNS[chance.pick([p for p in PATTERNS if p not in ("plain", product.pattern)], "pattern")].word(language)
    wording = chance.below(4, "wording")
    if language == "en":
        return (
            f"Also available in {first}, {second} and {third}.",
            f"Also available {pattern}, and in {first} or {second}.",
            f"Goes with anything {pattern} in {first}, {second} or {third}.",
            f"Wear it with {noun} in {first}, or with {second} for a brave day.",
        )[wording]
    return (
        f"Auch erhältlich in {first}, {second} und {third}.",
        f"Auch {pattern} erhältlich, und in {first} oder {second}.",
        f"Passt zu allem, was {pattern} ist, in {first}, {second} oder {third}.",
        f"Schön zu {noun} in {first}, an mutigen Tagen zu {second}.",
    )[wording]
