"""The error of our corrected means, and people alone, against the plain prediction-powered formulas written out here.

Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, for a mean; Särndal, Swensson & Wretman 1992, ch. 6, for its error where the
population is finite. The prediction of a pair is its calibrated chance, and of a labelled pair that without its own label.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.measures.parse import parse_measure
from qrelkit.stats.corrected import SEEN
from qrelkit.steps.correction import correct
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.population import Population, population
from steps.few_labels import Study, ladder, qrels

CASES = [("P@5", 1), ("P(rel=2)@5", 2), ("P@3", 1)]


def plain(y: np.ndarray, predicted: np.ndarray, everybody: np.ndarray) -> float:
    """The prediction-powered mean: `y` and `predicted` of the labelled, the prediction of `everybody`."""
    return float(everybody.mean() + (y - predicted).mean())


def predictions(people: Population, level: int) -> tuple[np.ndarray, np.ndarray]:
    """(pairs,): what each pair is predicted to be, relevant (1) or not (0); and the labels, 0 where there is none."""
    calibration, label = people.calibrated(), np.zeros(len(people))
    predicted = calibration.at_least[:, level - 1].copy()
    predicted[people.labelled] = calibration.without[:, level - 1]
    label[people.labelled] = people.z[:, level - 1]
    return predicted, label


def weights(people: Population, study: Study, name: str) -> np.ndarray:
    """(systems × pairs): 1 / (k · queries) for what a system has in its first k ranks: mean P@k = Σ weight · relevant."""
    placed, cutoff = people.placed(study.runs), int(parse_measure(name).cutoff or 0)
    out = np.zeros((len(study.runs), len(people)))
    for s, (pair, rank) in enumerate(zip(placed.pair, placed.rank, strict=True)):
        out[s, pair[rank <= cutoff]] = 1 / (cutoff * people.queries)
    return out


def test_the_plain_mean_is_that_of_the_authors_package():
    """`ppi_mean_pointestimate(y, predicted, everybody, lam=1)` of ppi-python 0.2.3 gave 0.55071667 on these numbers."""
    everybody = np.random.default_rng(5).random(40).round(3)
    y = np.array([1.0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0])
    assert plain(y, everybody[:12], everybody) == pytest.approx(0.55071667, abs=1e-8)


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_every_systems_precision_is_the_plain_mean_with_a_judge_and_without(name, level, seed):
    """P@k of an even sample of pairs is N times the mean over all N pairs of weight · relevant; also where the systems have only
    a part of the pairs, and for people alone, whose prediction knows no judge. What cannot be is cut off."""
    study = ladder(seed, queries=15)
    sample = study.sampled((70,), name, rule="uniform", seed=seed)
    found = correct(name, study.runs, study.judge, sample)[0]
    people = population(study.judge, sample, runs=study.runs)
    at = people.labelled
    for side, known in (("corrected", people), ("human", people.without_judge())):
        predicted, label = predictions(known, level)
        for run, weight in zip(study.runs, weights(people, study, name) * len(people), strict=True):
            theirs = plain((weight * label)[at], (weight * predicted)[at], weight * predicted)
            assert found.estimate(run.tag, side).value == pytest.approx(np.clip(theirs, 0, 1), abs=1e-12)


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_a_difference_is_the_plain_one_and_what_the_predictions_expect_of_it(name, level, seed):
    """Of an even sample, p = n / N. Seen: Σ over the labelled (1 − p) / p² · (weight · (label − prediction))². Expected of it:
    Σ over all pairs (1 − p) / p · weight² · prediction (1 − prediction). Ours has SEEN of the one and the rest of the other."""
    study = ladder(seed, queries=15)
    sample = study.sampled((70,), name, rule="uniform", seed=seed)
    rows = correct(name, study.runs, study.judge, sample)[0].differences
    people = population(study.judge, sample, runs=study.runs)
    p, tags = 70 / len(people), [run.tag for run in study.runs]
    weight, (predicted, label) = weights(people, study, name), predictions(people, level)
    for a, b, sd in rows.select("a", "b", "corrected_sd").rows():
        apart = weight[tags.index(a)] - weight[tags.index(b)]
        seen = (((1 - p) / p**2) * (apart * (label - predicted))[people.labelled] ** 2).sum()
        thought = ((1 - p) / p * apart**2 * predicted * (1 - predicted)).sum()
        assert sd**2 == pytest.approx(SEEN * seen + (1 - SEEN) * thought)


def test_whole_queries_lie_between_people_alone_and_the_difference_estimator():
    """`correct` where people graded five of twelve queries wholly: alone, their plain mean; corrected, between weight 0 and
    weight 1, give or take what one query's weight differs from another's."""
    study = ladder(0)
    some = study.people.frame.filter(pl.col("query_id") < "q05").select("query_id", "doc_id", "grade")
    sample = qrels(some.rows(), "people")
    found = correct("AP", study.runs, study.judge, sample)[0]
    assert found.design == "by query"
    human, judge = (
        evaluate(["AP"], study.runs, one, resamples=0).per_query["value"].to_numpy().reshape(3, -1)
        for one in (sample, study.judge)
    )
    alone = human.mean(axis=1)
    full = alone + judge.mean(axis=1) - judge[:, :5].mean(axis=1)
    for s, run in enumerate(study.runs):
        assert found.estimate(run.tag, "human").value == pytest.approx(alone[s])
        low, high = sorted((alone[s], full[s]))
        assert low - 0.01 <= found.estimate(run.tag).value <= high + 0.01
