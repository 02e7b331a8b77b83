"""Labels that somebody recorded, as a judge: it asks nothing, so cascades and panels run offline on real decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from qrelkit.core.guideline import Scale
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Judgment, Outcome, Pair
from qrelkit.core.wire import Flow, digest_bytes, digest_of


class Labels:
    """Implements the `Judge` door with recorded labels; `source` is what an error calls them (their file).

    A pair without a label has the outcome "failed", never a grade. `settings` hold the digest of all labels, so a changed file
    is another judge; it does not read the texts, so only the ids decide. Raises Mismatch for labels that are not on the scale.
    """

    models: tuple[str, ...] = ()  # it asks none

    def __init__(self, qrels: Qrels, scale: Scale, *, name: str = "", source: str = "") -> None:
        scale.fits(qrels.grades, source or qrels.name)
        self.qrels, self.scale = qrels, scale
        self.name, self.source = name or qrels.name, source or qrels.name

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        rows = self.qrels.frame.select("query_id", "doc_id", "grade", "outcome").sort("query_id", "doc_id")
        return {"kind": "labels", "labels": digest_bytes(rows.write_csv().encode("utf-8")), "scale": self.scale.json()}

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
        grade, outcome = self._labels.get((query_id, doc_id), (None, "failed"))
        return Judgment(
            query_id=query_id,
            doc_id=doc_id,
            grade=grade,
            outcome=outcome,
            reason="" if grade is not None else f"{self.source} has no label for it",
            query_key=pair.query_key,
            doc_key=pair.doc_key,
            sample=pair.sample,
        )

    @cached_property
    def _labels(self) -> dict[tuple[str, str], tuple[int | None, Outcome]]:
        return {(q, d): (g, o) for q, d, g, o in self.qrels.frame.select("query_id", "doc_id", "grade", "outcome").iter_rows()}

    def __repr__(self) -> str:
        return f"Labels({self.qrels!r})"
