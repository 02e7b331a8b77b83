"""Chance from a seed and a name: the same draw on every machine and Python, whatever else is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chance:
    """Draws for one thing (a product, a query); each draw has a name, so that a new one changes no other."""

    seed: int
    thing: str

    def below(self, n: int, what: str) -> int:
        """A whole number from 0 to n - 1; n far below 2⁶⁴, so that the remainder's bias is nothing."""
        name = f"{self.seed}/{self.thing}/{what}".encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") % n

    def happens(self, percent: int, what: str) -> bool:
        return self.below(100, what) < percent

    def pick(self, options: Sequence[T], what: str) -> T:
        return options[self.below(len(options), what)]

    def shuffled(self, options: Sequence[T], what: str) -> list[T]:
        order = sorted(range(len(options)), key=lambda i: (self.below(2**63, f"{what} {i}"), i))
        return [options[i] for i in order]
