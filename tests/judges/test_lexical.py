from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from plain_collection import PlainCollection, read_folder
from qrelkit.core.doors import Judge
from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.guideline import SCALES
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Judgment, Pair
from qrelkit.judges.lexical import Lexical

PRODUCT = SCALES["product-3"]
SHOP = PlainCollection(
    {"1": "red dress", "2": "red shoe", "3": "blue shoe", "4": "green hat", "5": "", "6": "?!"},
    {"q1": "red dress", "q2": "blue shoe", "q3": "?"},
    name="shop",
)


def all_pairs(*queries: str, documents: str = "123456") -> pl.DataFrame:
    return pl.DataFrame({"query_id": [q for q in queries for _ in documents], "doc_id": list(documents) * len(queries)})


def grades(judge: Lexical) -> dict[tuple[str, str], int | None]:
    return {(q, d): g for q, d, g in judge.judge_all().select("query_id", "doc_id", "grade").iter_rows()}


def run(judge: Lexical, group: Sequence[Pair]) -> Sequence[Judgment]:
    """A lexical judge asks nothing, so its flow ends at once."""
    flow = judge.flow(group)
    with pytest.raises(StopIteration) as end:
        next(flow)
    judgments: Sequence[Judgment] = end.value.value
    return judgments


def pair(query_id: str, doc_id: str, **keys: Any) -> Pair:
    return Pair(query=SHOP.query(query_id), document=SHOP.document(doc_id), **keys)


def test_more_of_the_query_is_a_higher_grade() -> None:
    judge = Lexical.fit(all_pairs("q1", documents="1234"), SHOP, PRODUCT, shares=(0.5, 0.25, 0.25))
    assert isinstance(judge, Judge)
    # 1 has both terms, 2 has one, 3 and 4 none
    assert grades(judge) == {("q1", "1"): 2, ("q1", "2"): 1, ("q1", "3"): 0, ("q1", "4"): 0}


def test_a_document_without_text_is_refused_and_never_0() -> None:
    judge = Lexical.fit(all_pairs("q1"), SHOP, PRODUCT)
    assert [grades(judge)["q1", d] for d in "56"] == [None, None]
    (judgment,) = run(judge, [pair("q1", "5")])
    assert (judgment.grade, judgment.outcome) == (None, "refused")
    assert "no text" in judgment.reason


def test_a_query_without_words_is_refused() -> None:
    judge = Lexical.fit(all_pairs("q3", documents="12"), SHOP, PRODUCT)
    assert judge.judge_all()["outcome"].to_list() == ["refused", "refused"]
    assert "query has no word" in judge.judge_all()["reason"][0]


def test_descriptions_are_read_as_part_of_the_document() -> None:
    described = Lexical.fit(all_pairs("q1"), SHOP, PRODUCT, descriptions={"5": "dress red", "4": "red"})
    assert grades(described)["q1", "5"] == grades(described)["q1", "1"] != 0  # the same words as document 1
    assert grades(described)["q1", "6"] is None


def test_a_route_that_needs_descriptions_refuses_documents_without_one() -> None:
    descriptions = {"1": "a red dress", "2": "red", "3": "  "}
    judge = Lexical.fit(all_pairs("q1", documents="1234"), SHOP, PRODUCT, descriptions=descriptions, requires_description=True)
    table = judge.judge_all()
    assert table["outcome"].to_list() == ["graded", "graded", "refused", "refused"]
    assert "no description" in table["reason"][2]
    nothing = Lexical.fit(all_pairs("q1", documents="12"), SHOP, PRODUCT, requires_description=True)
    assert nothing.judge_all()["grade"].null_count() == 2


def test_the_reason_says_score_and_cut() -> None:
    judge = Lexical.fit(all_pairs("q1", documents="1234"), SHOP, PRODUCT, shares=(0.5, 0.25, 0.25))
    by_doc = dict(judge.judge_all().select("doc_id", "reason").iter_rows())
    # both query terms once each in a text of 2 terms; mean length (2 + 2 + 2 + 2) / 6 = 4/3, so
    # tf / (tf + k1 (1 - b + b · 2 / (4/3))) = 1 / (1 + .9 · 1.2) = .481 for each term; document 3 has neither
    assert by_doc["1"].startswith("BM25 0.481 of the query's best possible; above the cut 0.")
    assert by_doc["3"].startswith("BM25 0.000 of the query's best possible; not above the cut 0.")


