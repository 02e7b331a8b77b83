"""Means, intervals, and the forms that people and scripts read."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import polars as pl
import pytest

from qrelkit.core.records import Estimate
from qrelkit.measures.aggregate import Cell, Scores, interval, means

WHOLE = Estimate(value=0.5, low=0.25, high=0.75, n=4)


def scores(**changes: object) -> Scores:
    cells = tuple(
        Cell(qrels="human", group=group, tag="my_run", measure=measure, estimate=WHOLE)
        for group in ("", "de")
        for measure in ("P@5", "AP")
    )
    frame = pl.DataFrame(
        {"qrels": ["human"] * 2, "tag": ["my_run"] * 2, "measure": ["AP"] * 2, "query_id": ["1", "2"], "value": [0.5, None]}
    )
    return Scores(**{"cells": cells, "per_query": frame, "by": "language"} | changes)  # type: ignore[arg-type]


def test_the_interval_is_that_of_a_plain_bootstrap_over_queries() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((40, 2))
    # the plain version: draw queries, take means, take percentiles
    drawn = [values[np.random.default_rng(100 + i).integers(0, 40, 40)].mean(axis=0) for i in range(4000)]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    for column, estimate in enumerate(means(values, np.ones((40, 2)), resamples=4000, seed=1)):
        assert estimate.value == pytest.approx(values[:, column].mean())
        assert (estimate.low, estimate.high) == pytest.approx((low[column], high[column]), abs=0.006)
        assert estimate.n == 40


def test_systems_share_one_drawing_and_a_seed_decides_it() -> None:
    column = np.random.default_rng(0).random((30, 1))
    values, weights = np.hstack([column, column]), np.ones((30, 2))
    first, second = means(values, weights, resamples=200, seed=5)
    (alone,) = means(column, weights[:, :1], resamples=200, seed=5)
    assert (first.low, first.high) == (second.low, second.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    assert first.low != means(values, weights, resamples=200, seed=6)[0].low


def test_many_queries_are_drawn_in_parts() -> None:
    values, weights = np.random.default_rng(0).random((50, 1)), np.ones((50, 1))
    whole, parts = interval(values, weights, 3000, 0), interval(values, weights, 3000, 0, at_once=50 * 7)
    assert np.allclose(whole, parts, atol=0.01)


def test_weights_weigh_and_a_weight_of_0_leaves_out() -> None:
    # (3·1 + 1·0) / 4; the third query is not there
    (estimate,) = means(np.array([[1.0], [0.0], [9.0]]), np.array([[3.0], [1.0], [0.0]]), resamples=500, seed=0)
    assert (estimate.value, estimate.n) == (0.75, 2)
    assert (estimate.low, estimate.high) == (0, 1)


def test_one_query_has_no_interval_and_none_has_no_mean() -> None:
    one, none = means(np.array([[0.5, 0.5], [0.1, 0.1]]), np.array([[1.0, 0.0], [0.0, 0.0]]), resamples=100, seed=0)
    assert (one.value, one.n, one.reason) == (0.5, 1, "one query has no interval")
    assert math.isnan(one.low)
    assert none.json() == {"value": None, "low": None, "high": None, "n": 0, "reason": "no query to average over"}


def test_json_has_the_stable_form() -> None:
    statistic = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
    tree = {"my_run": {"P@5": statistic, "AP": statistic}}
    plain = scores(cells=scores().cells[:2], by="", warnings=("careful",))
    assert plain.json() == {"scores": tree, "warnings": ["careful"]}
    assert scores().json() == {"scores": tree, "by": {"column": "language", "values": {"de": tree}}, "warnings": []}
    single = scores(cells=scores().cells[:2], by="", show_per_query=True).json()
    assert single["per_query"] == {"my_run": {"P@5": {}, "AP": {"1": 0.5, "2": None}}}


def test_the_text_table_is_aligned_and_names_the_groups() -> None:
    lines = scores().text().splitlines()
    assert lines[0].split() == ["language", "run", "P@5", "AP", "n"]
    assert lines[1].startswith("(all)     my_run  0.5000 [0.250, 0.750]")
    assert len({len(line) for line in lines}) == 1


def test_csv_has_one_line_per_number_and_latex_escapes() -> None:
    rows = list(csv.DictReader(io.StringIO(scores().csv())))
    assert len(rows) == 4
    assert (rows[0]["tag"], rows[0]["low"], rows[0]["n"]) == ("my_run", "0.25", "4")
    assert r"(all) & my\_run & 0.5000 {\scriptsize [0.250, 0.750]}" in scores().latex()
    assert scores().latex().startswith(r"\begin{tabular}{llrrr}")
