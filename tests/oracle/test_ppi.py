"""Prediction-powered means written out, against ours: labels drawn evenly, the prediction being the calibrated chance."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.steps.correction import correct
from qrelkit.steps.figures import figures
from qrelkit.steps.population import population

DEEP = 12  # documents of each of the 25 queries; one run retrieves them all, so that P@12 is the share of relevant pairs
KEY = ["query_id", "doc_id"]


def plain(y, f, every):
    """θ = mean of the predictions + mean over the labelled of (y − prediction); its standard error where n of N are drawn.

    Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, eq. 2, with the finite population's factor 1 − n / N.
    """
    n, all_ = len(y), len(every)
    return every.mean() + (y - f).mean(), np.sqrt((y - f).var(ddof=1) / n * (1 - n / all_))


def made(seed, n):
    rng = np.random.default_rng(seed)
    ids = pl.DataFrame([(f"q{q:02}", f"d{d:02}") for q in range(25) for d in range(DEEP)], schema=KEY, orient="row")
    truth = (rng.random((25, DEEP)) < rng.beta(1, 2, (25, 1))).astype(int)
    says = np.where(rng.random((25, DEEP)) < 0.75, truth, 1 - truth)
    judge, people = (
        Qrels.of(ids.with_columns(grade=pl.Series(g.ravel())), name) for g, name in ((says, "judge"), (truth, "human"))
    )
    run = Run.of(ids.with_columns(score=pl.Series(rng.random(25 * DEEP))), "run")
    drawn = np.sort(rng.choice(25 * DEEP, n, replace=False))
    sample = people.frame[drawn].with_columns(probability=pl.lit(n / (25 * DEEP)), round=pl.lit(1))
    return judge, people, Qrels(sample, "human"), run, truth.ravel()


@pytest.mark.parametrize("n", [20, 60, 200])
@pytest.mark.parametrize("seed", range(4))
def test_a_mean_is_the_plain_prediction_powered_one(seed, n):
    judge, _, sample, run, truth = made(seed, n)
    people = population(judge, sample, levels=(0, 1), runs=[run])
    calibration = people.calibrated()
    every = calibration.at_least[:, 0].copy()
    every[people.labelled] = calibration.without[:, 0]  # a prediction must not know the label that corrects it
    y = truth[people.labelled]
    value, error = plain(y, calibration.without[:, 0], every)
    found = correct(f"P@{DEEP}", [run], judge, sample, levels=(0, 1))[0].systems.row(0, named=True)
    assert found["corrected"] == pytest.approx(value, abs=1e-12)
    # ppi-python 0.2.3 (ppi_mean_pointestimate, lam=1; 60 labels, seeds 0–3) gives .381503 .321962 .313059 .360697, as we do; its
    # intervals are of a superpopulation of pairs: .273–.490, where knowing 60 of the 300 makes ours .286–.477.
    # Ours is 7 parts the seen squares and 3 parts those that the chances expect; on a t with some degrees less than n.
    width = (found["corrected_high"] - found["corrected_low"]) / 2 / error
    assert 0.8 * 1.96 < width < 1.25 * 2.1


@pytest.mark.parametrize("seed", range(4))
def test_prevalence_is_the_same_mean_without_ranks(seed):
    judge, _, sample, _, truth = made(seed, 60)
    people = population(judge, sample, levels=(0, 1))
    calibration = people.calibrated()
    every = calibration.at_least[:, 0].copy()
    every[people.labelled] = calibration.without[:, 0]
    value, _ = plain(truth[people.labelled], calibration.without[:, 0], every)
    assert figures(["prevalence"], judge, sample, levels=(0, 1))[0].corrected.value == pytest.approx(
        value, abs=1e-5
    )  # whose slopes are differences
