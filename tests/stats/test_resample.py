"""Bootstrap by query."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qrelkit.stats.resample import bootstrap, draws, estimate, interval


def test_every_replicate_draws_as_many_units_as_there_are():
    counts = np.concatenate(list(draws(7, 500, seed=3)))
    assert counts.shape == (500, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean() == 1


def test_the_same_seed_gives_the_same_draws_whatever_the_blocks():
    whole, parts = list(draws(43, 2000, seed=0)), list(draws(43, 2000, seed=0, width=30_000))
    assert len(whole) == 1
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(whole), np.concatenate(parts))


def test_interval_is_the_middle_95_percent():
    low, high = interval(np.arange(1001, dtype=float))
    assert (low, high) == (25, 975)


def test_interval_leaves_out_replicates_without_a_value():
    low, high = interval(np.array([math.nan, 1.0, 1.0]))
    assert (low, high) == (1, 1)
    assert np.isnan(interval(np.array([math.nan]))).all()


def test_interval_of_a_mean_is_close_to_the_normal_one():
    values = np.random.default_rng(1).normal(size=400)
    found = bootstrap({"x": values}, lambda t: {"mean": t["x"] / 400}, resamples=4000)["mean"]
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_whole_queries_are_drawn_not_pairs():
    # Two queries, one always agreed on, one never: by query the share is 0, .5 or 1, so the interval is all of [0, 1].
    tables = {"hits": np.array([100.0, 0.0]), "pairs": np.array([100.0, 100.0])}
    found = bootstrap(tables, lambda t: {"share": t["hits"] / t["pairs"]})["share"]
    assert (found.value, found.low, found.high, found.n) == (0.5, 0, 1, 2)


def test_one_query_has_a_value_and_no_interval():
    found = bootstrap({"x": np.array([3.0])}, lambda t: {"x": t["x"]})["x"]
    assert found.value == 3
    assert math.isnan(found.low)
    assert "one query" in found.reason


def test_a_missing_value_says_why():
    found = estimate(math.nan, np.empty(0), 5, "no pair")
    assert found.json() == {"value": None, "low": None, "high": None, "n": 5, "reason": "no pair"}


def test_undefined_replicates_are_told():
    found = estimate(1.0, np.array([1.0, math.nan, 1.0, 1.0]), 3)
    assert "1 of 4" in found.reason
