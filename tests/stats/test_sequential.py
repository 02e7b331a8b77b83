"""Boundaries for looking again and again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from qrelkit.stats.sequential import boundaries


@pytest.mark.parametrize(("i", "half"), [(1.0, 1.0), (10.0, 1.0), (3.0, 50.0)])
def test_the_first_look_has_a_closed_form(i, half):
    # Spent by then: .05 · i / (i + half), two-sided.
    assert boundaries(np.array([i]), half=half)[0] == pytest.approx(norm.isf(0.05 * i / (i + half) / 2), abs=1e-6)


def test_the_second_look_against_the_bivariate_normal():
    # P(|Z1| < b1, |Z2| < b2) = 1 − what both looks may spend, where corr(Z1, Z2) = √(1/2).
    from scipy.stats import multivariate_normal

    b = boundaries(np.array([1.0, 2.0]), half=1.0)
    both = multivariate_normal([0, 0], [[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
    inside = both.cdf(b) - both.cdf([-b[0], b[1]]) - both.cdf([b[0], -b[1]]) + both.cdf(-b)
    assert 1 - inside == pytest.approx(0.05 * 2 / 3, abs=2e-4)


@pytest.mark.parametrize(
    "information", [np.arange(1.0, 21), np.array([0.5, 4, 4.1, 9, 30]), np.geomspace(0.1, 100, 12)], ids=["even", "uneven", "far"]
)
def test_a_verdict_where_there_is_no_difference_is_as_rare_as_promised(information):
    b = boundaries(information, half=5.0)
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(100_000, len(information))) * np.sqrt(np.diff(information, prepend=0.0))
    wrong = (np.abs(np.cumsum(steps, axis=1)) / np.sqrt(information) > b).any(axis=1).mean()
    promised = 0.05 * information[-1] / (information[-1] + 5)
    # 100,000 trials: a standard error of at most .0007, and the grid's own error.
    assert wrong == pytest.approx(promised, abs=0.0025)
    assert wrong <= 0.05


def test_looks_without_news_end_nothing():
    b = boundaries(np.array([1.0, 1.0, 0.5, np.inf, np.nan, 2.0]), half=1.0)
    assert np.isinf(b[1:5]).all()
    np.testing.assert_allclose(b[[0, 5]], boundaries(np.array([1.0, 2.0]), half=1.0))


def test_information_has_no_unit():
    information = np.array([1.0, 3, 4])
    np.testing.assert_allclose(boundaries(information, half=2.0), boundaries(information * 1e6, half=2e6), rtol=1e-6)