def test_flow_and_the_bulk_path_say_the_same() -> None:
    judge = Lexical.fit(all_pairs("q1", "q2"), SHOP, PRODUCT)
    rows = judge.judge_all().rows(named=True)
    for row in rows:
        (judgment,) = run(judge, [pair(row["query_id"], row["doc_id"], query_key="a", doc_key="b", sample=2)])
        assert {name: getattr(judgment, name) for name in row} == row
        assert (judgment.query_key, judgment.doc_key, judgment.sample) == ("a", "b", 2)
        assert judgment.probabilities is None


def test_a_pair_that_was_not_fitted_is_an_error() -> None:
    judge = Lexical.fit(all_pairs("q1"), SHOP, PRODUCT)
    with pytest.raises(Mismatch, match="'q2', document '1' is not among"):
        next(judge.flow([pair("q2", "1")]))


def test_ids_that_the_collection_does_not_know_are_an_error() -> None:
    with pytest.raises(Mismatch, match="document '77'"):
        Lexical.fit(pl.DataFrame({"query_id": ["q1"], "doc_id": ["77"]}), SHOP, PRODUCT)
    with pytest.raises(Mismatch, match="query 'q9'"):
        Lexical.fit(pl.DataFrame({"query_id": ["q9"], "doc_id": ["1"]}), SHOP, PRODUCT)


def test_impossible_shares_and_folds_are_errors() -> None:
    for shares in ((0.5, 0.5), (0.5, 0.6, 0.1), (1.2, -0.1, -0.1)):
        with pytest.raises(InputError, match="one per grade"):
            Lexical.fit(all_pairs("q1"), SHOP, PRODUCT, shares=shares)
    human = qrels([("q1", "1", 2), ("q1", "3", 0)])
    with pytest.raises(InputError, match="at least 2 folds and 2 queries"):
        Lexical.fit(all_pairs("q1"), SHOP, PRODUCT, cuts=human)
    with pytest.raises(InputError, match="take none"):
        Lexical.fit(all_pairs("q1"), SHOP, PRODUCT, cuts=human, shares=(0.4, 0.3, 0.3))


def test_human_grades_off_the_scale_are_an_error() -> None:
    with pytest.raises(Mismatch, match="grades \\[3\\]"):
        Lexical.fit(all_pairs("q1"), SHOP, PRODUCT, cuts=qrels([("q1", "1", 3), ("q2", "1", 0)]))


def qrels(rows: list[tuple[str, str, int]]) -> Qrels:
    return Qrels.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row"), "human")


def test_cuts_come_from_other_queries_only() -> None:
    # turning a query's own grades upside down may change nothing for it
    collection, human = graded_catalogue(2)
    some = human.frame["query_id"][0]
    turned = human.frame.with_columns(grade=pl.when(pl.col("query_id") == some).then(2 - pl.col("grade")).otherwise("grade"))
    a, b = (Lexical.fit(human.frame, collection, PRODUCT, cuts=q, folds=2) for q in (human, Qrels.of(turned, "turned")))
    own = pl.col("query_id") == some
    assert a.judge_all().filter(own).equals(b.judge_all().filter(own))
    assert not np.array_equal(a.cuts, b.cuts)
    assert a.key != b.key


def graded_catalogue(size: int = 20) -> tuple[PlainCollection, Qrels]:
    """`size` queries of two words; a document has grade 0, 1 or 2: how many of the words it holds."""
    rng = np.random.default_rng(3)
    documents, queries, rows = {}, {}, []
    for q in range(size):
        queries[f"q{q}"] = f"left{q} right{q}"
        for d in range(9):
            grade = d % 3
            filler = " ".join(f"w{i}" for i in rng.integers(0, 50, size=rng.integers(2, 12)))
            documents[f"{q}-{d}"] = " ".join([*queries[f"q{q}"].split()[:grade], filler])
            rows.append((f"q{q}", f"{q}-{d}", grade))
    return PlainCollection(documents, queries, name="graded"), qrels(rows)


