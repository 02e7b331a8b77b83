from __future__ import annotations

import math

import bm25s
import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.text.bm25 import Index, index_documents

DOCS = ["red dress", "red red shoe", "blue shoe with a long lace", "green"]


def index(texts: list[str], **options: object) -> Index:
    return Index.of([pl.Series(texts, dtype=pl.String)], **{"analyzer": "standard", **options})  # type: ignore[arg-type]


def scores(made: Index, query: str) -> list[float]:
    weights, _ = made.queries(pl.Series([query]))
    n = len(made)
    return made.pair_scores(weights, np.zeros(n, np.int64), np.arange(n)).tolist()


def test_scores_follow_the_formula() -> None:
    # N = 4, lengths 2 3 6 1, mean 3; "red" is in 2 documents: idf = ln(1 + 2.5 / 2.5) = ln 2
    # d0: 1 / (1 + .9 (.6 + .4 · 2/3)) = 1 / 1.78; d1: 2 / (2 + .9 (.6 + .4 · 3/3)) = 2 / 2.9
    expected = [math.log(2) / 1.78, math.log(2) * 2 / 2.9, 0, 0]
    assert scores(index(DOCS), "red") == pytest.approx(expected, rel=1e-6)


def test_a_term_twice_in_the_query_counts_twice() -> None:
    made = index(DOCS)
    assert scores(made, "red RED") == pytest.approx([2 * s for s in scores(made, "red")])


def test_equals_bm25s_in_lucene_form() -> None:
    rng = np.random.default_rng(7)
    words = np.array([f"w{i}" for i in range(200)])
    lists = [words[np.minimum(rng.zipf(1.3, size=rng.integers(1, 40)) - 1, 199)].tolist() for _ in range(300)]
    oracle = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    oracle.index(lists, show_progress=False)
    made = index([" ".join(words) for words in lists], k1=1.2, b=0.75)
    for query in (["w0", "w7", "w50"], ["w3", "w3", "w150"]):
        assert scores(made, " ".join(query)) == pytest.approx(oracle.get_scores(query).tolist(), abs=2e-5)


def test_batches_make_the_same_index_as_one_series() -> None:
    one = index(DOCS)
    many = Index.of([pl.Series(DOCS[:1]), pl.Series(DOCS[1:3]), pl.Series(DOCS[3:])], analyzer="standard")
    for query in ("red shoe", "lace", "green blue"):
        assert scores(one, query) == scores(many, query)


def test_the_bound_counts_unseen_terms_and_lies_above_every_score() -> None:
    made = index(DOCS)
    weights, bound = made.queries(pl.Series(["red unseen", "red red", "", "!?"]))
    # idf of a term in none of 4 documents: ln(1 + 4.5 / .5) = ln 10
    assert bound.tolist() == pytest.approx([math.log(2) + math.log(10), 2 * math.log(2), 0, 0], rel=1e-6)
    assert max(scores(made, "red red")) < bound[1]
    assert weights.shape == (4, len(made.vocabulary))


def test_a_document_that_repeats_every_term_approaches_the_bound() -> None:
    made = index(["red shoe " * 5000, "blue"])
    _, bound = made.queries(pl.Series(["red shoe"]))
    assert 0.999 < scores(made, "red shoe")[0] / bound[0] < 1


def test_best_gives_the_nth_and_all_that_tie_with_it() -> None:
    made = index(["red shoe", "red", "red", "red", "blue"])
    weights, _ = made.queries(pl.Series(["red shoe", "none of these", "blue"]))
    found = {row: sorted(docs.tolist()) for row, docs, _ in made.best(weights, 2)}
    assert found == {0: [0, 1, 2, 3], 1: [], 2: [4]}


def test_best_is_the_same_however_little_is_added_up_at_once() -> None:
    made = index(DOCS)
    weights, _ = made.queries(pl.Series(["nothing", "red", "shoe red", "nothing", "lace"]))
    whole, small = (list(made.best(weights, 3, at_most)) for at_most in (10**7, 1))
    assert [r for r, _, _ in whole] == [r for r, _, _ in small] == [0, 1, 2, 3, 4]
    for (_, docs, values), (_, docs2, values2) in zip(whole, small, strict=True):
        assert dict(zip(docs.tolist(), values.tolist(), strict=True)) == dict(zip(docs2.tolist(), values2.tolist(), strict=True))


def test_best_and_pair_scores_agree() -> None:
    made = index(DOCS)
    weights, _ = made.queries(pl.Series(["red shoe lace lace"]))
    ((_, docs, values),) = made.best(weights, 10)
    all_scores = scores(made, "red shoe lace lace")
    assert values.tolist() == pytest.approx([all_scores[d] for d in docs], rel=1e-6)
    assert len(docs) == sum(s > 0 for s in all_scores)


def test_empty_texts_have_no_length_and_no_score() -> None:
    made = index(["", "red", "?!"])
    assert made.lengths.tolist() == [0, 1, 0]
    assert [s > 0 for s in scores(made, "red")] == [False, True, False]


@pytest.mark.parametrize("texts", [[], [""], ["", "..."]])
def test_an_index_of_nothing_answers_nothing(texts: list[str]) -> None:
    made = index(texts, analyzer="auto")
    weights, bound = made.queries(pl.Series(["red", ""]))
    assert [len(docs) for _, docs, _ in made.best(weights, 5)] == [0, 0]
    assert bound[0] > 0
    assert len(made.pair_scores(weights, np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0


def test_a_batch_of_no_queries_is_no_error() -> None:
    made = index(DOCS)
    weights, bound = made.queries(pl.Series([], dtype=pl.String))
    assert list(made.best(weights, 5)) == []
    assert len(bound) == 0


def test_extra_text_is_appended_and_ids_keep_their_order() -> None:
    batches = iter([(["a", "007"], ["red", "blue"]), (["c"], [""])])
    made, ids = index_documents(batches, {"c": "red", "007": "shoe", "zzz": "not here"}, analyzer="standard")
    assert ids.to_list() == ["a", "007", "c"]
    assert made.lengths.tolist() == [1, 2, 1]
    assert [s > 0 for s in scores(made, "shoe")] == [False, True, False]


def test_settings_name_the_analyzer_that_auto_chose() -> None:
    made = index(["what is the cause of this", "how to treat it"], analyzer="auto")
    assert made.settings == {"analyzer": "english", "k1": 0.9, "b": 0.4}


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="b from 0 to 1"):
        index(DOCS, b=1.5)
    with pytest.raises(InputError, match="k1"):
        index(DOCS, k1=-1)
    with pytest.raises(UnknownName, match="analyzer"):
        index(DOCS, analyzer="klingon")
