"""Analyzers: how a text becomes terms, as data with a name that is recorded.

    text ──split──▶ words ──Analyzer.terms──▶ terms

All analyzers split alike: a word is a run of Unicode word characters (apostrophes inside kept), or a run of Han and kana.
Everything else (NFKC, lower case, stop words, stemming, characters or bigrams of a Han run) is done once per distinct
word, not per occurrence, so an analyzer may even be chosen after the words of a collection are known (`auto`).

    standard   words in lower case; Han and kana as single characters
    english    standard, less Lucene's English stop words, Snowball English stems
    german     standard, less Snowball's German stop words, Snowball German stems
    multi      English and German mixed: stop words of both go (not hat, man …), stemmed by English, then by German
    cjk        words in lower case; Han and kana as overlapping pairs, a lone character kept
    auto       whichever of these `choose` takes for the collection
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qrelkit.core.errors import UnknownName
from qrelkit.text.stopwords import BOTH, ENGLISH, GERMAN, TELLING

HAN = r"\p{Han}\p{Hiragana}\p{Katakana}ーｰﾞﾟ"  # the marks belong to no script
WORD = rf"[\w--[{HAN}]]+(?:['’][\w--[{HAN}]]+)*|[{HAN}]+"
AUTO = "auto"


def split(texts: pl.Series) -> pl.Series:
    """The words of each text, as written: a Series of lists."""
    return texts.str.extract_all(WORD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyzer:
    """What becomes of a word. `stemmers` are Snowball's names, applied in turn; `han` is 1 for characters, 2 for pairs."""

    name: str
    stopwords: frozenset[str] = frozenset()
    stemmers: tuple[str, ...] = ()
    han: int = 1

    def terms(self, words: pl.Series) -> pl.Series:
        """The terms of each distinct word: a list of none (a stop word), one, or several (a Han run)."""
        words = words.str.normalize("NFKC").str.to_lowercase().str.replace_all("’", "'", literal=True)
        frame = pl.DataFrame({"word": words, "stem": self._stems(words)})
        return frame.select(
            pl.when(pl.col("word").str.contains(rf"^[{HAN}]"))
            .then(self._pieces(pl.col("word")))
            .when(pl.col("word").is_in(list(self.stopwords)))
            .then(pl.lit([], dtype=pl.List(pl.String)))
            .otherwise(pl.concat_list("stem"))
        ).to_series()

    def _stems(self, words: pl.Series) -> pl.Series:
        if not self.stemmers:
            return words
        import Stemmer

        stems = words.to_list()
        for name in self.stemmers:
            stems = Stemmer.Stemmer(name).stemWords(stems)
        return pl.Series(stems, dtype=pl.String)

    def _pieces(self, run: pl.Expr) -> pl.Expr:
        """A bag of terms has no order, so the overlapping pairs are those from the first and those from the second character."""
        if self.han == 1:
            return run.str.extract_all(".")
        pairs = pl.concat_list(run.str.extract_all(".."), run.str.slice(1).str.extract_all(".."))
        return pl.when(run.str.len_chars() == 1).then(pl.concat_list(run)).otherwise(pairs)


ANALYZERS: Mapping[str, Analyzer] = {
    a.name: a
    for a in (
        Analyzer(name="standard"),
        Analyzer(name="english", stopwords=ENGLISH, stemmers=("english",)),
        Analyzer(name="german", stopwords=GERMAN, stemmers=("german",)),
        Analyzer(name="multi", stopwords=BOTH, stemmers=("english", "german")),
        Analyzer(name="cjk", han=2),
    )
}


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
