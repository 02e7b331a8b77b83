"""Agreement formulas, by hand and by Krippendorff's own example."""

from __future__ import annotations

import numpy as np
import pytest

from qrelkit.stats.agreement import (
    alpha,
    at_cut,
    bias,
    coincidence,
    confusion,
    constant,
    exact,
    figures,
    hard,
    kappa,
    mae,
    soft,
)

# Human in rows. 10 pairs: row sums 4, 3, 3; column sums 4, 4, 2.
C = np.array([[3.0, 1, 0], [1, 2, 0], [0, 1, 2]])

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units, grades 1 to 5, gaps.
OBSERVERS = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def published() -> np.ndarray:
    rows = [[-1 if cell == "." else int(cell) - 1 for cell in line.split()] for line in OBSERVERS.strip().splitlines()]
    codes = np.array(rows).T
    return coincidence(codes, np.zeros(12, dtype=np.int64), 1, 5)[0]


def test_confusion_counts_by_query_with_the_human_in_rows():
    c = confusion(np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0, 0, 1]), 2, 2)
    np.testing.assert_array_equal(c, [[[0, 1], [0, 1]], [[0, 0], [1, 0]]])


def test_exact_mae_bias_hard_and_soft_by_hand():
    assert exact(C) == 0.7  # 3 + 2 + 2 of 10
    assert mae(C, (0, 1, 2)) == 0.3  # three pairs one step off
    assert bias(C, (0, 1, 2)) == pytest.approx(-0.1)  # +1, −1, −1
    assert (hard(C), soft(C)) == (0, pytest.approx(0.3))
    far = np.array([[0.0, 0, 4], [0, 0, 0], [1, 0, 0]])
    assert (hard(far), soft(far)) == (1, 0)
    assert bias(far, (0, 1, 2)) == pytest.approx(6 / 5)  # four times +2, once −2


def test_bias_and_mae_follow_the_values_of_the_grades():
    assert bias(np.array([[0.0, 1], [0, 0]]), (1, 4)) == 3


def test_kappa_by_hand():
    # Expected agreement: (4·4 + 3·4 + 3·2) / 100 = .34; kappa = (.70 − .34) / (1 − .34) = 6/11.
    assert kappa(C) == pytest.approx(6 / 11)


def test_quadratic_kappa_by_hand():
    # Σ w·observed = 3. Σ w·expected = Σ row·column·steps² / 10: 4·4·1 + 4·2·4 + 3·4·1 + 3·2·1 + 3·4·4 + 3·4·1 = 126 → 12.6.
    assert kappa(C, "quadratic") == pytest.approx(1 - 3 / 12.6)
    # Linear: 4·4 + 4·2·2 + 3·4 + 3·2 + 3·4·2 + 3·4 = 86 → 8.6.
    assert kappa(C, "linear") == pytest.approx(1 - 3 / 8.6)


def test_a_cut_joins_the_grades_on_each_side():
    np.testing.assert_array_equal(at_cut(C, 1), [[3, 1], [1, 5]])
    np.testing.assert_array_equal(at_cut(C, 2), [[7, 0], [1, 2]])
    # Cut at 1: expected (4·4 + 6·6) / 100 = .52, kappa = (.8 − .52) / .48.
    assert figures(C, (0, 1, 2))["cut 1"] == pytest.approx(0.28 / 0.48)


def test_leading_axes_are_replicates():
    stack = np.stack([C, 2 * C, C.T])
    for name, value in figures(stack, (0, 1, 2)).items():
        assert value.shape == (3,)
        assert value[0] == figures(C, (0, 1, 2))[name]
        assert value[1] == pytest.approx(value[0])


def test_a_constant_guess_has_kappa_0():
    guess = constant(C, 0)
    np.testing.assert_array_equal(guess[:, 0], [4, 3, 3])
    assert exact(guess) == 0.4
    assert kappa(guess) == pytest.approx(0)
    assert kappa(guess, "quadratic") == pytest.approx(0)


def test_one_shared_grade_has_no_kappa_and_no_alpha():
    alone = np.array([[5.0, 0], [0, 0]])
    assert exact(alone) == 1
    assert np.isnan(kappa(alone))
    assert np.isnan(alpha(alone))


def test_nothing_counted_is_nan_everywhere():
    assert all(np.isnan(value) for value in figures(np.zeros((3, 3)), (0, 1, 2)).values())
    assert np.isnan(alpha(np.zeros((3, 3))))


def test_coincidences_of_krippendorffs_example():
    # The published coincidence matrix; 40 comparable grades (unit 12 has a single one and does not count).
    np.testing.assert_allclose(
        published(),
        [
            [7, 4 / 3, 1 / 3, 1 / 3, 0],
            [4 / 3, 10, 4 / 3, 1 / 3, 0],
            [1 / 3, 4 / 3, 8, 1 / 3, 0],
            [1 / 3, 1 / 3, 1 / 3, 4, 0],
            [0, 0, 0, 0, 3],
        ],
    )


def test_alpha_of_krippendorffs_example():
    o = published()
    assert alpha(o, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert alpha(o, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert alpha(o, "interval") == pytest.approx(0.849, abs=5e-4)


def test_nominal_alpha_by_hand():
    # Two assessors, units (0,0) (0,1) (1,1): o = [[2, 1], [1, 2]], n = 3, 3 of 6.
    # 1 − (6 − 1) · (1 + 1) / (3·3 + 3·3) = 1 − 10/18.
    o = coincidence(np.array([[0, 0], [0, 1], [1, 1]]), np.zeros(3, dtype=np.int64), 1, 2)[0]
    np.testing.assert_array_equal(o, [[2, 1], [1, 2]])
    assert alpha(o, "nominal") == pytest.approx(8 / 18)


def test_with_two_grades_all_alphas_are_one():
    o = np.array([[12.0, 3], [3, 6]])
    assert alpha(o, "ordinal") == pytest.approx(alpha(o, "nominal"))
    assert alpha(o, "interval") == pytest.approx(alpha(o, "nominal"))
