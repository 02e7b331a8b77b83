"""A generated collection of cases and articles, laid out exactly as ImageCLEFmed 2013 hands its own out (`sources/imageclef.py`).

    write_cases(folder, articles=60, topics=5)      # for tests: a second
    write_cases(folder, articles=75_000, topics=35, figures=300_000, chars=40_000, judged=15_028, relevant=709, traps=False)

Every word is ours: made-up findings, made-up conditions. An article is about one condition and names its findings; a case names
the findings of one condition and never the condition. So what is relevant is known: the articles about the case's condition.
The human qrels hold some of them and some of the others. With `traps`, some files are as real ones are: the same DOI twice, a
figure that is not there, an article without text, XML entities and CDATA, DOIs with brackets and slashes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "qui", "re", "si", "to", "va", "xe", "zi")
COMMON = (
    "the", "of", "and", "in", "with", "was", "were", "a", "patient", "patients", "showed", "after", "before", "left",
    "right", "upper", "lower", "acute", "chronic", "on", "at", "by", "from", "for", "no", "not", "image", "scan",
    "finding", "findings", "treatment", "history", "year", "old", "presented", "days", "weeks", "months", "reported",
    "case", "lesion", "region", "mild", "marked",
)  # fmt: skip
VIEWS = ("axial", "coronal", "sagittal", "frontal", "lateral", "oblique")
PARAGRAPHS = 3_000  # from which full texts are put together
FINDINGS = 6  # of a condition
SHARDS = 200  # folders of figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """What was written: the folder, and the true relevance: article (DOI) → condition, topic → condition."""

    folder: Path
    about: dict[str, int]
    asked: dict[str, int]

    def relevant(self, topic: str, doi: str) -> bool:
        """Whether an article is about the condition of a case."""
        return self.about.get(doi) == self.asked[topic]


def write_cases(
    folder: str | os.PathLike[str],
    *,
    articles: int = 60,
    topics: int = 5,
    figures: int | None = None,
    chars: int = 2_000,
    judged: int | None = None,
    relevant: int | None = None,
    traps: bool = True,
    seed: int = 0,
) -> Cases:
    """Writes the collection and returns what is true of it.

    `figures` are 4 for an article where not given; a full text has about `chars` characters. `judged` pairs (a third of all
    where not given, at most 40 a topic), of which at most `relevant` (a third) are, stand in the qrels.
    """
    root = Path(folder)
    conditions = max(topics + 2, articles // 40)
    made = {doi_of(i): i % conditions for i in range(articles)}
    cases = {str(t + 1): t for t in range(topics)}
    if traps and articles > 3:
        made.pop(doi_of(3))  # its file will have the DOI of another
    _write_articles(root, articles, articles * 4 if figures is None else figures, conditions, chars, traps, seed)
    _write_topics(root, topics, seed)
    out = Cases(folder=root, about=made, asked=cases)
    wanted = min(40 * topics, articles * topics // 3) if judged is None else judged
    _write_qrels(out, wanted, wanted // 3 if relevant is None else relevant, seed)
    return out


def doi_of(number: int) -> str:
    """DOIs as they are: with slashes, dots, and now and then brackets."""
    return (
        f"10.{5000 + number % 90}/S{number:07d}({number % 12 + 1:02d})"
        if number % 10 == 7
        else f"10.{5000 + number % 90}/a.{number}"
    )


def word(number: int) -> str:
    """A made-up word, the same for ever."""
    out = ""
    for _ in range(3 + number % 2):
        number, digit = divmod(number * 7 + 5, len(SYLLABLES))
        out += SYLLABLES[digit]
    return out


@cache
def condition(number: int) -> str:
    return f"{word(number + 1_000)}{number}itis"


def findings(number: int) -> list[str]:
    """The findings of a condition: nobody else has them."""
    return [f"{word(number * FINDINGS + i)}{number * FINDINGS + i}ia" for i in range(FINDINGS)]


@lru_cache(maxsize=2)
def _paragraphs(seed: int) -> Sequence[str]:
    """Paragraphs of about 400 characters in which common words are common (Zipf)."""
    chance = random.Random(f"{seed}/paragraphs")
    vocabulary = [*COMMON, *(word(5_000 + i) for i in range(6_000))]
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]
    return [" ".join(chance.choices(vocabulary, weights, k=64)).capitalize() + "." for _ in range(PARAGRAPHS)]


def _write_articles(root: Path, articles: int, figures: int, conditions: int, chars: int, traps: bool, seed: int) -> None:
    texts = root / "meta-xml" / "one-file-per-article"
    texts.mkdir(parents=True, exist_ok=True)
    for shard in range(min(SHARDS, articles)):
        (root / "figures" / f"part{shard:03d}").mkdir(parents=True, exist_ok=True)
    bank, pictures = _paragraphs(seed), _pictures()
    for i in range(articles):
        chance = random.Random(f"{seed}/article/{i}")
        own = figures // articles + (i < figures % articles)
        names = [f"a{i}-{n + 1}" for n in range(own)]
        for n, name in enumerate(names):
            if not (traps and i % 20 == 4 and n == 0):
                (root / "figures" / f"part{i % SHARDS:03d}" / f"{name}.jpg").write_bytes(_picture(pictures, i * 31 + n, name))
        doi = doi_of(0) if traps and i == 3 else doi_of(i)
        (texts / f"article_{i}.xml").write_bytes(_article(i, doi, names, i % conditions, chars, chance, bank, traps).encode())


def _article(
    i: int, doi: str, figures: Sequence[str], about: int, chars: int, chance: random.Random, bank: Sequence[str], traps: bool
) -> str:
    """The XML of an article: its condition in title and abstract, its findings in the text and in captions."""
    own = findings(about)
    views = f"{chance.choice(VIEWS)} views of {chance.randint(2, 90)} patients"
    title = f"{condition(about).capitalize()} with {own[0]} &amp; {own[1]}: {views}"
    body = [bank[int(chance.random() * len(bank))] for _ in range(max(1, chars // 400))]
    body.insert(len(body) // 2, f"All had {', '.join(own[:3])}, and some {own[4]}.")
    abstract, full = f"We report {own[0]} and {own[2]} in {condition(about)}. {body[0]}", " </p><p> ".join(map(escape, body))
    if traps and i % 20 == 9:
        abstract = full = ""
    text = f"<![CDATA[{body[0]} p < 0.05]]><p>{full}</p>" if traps and i % 20 == 5 else f"<p>{full}</p>" if full else ""
    shown = "".join(
        f"<figure iri={quoteattr(name)}><caption>{chance.choice(VIEWS).capitalize()} scan: {own[n % FINDINGS]}</caption></figure>"
        for n, name in enumerate(figures)
    )
    authors = "".join(f"<author>{word(i * 3 + n).capitalize()} {word(i + n).capitalize()}</author>" for n in range(2 + i % 3))
    head = f"<title>{title}</title><authors>{authors}</authors><abstract>{escape(abstract)}</abstract>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<article doi={quoteattr(doi)}>{head}'
        f"<fulltext>{text}</fulltext><figures>{shown}</figures></article>\n"
    )


def _write_topics(root: Path, topics: int, seed: int) -> None:
    (root / "CaseQueryImages2013").mkdir(parents=True, exist_ok=True)
    pictures, rows = _pictures(), []
    for t in range(topics):
        chance = random.Random(f"{seed}/topic/{t}")
        own = findings(t)
        said = (
            f"A {chance.randint(18, 88)}-year-old patient with {own[0]}, {own[2]} and {own[4]}. Scans show {own[1]} and {own[3]}."
        )
        images = [f"CaseQueryImages2013/{t + 1:02d}_{n + 1}.jpg" for n in range(1 + t % 3)]
        for n, image in enumerate(images):
            (root / image).write_bytes(_picture(pictures, t * 17 + n, f"case {t} {n}"))
        named = "".join(f"<image>{image}</image>" for image in images)
        rows.append(f"<TOPIC><ID>{t + 1}</ID><EN-DESCRIPTION>{escape(said)}</EN-DESCRIPTION>{named}</TOPIC>")
    text = '<?xml version="1.0" encoding="UTF-8"?>\n<TOPICS>\n' + "\n".join(rows) + "\n</TOPICS>\n"
    (root / "case-based-topics.xml").write_text(text, encoding="utf-8", newline="\n")


def _write_qrels(cases: Cases, judged: int, relevant: int, seed: int) -> None:
    folder = cases.folder / "qrels"
    folder.mkdir(exist_ok=True)
    lines = "".join(f"{topic}\t0\t{doi}\t{grade}\n" for topic, doi, grade in judged_pairs(cases, judged, relevant, seed))
    (folder / "qrel-2013-case_based.txt").write_text(lines, encoding="utf-8", newline="\n")


def judged_pairs(cases: Cases, judged: int, relevant: int, seed: int = 0) -> Iterator[tuple[str, str, int]]:
    """Pairs that people judged, spread over the topics: of each first its relevant articles, as far as they are wanted."""
    chance = random.Random(f"{seed}/qrels")
    every = list(cases.about)
    topics = list(cases.asked)
    for number, topic in enumerate(topics):
        own = judged // len(topics) + (number < judged % len(topics))
        most = relevant // len(topics) + (number < relevant % len(topics))
        yes = [doi for doi in every if cases.relevant(topic, doi)][: min(most, own)]
        taken = set(yes)
        no: list[str] = []
        while len(no) < min(own - len(yes), len(every) - len(yes)):
            doi = every[int(chance.random() * len(every))]
            if doi not in taken and not cases.relevant(topic, doi):
                taken.add(doi)
                no.append(doi)
        yield from ((topic, doi, 1) for doi in yes)
        yield from ((topic, doi, 0) for doi in no)


@lru_cache(maxsize=1)
def _pictures() -> Sequence[bytes]:
    """Some small grey pictures as JPEG."""
    import io

    import numpy as np
    from PIL import Image

    out = []
    for n in range(24):
        y, x = np.mgrid[0:64, 0:64]
        grey = (128 + 100 * np.sin((x * (1 + n % 5) + y * (1 + n // 5)) / 12)).astype(np.uint8)
        data = io.BytesIO()
        Image.fromarray(grey).save(data, "JPEG", quality=60)
        out.append(data.getvalue())
    return out


def _picture(pictures: Sequence[bytes], number: int, name: str) -> bytes:
    """One of them with a comment of its own (a JPEG's COM segment), so that no two files have the same bytes."""
    plain, comment = pictures[number % len(pictures)], name.encode()
    return plain[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + plain[2:]
