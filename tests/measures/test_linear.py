"""Measures at chances: the values of trec_eval where every grade is known, and slopes that are the values' own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.linear import BY_PAIR, Chances, Placed, expected
from qrelkit.measures.parse import parse_measure
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.population import population

MEASURES = [
    *("nDCG@10", "nDCG", "nDCG@3", "nDCG(dcg=exp)@5", "DCG@10", "DCG(dcg=exp)", "P@5", "P(rel=2)@3", "R@5", "R(rel=2)@20"),
    *("AP", "AP(rel=2)@5", "AP@3", "RBP", "RBP(p=0.5,rel=2)@4", "Judged@5", "Judged"),
]
LINEAR = ("DCG", "P", "RBP", "Judged")


def made(seed, levels=(0, 1, 2, 3), queries=4, documents=12, runs=3):
    """Qrels of some documents, and runs that also retrieve others."""
    rng = np.random.default_rng(seed)
    names = [(f"q{q}", f"d{d}") for q in range(queries) for d in range(documents)]
    grades = rng.choice(levels, len(names))
    rows = pl.DataFrame(names, schema=["query_id", "doc_id"], orient="row").with_columns(grade=pl.Series(grades))
    offered = pl.DataFrame(
        [(f"q{q}", f"d{d}") for q in range(queries) for d in range(documents + 5)], ["query_id", "doc_id"], orient="row"
    )
    out = []
    for tag in range(runs):
        scored = offered.with_columns(score=pl.Series(rng.random(offered.height)))
        out.append(Run.of(scored.filter(pl.Series(rng.random(offered.height) < 0.7)), f"run{tag}"))
    return Qrels.of(rows, "human"), out


def certain(people, columns):
    sure = people.z[np.argsort(people.labelled)]
    return Chances(
        q=people.q, queries=people.queries, levels=people.levels, at_least=sure, loose=np.full(people.queries, columns)
    )


@pytest.mark.parametrize("levels", [(0, 1, 2, 3), (0, 1), (1, 2, 3, 4)])
@given(st.integers(0, 10_000))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_with_every_grade_known_the_values_are_those_of_evaluate(levels, seed):
    human, runs = made(seed, levels)
    people = population(human, human, levels=levels)
    scores = evaluate(MEASURES, runs, human, resamples=0).per_query
    for name in MEASURES:
        measure = parse_measure(name)
        found = expected(measure, people.placed(runs, [measure]), certain(people, 1.0))
        rows = scores.filter(pl.col("measure") == str(measure))
        values = rows["value"].to_numpy().reshape(len(runs), people.queries)
        np.testing.assert_allclose(found.value, values, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(found.bent, 0, atol=1e-12)


def uncertain(seed, levels=(0, 1, 2, 3)):
    """Chances that fall with the level, some of them certain, and where systems put the pairs."""
    rng = np.random.default_rng(seed)
    q = np.repeat(np.arange(3), 14)
    at_least = np.sort(rng.uniform(0.02, 0.98, (len(q), len(levels) - 1)), axis=1)[:, ::-1].copy()
    at_least[::7] = (rng.integers(0, len(levels), len(q[::7]))[:, None] >= np.arange(1, len(levels))).astype(float)
    pairs, ranks = [], []
    for _ in range(2):
        kept = [np.sort(rng.choice(np.flatnonzero(q == one), 9, replace=False)) for one in range(3)]
        pairs.append(np.concatenate([rng.permutation(some) for some in kept]))
        ranks.append(np.tile(np.arange(1, 10) * 2, 3))
    placed = Placed(pair=pairs, rank=ranks, retrieved=np.full((2, 3), 18))
    return placed, Chances(q=q, queries=3, levels=levels, at_least=at_least, loose=np.full(3, 1.2))


class Held(Chances):
    """Other chances, while the counts of the queries and their spread stay."""

    @staticmethod
    def of(chances, at_least):
        out = Held(q=chances.q, queries=chances.queries, levels=chances.levels, at_least=at_least, loose=chances.loose)
        for name in ("counts", "spread"):
            object.__setattr__(out, name, getattr(chances, name))
        return out


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_own_slopes_are_finite_differences(name, seed):
    """What a retrieved document brings where it stands, the ideal and the recall base held."""
    measure = parse_measure(name)
    placed, chances = uncertain(seed)
    slopes = expected(measure, placed, chances).slopes
    own = replace(slopes, shared=np.zeros_like(slopes.shared)).at(np.arange(len(chances.q)))
    for pair in range(0, len(chances.q), 2):
        for column in range(3):
            nudge = np.zeros_like(chances.at_least)
            nudge[pair, column] = 1e-5
            low, high = (expected(measure, placed, Held.of(chances, chances.at_least + step * nudge)).value for step in (-1, 1))
            np.testing.assert_allclose(own[:, pair, column], (high - low).sum(axis=1) / 2e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["nDCG@10", "nDCG(dcg=exp)@5", "nDCG", "R@5", "R(rel=2)@20", "AP", "AP(rel=2)@5"])
def test_shared_slopes_are_those_of_one_over_the_ideal_or_recall_base(name):
    """∂ value / ∂ count = value · (∂ base / ∂ count) / base, the base being what a query's values have in common."""
    measure = parse_measure(name)
    placed, chances = uncertain(1)
    found = expected(measure, placed, chances)
    some = (found.value > 0).all(axis=0)
    relative = (found.slopes.shared / np.where(found.value > 0, found.value, 1)[:, :, None])[:, some]
    np.testing.assert_allclose(relative[0], relative[1])  # of both systems
    assert (relative <= 1e-12).all()  # the more there is to be found, the less a find is worth
    assert relative.min() < -0.01


