"""Means over datasets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qrelkit.bench.means import mean_over

VALUES = {"A": np.array([[0.0], [1.0]]), "B": np.array([[1.0], [1.0], [1.0], [0.0]])}


def test_macro_and_by_query_by_hand() -> None:
    """A: 1/2 of two queries, B: 3/4 of four. Macro (1/2 + 3/4) / 2 = 5/8; by query (1 + 3) / 6 = 2/3."""
    mean = mean_over(VALUES, ["nDCG@10"], 2)
    assert (mean.macro[0].value, mean.by_query[0].value) == (0.625, pytest.approx(2 / 3))
    assert (mean.macro[0].n, mean.called, mean.whole) == (6, "average of 2", True)
    assert mean.macro[0].low < 0.625 < mean.macro[0].high


def test_a_part_is_never_called_the_average() -> None:
    mean = mean_over(VALUES, ["nDCG@10"], 10)
    assert mean.called == "mean over 2 of 10, no average"
    assert mean.json()["macro"]["nDCG@10"]["n"] == 6


def test_queries_are_drawn_inside_their_dataset() -> None:
    """Two datasets, each of equal queries: however they are drawn, the mean is the same, though the datasets differ."""
    mean = mean_over({"A": np.zeros((5, 1)), "B": np.ones((5, 1))}, ["m"], 2)
    assert (mean.macro[0].low, mean.macro[0].high) == (0.5, 0.5)


def test_the_drawings_of_a_dataset_do_not_depend_on_the_others() -> None:
    alone = mean_over({"B": VALUES["B"]}, ["m"], 2, seed=3)
    with_a_constant = mean_over({"Z": np.zeros((3, 1)), "B": VALUES["B"]}, ["m"], 2, seed=3)
    assert with_a_constant.macro[0].low == pytest.approx(alone.macro[0].low / 2)
    assert mean_over(VALUES, ["m"], 2, seed=1) == mean_over(VALUES, ["m"], 2, seed=1)


def test_the_interval_of_one_dataset_is_the_bootstraps() -> None:
    """Of 400 fair coins the mean's standard error is .025: the interval is about ±.049."""
    coins = (np.arange(400) % 2).astype(float)[:, None]
    found = mean_over({"A": coins}, ["m"], 1).macro[0]
    assert found.low == pytest.approx(0.451, abs=0.01)
    assert found.high == pytest.approx(0.549, abs=0.01)


def test_nothing_and_one_query_have_no_interval() -> None:
    assert math.isnan(mean_over({"A": np.zeros((0, 1))}, ["m"], 1).macro[0].value)
    one = mean_over({"A": np.ones((1, 1))}, ["m"], 1).macro[0]
    assert (one.value, math.isnan(one.low)) == (1.0, True)
