"""How far a document reaches into the ledger: which parts hold it, and which requests were made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

R = TypeVar("R")
P = TypeVar("P")
Used = Callable[[], Iterable[tuple[R, Sequence[P]]]]


def reach(holding: Collection[P], used: Used[R, P], own: set[R], others: set[R]) -> tuple[set[P], set[R]]:
    """The parts and the requests that must go.

    `holding` are the parts in which a document was found, `used()` gives every request with the parts it is made of, `own` are
    the requests of the documents' judgments, `others` those of all other judgments. A text can stand in a part otherwise
    than it was (shortened, fenced), so the parts of own requests go too, but for those that others share (instructions,
    queries). Whatever was asked with a part that goes may quote it, and so may what only such requests are made of.
    """
    theirs: set[P] = set()
    shared: set[P] = set()
    for request, parts in used():
        if request in own:
            theirs.update(parts)
        elif request in others:
            shared.update(parts)
    gone = {*holding} | (theirs - shared)
    requests = own | {request for request, parts in used() if not gone.isdisjoint(parts)}
    inside: set[P] = set()
    outside: set[P] = set()
    for request, parts in used():
        (inside if request in requests else outside).update(parts)
    return gone | (inside - outside), requests
