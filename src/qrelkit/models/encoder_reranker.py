"""An encoder as a reranker: the vector of the query against those of its first documents, none of the rest being encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrelkit.core.doors import Encoder
from qrelkit.core.records import Document, Query
from qrelkit.text.leaving import MayLeave, leaving_document, leaving_query, refuse_nothing

Vector = NDArray[np.float32]


class EncoderReranker:
    """Implements the `Reranker` door with an `Encoder` and its own similarity. A document that several queries share is encoded
    once; its vectors are held in memory. `may_leave` (of an encoder behind an endpoint) as in `text/leaving.py`; `notes` is what
    the encoder takes for granted."""

    def __init__(self, encoder: Encoder, may_leave: MayLeave = None) -> None:
        refuse_nothing(may_leave)
        self._encoder, self._may_leave = encoder, may_leave
        self.notes: tuple[str, ...] = tuple(getattr(encoder, "notes", ()))
        self._known: dict[str, Vector] = {}
        self.name = encoder.name

    @property
    def settings(self) -> Mapping[str, Any]:
        said = {"kind": "encoder", "model": self._encoder.name, "similarity": self._encoder.similarity, **self._encoder.settings}
        return said if self._may_leave is None else said | {"may_leave": sorted(self._may_leave)}

    def scores(self, query: Query, documents: Sequence[Document]) -> list[float]:
        """Cosine or dot product, the higher the nearer; a vector of zeros has cosine 0."""
        unknown = [document for document in documents if document.doc_id not in self._known]
        new = {document.doc_id: leaving_document(document, self._may_leave).text for document in unknown}
        if new:
            self._known |= zip(new, self._encoder.encode(list(new.values()), "document"), strict=True)
        rows = np.stack([self._known[document.doc_id] for document in documents])
        asked = self._encoder.encode([leaving_query(query, self._may_leave).text], "query")[0]
        found = rows @ asked
        if self._encoder.similarity == "cos":
            lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(asked)
            found = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
        return [float(score) for score in found]

    def __repr__(self) -> str:
        return f"EncoderReranker({self.name})"
