"""Analyzers: how a text becomes terms, as data with a name and a recipe that are recorded.

    text ──Analyzer.words──▶ words ──Analyzer.terms──▶ terms

A word is a run of Unicode word characters (apostrophes inside kept), or a run of Han and kana, unless said otherwise.
Everything else (NFKC, lower case, stop words, stemming, what becomes of a Han run) is done once per distinct word, not per
occurrence, so an analyzer may even be chosen after the words of a collection are known (`auto`).

    standard          words in lower case; Han and kana as single characters
    english           standard, less a possessive 's and Lucene's English stop words, Porter's stems: as Lucene's English
    english-snowball  standard, less Lucene's English stop words, Snowball English stems
    english-ascii     words are runs of a–z and 0–9 after NFKC and lower case; stop words and stems of english-snowball
    german            standard, less Snowball's German stop words, Snowball German stems
    multi             English and German mixed: stop words of both go (not hat, man …), stemmed by English, then by German
    cjk               words in lower case; Han and kana as overlapping pairs, a lone character kept
    rjieba, jieba     words in lower case; Han and kana segmented into words (extra zh)
    whitespace        whatever stands between blanks, as it is
    auto              standard, english, german, multi or cjk, as `choose` takes for the collection
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import UnknownName
from qrelkit.core.wire import digest_of
from qrelkit.text.han import HAN, Han, pieces
from qrelkit.text.ragged import Ragged, coded
from qrelkit.text.stopwords import BOTH, ENGLISH, GERMAN, TELLING

WORD = rf"[\w--[{HAN}]]+(?:['’][\w--[{HAN}]]+)*|[{HAN}]+"
AUTO = "auto"
Fold = Literal["after", "before", "never"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyzer:
    """`pattern` is what a word looks like; NFKC and lower case come `after` it is found, or `before`, or `never`. `possessive`
    takes a final 's off, `stemmers` are Snowball's names, applied in turn, `han` is what becomes of a run of Han and kana."""

    name: str
    pattern: str = WORD
    fold: Fold = "after"
    possessive: bool = False
    stopwords: frozenset[str] = frozenset()
    stemmers: tuple[str, ...] = ()
    han: Han = "characters"

    @property
    def recipe(self) -> dict[str, Any]:
        """All that it does, as JSON; the name is no part of it."""
        return {
            "pattern": self.pattern,
            "fold": self.fold,
            "possessive": self.possessive,
            "stopwords": sorted(self.stopwords),
            "stemmers": list(self.stemmers),
            "han": self.han,
        }

    @property
    def digest(self) -> str:
        """The digest of the recipe."""
        return digest_of(self.recipe)

    @property
    def made_with(self) -> dict[str, str]:
        """The packages that it asks, with their versions: another one may cut or stem otherwise."""
        used = [*(["PyStemmer"] if self.stemmers else []), *([self.han] if self.han in ("rjieba", "jieba") else [])]
        return {name: _version(name) for name in used}

    @staticmethod
    def of(name: str, recipe: Mapping[str, Any]) -> Analyzer:
        """The analyzer of a recipe."""
        lists = {"stopwords": frozenset(recipe["stopwords"]), "stemmers": tuple(recipe["stemmers"])}
        return Analyzer(name=name, **{**recipe, **lists})

    def words(self, texts: pl.Series) -> pl.Series:
        """The words of each text, as written: a Series of lists."""
        return (_folded(texts) if self.fold == "before" else texts).str.extract_all(self.pattern)

    def terms(self, words: pl.Series) -> tuple[Ragged, pl.Series]:
        """Which terms each distinct word has, none (a stop word), one, or several (a Han run), as numbers; and the terms."""
        if self.fold == "after":
            words = _folded(words).str.replace_all("’", "'", literal=True)
        if self.possessive:
            words = words.str.replace("'s$", "")
        if self.han == "whole":
            return self._plain(words)
        han = words.str.contains(rf"^[{HAN}]")
        (plain, stems), (runs, cut) = self._plain(words.filter(~han)), pieces(words.filter(han), self.han)
        items = np.concatenate([plain.items, runs.items + np.int32(len(stems))])
        both, distinct = Ragged.of(np.concatenate([plain.lengths, runs.lengths]), items), pl.concat([stems, cut])
        if cut.is_in(stems.implode()).any():  # as only patterns of one's own allow
            numbers, distinct = coded(distinct)
            both = both.renumbered(numbers)
        place = np.argsort(np.argsort(han.to_numpy(), kind="stable"), kind="stable")
        return Ragged.of(np.ones(len(place), np.int64), place).through(both), distinct

    def _plain(self, words: pl.Series) -> tuple[Ragged, pl.Series]:
        """One stem each; none for a stop word."""
        stays = ~words.is_in(["", *self.stopwords])
        codes, stems = coded(self._stems(words.filter(stays)))
        return Ragged.of(stays.to_numpy(), codes), stems

    def _stems(self, words: pl.Series) -> pl.Series:
        if not self.stemmers:
            return words
        import Stemmer

        stems = words.to_list()
        for name in self.stemmers:
            stems = Stemmer.Stemmer(name).stemWords(stems)
        return pl.Series(stems, dtype=pl.String)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # whoever needs it says so when a text is read
        return ""


def _folded(texts: pl.Series) -> pl.Series:
    return texts.str.normalize("NFKC").str.to_lowercase()


ANALYZERS: Mapping[str, Analyzer] = {
    a.name: a
    for a in (
        Analyzer(name="standard"),
        Analyzer(name="english", possessive=True, stopwords=ENGLISH, stemmers=("porter",)),
        Analyzer(name="english-snowball", stopwords=ENGLISH, stemmers=("english",)),
        Analyzer(name="english-ascii", pattern="[a-z0-9]+", fold="before", stopwords=ENGLISH, stemmers=("english",), han="whole"),
        Analyzer(name="german", stopwords=GERMAN, stemmers=("german",)),
        Analyzer(name="multi", stopwords=BOTH, stemmers=("english", "german")),
        Analyzer(name="cjk", han="pairs"),
        Analyzer(name="rjieba", han="rjieba"),
        Analyzer(name="jieba", han="jieba"),
        Analyzer(name="whitespace", pattern=r"\S+", fold="never", han="whole"),
    )
}
CHOICES = ("standard", "english", "german", "multi", "cjk")  # all with the same words, which are found before the choice


def named(name: str) -> Analyzer:
    """The analyzer of that name; raises UnknownName. `auto` is no analyzer but a choice (`choose`)."""
    if name not in ANALYZERS:
        raise UnknownName("analyzer", name, [*ANALYZERS, AUTO])
    return ANALYZERS[name]


def choose(words: pl.Series, counts: NDArray[np.int64]) -> Analyzer:
    """The analyzer for a collection in which word i occurs `counts[i]` times.

    `cjk` where at least a tenth of all characters are Han or kana; else by the share of German among the words that tell
    the two languages apart: `german` from 90 %, `english` up to 10 %, `multi` between; `standard` where such words make
    up less than 1 % of all (another language, or bare keywords).
    """
    lower = words.str.to_lowercase()
    han = words.str.contains(rf"^[{HAN}]").to_numpy()
    characters = words.str.len_chars().to_numpy() * counts
    if characters[han].sum() >= 0.1 * max(1, characters.sum()):
        return ANALYZERS["cjk"]
    german, english = (counts[lower.is_in(list(TELLING[name])).to_numpy()].sum() for name in ("german", "english"))
    if german + english <= 0.01 * counts.sum():
        return ANALYZERS["standard"]
    share = german / (german + english)
    return ANALYZERS["german" if share >= 0.9 else "english" if share <= 0.1 else "multi"]
