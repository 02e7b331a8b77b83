"""How far a pair's grade moves the systems, against plain loops; and that support, floor and labels do what they say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.core.run import Run
from qrelkit.measures.linear import expected
from qrelkit.measures.parse import parse_measure
from qrelkit.steps.choose import blocks, choose, effects
from qrelkit.steps.correction import share_of
from qrelkit.steps.population import Population, population
from steps.few_labels import KEY, ladder, qrels, ranked


def plain_effects(people: Population, runs: list[Run], name: str) -> list[float]:
    """Every pair by itself: the standard deviation, over its grades, summed over systems, of what moves them off their mean."""
    measure, calibration = parse_measure(name), people.calibrated()
    slopes = expected(measure, people.placed(runs, [measure]), people.chances(calibration)).slopes.at(np.arange(len(people)))
    out = []
    for pair, row in enumerate(calibration.at_least.tolist()):
        chance = [a - b for a, b in zip([1.0, *row], [*row, 0.0], strict=True)]
        moves = np.array([[slopes[s, pair, :g].sum() for g in range(len(chance))] for s in range(len(runs))]) / people.queries
        if len(runs) > 1:
            moves = moves - moves.mean(axis=0)
        out.append(float(np.sqrt(sum(np.average((m - np.average(m, weights=chance)) ** 2, weights=chance) for m in moves))))
    return out


@pytest.mark.parametrize("name", ["nDCG@3", "nDCG", "P@3", "R@4", "AP", "RBP", "P(rel=2)@3"])
@pytest.mark.parametrize("systems", [1, 2, 3])
@pytest.mark.parametrize("labels", [0, 25])
def test_effects_are_those_of_every_pair_by_itself(name, systems, labels):
    """The systems retrieve three or six of each query's twelve documents, so that the others are looked at by their kind."""
    study = ladder(4, queries=6)
    runs = [Run(run.frame.filter(pl.col("rank") <= 3 + 3 * (i % 2)), run.tag) for i, run in enumerate(study.runs)][:systems]
    human = study.graded(choose(study.judge, labels, rule="uniform")) if labels else None
    for support in (runs, study.runs):  # where other runs put them, unretrieved pairs of one label differ
        people = population(study.judge, human, runs=support)
        found = effects(people, runs, parse_measure(name))
        assert found.tolist() == pytest.approx(plain_effects(people, runs, name), abs=1e-12)


def test_pairs_that_no_system_retrieved_are_looked_at_once_for_each_query_and_label():
    """By hand: 2 queries of 10 documents, two of which the system has; the other eight have 2 labels, so 2 · (2 + 2) kinds."""
    judge = qrels([(q, f"d{d:02d}", d % 2) for q in ("q1", "q2") for d in range(10)], "judge")
    runs = [ranked({"q1": [0, 1], "q2": [0, 1]}, "one")]
    people = population(judge, runs=runs)
    (block,) = blocks(people, runs, parse_measure("nDCG@5"), share_of(people, None))
    assert sorted(block.times.tolist()) == [1, 1, 1, 1, 4, 4, 4, 4]
    assert sorted(block.pairs.tolist()) == list(range(20))
    assert np.bincount(block.like).tolist() == block.times.tolist()


def test_the_runs_support_what_is_likely_and_other_runs_may_be_given_for_it():
    study = ladder(0)
    runs = study.runs[:2]

    def chances(**options: object) -> list[float]:
        drawn = choose(study.judge, 143, rule="uncertainty", measure="P@5", seed=1, **options)  # type: ignore[arg-type]
        return drawn.sort(KEY)["probability"].round(9).to_list()

    assert chances(runs=runs, support=runs) == chances(runs=runs) == chances(support=runs)
    assert chances(runs=runs, support=study.runs) == chances(support=study.runs)
    assert len({tuple(chances(**options)) for options in ({}, {"runs": runs}, {"support": study.runs})}) == 3


def test_no_pair_is_below_its_part_of_the_floor_and_a_floor_of_1_is_even():
    study = ladder(3)
    for floor in (0.05, 0.5, 1.0):
        drawn = pl.concat([choose(study.judge, 30, runs=study.runs, floor=floor, seed=seed) for seed in range(10)])
        assert drawn.select(pl.col("probability").min()).item() >= floor * 30 / 144 - 1e-12
    assert drawn["probability"].to_list() == pytest.approx([30 / 144] * 300)


def test_decision_looks_where_systems_differ():
    """Two systems that differ in one query only, by P@2: a document that both have, or that neither has, moves nothing."""
    orders = {"q1": [0, 1, 2, 3], "q2": [0, 1, 2, 3]}
    runs = [ranked(orders, "one"), ranked(orders | {"q2": [0, 2, 1, 3]}, "other")]
    people = population(qrels([(q, f"d{d:02d}", 0) for q in orders for d in range(4)], "judge"), runs=runs)
    size = effects(people, runs, parse_measure("P@2"))
    assert [people.pairs.row(i) for i in np.flatnonzero(size > 1e-12)] == [("q2", "d01"), ("q2", "d02")]


def test_a_probability_is_how_often_its_pair_is_drawn():
    """150 drawings of 6 of 24 pairs: a share has a standard error of at most √(.25 / 150) = .041; four of them."""
    study, times = ladder(2, queries=2), 150
    drawn = pl.concat([choose(study.judge, 6, runs=study.runs, measure="nDCG@5", seed=seed) for seed in range(times)])
    found = drawn.group_by(KEY).agg(
        share=pl.len() / times, p=pl.col("probability").first(), kinds=pl.col("probability").n_unique()
    )
    assert found["kinds"].to_list() == [1] * found.height
    assert found.select((pl.col("share") - pl.col("p")).abs().max()).item() < 0.164
