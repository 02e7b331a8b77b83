"""The pairs of a comparison as arrays: what is recognised, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.parse import parse_measure
from qrelkit.steps.population import population


def qrels(rows, name="judge", **more):
    frame = pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row").with_columns(**more)
    return Qrels.of(frame, name)


JUDGE = qrels([("007", "a", 0), ("007", "b", 1), ("007", "c", 3), ("08", "a", 2), ("08", "d", 3)])


def test_ids_are_strings_and_arrays_follow_the_pairs():
    people = population(JUDGE, qrels([("08", "a", 3), ("007", "c", 1)], "people"))
    assert people.query_ids.to_list() == ["007", "08"]
    assert people.pairs["doc_id"].to_list() == ["a", "b", "c", "a", "d"]
    assert people.q.tolist() == [0, 0, 0, 1, 1]
    assert people.levels == (0, 1, 2, 3)
    assert people.place[people.stratum].tolist() == [0, 1, 3, 2, 3]
    assert people.labelled.tolist() == [2, 3]
    assert people.grade.tolist() == [1, 3]
    assert people.z.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_the_design_is_recognised():
    whole = [("007", "a", 0), ("007", "b", 0), ("007", "c", 1)]
    rest = [("08", "a", 1), ("08", "d", 1)]
    assert population(JUDGE).design == "by pair"
    assert population(JUDGE, qrels(whole[:2])).design == "by pair"
    assert population(JUDGE, qrels(whole)).design == "by query"
    assert population(JUDGE, qrels([*whole, rest[0]])).design == "by pair"
    assert population(JUDGE, qrels([*whole, *rest])).design == "census"


def test_a_label_outside_the_judges_pairs_joins_them_without_a_judges_label():
    people = population(JUDGE, qrels([("08", "new", 2)], "people"))
    assert len(people) == 6
    at = int(people.labelled[0])
    assert people.pairs.row(at) == ("08", "new")
    assert np.isnan(people.place[people.stratum[at]])
    assert people.calibrated().at_least.shape == (6, 3)


def test_an_ungraded_pair_of_the_judge_is_a_pair_without_a_label():
    judge = qrels([("q", "a", None), ("q", "b", 2), ("q", "c", 0), ("q", "d", -1)])
    people = population(judge)
    assert len(people) == 4
    assert np.isnan(people.place[people.stratum]).tolist() == [True, False, False, True]
    # Even chances before anything is known, of the grades that occur: 0 and 2.
    np.testing.assert_allclose(people.calibrated().at_least[0], [1 / 2])


def test_an_ungraded_pair_of_people_is_no_label():
    people = population(JUDGE, qrels([("007", "a", None), ("007", "b", 1), ("08", "a", -2)], "people"))
    assert people.pairs[people.labelled].rows() == [("007", "b")]


def test_probabilities_and_rounds_are_kept_and_are_even_where_there_are_none():
    rows = [("007", "a", 0), ("08", "d", 3)]
    people = population(JUDGE, qrels(rows, probability=pl.Series([0.25, 1.0]), round=pl.Series([2, 3])))
    assert people.probability.tolist() == [0.25, 1.0]
    assert people.round.tolist() == [2, 3]
    plain = population(JUDGE, qrels(rows))
    assert plain.probability.tolist() == [0.4, 0.4]
    assert plain.round.tolist() == [1, 1]
    assert people.until(2).probability.tolist() == [0.25]


def test_probabilities_have_limits():
    for wrong in (0.0, 1.1, -0.5):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            population(JUDGE, qrels([("007", "a", 0)], probability=pl.Series([wrong])))


def test_scales():
    assert population(JUDGE, levels=(3, 0, 1, 2, 4)).levels == (0, 1, 2, 3, 4)
    binary = [(f"q{i % 3}", f"d{i}", i % 2) for i in range(30)]
    graded = [(query, doc, grade * 3) for query, doc, grade in binary]
    assert population(qrels(graded), qrels(binary[:25])).levels == (0, 1)  # people never went beyond 1 in 25 labels
    assert population(qrels(graded), qrels(binary[:10])).levels == (0, 1, 3)
    stretched = population(qrels(graded), qrels(binary[:25]))
    assert sorted(stretched.place.tolist()) == [0, 1]
    assert population(qrels([("q", "a", 1), ("q", "b", 4)])).levels == (1, 4)  # a scale from 1 has no 0
    with pytest.raises(Mismatch, match=r"\[3\] that are not on the scale \[0, 1\]"):
        population(JUDGE, qrels([("007", "a", 3)]), levels=(0, 1))


def test_expected_grades_set_pairs_apart_by_halves():
    rows = [("q", "a", 1), ("q", "b", 1), ("q", "c", 1), ("q", "d", 2)]
    judge = qrels(rows, expected=pl.Series([0.6, 1.4, 0.7, None]))
    people = population(judge, levels=(0, 1, 2))
    assert people.place[people.stratum].tolist() == [0.5, 1.5, 0.5, 2.0]


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(Mismatch, match="share no query"):
        population(JUDGE, qrels([("7", "a", 1)], "people"))  # 7 is not 007
    with pytest.raises(InputError, match="judge has no graded pair"):
        population(qrels([("q", "a", None)]))


def test_places_of_runs_are_as_deep_as_the_measures_look():
    run = Run.of(
        pl.DataFrame({"query_id": ["007"] * 4 + ["x"], "doc_id": ["c", "new", "a", "b", "a"], "score": [4.0, 3, 2, 1, 1]}), "r"
    )
    people = population(JUDGE)
    placed = people.placed([run], [parse_measure("P@3")])
    assert (placed.pair[0].tolist(), placed.rank[0].tolist()) == ([2, 0], [1, 3])
    assert placed.retrieved.tolist() == [[4, 0]]
    assert people.placed([run], [parse_measure("P@3"), parse_measure("AP")]).rank[0].tolist() == [1, 3, 4]


def test_support_is_how_high_the_runs_put_a_pair():
    run = Run.of(pl.DataFrame({"query_id": ["007", "007"], "doc_id": ["c", "a"], "score": [2.0, 1]}), "r")
    people = population(JUDGE, runs=[run])
    # 11 / (rank + 10): 1 for the first, 11/12 = .92 for the second, 0 for the others, less their mean, 1.92 / 5.
    np.testing.assert_allclose(people.support + 1.92 / 5, [0.92, 0, 1, 0, 0], atol=1e-12)
    assert (population(JUDGE).support == 0).all()


def test_without_the_judge_all_pairs_are_alike():
    people = population(JUDGE, qrels([("007", "a", 0)])).without_judge()
    assert len(set(people.calibrated().at_least[:, 0])) == 1