def test_means_over_the_spread_of_counts_are_integrals():
    """`averaged` against a fine integral over the normal, its slope against Stein's identity on the same grid."""
    _, chances = uncertain(1)
    at = np.linspace(-6, 6, 4001)
    weight = np.exp(-(at**2) / 2)
    weight /= weight.sum()

    def bent(n):
        return np.sqrt(n + 1)

    mean, slope, rest = chances.averaged(bent)
    sd = chances.spread[:, 1:, None]
    values = bent(np.clip(chances.counts[:, 1:, None] + sd * at, 0, chances.counts[:, :1, None]))
    np.testing.assert_allclose(mean[:, 1:], values @ weight, rtol=5e-3)
    line = (values * at) @ weight
    np.testing.assert_allclose(slope[:, 1:], line / sd[..., 0], rtol=0.03)
    left = np.sqrt(np.maximum((values**2) @ weight - (values @ weight) ** 2 - line**2, 0))
    np.testing.assert_allclose(rest[:, 1:], left, atol=0.08)


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_linear_is_not_bent_and_has_no_shared_slope(name):
    measure = parse_measure(name)
    placed, chances = uncertain(5)
    found = expected(measure, placed, chances)
    linear = measure.name in LINEAR
    assert bool((found.bent == 0).all()) == linear
    assert bool((found.slopes.shared == 0).all()) == linear


@pytest.mark.parametrize("name", ["DCG@10", "P@10", "RBP"])
def test_linear_values_are_means_over_drawn_grades(name):
    placed, chances = uncertain(8)
    rng, total, times = np.random.default_rng(0), 0.0, 800
    for _ in range(times):
        drawn = (rng.random(len(chances.q))[:, None] < chances.at_least).astype(float)
        total = total + expected(parse_measure(name), placed, replace(chances, at_least=drawn)).value
    np.testing.assert_allclose(total / times, expected(parse_measure(name), placed, chances).value, atol=0.08)


@pytest.mark.parametrize("name", ["nDCG@10", "R@5", "AP"])
def test_ratios_are_near_the_means_over_drawn_grades(name):
    """Their ideal and recall base are averaged over a normal count, not over the grades themselves: near, not equal."""
    placed, chances = uncertain(9)
    chances = replace(chances, loose=np.zeros(3))
    rng, total, times = np.random.default_rng(0), 0.0, 500
    for _ in range(times):
        drawn = (rng.random(len(chances.q))[:, None] < chances.at_least).astype(float)
        total = total + expected(parse_measure(name), placed, replace(chances, at_least=drawn)).value
    np.testing.assert_allclose(expected(parse_measure(name), placed, chances).value, total / times, atol=0.08)


def test_the_slopes_of_a_label_by_hand():
    # One query of 3 documents, grades 0/1: certain 1 at rank 1, 1/2 at rank 2, 0 not retrieved. DCG = 1 + .5 / log2(3); moving
    # the second by 1 brings 1 / log2(3) = .631.
    chances = Chances(
        q=np.zeros(3, np.int64), queries=1, levels=(0, 1), at_least=np.array([[1.0], [0.5], [0.0]]), loose=np.zeros(1)
    )
    placed = Placed(pair=[np.array([0, 1])], rank=[np.array([1, 2])], retrieved=np.array([[2]]))
    found = expected(parse_measure("DCG@10"), placed, chances)
    assert found.value[0, 0] == pytest.approx(1 + 0.5 / np.log2(3))
    np.testing.assert_allclose(found.slopes.at(np.arange(3))[0, :, 0], [1, 1 / np.log2(3), 0])
    # AP's numerator: z1 + z2 (1 + z1) / 2 = 1 + .5; its slope at the first is 1 + z2 / 2, at the second (1 + z1) / 2, over R.
    found = expected(parse_measure("AP"), placed, replace(chances, at_least=np.array([[1.0], [1.0], [0.0]])))
    own = replace(found.slopes, shared=np.zeros_like(found.slopes.shared)).at(np.arange(3))[0, :, 0]
    np.testing.assert_allclose(own, [1.5 / 2, 1 / 2, 0])


def test_measures_that_pairs_cannot_estimate_are_named():
    placed, chances = uncertain(0)
    for name in ("RR", "ERR@10", "bpref", "nDCG(gain=expected)@10", "RBP(gain=graded)"):
        with pytest.raises(InputError, match="grade whole queries"):
            expected(parse_measure(name), placed, chances)
    assert {parse_measure(name).name for name in MEASURES} == set(BY_PAIR)


def test_a_scale_without_the_relevant_level_has_nothing_relevant():
    placed, chances = uncertain(0, levels=(0, 1))
    for name in ("P(rel=2)@5", "R(rel=2)@5", "AP(rel=2)"):
        found = expected(parse_measure(name), placed, chances)
        np.testing.assert_array_equal(found.value, 0)
        np.testing.assert_array_equal(found.slopes.at(np.arange(5)), 0)
