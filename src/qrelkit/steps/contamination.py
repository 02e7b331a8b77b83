"""Contamination: demonstrations, or training texts, that are test queries or their answers.

Texts are compared as `text/alike.py` says: the same but for case, blanks and punctuation, or one of at least 20 letters that
stands in the other. Of AutoMIR's 14 demonstration queries 13 are test queries of CMIRB: what a model was shown does not test it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from qrelkit.core.records import Document, Query
from qrelkit.rewriters.demonstrations import Demonstration
from qrelkit.text.alike import Likeness, letters, likeness


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The `part` of the demonstration at `place` (from 0) is alike to a test query or a relevant document, `id`."""

    place: int
    part: Literal["query", "passage"]
    of: Literal["query", "document"]
    id: str
    how: Likeness


def contamination(
    demonstrations: Sequence[Demonstration], queries: Iterable[Query], gold: Iterable[Document] = ()
) -> list[Finding]:
    """Every likeness between a demonstration and what it must not hold, in order of demonstrations, queries first."""
    tests: list[tuple[Literal["query", "document"], str, str]] = [("query", one.query_id, letters(one.text)) for one in queries]
    tests += [("document", one.doc_id, letters(one.text)) for one in gold]
    return [
        Finding(place=place, part=part, of=of, id=one_id, how=how)
        for place, shown in enumerate(demonstrations)
        for part, text in _parts(shown)
        for of, one_id, other in tests
        if (how := likeness(text, other))
    ]


def _parts(shown: Demonstration) -> Iterator[tuple[Literal["query", "passage"], str]]:
    yield "query", letters(shown.query)
    yield "passage", letters(shown.passage)
