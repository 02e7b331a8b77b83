"""Lists of numbers, end to end; and numbers for strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Ragged:
    """List i is `items[ends[i] : ends[i + 1]]`."""

    ends: Ints
    items: Codes

    @staticmethod
    def of(lengths: NDArray[Any], items: NDArray[Any]) -> Ragged:
        """From the length of every list, and the numbers of all."""
        ends = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=ends[1:])
        return Ragged(ends, items.astype(np.int32, copy=False))

    @staticmethod
    def of_strings(lists: pl.Series) -> tuple[Ragged, pl.Series]:
        """Lists of strings as numbers, and the distinct strings."""
        codes, distinct = coded(lists.explode())
        return Ragged.of(lists.list.len().to_numpy(), codes), distinct

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def lengths(self) -> Ints:
        return np.diff(self.ends)

    def renumbered(self, numbers: Codes) -> Ragged:
        """Every number replaced by another."""
        return Ragged(self.ends, numbers[self.items])

    def through(self, other: Ragged) -> Ragged:
        """Every number replaced by the list that has this number in `other`."""
        lengths = other.lengths
        if len(lengths) and lengths.min() == lengths.max() == 1:
            return self.renumbered(other.items)
        lengths = lengths[self.items]
        ends = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=ends[1:])
        at = np.repeat(other.ends[self.items] - ends[:-1], lengths)
        at += np.arange(len(at))
        return Ragged(ends[self.ends], other.items[at])


def coded(strings: pl.Series) -> tuple[Codes, pl.Series]:
    """Numbers from 0 for strings, in order of their first appearance, and the distinct strings."""
    categories = pl.Categories.random()
    column = strings.cast(pl.Categorical(categories))  # a Categories forgets its strings once no column uses it
    return column.to_physical().to_numpy().view(np.int32), categories.to_series()
