"""Whether two texts are the same, or one is a copy of a part of the other.

Texts are compared by their letters and digits alone: NFKC, without case, blanks and punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Likeness = Literal["", "same", "contained"]
LEAST = 20  # letters: what is shorter stands in other texts by chance
_WORD = re.compile(r"[^\W_]+")


def letters(text: str) -> str:
    """What of a text is compared."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def likeness(one: str, other: str, least: int = LEAST) -> Likeness:
    """Of two texts as `letters` gives them: "same", "contained" where one of at least so many letters stands in the other, ""."""
    if one == other:
        return "same" if one else ""
    shorter, longer = sorted((one, other), key=len)
    return "contained" if len(shorter) >= least and shorter in longer else ""
