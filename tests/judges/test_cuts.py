from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from qrelkit.judges.cuts import halving, learn_cuts, levels_of, quantile_cuts


def kappa(levels: np.ndarray, human: np.ndarray, grades: int) -> float:
    return float(cohen_kappa_score(levels, human, weights="quadratic", labels=range(grades)))


def test_a_level_is_the_number_of_cuts_that_lie_below() -> None:
    assert levels_of(np.array([0.0, 0.2, 0.3, 0.9]), np.array([[0.2, 0.5]])).tolist() == [0, 0, 1, 2]


def test_each_pair_may_have_cuts_of_its_own() -> None:
    assert levels_of(np.array([0.3, 0.3]), np.array([[0.2, 0.25], [0.4, 0.5]])).tolist() == [2, 0]


def test_a_score_of_nothing_has_the_lowest_level_whatever_the_shares() -> None:
    scores = np.array([0.0] * 8 + [0.4, 0.7])
    cuts = quantile_cuts(scores, (0.25, 0.25, 0.5))  # both cuts fall on 0
    assert levels_of(scores, cuts[None]).tolist() == [0] * 8 + [2, 2]


def test_quantile_cuts_give_the_stated_shares() -> None:
    scores = np.random.default_rng(1).random(10_000)
    levels = levels_of(scores, quantile_cuts(scores, (0.5, 0.3, 0.2))[None])
    assert np.bincount(levels) / len(levels) == pytest.approx([0.5, 0.3, 0.2], abs=0.001)


def test_halving_shares_sum_to_one() -> None:
    assert halving(3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))


def test_separable_grades_are_learnt_exactly() -> None:
    scores = np.linspace(0, 1, 101)
    human = levels_of(scores, np.array([[0.3, 0.6]]))
    assert levels_of(scores, learn_cuts(scores, human, 3, steps=100)[None]).tolist() == human.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_learnt_cuts_are_nearly_the_best_of_all_on_the_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    human = rng.choice(4, size=300, p=[0.5, 0.2, 0.2, 0.1])
    scores = np.maximum(0, human / 4 + rng.normal(0, 0.35, size=300))
    grid = np.unique(np.append(0.0, np.quantile(scores, np.linspace(0, 1, 13))))
    all_cuts = combinations_with_replacement(range(len(grid)), 3)
    best = max(kappa(levels_of(scores, grid[list(c)][None]), human, 4) for c in all_cuts)
    learnt = kappa(levels_of(scores, learn_cuts(scores, human, 4, steps=12)[None]), human, 4)
    assert learnt > best - 0.02  # coordinate ascent may stop at a local maximum


def test_one_human_grade_only_is_no_error() -> None:
    scores = np.linspace(0, 1, 10)
    assert np.diff(learn_cuts(scores, np.zeros(10, np.int64), 3)).min() >= 0
