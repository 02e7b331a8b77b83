"""Which words some texts have, as numbers.

    texts ──▶ distinct chunks between blanks ──▶ distinct words ──▶ terms         each arrow a Ragged, and they compose

A chunk is looked into once however often it occurs, which is most of the speed: splitting at blanks is cheap, finding words
is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from qrelkit.text.ragged import Codes, Ints, Ragged
from qrelkit.text.tokens import Analyzer


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
    chunks, distinct = Ragged.of_strings(texts.fill_null("").str.split(" "))
    words, vocabulary = Ragged.of_strings(analyzer.words(distinct))
    return Words(chunks, words), vocabulary
