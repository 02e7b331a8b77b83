"""What servers say of tokens, read with care: a count that is none is unknown, and never the reply's trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 2**31  # tokens of one call; what is beyond is a mistake, and more than some databases hold


def count(value: Any, *, least: int = 0) -> int | None:
    """A whole number from `least`; None for anything else: a text, a truth value, a fraction, what is below or absurd."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < MOST:
        return None
    return value


def fields(value: Any) -> Mapping[str, Any]:
    """A mapping as it is; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
