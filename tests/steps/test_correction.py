"""A judge corrected by few human grades: designs, estimands, and simulated data whose truth is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.stats.corrected import by_query
from qrelkit.steps.choose import choose
from qrelkit.steps.corrected import LIKE
from qrelkit.steps.correction import correct
from qrelkit.steps.evaluate import evaluate

KEY = ["query_id", "doc_id"]
MEASURES = ["nDCG@10", "DCG@5", "P@5", "R@10", "AP", "RBP", "Judged@5"]


def made(seed=0, queries=8, documents=15, systems=3):
    rng = np.random.default_rng(seed)
    ids = pl.DataFrame([(f"q{q}", f"d{d:02}") for q in range(queries) for d in range(documents)], schema=KEY, orient="row")
    truth = rng.choice(4, len(ids), p=[0.5, 0.2, 0.2, 0.1])
    judge = Qrels.of(ids.with_columns(grade=pl.Series(np.clip(truth + rng.integers(-1, 2, len(ids)), 0, 3))), "judge")
    human = Qrels.of(ids.with_columns(grade=pl.Series(truth)), "people")
    runs = []
    for i in range(systems):
        scored = ids.with_columns(score=pl.Series(truth / (i + 1) + rng.normal(size=len(ids))))
        runs.append(Run.of(scored.filter(pl.Series(rng.random(len(ids)) < 0.8)), f"s{i}"))
    return judge, human, runs


def sampled(judge, human, runs, *sizes, rule="decision"):
    known = None
    for n in sizes:
        so_far = None if known is None else Qrels(known, "people")
        drawn = choose(judge, n, rule=rule, human=so_far, runs=runs, seed=1).join(human.frame, on=KEY, how="left")
        known = drawn if known is None else pl.concat([known, drawn])
    return Qrels(known, "people")


@pytest.mark.parametrize("name", MEASURES)
def test_when_people_graded_everything_it_is_evaluate(name):
    judge, human, runs = made()
    found = correct(name, runs, judge, human)[0]
    assert found.design == "census"
    values = [cell.estimate.value for cell in evaluate([name], runs, human, resamples=0).cells]
    for column in ("corrected", "corrected_low", "corrected_high", "human"):
        np.testing.assert_allclose(found.systems[column].to_numpy(), values, atol=1e-12)
    judged = [cell.estimate.value for cell in evaluate([name], runs, judge, resamples=0).cells]
    np.testing.assert_allclose(found.systems["judge"].to_numpy(), judged, atol=1e-12)


@pytest.mark.parametrize("name", [*MEASURES[:-1], "nDCG(dcg=exp)@5", "P(rel=2)@5"])
def test_when_rounds_came_to_an_end_it_is_evaluate_too(name):
    judge, human, runs = made()
    sample = sampled(judge, human, runs, 40, 79)  # of 120: one pair is left
    values = [cell.estimate.value for cell in evaluate([name], runs, human, resamples=0).cells]
    found = correct(name, runs, judge, sample)[0]
    assert found.design == "by pair"
    np.testing.assert_allclose(found.systems["corrected"].to_numpy(), values, atol=0.03)


def test_whole_queries_are_a_sample_of_queries_and_fit_every_measure():
    judge, human, runs = made()
    sample = Qrels(human.frame.filter(pl.col("query_id").is_in(["q1", "q4", "q6"])), "people")
    for name in ("nDCG@10", "RR", "ERR@5", "bpref"):
        found = correct(name, runs, judge, sample)[0]
        assert (found.design, found.labels, found.bend) == ("by query", 45, 0.0)
        tables = []
        for qrels in (human, judge):
            rows = evaluate([name], runs, qrels, resamples=0).per_query
            tables.append(rows["value"].to_numpy().reshape(len(runs), 8))
        means = by_query(tables[0][:, [1, 4, 6]], tables[1], np.array([1, 4, 6]), these=True)
        np.testing.assert_allclose(found.systems["corrected"].to_numpy(), means.value.clip(0, 1))
        np.testing.assert_allclose(found.systems["human"].to_numpy(), tables[0][:, [1, 4, 6]].mean(axis=1))


def test_a_sample_of_pairs_fits_only_what_pairs_can_tell():
    judge, human, runs = made()
    with pytest.raises(InputError, match="grade whole queries"):
        correct("RR", runs, judge, sampled(judge, human, runs, 20))
    one = Qrels(human.frame.filter(pl.col("query_id") == "q1"), "people")
    with pytest.raises(InputError, match="no interval"):
        correct("nDCG@10", runs, judge, one)


def test_differences_are_those_of_the_values_and_narrower_than_independent_ones():
    judge, human, runs = made()
    found = correct("nDCG@10", runs, judge, sampled(judge, human, runs, 30))[0]
    assert found.differences.select("a", "b").rows() == [("s0", "s1"), ("s0", "s2"), ("s1", "s2")]
    values = dict(found.systems.select("tag", "corrected").rows())
    for row in found.differences.iter_rows(named=True):
        assert row["corrected"] == pytest.approx(values[row["a"]] - values[row["b"]])
        assert row["corrected_low"] < row["corrected"] < row["corrected_high"]


def test_queries_like_these_are_less_sure_than_these():
    judge, human, runs = made()
    sample = sampled(judge, human, runs, 30)
    for name in ("DCG@5", "nDCG@10"):
        these, like = (correct(name, runs, judge, sample, **more)[0] for more in ({}, {"estimand": LIKE}))
        assert like.estimand == "queries like these"
        np.testing.assert_allclose(like.differences["corrected"].to_numpy(), these.differences["corrected"].to_numpy())
        assert (like.differences["corrected_sd"] > these.differences["corrected_sd"]).all()


def test_groups_and_weights():
    judge, human, runs = made()
    sample = sampled(judge, human, runs, 60, rule="uniform")
    by = {f"q{q}": "even" if q % 2 == 0 else "odd" for q in range(8)}
    found = correct("DCG@5", runs, judge, sample, by=by)[0]
    assert sorted(found.by) == ["even", "odd"]
    assert found.by["even"].queries == 4
    assert found.by["even"].labels + found.by["odd"].labels == 60
    only = correct("DCG@5", runs, judge, sample, weights={f"q{q}": float(q % 2 == 0) for q in range(8)})[0]
    np.testing.assert_allclose(only.systems["corrected"].to_numpy(), found.by["even"].systems["corrected"].to_numpy())
    with pytest.raises(InputError, match="7 queries have no weight"):
        correct("DCG@5", runs, judge, sample, weights={"q0": 1.0})


def test_labels_that_do_not_bear_on_the_question_settle_nothing():
    judge, human, runs = made()
    deep = human.frame.join(runs[0].frame.filter(pl.col("rank") <= 5), on=KEY, how="anti")
    deep = deep.join(runs[1].frame.filter(pl.col("rank") <= 5), on=KEY, how="anti").head(12)
    sample = Qrels(deep.with_columns(probability=pl.lit(0.1), round=pl.lit(1)), "people")
    row = correct("P@5", runs[:2], judge, sample)[0].differences.row(0, named=True)
    assert row["corrected_low"] == -np.inf
    assert row["corrected_high"] == np.inf


def test_nothing_to_correct_with_is_said():
    judge, _, runs = made()
    with pytest.raises(InputError, match="no grade"):
        correct(
            "nDCG@10", runs, judge, Qrels.of(pl.DataFrame({"query_id": ["q0"], "doc_id": ["d00"], "grade": [None]}), "people")
        )


@pytest.fixture(scope="module")
def simulated():
    """The benchmark that generates collections with a judge biased to system A: the same code, fewer resamples."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "simulated.py"
    spec = importlib.util.spec_from_file_location("simulated", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulated"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["simulated"]


@pytest.mark.parametrize("these", [True, False], ids=["these", "like"])
@pytest.mark.parametrize("design", ["uniform", "decision", "query"])
def test_intervals_hold_the_truth_though_the_judge_is_biased(simulated, design, these):
    """60 resamples: a coverage of .95 has a standard error of .028."""
    simulated.SUPER = 400
    found = simulated.resample((design, these, ("DCG@10",), 0, 60, (60,)))
    for (name, _, labels), rows in found.items():
        told = np.array(rows, dtype=float)[:, 0]
        assert told[:, 0].mean() > 0.85, (name, labels)
        # Unbiased: the mean error is within 4 standard errors of 0. The judge alone is off by far more (below).
        assert abs(told[:, 3].mean()) < 4 * told[:, 3].std() / np.sqrt(len(told)), (name, labels)


def test_the_judge_of_the_simulation_is_biased(simulated):
    world = simulated.generated(200, 0)
    measure = simulated.parse_measure("P@10")
    off = (world.judged(measure, (0, 1)) - world.values(measure, (0, 1))).mean(axis=1)
    assert off[0] - off[1] > 0.1
