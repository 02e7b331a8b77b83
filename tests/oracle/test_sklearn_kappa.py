"""Kappas against scikit-learn, on random pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from qrelkit.stats.agreement import at_cut, confusion, kappa


@pytest.mark.parametrize("seed", range(20))
def test_kappas_equal_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    grades, n = int(rng.integers(2, 7)), int(rng.integers(5, 400))
    human = rng.integers(0, grades, n)
    assessor = np.clip(human + rng.integers(-1, 3, n), 0, grades - 1)
    c = confusion(human, assessor, rng.integers(0, 5, n), 5, grades).sum(axis=0)
    labels = list(range(grades))
    assert kappa(c) == pytest.approx(cohen_kappa_score(human, assessor, labels=labels), abs=1e-12)
    for weights in ("linear", "quadratic"):
        assert kappa(c, weights) == pytest.approx(cohen_kappa_score(human, assessor, labels=labels, weights=weights), abs=1e-12)
    for cut in labels[1:]:
        expected = cohen_kappa_score(human >= cut, assessor >= cut, labels=[False, True])
        assert kappa(at_cut(c, cut)) == pytest.approx(expected, abs=1e-12)
