"""The letter that a reply to a multiple-choice question chose.

    strict   ours: exactly one answer tag that holds one letter, which is among the options; nothing else is a choice
    v1       GPT-4o, Claude, Qwen, LLaVA and text-only models
    v2       Llama-3.2, MedGemma
    v3       MedVLM-R1

The three numbered ones are written anew from the description of the published scripts, for replaying their results. Where a reply
has an answer tag they give the stored letters; behind it v1 and v2 walk a list of phrases, which is our own, so a reply
without a tag may be read otherwise than it was published. They misread: the X of "X-ray", the I of "I cannot", the article A.
`agreement` says how often they give what was stored. None of them but `strict` looks whether a letter is an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import polars as pl

from qrelkit.bench.smmile.exact import SAID
from qrelkit.core.errors import UnknownName

Lines = Sequence[tuple[str, str]]  # letter and text of each option, as shown
_CLOSED = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_MARKER = re.compile(r"\A.*\bassistant\b:?", re.IGNORECASE | re.DOTALL)
_LETTER = r"[\(\[\"'*_]*([A-Z])\b(?!['’-])"
_PHRASES = tuple(
    re.compile(phrase + r"\s*:?\s*" + _LETTER)
    for phrase in (
        r"(?i:\banswer(?:\s+choice|\s+option)?\s+(?:is|would\s+be|should\s+be))",
        r"(?i:\banswer(?:\s+choice|\s+option)?)\s*[:=]",
        r"(?i:\b(?:correct|right|best|final)\s+(?:choice|option|letter)\s+(?:is|would\s+be))",
        r"(?i:\b(?:choice|option|letter)\s+(?:is|would\s+be))",
        r"(?i:\bi\s+(?:would\s+)?(?:choose|select|pick)(?:\s+(?:option|choice|letter))?)",
        r"(?i:\b(?:choose|select|pick)(?:\s+(?:option|choice|letter))?)",
        r"(?i:\b(?:option|choice|letter))",
    )
)
_FORMS = tuple(
    re.compile(form, re.MULTILINE)
    for form in (
        r"\A[\(\[]?([A-Z])[\)\]]?\s*[.:]?\Z",  # the whole reply
        r"\A[\(\[]?([A-Z])[\)\].:]",  # "B. Normal."
        r"^[ \t]*[\(\[]?([A-Z])[\)\].:]?[ \t]*$",  # a line of its own
        r"\(([A-Z])\)",
        r"\b([A-Z])\s+(?i:is\s+(?:the\s+)?(?:correct|right|best))",
    )
)
_EMPHASISED = re.compile(r"[*_]+\s*([A-Z])\s*[*_]+")
_ALONE = re.compile(r"\b([A-Z])\b")
_ALONE_TO_J = re.compile(r"\b([A-J])\b")


def strict(text: str, lines: Lines) -> str | None:
    """The letter in the one answer tag of a reply, if it is there alone and among the options; else None."""
    tags = _CLOSED.findall(text)
    said = tags[0].strip().upper() if len(tags) == 1 else ""
    return said if said in {letter for letter, _ in lines} else None


def v1(text: str, lines: Lines) -> str | None:
    """Tag, phrases, an emphasised letter, the first capital that stands alone, then the text of an option, as shown."""
    text = _after_marker(text)
    if (tagged := tagged_letter(text)) is not None:
        return tagged
    found = _first((*_FORMS[:2], *_PHRASES, *_FORMS[2:], _EMPHASISED, _ALONE), text)
    return found or _option_said(text, lines)


def v2(text: str, lines: Lines) -> str | None:
    """A tag with a single letter, else phrases; no capital that merely stands somewhere."""
    text = _after_marker(text)
    tag = _TAG.search(text)
    if tag is not None and re.fullmatch(r"\s*[A-Za-z]\s*", tag[1]):
        return tag[1].strip().upper()
    return _first((*_FORMS[:2], *_PHRASES, *_FORMS[2:]), text)


def v3(text: str, lines: Lines) -> str | None:
    """The first character in the tag, else the first letter from A to J that stands alone."""
    tag = _TAG.search(text)
    if tag is not None and tag[1].strip():
        return tag[1].strip()[0].upper()
    return _first((_ALONE_TO_J,), text)


RULES: dict[str, Callable[[str, Lines], str | None]] = {"strict": strict, "v1": v1, "v2": v2, "v3": v3}


def tagged_letter(text: str) -> str | None:
    """First letter A–Z in the first answer tag (closed or not) in upper case, else its first character; None without a tag or
    with an empty one."""
    tag = _TAG.search(text)
    if tag is None:
        return None
    said = tag[1].strip().upper()
    letter = re.search("[A-Z]", said)
    return letter[0] if letter else said[:1] or None


def has_tag(text: pl.Expr) -> pl.Expr:
    """Whether a reply has an answer tag with something in it."""
    return text.str.contains(r"(?i)<answer>\s*[^\s<]")


def rule_of(model: str) -> str:
    """The published rule for a published model, by its name in the file."""
    name = model.lower()
    if "medvlm" in name:
        return "v3"
    return "v2" if name.startswith(("llama32", "medgemma")) else "v1"


def letters(frame: pl.DataFrame, rule: str) -> pl.Series:
    """The letter of each row by a rule, null where none is found; columns output, options, shown, and status: what is no answer
    has none. Equal replies to equal options are read once."""
    if rule not in RULES:
        raise UnknownName("rule for letters", rule, RULES)
    read = RULES[rule]
    columns = ["output", "options", "shown"]
    distinct = frame.filter(SAID).select(columns).drop_nulls("output").unique(maintain_order=True)
    found = [read(text, _lines(options, shown)) for text, options, shown in distinct.iter_rows()]
    table = distinct.with_columns(pl.Series("found", found, dtype=pl.String))
    joined = frame.join(table, on=columns, how="left", nulls_equal=True, maintain_order="left")
    return joined.select(pl.when(SAID).then(pl.col("found")).alias("letter")).to_series()


def agreement(frame: pl.DataFrame, found: pl.Series) -> dict[str, int]:
    """How often letters read anew are those that were stored, for replies with a tag and for the others (`fallback`)."""
    asked = frame.with_columns(found.alias("found")).filter(SAID & pl.col("output").is_not_null())
    tag, same = has_tag(pl.col("output")), pl.col("found").eq_missing(pl.col("letter"))
    counts = asked.select(
        tagged=tag.sum(), tagged_equal=(tag & same).sum(), fallback=(~tag).sum(), fallback_equal=(~tag & same).sum()
    )
    return {name: int(value) for name, value in counts.row(0, named=True).items()}


def _lines(options: Sequence[str] | None, shown: str | None) -> Lines:
    if options is None or shown is None:
        return ()
    return [(letter, options[ord(letter) - ord("A")]) for letter in shown]


def _after_marker(text: str) -> str:
    return _MARKER.sub("", text, count=1).strip()


def _first(patterns: Sequence[re.Pattern[str]], text: str) -> str | None:
    """What the first pattern that is found found; `text` is stripped."""
    return next((found[1] for pattern in patterns if (found := pattern.search(text))), None)


def _option_said(text: str, lines: Lines) -> str | None:
    """The option that the reply is, else the first one shown whose text it contains."""
    said = text.strip().lower()
    named = [(letter, option.strip().lower()) for letter, option in lines]
    same = (letter for letter, option in named if option == said)
    within = (letter for letter, option in named if option and option in said)
    return next(same, None) or next(within, None)
