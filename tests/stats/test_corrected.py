"""Means of systems from few human grades: values, standard errors, ranking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from qrelkit.stats.corrected import (
    SEEN,
    TIES,
    Means,
    among_like,
    by_pair,
    by_query,
    over_queries,
    quantile,
    shrunk,
    spread,
)
from qrelkit.stats.sampling import weights


def test_the_difference_of_two_is_off_their_common_noise():
    # Sources: one that moves both by 3, one that moves the first by 1, one the second by 2.
    means = Means(value=np.array([0.5, 0.2]), noise=np.array([[3.0, 1, 0], [3, 0, 2]]), df=9)
    value, sd = means.differences(np.array([0]), np.array([1]))
    assert (value[0], sd[0]) == (pytest.approx(0.3), pytest.approx(math.sqrt(5)))
    np.testing.assert_allclose(means.sd, np.sqrt([10, 13]))
    estimate = means.estimates(4)[0]
    half = stats.t.ppf(0.975, 9) * math.sqrt(10)
    assert (estimate.low, estimate.high, estimate.n) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half), 4)


def test_no_degree_of_freedom_is_no_interval():
    assert quantile(0.5) == math.inf
    assert quantile(math.inf) == pytest.approx(1.959964, abs=1e-6)


def test_by_pair_by_hand():
    # Two systems, two labels of 4 even pairs (p = 1/2, so each counts 2); the labels moved the first system by .1 and −.3, the
    # second by 0 and .1. Value: + .1 − .3 = −.2, and + .1.
    labels = weights(np.array([0.5, 0.5]), np.ones(2, np.int64), np.ones(2), rest=2.0)
    off = np.array([[0.1, -0.3], [0.0, 0.1]])
    expected = np.array([[[0.2], [0.2]], [[0.0], [0.2]]])
    rest = np.array([[0.08, 0.02], [0.02, 0.04]])
    found = by_pair(np.array([0.5, 0.6]), off, expected, rest, labels, np.zeros((2, 3)))
    np.testing.assert_allclose(found.value, [0.3, 0.7])
    # error² = (1 − p) / p² = 2; expected of the total: (1 − p) / p = 1 per square, drawn and not drawn.
    seen, thought = 2 * (0.1**2 + 0.4**2), 0.2**2 + 0.0 + (0.08 + 0.04 - 2 * 0.02)
    _, sd = found.differences(np.array([0]), np.array([1]))
    assert sd[0] ** 2 == pytest.approx(SEEN * seen + (1 - SEEN) * thought)
    # Only the first label is expected to move the difference: as even as 1 label, which leaves the least degree of freedom.
    assert found.df == 1
    assert spread(rest) == pytest.approx((0.08 + 0.04 - 2 * 0.02) / 2)


def test_labels_that_bear_on_nothing_give_no_interval():
    labels = weights(np.array([0.1]), np.ones(1, np.int64), np.zeros(1), rest=1.0)
    found = by_pair(np.zeros(2), np.zeros((2, 1)), np.zeros((2, 1, 2)), np.eye(2), labels, np.zeros((2, 1)))
    _, sd = found.differences(np.array([0]), np.array([1]))
    assert sd[0] > 0
    assert quantile(found.df) == math.inf
    nothing_open = by_pair(np.zeros(2), np.zeros((2, 1)), np.zeros((2, 1, 2)), np.zeros((2, 2)), labels, np.zeros((2, 1)))
    assert (nothing_open.sd == 0).all()
    assert nothing_open.df == math.inf


def test_by_query_without_the_judge_is_the_mean_and_its_t_interval():
    rng = np.random.default_rng(0)
    human, judge, sampled = rng.normal(size=(2, 6)), rng.normal(size=(2, 30)), np.arange(3, 9)
    found = by_query(human, judge, sampled, these=True, weight=0.0)
    np.testing.assert_allclose(found.value, human.mean(axis=1))
    d, all_ = human[0] - human[1], judge[0] - judge[1]
    _, sd = found.differences(np.array([0]), np.array([1]))
    share = 1 / 6 - 1 / 30
    assert sd[0] ** 2 == pytest.approx(share * (d.var(ddof=1) + TIES * all_.var(ddof=1)))
    assert found.df == 5


@pytest.mark.parametrize("m", [2, 5, 30])
def test_by_query_with_a_weight_is_the_plain_estimator_written_out(m):
    # θ = λ · mean of the judge over all + mean over the sampled of (human − λ judge). Angelopoulos et al. 2023, eq. 2.
    rng = np.random.default_rng(m)
    judge, sampled = rng.normal(size=(3, 30)), np.sort(rng.choice(30, m, replace=False))
    human = judge[:, sampled] + rng.normal(size=(3, m))
    for lam in (1.0, 0.4):
        found = by_query(human, judge, sampled, these=True, weight=lam)
        np.testing.assert_allclose(found.value, lam * judge.mean(axis=1) + (human - lam * judge[:, sampled]).mean(axis=1))
        seen = (human - lam * judge[:, sampled])[0].var(ddof=1) * (1 / m - 1 / 30)
        thought = TIES * (1 - min(lam**2, 0.8)) * judge[0].var(ddof=1) * (1 / m - 1 / 30)
        assert found.sd[0] ** 2 == pytest.approx(seen + thought)
        like = by_query(human, judge, sampled, these=False, weight=lam)
        assert like.sd[0] ** 2 == pytest.approx(seen + thought + human[0].var(ddof=1) / 30)


def test_a_tuned_weight_is_that_of_the_other_queries():
    rng = np.random.default_rng(7)
    judge, sampled = rng.normal(size=(2, 12)), np.arange(5)
    human = 0.9 * judge[:, :5] + 0.3 * rng.normal(size=(2, 5))
    centred = judge - judge.mean(axis=1, keepdims=True)
    pull = 4 * ((centred - centred.mean(axis=0)) ** 2).mean() * 2
    trust = []
    for i in range(5):
        x, y = np.delete(judge[:, :5], i, axis=1), np.delete(human, i, axis=1)
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        trust.append(np.clip(((x * y).sum() + 0.7 * pull) / ((x**2).sum() + pull), 0, 1))
    far = judge[:, :5] - judge.mean(axis=1, keepdims=True)
    expected = (human - (7 / 12 * np.array(trust) + 5 / 12 * np.mean(trust)) * far).mean(axis=1)
    np.testing.assert_allclose(by_query(human, judge, sampled, these=True).value, expected)


def test_every_query_graded_leaves_nothing_to_doubt():
    rng = np.random.default_rng(3)
    human, judge = rng.random((2, 2, 8))
    found = by_query(human, judge, np.arange(8), these=True)
    np.testing.assert_allclose(found.value, human.mean(axis=1))
    np.testing.assert_array_equal(found.sd, 0)
    like = by_query(human, judge, np.arange(8), these=False)
    np.testing.assert_allclose(like.sd, human.std(axis=1, ddof=1) / math.sqrt(8))


def test_over_queries_is_the_paired_t_test():
    values = np.random.default_rng(1).normal(size=(2, 15))
    means = over_queries(values)
    value, sd = means.differences(np.array([0]), np.array([1]))
    assert value[0] / sd[0] == pytest.approx(stats.ttest_rel(*values).statistic)
    assert means.df == 14


def test_errors_of_labels_and_of_queries_add_up():
    # Differences off the systems' mean: labels 1 and −1 (squares 2, df 3), queries 2 and −2 (8, df 9).
    labels = Means(value=np.zeros(2), noise=np.array([[2.0], [0.0]]), df=3)
    queries = Means(value=np.ones(2), noise=np.array([[4.0], [0.0]]), df=9)
    found = among_like(labels, queries)
    assert found.sd[0] == pytest.approx(math.sqrt(20))
    assert found.df == pytest.approx(10**2 / (2**2 / 3 + 8**2 / 9))
    np.testing.assert_array_equal(found.value, 0)


def test_shrunk_by_hand():
    # Corrections −.1, 0, .1 around their mean .2: their variance is .01. Noise: each system its own source of variance .004.
    judge = np.array([0.3, 0.5, 0.7])
    corrected = Means(value=judge + np.array([0.1, 0.2, 0.3]), noise=math.sqrt(0.004) * np.eye(3), df=9)
    ranked, w = shrunk(judge, corrected)
    assert w == pytest.approx(1 - 0.004 / 0.01)
    np.testing.assert_allclose(ranked, judge + 0.2 + 0.6 * np.array([-0.1, 0, 0.1]))


def test_corrections_that_are_all_noise_leave_the_judges_order():
    judge = np.array([0.1, 0.2, 0.9])
    ranked, w = shrunk(judge, Means(value=judge[::-1], noise=np.eye(3), df=9))
    assert w == 0
    assert ranked.argsort().tolist() == [0, 1, 2]
    assert shrunk(judge, Means(value=judge + 0.3, noise=np.zeros((3, 1)), df=9))[0] == pytest.approx(judge + 0.3)
