"""Which words some texts have, as numbers.

    texts ──▶ distinct chunks between blanks ──▶ distinct words ──▶ terms         each arrow a Ragged, and they compose

A chunk is looked into once however often it occurs, which is most of the speed: splitting at blanks is cheap, finding words
is not. A regular expression of one's own may hold a blank ("10 mg"), so to it the whole text is one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from qrelkit.text.ragged import Codes, Ints, Ragged
from qrelkit.text.tokens import ANALYZERS, Analyzer

WITHIN_BLANKS = frozenset(analyzer.pattern for analyzer in ANALYZERS.values())  # what a blank is never a part of


@dataclass(frozen=True)
class Words:
    """Texts → chunks → words."""

    texts: Ragged
    chunks: Ragged

    def counts(self, size: int) -> Ints:
        """How often each of `size` words occurs."""
        chunks = np.bincount(self.texts.items, minlength=len(self.chunks))
        each = np.repeat(chunks, self.chunks.lengths)
        return np.bincount(self.chunks.items, weights=each, minlength=size).astype(np.int64)

    def renumbered(self, numbers: Codes) -> Words:
        """The same with another number for each word."""
        return Words(self.texts, self.chunks.renumbered(numbers))

    def terms(self, of_word: Ragged) -> Ragged:
        """The terms of each text."""
        return self.texts.through(self.chunks.through(of_word))


def words_of(texts: pl.Series, analyzer: Analyzer) -> tuple[Words, pl.Series]:
    """The words of texts, and the distinct ones as they are written; a missing text has none."""
    whole = texts.fill_null("")
    apart = whole.str.split(" ") if analyzer.pattern in WITHIN_BLANKS else whole.reshape((-1, 1)).arr.to_list()
    chunks, distinct = Ragged.of_strings(apart)
    words, vocabulary = Ragged.of_strings(analyzer.words(distinct))
    return Words(chunks, words), vocabulary