def test_learnt_cuts_recover_grades_that_follow_from_the_words() -> None:
    collection, human = graded_catalogue()
    judge = Lexical.fit(human.frame, collection, PRODUCT, cuts=human)
    assert (judge.judge_all()["grade"] == human.frame["grade"]).mean() > 0.95
    assert judge.cuts.shape == (6, 2)  # five folds, and the cuts for queries without human grades


def test_queries_without_human_grades_are_cut_by_all_others() -> None:
    collection, human = graded_catalogue()
    partly = Qrels.of(human.frame.filter(pl.col("query_id") != "q7"), "partly")
    judge = Lexical.fit(human.frame, collection, PRODUCT, cuts=partly)
    mine = judge.judge_all().filter(query_id="q7")
    assert mine["grade"].to_list() == human.frame.filter(query_id="q7")["grade"].to_list()


def test_the_key_follows_what_decides_the_grades() -> None:
    def key(pairs: pl.DataFrame, **options: Any) -> str:
        return Lexical.fit(pairs, SHOP, PRODUCT, **options).key

    pairs = all_pairs("q1", "q2")
    assert key(pairs) == key(pairs.reverse()) == key(pairs.with_columns(tags=pl.lit("x")))
    others = [
        key(all_pairs("q1")),
        key(pairs, shares=(0.5, 0.3, 0.2)),
        key(pairs, analyzer="english"),
        key(pairs, descriptions={"5": "red"}),
        key(pairs, requires_description=True),
        Lexical.fit(pairs, SHOP, SCALES["binary"]).key,
    ]
    assert len({key(pairs), *others}) == 7


def test_the_seed_moves_the_folds_and_equal_seeds_agree() -> None:
    collection, human = graded_catalogue()
    first, again, other = (Lexical.fit(human.frame, collection, PRODUCT, cuts=human, seed=s) for s in (1, 1, 2))
    assert first.key == again.key != other.key
    assert first.judge_all().equals(again.judge_all())


@pytest.mark.parametrize(
    ("folder", "plain"),
    [("liveqa_medquad", 0.25), ("mediqa2019/train_liveqa", 0.34), ("mediqa2019/train_alexa", 0.38)],
)
def test_medical_answers_are_graded_better_than_chance_by_cuts_from_other_queries(data: Path, folder: str, plain: float) -> None:
    collection, human = read_folder(data / folder)
    judge = Lexical.fit(human.frame, collection, SCALES["answer-1-4"], cuts=human)
    both = judge.judge_all().join(human.frame.select("query_id", "doc_id", human="grade"), on=["query_id", "doc_id"])
    assert both["grade"].null_count() == 0
    tables = np.array([confusion(rows) for rows in both.partition_by("query_id")])
    value = quadratic(tables.sum(axis=0)[None])[0]
    assert value == pytest.approx(cohen_kappa_score(both["human"], both["grade"], weights="quadratic"))
    rng = np.random.default_rng(0)
    low = np.quantile(quadratic(tables[rng.integers(0, len(tables), size=(2000, len(tables)))].sum(axis=1)), 0.025)
    assert value > plain  # what plain BM25 reaches (the figures); a constant guess has kappa 0
    assert low > 0
    assert error(both["human"], both["grade"]) < error(both["human"], both["human"].mode()[0])


def confusion(rows: pl.DataFrame) -> np.ndarray:
    counts = np.zeros((4, 4))
    np.add.at(counts, (rows["human"].to_numpy() - 1, rows["grade"].to_numpy() - 1), 1)
    return counts


def quadratic(counts: np.ndarray) -> np.ndarray:
    """1 - Σ w·observed / Σ w·expected of each table."""
    weights = (np.arange(4)[:, None] - np.arange(4)) ** 2
    expected = counts.sum(axis=2)[:, :, None] * counts.sum(axis=1)[:, None, :] / counts.sum(axis=(1, 2))[:, None, None]
    return 1 - (weights * counts).sum(axis=(1, 2)) / (weights * expected).sum(axis=(1, 2))


def error(human: pl.Series, assessor: Any) -> float:
    """Mean squared difference, which quadratic kappa rests on."""
    return float(((human - assessor) ** 2).mean())
