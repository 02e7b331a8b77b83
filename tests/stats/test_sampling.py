"""Drawing with probabilities, and what a sample in rounds counts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from qrelkit.stats.sampling import draw, probabilities, weights


def test_probabilities_by_hand():
    # 2 of 4 with sizes 1, 1, 2, 4 and a fifth spread evenly: .8 · size / 8 + .2 / 4 = .15 .15 .25 .45, times 2.
    np.testing.assert_allclose(probabilities(np.array([1.0, 1, 2, 4]), 2, floor=0.2), [0.3, 0.3, 0.5, 0.9])


def test_what_would_be_above_1_is_certain_and_the_rest_is_shared():
    # 2 of 3 with sizes 1, 1, 8, no floor: the third is certain, the others share the one draw that is left.
    np.testing.assert_allclose(probabilities(np.array([1.0, 1, 8]), 2, floor=0.0), [0.5, 0.5, 1])


@pytest.mark.parametrize("seed", range(30))
def test_probabilities_sum_to_n_and_keep_the_floor(seed):
    rng = np.random.default_rng(seed)
    size = rng.pareto(0.7, rng.integers(2, 200)) * rng.integers(0, 2)
    n = int(rng.integers(1, len(size) + 1))
    p = probabilities(size, n, floor=0.1)
    assert p.sum() == pytest.approx(n)
    assert p.max() <= 1
    left = n - (p >= 1).sum()  # draws that certain pairs leave: each pair has a tenth of an even share of them at least
    assert p.min() >= 0.1 * left / len(size) - 1e-12


def test_all_are_drawn_where_n_reaches_them_and_sizes_of_0_are_even():
    np.testing.assert_array_equal(probabilities(np.array([1.0, 5]), 3), [1, 1])
    np.testing.assert_allclose(probabilities(np.zeros(4), 1), np.full(4, 0.25))


@pytest.mark.parametrize("strata", [None, np.array([0, 0, 1, 1, 1, 2])])
def test_every_pair_is_drawn_as_often_as_its_probability_says(strata):
    p, times = np.array([0.9, 0.1, 0.25, 0.75, 0.5, 0.5]), 6_000
    counts = np.zeros(6)
    for seed in range(times):
        drawn = draw(p, np.random.default_rng(seed), strata=strata)
        assert len(drawn) == 3
        counts[drawn] += 1
    # A share of 6,000 has a standard error of at most .5 / √6,000 = .0065: 4 of them.
    np.testing.assert_allclose(counts / times, p, atol=0.026)


def test_each_stratum_brings_its_share():
    p, strata = np.full(40, 0.25), np.repeat([0, 1], [12, 28])
    for seed in range(50):
        drawn = draw(p, np.random.default_rng(seed), strata=strata)
        assert np.bincount(strata[drawn], minlength=2).tolist() == [3, 7]


def test_one_round_is_the_horvitz_thompson_estimator():
    p = np.array([0.5, 0.2, 1.0])
    found = weights(p, np.ones(3, np.int64), np.ones(3), rest=2.0)
    np.testing.assert_allclose(found.times, 1 / p)
    np.testing.assert_allclose(found.error, np.sqrt(1 - p) / p)
    # Expected: Σ over open pairs of square · (1 − p) / p; the drawn tell Σ (1 − p) / p² = 2 + 20 + 0 of Σ 1 / p = 2 + 5 + 1.
    assert found.open == pytest.approx(22 / 8)


def test_two_even_rounds_by_hand():
    # 10 pairs: 2 of 10 (p = 1/5), then 4 of the 8 left (p = 1/2). All squares 1. Errors (1 − p) / p · open: 4 · 10 and 1 · 8,
    # so the shares are 1/40 and 1/8 over their sum 6/40: 1/6 and 5/6. A first label counts 5 / 6 + 5/6, a second 2 · 5/6 = 10/6.
    p, rounds = np.array([0.2] * 2 + [0.5] * 4), np.array([1] * 2 + [2] * 4)
    found = weights(p, rounds, np.ones(6), rest=4.0)
    np.testing.assert_allclose(found.times, 10 / 6)
    np.testing.assert_allclose(found.error, [np.sqrt(0.8) * 5 / 6] * 2 + [np.sqrt(0.5) * 10 / 6] * 4)
    np.testing.assert_allclose(found.thought, [4 / 36] * 2 + [4 / 36 + 25 / 36] * 4)
    assert found.open == pytest.approx(29 / 36)


def test_a_round_that_is_certain_is_enough_and_round_0_counts_once():
    p, rounds = np.array([0.3, 0.5, 1.0, 1.0]), np.array([0, 1, 2, 2])
    found = weights(p, rounds, np.ones(4), rest=0.0)
    np.testing.assert_array_equal(found.times, 1)
    np.testing.assert_array_equal(found.error, 0)


def test_a_round_without_effect_is_not_taken_for_exact():
    # Nothing that round 2 drew bears on the question, but much is open: it counts by its probabilities, as round 1 does.
    p, rounds, squares = np.full(8, 0.25), np.repeat([1, 2], 4), np.array([1.0] * 4 + [0.0] * 4)
    found = weights(p, rounds, squares, rest=20.0)
    # Shares 1 / (3 · 24) and 1 / (3 · 20): 5/11 and 6/11.
    np.testing.assert_allclose(found.times, [4 * 5 / 11 + 6 / 11] * 4 + [4 * 6 / 11] * 4)


def test_totals_are_unbiased_over_all_samples():
    """Every sample of an even round of 2 of 6 and, by what was said in it, one of the 4 left: their mean is the total."""
    values = np.array([0.0, 1, 0, 3, 5, 2])
    mean, chance_of_all = 0.0, 0.0
    for first in combinations(range(6), 2):
        left = np.setdiff1d(np.arange(6), first)
        later = probabilities(np.abs(values[list(first)].sum() - left) + 0.1, 1)  # depends on the labels of round 1
        for second, p in zip(left, later, strict=True):
            at = np.array([*first, second])
            found = weights(np.array([1 / 3, 1 / 3, p]), np.array([1, 1, 2]), np.ones(3), rest=3.0)
            chance = p / 15
            round_1, round_2 = values[list(first)].sum() * 3, values[list(first)].sum() + values[second] / p
            share = (found.times[0] - 1) / (3 - 1)  # times of round 1 = 3 s + (1 − s)
            assert values[at] @ found.times == pytest.approx(share * round_1 + (1 - share) * round_2)
            mean += chance * (0.4 * round_1 + 0.6 * round_2)  # with shares that do not look at what was said
            chance_of_all += chance
    assert chance_of_all == pytest.approx(1)
    assert mean == pytest.approx(values.sum())


def test_totals_lean_by_nothing_to_speak_of_where_rounds_depend_on_labels():
    """Sizes differ, and later rounds look at what was said: the mean of 1,500 estimates is the total within 4 standard errors."""
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, 60) * (rng.random(60) < 0.4)
    size = 0.2 + rng.random(60)
    totals = []
    for seed in range(1500):
        draws = np.random.default_rng(seed)
        at, chance, round_ = np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
        for number, n in enumerate((6, 6, 12), 1):
            left = np.setdiff1d(np.arange(60), at)
            p = probabilities(size[left] * (2 if values[at].sum() > 4 else 1) ** (left % 2), n)
            drawn = draw(p, draws)
            at, chance = np.concatenate([at, left[drawn]]), np.concatenate([chance, p[drawn]])
            round_ = np.concatenate([round_, np.full(len(drawn), number)])
        rest = float((size**2).sum() - (size[at] ** 2).sum())
        totals.append(values[at] @ weights(chance, round_, size[at] ** 2, rest=rest).times)
    assert np.mean(totals) == pytest.approx(values.sum(), abs=4 * np.std(totals) / np.sqrt(len(totals)))


def test_queries_like_these_leave_more_open():
    found = weights(np.array([0.5, 0.5]), np.ones(2, np.int64), np.ones(2), rest=2.0)
    wider = found.with_these_queries()
    # The sampling error (1 − p) / p² = 2, and what each label stands for besides itself, 1 / p − 1 = 1.
    np.testing.assert_allclose(wider.error**2, 3)
    assert wider.open == found.open + 1
