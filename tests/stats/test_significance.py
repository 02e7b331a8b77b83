"""Paired tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_rel

from qrelkit.stats.significance import holm, randomisation_test, t_test


def test_t_test_equals_scipys():
    a, b = np.random.default_rng(0).normal(size=(2, 25, 4))
    np.testing.assert_allclose(t_test(a - b), ttest_rel(a, b).pvalue)


def test_t_test_of_differences_without_spread():
    d = np.array([[0.0, 0.1], [0.0, 0.1], [0.0, 0.1]])
    np.testing.assert_array_equal(t_test(d), [1, 0])
    assert np.isnan(t_test(d[:1])).all()


def test_randomisation_by_hand():
    # Differences 1, 2, 3: of the 8 sign patterns only +++ and −−− give a sum as far from 0 as 6.
    assert randomisation_test(np.array([[1.0], [2.0], [3.0]])) == pytest.approx(2 / 8)
    # 1, 1, −1: sums ±3 (two patterns) and ±1 (six): every one is at least as far as 1.
    assert randomisation_test(np.array([[1.0], [1.0], [-1.0]])) == 1
    assert randomisation_test(np.zeros((4, 1))) == 1


def test_few_queries_are_counted_exactly():
    d = np.random.default_rng(2).normal(0.4, 1, size=(10, 3))
    for column, p in zip(d.T, randomisation_test(d), strict=True):
        expected = permutation_test((column,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
        assert p == pytest.approx(expected.pvalue)


def test_many_queries_come_close_to_the_t_test():
    d = np.random.default_rng(3).normal(0.1, 1, size=(200, 3))
    np.testing.assert_allclose(randomisation_test(d), t_test(d), atol=0.015)


def test_the_seed_decides_and_p_is_never_0():
    d = np.random.default_rng(4).normal(5, 1, size=(50, 1))
    assert randomisation_test(d, flips=999) == 1 / 1000
    weak = np.random.default_rng(5).normal(0.1, 1, size=(50, 1))
    assert randomisation_test(weak, seed=1) == randomisation_test(weak, seed=1)
    assert randomisation_test(weak, seed=1) != randomisation_test(weak, seed=2)


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, never falling: .04 .06 .06 .06.
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06])


def test_holm_stops_at_1_and_leaves_nan_out():
    np.testing.assert_allclose(holm(np.array([0.6, np.nan, 0.01])), [0.6, np.nan, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])


def test_a_difference_that_is_nan_has_no_p():
    d = np.array([[1.0, np.nan], [2.0, 1.0], [3.0, 1.0]])
    np.testing.assert_array_equal(randomisation_test(d), [0.25, np.nan])
    np.testing.assert_array_equal(np.isnan(t_test(d)), [False, True])
