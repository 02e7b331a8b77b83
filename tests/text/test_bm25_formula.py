"""The variants of BM25 against the formulas written out in plain Python, term by term, and by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import UnknownName
from qrelkit.core.rewriting import Piece
from qrelkit.text.bm25 import Formula, Index

K1, B = 0.9, 0.4
RNG = np.random.default_rng(11)
DOCS = [[f"w{i}" for i in RNG.zipf(1.4, size=RNG.integers(1, 30)) % 60] for _ in range(80)]
QUERIES = [["w1", "w2", "w2", "w40"], ["w1"] * 5 + ["w3", "never"], ["w59", "w7", "w11", "w1"], ["never"]]


def gensim_idf(df: int, n: int) -> float:
    return math.log(n + 1) - math.log(df + 0.5)


def bm25q(query: list[str], doc: list[str], docs: list[list[str]]) -> float:
    """gensim's LuceneBM25Model on both sides, as R2MED and BRIGHT use it (research/retrieval.md §1.6).

    The query is a document too, of which only the terms count that some document has."""
    n, mean = len(docs), sum(map(len, docs)) / len(docs)
    df = Counter(term for d in docs for term in set(d))
    known = Counter(term for term in query if term in df)
    length = sum(known.values())

    def weight(tf: int, of: int, term: str) -> float:
        return gensim_idf(df[term], n) * tf / (tf + K1 * (1 - B + B * of / mean))

    return sum(weight(qtf, length, term) * weight(doc.count(term), len(doc), term) for term, qtf in known.items())


def scores(index: Index, weights: object) -> list[float]:
    return index.pair_scores(weights, np.zeros(len(index), np.int64), np.arange(len(index))).tolist()


def pieces(query: list[str]) -> list[tuple[Piece, ...]]:
    return [(Piece(text=" ".join(query)),)]


@pytest.mark.parametrize("query", QUERIES)
def test_query_side_bm25_with_gensims_idf(query: list[str]) -> None:
    index = Index.of([pl.Series([" ".join(d) for d in DOCS])], analyzer="whitespace", idf="gensim")
    expected = [bm25q(query, doc, DOCS) for doc in DOCS]
    assert scores(index, index.asked(pieces(query), "bm25")) == pytest.approx(expected, abs=1e-5)


def test_gensims_idf_by_hand() -> None:
    # two documents, a in one, b in both: ln 3 - ln 1.5 = ln 2; ln 3 - ln 2.5 = ln 1.2
    index = Index.of([pl.Series(["a b", "b b"])], analyzer="whitespace", idf="gensim")
    assert index.idf.tolist() == pytest.approx([math.log(2), math.log(1.2)])


def test_lucenes_idf_is_above_0_also_for_a_term_of_every_document() -> None:
    # ln(1 + (2 - 2 + .5) / (2 + .5)) = ln 1.2
    assert Formula().idf_of(np.array([2]), 2).tolist() == pytest.approx([math.log(1.2)])


def test_a_repeated_term_of_the_query_saturates_only_on_its_side() -> None:
    index = Index.of([pl.Series([" ".join(d) for d in DOCS])], analyzer="whitespace")
    once, thrice = pieces(["w1"]), pieces(["w1"] * 3)
    bag = [index.asked(asked).data[0] for asked in (once, thrice)]
    assert bag == [1, 3]
    one, three = (float(index.asked(asked, "bm25").data[0]) for asked in (once, thrice))
    assert one < three < 3 * one


def test_pieces_are_added_up_and_weighted_ones_count_by_their_length() -> None:
    # "w1 w1 w2" counts 2 and 1; of "w1 w3 w3 never" with weight 2: w1 2 · 1/4, w3 2 · 2/4
    index = Index.of([pl.Series(["w1 w2", "w3"])], analyzer="whitespace")
    asked = index.asked([(Piece(text="w1 w1 w2"), Piece(text="w1 w3 w3 never", weight=2), Piece(text="", weight=2))])
    assert asked.toarray().tolist() == [[2.5, 1, 1]]


def test_documents_that_occur_several_times_count_so_in_the_statistics() -> None:
    texts = ["red dress", "red shoe with lace", "blue"]
    counted = Index.of([pl.Series(texts)], analyzer="standard", occurrences=np.array([3, 1, 2]))
    raw = Index.of([pl.Series([texts[0]] * 3 + [texts[1]] + [texts[2]] * 2)], analyzer="standard")
    assert (counted.documents, counted.mean) == (6, (3 * 2 + 4 + 2) / 6)
    found, expected = (scores(i, i.queries(pl.Series(["red blue lace"]))[0]) for i in (counted, raw))
    assert found == pytest.approx([expected[0], expected[3], expected[4]])


def test_many_batches_count_occurrences_as_one_does() -> None:
    texts = pl.Series([" ".join(d) for d in DOCS])
    often = np.arange(1, len(DOCS) + 1)
    one = Index.of([texts], analyzer="standard", occurrences=often)
    many = Index.of([texts[i : i + 7] for i in range(0, len(texts), 7)], analyzer="standard", occurrences=often)
    assert one.idf.tolist() == many.idf.tolist()
    assert scores(one, one.asked(pieces(QUERIES[0]))) == scores(many, many.asked(pieces(QUERIES[0])))


def test_an_unknown_idf_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'lucene'"):
        Formula(idf="lucen")  # type: ignore[arg-type]
