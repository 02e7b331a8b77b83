"""Rank correlations of systems."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.stats import kendalltau

from qrelkit.stats.correlation import tau_ap, tau_b, tau_top


def plain_tau_ap(reference: list[float], order: tuple[int, ...]) -> float:
    """Yilmaz et al. 2008, eq. 3, one system at a time: `order` lists the systems of the other ranking, best first."""
    total = 0.0
    for i in range(1, len(order)):
        above = [reference[j] - reference[order[i]] for j in order[:i]]
        total += sum(np.sign(above)) / i
    return total / (len(order) - 1)


@pytest.mark.parametrize("seed", range(10))
def test_tau_b_equals_scipys_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, (2, 12)).astype(float)
    assert tau_b(x, y) == pytest.approx(kendalltau(x, y).statistic)
    x, y = rng.normal(size=(2, 30))
    assert tau_b(x, y) == pytest.approx(kendalltau(x, y).statistic)


def test_tau_ap_by_hand():
    # Reference A B C D; the other puts B A C D. At rank 2 (A): B above is wrong → −1. At 3: two of two right → 1. At 4: 1.
    assert tau_ap(np.array([4.0, 3, 2, 1]), np.array([3.0, 4, 2, 1])) == pytest.approx(1 / 3)
    # The same exchange at the bottom, A B D C: 1, 1, and at rank 4 (C): A, B right, D wrong → 1/3. It weighs less.
    assert tau_ap(np.array([4.0, 3, 2, 1]), np.array([4.0, 3, 1, 2])) == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_tau_ap_ends():
    x = np.arange(9.0)
    assert tau_ap(x, x) == pytest.approx(1)
    assert tau_ap(x, -x) == pytest.approx(-1)


@pytest.mark.parametrize("seed", range(10))
def test_tau_ap_with_ties_is_the_mean_over_all_orders_of_the_tied(seed):
    rng = np.random.default_rng(seed)
    reference, other = rng.integers(0, 4, (2, 6)).astype(float)
    orders = [o for o in permutations(range(6)) if all(other[a] >= other[b] for a, b in pairwise(o))]
    expected = np.mean([plain_tau_ap(list(reference), o) for o in orders])
    assert tau_ap(reference, other) == pytest.approx(expected)


def test_leading_axes_are_replicates():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 8))
    for f in (tau_b, tau_ap, lambda a, b: tau_top(a, b, 4)):
        assert f(x, y).shape == (5,)
        assert f(x, y)[3] == pytest.approx(float(f(x[3], y[3])))


def test_top_takes_the_best_of_the_reference():
    reference, other = np.array([1.0, 9, 8, 7, 2]), np.array([9.0, 3, 2, 1, 8])
    assert tau_top(reference, other, 3) == 1
    assert tau_top(other, reference, 3) == pytest.approx(tau_b(other[[0, 4, 1]], reference[[0, 4, 1]]))


def test_too_few_systems_or_one_tie_have_no_value():
    assert np.isnan(tau_top(np.arange(4.0), np.arange(4.0), 5))
    assert np.isnan(tau_b(np.ones(4), np.arange(4.0)))
    assert np.isnan(tau_ap(np.ones(1), np.ones(1)))


def test_rounding_of_sums_does_not_break_a_tie():
    x, y = np.array([0.3, 0.1 + 0.2, 0.5]), np.array([1.0, 2.0, 3.0])
    assert tau_b(x, y) == pytest.approx(kendalltau([0.3, 0.3, 0.5], y).statistic)
