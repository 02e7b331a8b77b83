from __future__ import annotations

import math

import bm25s
import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.text.best import add_plainly, adder, at_least_nth, best
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


def test_both_ways_of_adding_postings_and_of_looking_at_scores_agree() -> None:
    rng = np.random.default_rng(3)
    made = index([" ".join(f"w{i}" for i in rng.zipf(1.4, size=12) % 300) for _ in range(2000)])
    weights, _ = made.queries(pl.Series(["w1 w2 w3", "w250", "", "nothing", "w1 w1 w77 w120"] * 20))
    fast, plain = (list(best(made.postings, weights, len(made), 30, add=add)) for add in (adder(), add_plainly))
    assert [row for row, _, _ in fast] == [row for row, _, _ in plain] == list(range(100))
    for (_, docs, values), (_, docs2, values2) in zip(fast, plain, strict=True):
        assert sorted(docs.tolist()) == sorted(docs2.tolist())
        assert np.sort(values).tolist() == pytest.approx(np.sort(values2).tolist(), rel=1e-6)
    # the query of rare terms looks only at the documents with them, the others at all: both must be what the pairs say
    for row in (0, 1, 4):
        truth = made.pair_scores(weights, np.full(2000, row), np.arange(2000))
        docs, values = fast[row][1], fast[row][2]
        cut = np.sort(truth)[-min(30, int((truth > 0).sum()))]
        assert sorted(docs.tolist()) == np.flatnonzero(truth >= cut * (1 - 1e-6)).tolist()
        assert values.tolist() == pytest.approx(truth[docs].tolist(), rel=1e-5)


@pytest.mark.parametrize("depth", [1, 7, 100, 1000, 5000])
@pytest.mark.parametrize("kind", ["random", "mostly 0", "all 0", "ties", "sample too high", "sample too low"])
def test_the_best_are_found_whatever_the_sample_says(kind: str, depth: int) -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(4000).astype(np.float32)
    if kind == "mostly 0":
        scores[rng.random(4000) < 0.97] = 0
    elif kind == "all 0":
        scores[:] = 0
    elif kind == "ties":
        scores = np.round(scores, 1)
    elif kind.startswith("sample"):
        scores[::32] += 5 if kind == "sample too high" else -scores[::32]
    nth = np.sort(scores)[-depth] if depth <= 4000 else -1
    assert at_least_nth(scores, depth).tolist() == np.flatnonzero((scores > 0) & (scores >= nth)).tolist()


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
    named = {name: value for name, value in made.settings.items() if name != "recipe"}
    assert named == {"analyzer": "english", "k1": 0.9, "b": 0.4, "idf": "lucene"}
    assert made.settings["recipe"]["stemmers"] == ["porter"]


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="b from 0 to 1"):
        index(DOCS, b=1.5)
    with pytest.raises(InputError, match="k1"):
        index(DOCS, k1=-1)
    with pytest.raises(InputError, match="a finite k1"):  # no number in JSON, and no sense
        index(DOCS, k1=float("inf"))
    with pytest.raises(UnknownName, match="analyzer"):
        index(DOCS, analyzer="klingon")
