"""An encoder that reranks: near documents first, each encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from qrelkit.core.doors import Reranker, Side
from qrelkit.core.records import Document, Query
from qrelkit.models.encoder_reranker import EncoderReranker


class Letters:
    """Vectors of (number of a, number of b)."""

    name = "letters"

    def __init__(self, similarity: Literal["cos", "dot"] = "cos") -> None:
        self.similarity = similarity
        self.settings = {"kind": "letters"}
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        self.encoded += texts
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)


def documents(*texts: str) -> list[Document]:
    return [Document(doc_id=text, text=text) for text in texts]


def test_cosine_and_dot_product() -> None:
    # query (1, 0): cosines of (2, 0), (1, 1), (0, 1), (0, 0) are 1, 1/√2, 0 and, by rule, 0; dot products 2, 1, 0, 0
    asked, found = Query(query_id="q", text="a"), documents("aa", "ab", "b", "x")
    assert EncoderReranker(Letters()).scores(asked, found) == pytest.approx([1, 0.5**0.5, 0, 0])
    assert EncoderReranker(Letters("dot")).scores(asked, found) == [2, 1, 0, 0]


def test_a_document_is_encoded_once_for_all_queries() -> None:
    encoder = Letters()
    reranker = EncoderReranker(encoder)
    reranker.scores(Query(query_id="1", text="a"), documents("aa", "ab"))
    reranker.scores(Query(query_id="2", text="b"), documents("ab", "bb"))
    assert encoder.encoded == ["aa", "ab", "a", "bb", "b"]
    assert isinstance(reranker, Reranker)
