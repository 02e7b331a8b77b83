"""How requests become batches: alike ones together, by length, and in halves where a batch fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from qrelkit.core.errors import QrelkitError
from qrelkit.core.wire import Settings
from qrelkit.models.local_requests import PlainRequest

T = TypeVar("T")
R = TypeVar("R")


def batches(rows: Sequence[PlainRequest], size: int) -> Iterator[list[int]]:
    """Positions in `rows`, at most `size` together: equal settings (seeds apart), all with images or all without, and of about
    the same length, the longest first. So little is padded, and what does not fit into memory shows at once."""

    def kind(at: int) -> tuple[str, bool]:
        return repr(sampling(rows[at].settings)), bool(rows[at].images)

    order = sorted(range(len(rows)), key=lambda at: (kind(at), -rows[at].weight, at))
    for _, alike in groupby(order, key=kind):
        together = list(alike)
        yield from (together[start : start + size] for start in range(0, len(together), size))


def sampling(settings: Settings) -> Settings:
    """What a batch shares: the settings without the seed, which every row has for itself."""
    return replace(settings, seed=None)


def by_halves(rows: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]]) -> list[R | Exception]:
    """`work` over all rows at once; where it raises an error, over half as many, and so on: memory may be full, or one row be
    what cannot be worked on.

    In the place of a row with which it fails alone stands the error.
    """
    try:
        return list(work(rows))
    except QrelkitError:
        raise
    except Exception as error:
        if len(rows) == 1:
            return [error.with_traceback(None)]  # a traceback would keep the tensors of the failed try alive
    half = len(rows) // 2
    return by_halves(rows[:half], work) + by_halves(rows[half:], work)
