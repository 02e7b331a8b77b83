"""What recurs in replies word for word, each once: prices, and envelopes less the digests in them.

An envelope names six parts or so in hex, in some 400 bytes. Its form, which thousands share, is kept apart; what is left of it
in its row are the digests, 16 bytes each. Rows of older stores have their envelopes in plain JSON.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from qrelkit.core.errors import StoreError
from qrelkit.stores.database import Database
from qrelkit.stores.packing import to_bytes
from qrelkit.stores.schema import texts

DIGEST = re.compile('"([0-9a-f]{32})"')
PLACE = '"\x01"'  # no JSON has such a character as it is
SHORT = b"\x01"
TEXTS_AT_MOST = 5_000


@dataclass(slots=True)
class Texts:
    """Small numbers for texts that recur, the same ones for ever."""

    database: Database
    _numbers: dict[str, int] = field(default_factory=dict)
    _texts: dict[int, str] = field(default_factory=dict)

    def number(self, wanted: Collection[str]) -> tuple[Mapping[str, int], dict[str, int]]:
        """The number of each text, inside a transaction, and those that are given now; `keep` them once they are committed."""
        if self._numbers.keys() >= set(wanted):
            return self._numbers, {}
        self._read()
        missing = sorted(set(wanted) - self._numbers.keys())
        given = {text: number for number, text in enumerate(missing, 1 + max(self._texts, default=0))}
        self.database.add(texts, [(number, text) for text, number in given.items()])
        return self._numbers | given, given

    def keep(self, given: Mapping[str, int]) -> None:
        """Takes in numbers that are committed."""
        self._numbers.update(given)
        self._texts.update((number, text) for text, number in given.items())

    def text(self, number: int) -> str:
        """The text of a number."""
        if number not in self._texts:
            self._read()
        if number not in self._texts:
            raise self.database.refuse(f"text {number} of a reply is missing; see qrelkit doctor")
        return self._texts[number]

    def _read(self) -> None:
        self._texts = dict(self.database.rows("SELECT id, text FROM texts"))
        self._numbers = {text: number for number, text in self._texts.items()}

    @property
    def many(self) -> bool:
        """Whether there are so many that they cannot be forms and prices only."""
        return len(self._numbers) > TEXTS_AT_MOST

    def whole(self, stored: bytes | str) -> bytes:
        """An envelope as it was sent."""
        if isinstance(stored, str):  # a hand in an SQLite file has made a text of it
            return to_bytes(stored)
        if not stored.startswith(SHORT):
            return stored
        digests = [f'"{stored[i : i + 16].hex()}"' for i in range(5, len(stored), 16)]
        pieces = self.text(int.from_bytes(stored[1:5], "big")).split(PLACE)
        if len(pieces) != len(digests) + 1:
            raise StoreError(f"{self.database.where}: an envelope does not fit its form; see qrelkit doctor")
        return "".join(a + b for a, b in zip(pieces, [*digests, ""], strict=True)).encode()


def split(envelope: bytes) -> tuple[str, bytes]:
    """The form of an envelope, and the digests that stand in it."""
    pieces = DIGEST.split(envelope.decode())
    return PLACE.join(pieces[::2]), bytes.fromhex("".join(pieces[1::2]))


def short(number: int, digests: bytes) -> bytes:
    """An envelope as it lies in its row."""
    return SHORT + number.to_bytes(4, "big") + digests
