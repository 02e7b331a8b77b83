"""Labels that somebody recorded, as a judge: it asks nothing, so cascades and panels run offline on real decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import polars as pl

from qrelkit.core.errors import Mismatch
from qrelkit.core.guideline import Scale
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Judgment, Outcome, Pair
from qrelkit.core.wire import Flow, digest_bytes, digest_of
from qrelkit.formats.chances import chance_columns


class Labels:
    """Implements the `Judge` door with recorded labels; `source` is what an error calls them (their file).

    A pair without a label has the outcome "failed", never a grade. Where the frame has the probabilities of the grades (`p0`,
    `p1` …: `formats.chances`), its judgments have them. `settings` hold the digest of all labels and probabilities, so a
    changed file is another judge; it does not read the texts, so only the ids decide. Raises Mismatch for labels, and for
    grades that are held possible, that are not on the scale.
    """

    models: tuple[str, ...] = ()  # it asks none

    def __init__(self, qrels: Qrels, scale: Scale, *, name: str = "", source: str = "") -> None:
        scale.fits(qrels.grades, source or qrels.name)
        self.qrels, self.scale = qrels, scale
        self.name, self.source = name or qrels.name, source or qrels.name
        self.chances = [name for name in chance_columns(qrels.frame.columns) if self._possible(name)]

    def _possible(self, column: str) -> bool:
        """Whether the column is of a grade of the scale; one of another grade must be 0 for every pair."""
        if int(column[1:]) in self.scale.values:
            return True
        if self.qrels.frame.select((pl.col(column) > 0).any()).item():
            raise Mismatch(f"{self.source} has probabilities of grade {column[1:]}, which is not on scale {self.scale.name!r}")
        return False

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        rows = self.qrels.frame.select("query_id", "doc_id", "grade", "outcome", *self.chances).sort("query_id", "doc_id")
        told = {"probabilities": True} if self.chances else {}
        return {"kind": "labels", "labels": digest_bytes(rows.write_csv().encode("utf-8")), **told, "scale": self.scale.json()}

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def query_key(self, query_id: str, fingerprint: str, images: Sequence[str]) -> str:
        return ""

    def doc_key(self, doc_id: str, fingerprint: str, images: Sequence[str]) -> str:
        return ""

    def flow(self, group: Sequence[Pair]) -> Flow[Sequence[Judgment]]:
        """The labels of a group; asks nothing of any model."""
        yield from ()
        return [self._judgment(pair) for pair in group]

    def _judgment(self, pair: Pair) -> Judgment:
        query_id, doc_id = pair.query.query_id, pair.document.doc_id
        grade, outcome, chances = self._labels.get((query_id, doc_id), (None, "failed", None))
        return Judgment(
            query_id=query_id,
            doc_id=doc_id,
            grade=grade,
            outcome=outcome,
            probabilities=chances,
            reason="" if grade is not None else f"{self.source} has no label for it",
            query_key=pair.query_key,
            doc_key=pair.doc_key,
            sample=pair.sample,
        )

    @cached_property
    def _labels(self) -> dict[tuple[str, str], tuple[int | None, Outcome, tuple[float, ...] | None]]:
        rows = self.qrels.frame.select("query_id", "doc_id", "grade", "outcome").iter_rows()
        return {(q, d): (g, o, chances) for (q, d, g, o), chances in zip(rows, self._chances(), strict=True)}

    def _chances(self) -> Iterable[tuple[float, ...] | None]:
        """One number per grade of the scale for every pair; None where the file has none for it."""
        if not self.chances:
            return [None] * len(self.qrels)
        frame = self.qrels.frame
        columns = [pl.col(name) if (name := f"p{value}") in self.chances else pl.lit(0.0) for value in self.scale.values]
        known = frame[self.chances[0]].is_not_null()
        rows = frame.select(column.alias(str(i)) for i, column in enumerate(columns)).iter_rows()
        return [row if told else None for row, told in zip(rows, known, strict=True)]

    def __repr__(self) -> str:
        return f"Labels({self.qrels!r})"
