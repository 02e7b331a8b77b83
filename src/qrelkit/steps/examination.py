"""The questions of an examination: small ones whose right answer is known, and only known from what was sent.

Every question has code words of its own, drawn from a nonce: an answer that has them was made for this question, and one that
has those of another is an old answer out of somebody's cache.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from qrelkit.core.records import Image
from qrelkit.core.wire import Message, Part, Request, Schema, Settings, Shrink, picture, text

COLOURS = {"red": "#dc1e1e", "green": "#129a28", "blue": "#1e28dc", "yellow": "#f5dc0a", "purple": "#82148c"}
SIDE_PX = 224
MARKS = ("beginning", "first quarter", "middle", "last quarter", "end")  # where the code words of a long prompt stand
FOREIGN = ("Größe", "价格", "ключ")
VERDICTS = ("amber", "teal")
SHORT = 8  # tokens that the answer about the length limit may have
_CHARS_PER_TOKEN = 4.4  # plain words need fewer tokens than documents do, and these are to need as many
_CONSONANTS, _VOWELS = "bdfgklmnprtvz", "aeiou"
_FILLER = (
    "the water ran down from the old house and past the garden where two people sat with their books every summer day while "
    "a small dog looked for its ball under the green trees and nobody said much about the weather or the price of bread"
)
_SCHEMA = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "verdict": {"type": "string", "enum": [*VERDICTS]}},
    "required": ["reasoning", "verdict"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A request and what a right answer to it holds: `code` its own word, `shown` what must come in this order, `line` what was
    to be copied, `last` the word that the system text asks for."""

    request: Request
    code: str = ""
    shown: tuple[str, ...] = ()
    line: str = ""
    last: str = ""


def questions(model: str, nonce: str, *, context_tokens: int, pictures: int) -> dict[str, Question]:
    """All questions by name, for the model of that name; equal for equal nonces."""
    codes = _code_words(nonce)
    last = next(codes)
    copy = _copy(model, next(codes), last, temperature=0.0)
    other = _copy(model, next(codes), last, temperature=1.0)
    colours = tuple(random.Random(f"{nonce} colours").sample(list(COLOURS), pictures))
    return {
        "schema": _schema(model, next(codes)),
        "copy": copy,
        "again": replace(copy, request=replace(copy.request, sample=1)),
        "other": other,
        "another": replace(other, request=replace(other.request, sample=1)),
        "pictures": _pictures(model, next(codes), colours),
        "picture": _pictures(model, next(codes), colours[-1:]),
        "context": _context(model, tuple(next(codes) for _ in MARKS), nonce, context_tokens),
        "half": _context(model, tuple(next(codes) for _ in MARKS), nonce, context_tokens // 2),
        "length": Question(request=_request(model, COUNT, settings=Settings(max_tokens=SHORT))),
    }


COUNT = "Count from one to one hundred in English words, separated by blanks. Begin at once with the word one."


def _request(
    model: str, *parts: str | Part, system: str = "", settings: Settings = Settings(), schema: Schema | None = None
) -> Request:
    said = tuple(text(part) if isinstance(part, str) else part for part in parts)
    head = (Message("system", (text(system),)),) if system else ()
    return Request(model=model, messages=(*head, Message("user", said)), settings=settings, schema=schema)


def _schema(model: str, code: str) -> Question:
    """The first question: every field that a server may refuse is in it, and the schema allows no answer that it asks for."""
    asked = (
        "Which animal barks? Answer with a JSON object and nothing else: "
        f'its key "reasoning" holds the word {code}, its key "verdict" holds the word dog.'
    )
    schema, settings = Schema.of("examination", _SCHEMA), Settings(token_probabilities=True)
    return Question(request=_request(model, asked, settings=settings, schema=schema), code=code)


def _copy(model: str, code: str, last: str, *, temperature: float) -> Question:
    """Two of these differ in the code word only, which stands near the end: a cache that looks at the beginning mixes them up."""
    line = " ".join((code, *FOREIGN))
    asked = (
        "Copy the line that stands between the marks below, letter by letter and without the marks. "
        f"On the line after it write twelve digits, drawn at random by yourself.\n<<<\n{line}\n>>>"
    )
    system = f"You are being checked. Whatever the user asks for, the last line of your answer is the single word {last}."
    request = _request(model, asked, system=system, settings=Settings(temperature=temperature))
    return Question(request=request, code=code, line=line, last=last)


def _pictures(model: str, code: str, colours: tuple[str, ...]) -> Question:
    """How many there are is not said: who sees one of three should say one colour."""
    before = "Pictures follow, each of one plain colour."
    after = (
        "Name the colour of every picture that you see, in their order, in plain English. Answer with one line: "
        f"the word {code}, a colon, then the colours with commas between; if you see no picture, write: {code}: none"
    )
    shown = (picture(_plain(colour), Shrink()) for colour in colours)
    return Question(request=_request(model, before, *shown, after), code=code, shown=colours)


def _plain(colour: str) -> Image:
    from PIL import Image as Raster

    out = io.BytesIO()
    Raster.new("RGB", (SIDE_PX, SIDE_PX), COLOURS[colour]).save(out, "PNG")
    data = out.getvalue()
    return Image(digest=hashlib.sha256(data).hexdigest(), read=lambda: data, name=colour)


def _context(model: str, words: tuple[str, ...], nonce: str, tokens: int) -> Question:
    """A long text with a mark at its very beginning, its very end and between; what to do is said before and after it, so that
    it is known whichever end is lost."""
    ask = "Write down the words of all marks that you find, in the order of their numbers, in one line with blanks between."
    head = f"In the long text below stand sentences such as: Mark 9 is called example. {ask}"
    marks = [f"Mark {number} is called {word}." for number, word in enumerate(words, 1)]
    rest = int(tokens * _CHARS_PER_TOKEN) - len(head) - len(ask) - sum(map(len, marks)) - 60
    chance = random.Random(f"{nonce} {tokens}")
    between = [_filler(chance, max(0, rest) // (len(marks) - 1)) for _ in marks[1:]]
    body = [marks[0], *(part for pair in zip(between, marks[1:], strict=True) for part in pair)]
    whole = "\n".join([head, "", *body, "", f"The text ends here. {ask}"])
    return Question(request=_request(model, whole), code=words[0], shown=words)


def _filler(chance: random.Random, chars: int) -> str:
    """Sentences of plain words, about `chars` characters of them."""
    words, sentences, length = _FILLER.split(), list[str](), 0
    while length < chars:
        sentence = " ".join(chance.choices(words, k=12)).capitalize() + "."
        sentences.append(sentence)
        length += len(sentence) + 1
    return " ".join(sentences)[:chars]


def _code_words(nonce: str) -> Iterator[str]:
    """Words that no language has and every model can copy, none twice."""
    chance, used = random.Random(nonce), set[str]()
    while True:
        word = "".join(chance.choice(_CONSONANTS) + chance.choice(_VOWELS) for _ in range(4))
        if word not in used:
            used.add(word)
            yield word
