"""Chances of human grades from a judge's labels."""

from __future__ import annotations

import numpy as np
import pytest

from qrelkit.stats.calibration import FEWEST, PSEUDO, calibrate, prior


def expit(x):
    return 1 / (1 + np.exp(-x))


def test_the_prior_by_hand():
    # A label on the second of three levels: shares .4, 1, .4 over their sum 1.8; at least level 1: 1.4 / 1.8, level 2: .4 / 1.8.
    # A pair without a label: a third each.
    np.testing.assert_allclose(prior(np.array([1.0, np.nan]), 3), [[1.4 / 1.8, 0.4 / 1.8], [2 / 3, 1 / 3]])


def test_few_labels_are_smoothed_shares():
    # Stratum 0: none of 3 labels relevant, prior 1/5, worth 4: .8 / 7. Stratum 1: 2 of 2, prior 4/5: (2 + 3.2) / 6.
    stratum, before = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([[0.2], [0.8]])
    found = calibrate(stratum, np.zeros(7, np.int64), 1, before, np.array([0, 1, 2, 4, 5]), np.array([[0.0], [0], [0], [1], [1]]))
    assert PSEUDO == 4
    np.testing.assert_allclose(found.at_least[:, 0], [0.8 / 7] * 4 + [5.2 / 6] * 3)
    # Without its own label a pair of stratum 0 has .8 / 6, one of stratum 1 (1 + 3.2) / 5.
    np.testing.assert_allclose(found.without[:, 0], [0.8 / 6] * 3 + [4.2 / 5] * 2)


def many(seed, n=400, queries=20, lenient=1.0):
    """Pairs whose grades follow a judge's label and a shift of their query."""
    rng = np.random.default_rng(seed)
    stratum, q = rng.integers(0, 3, n), rng.integers(0, queries, n)
    shift = rng.normal(0, lenient, queries)
    chance = expit(np.array([-2.0, 0, 2])[stratum] + shift[q])[:, None]
    chance = np.concatenate([chance, chance * 0.4], axis=1)
    grade = (rng.random(n)[:, None] < chance).sum(axis=1)
    z = (grade[:, None] >= [1, 2]).astype(float)
    return stratum, q, queries, prior(np.arange(3.0), 3), z, chance


def test_chances_come_close_to_those_that_made_the_grades():
    stratum, q, queries, before, z, chance = many(0, n=6000)
    labelled = np.random.default_rng(1).choice(6000, 3000, replace=False)
    found = calibrate(stratum, q, queries, before, labelled, z[labelled])
    # One shift for both levels, and shares over all queries: near, and far nearer than without the queries.
    alone = np.array([z[stratum == s, 0].mean() for s in range(3)])[stratum]
    assert np.abs(found.at_least[:, 0] - chance[:, 0]).mean() < 0.06 < np.abs(alone - chance[:, 0]).mean() / 2
    assert (found.at_least[:, 0] >= found.at_least[:, 1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_without_is_what_the_others_say(seed):
    """Against calibrating anew without each label; one step back is not the whole way, so that it comes near."""
    stratum, q, queries, before, z, _ = many(seed)
    labelled = np.sort(np.random.default_rng(seed).choice(400, 100, replace=False))
    found = calibrate(stratum, q, queries, before, labelled, z[labelled])
    anew = []
    for i in range(len(labelled)):
        others = np.delete(labelled, i)
        anew.append(calibrate(stratum, q, queries, before, others, z[others]).at_least[labelled[i]])
    own = found.at_least[labelled]
    near, far = np.abs(found.without - anew), np.abs(own - anew)
    assert near.max() < 0.1
    assert near.mean() < far.mean() / 3
    # What labels say beyond the chances of the others is not hidden by having been fitted.
    assert np.abs(z[labelled] - found.without).mean() > np.abs(z[labelled] - own).mean()


def test_a_query_of_which_more_is_known_is_less_loose():
    stratum, q, queries, before, z, _ = many(4)
    labelled = np.flatnonzero(q < 10)
    found = calibrate(stratum, q, queries, before, labelled, z[labelled])
    assert found.loose[:10].max() < found.loose[10:].min()
    none = calibrate(stratum, q, queries, before, labelled[: FEWEST - 1], z[labelled[: FEWEST - 1]])
    assert len(set(none.loose)) == 1


def test_support_raises_chances_and_its_slope_is_learnt():
    stratum, q, queries, before, _, _ = many(5, n=3000)
    rng = np.random.default_rng(5)
    support = rng.normal(0, 0.5, 3000)
    for slope in (-3.0, 4.0):
        z = (rng.random(3000)[:, None] < expit(slope * support)[:, None] * [1, 0.5]).astype(float)
        found = calibrate(stratum, q, queries, before, np.arange(1500), z[:1500], support - support.mean())
        moved = np.polyfit(support[1500:], np.log(found.at_least[1500:, 0] / (1 - found.at_least[1500:, 0])), 1)[0]
        # Level 2 has another slope on the logit scale; the joint one lies near level 1's.
        assert moved * slope > 0
        assert 0.5 < moved / slope < 1.2


def test_nothing_is_ever_certain():
    stratum, q = np.zeros(100, np.int64), np.zeros(100, np.int64)
    found = calibrate(stratum, q, 1, np.array([[0.5]]), np.arange(60), np.ones((60, 1)))
    assert 0.9 < found.at_least.max() < 1
    assert found.without.max() < 1
