"""Which pairs people should grade next."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.linear import expected
from qrelkit.measures.parse import parse_measure
from qrelkit.stats.sampling import FLOOR
from qrelkit.steps.choose import RULES, choose, effects, sizes
from qrelkit.steps.population import population

KEY = ["query_id", "doc_id"]


def made(seed=0, queries=5, documents=20):
    """A judge of all pairs, two runs over them, and what people would say."""
    rng = np.random.default_rng(seed)
    ids = [(f"q{q}", f"d{d:02}") for q in range(queries) for d in range(documents)]
    frame = pl.DataFrame(ids, schema=KEY, orient="row")
    truth = rng.integers(0, 4, len(ids))
    judge = Qrels.of(frame.with_columns(grade=pl.Series(np.clip(truth + rng.integers(-1, 2, len(ids)), 0, 3))), "judge")
    human = Qrels.of(frame.with_columns(grade=pl.Series(truth)), "people")
    runs = []
    for tag in "AB":
        scored = frame.with_columns(score=pl.Series(rng.normal(size=len(ids))))
        runs.append(Run.of(scored.filter(pl.Series(rng.random(len(ids)) < 0.6)), tag))
    return judge, human, runs


def graded(drawn, human, before=None):
    rows = drawn.join(human.frame, on=KEY, how="left", maintain_order="left")
    return Qrels(rows if before is None else pl.concat([before.frame, rows], how="diagonal"), "people")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_draws_n_pairs_by_chance_and_says_the_chances(rule):
    judge, human, runs = made()
    drawn = choose(judge, 12, rule=rule, runs=runs, panel=[judge, human], seed=3)
    assert drawn.columns == ["query_id", "doc_id", "probability", "round"]
    assert drawn.height == drawn.unique(KEY).height == 12
    assert (drawn["round"] == 1).all()
    assert drawn["probability"].is_between(0, 1, closed="right").all()
    # A share is spread evenly: no pair of the 100 has less than it.
    assert drawn["probability"].min() >= FLOOR * 12 / 100 - 1e-12
    assert drawn.equals(choose(judge, 12, rule=rule, runs=runs, panel=[judge, human], seed=3))
    assert not drawn.equals(choose(judge, 12, rule=rule, runs=runs, panel=[judge, human], seed=4))


@pytest.mark.parametrize("rule", ["decision", "uniform"])
def test_rounds_go_on_without_what_is_graded(rule):
    judge, human, runs = made()
    sample = None
    for number in range(1, 4):
        drawn = choose(judge, 30, rule=rule, human=sample, runs=runs, seed=5)
        assert (drawn["round"] == number).all()
        sample = graded(drawn, human, sample)
    assert sample.frame.unique(KEY).height == 90
    last = choose(judge, 30, rule=rule, human=sample, runs=runs)
    assert last.height == 10
    assert (last["probability"] == 1).all()
    with pytest.raises(InputError, match="every pair is graded already"):
        choose(judge, 1, rule=rule, human=graded(last, human, sample), runs=runs)


def test_each_of_the_judges_labels_brings_its_share():
    judge, _, _ = made()
    drawn = choose(judge, 20, rule="label").join(judge.frame, on=KEY)
    share = judge.frame.group_by("grade").len().sort("grade")["len"].to_numpy() / 5  # 20 of 100
    found = drawn.group_by("grade").len().sort("grade")["len"].to_numpy()
    assert (np.abs(found - share) <= 1).all()  # a stratum gets the whole numbers next to its share
    np.testing.assert_allclose(drawn["probability"].to_numpy(), 0.2)


def test_the_more_a_panel_disagrees_the_likelier():
    judge, _, _ = made()
    other = judge.frame.with_columns(
        grade=pl.when(pl.col("query_id") == "q0").then(3 - pl.col("grade")).otherwise(pl.col("grade"))
    )
    drawn = choose(judge, 10, rule="spread", panel=[judge, Qrels(other, "other")])
    # Only q0 has any spread (a grade and 3 less it are never equal): it has all but the share that is spread.
    assert (drawn["query_id"] == "q0").sum() >= 8


def test_uncertainty_is_the_spread_of_the_grade():
    judge, _, _ = made()
    people = population(judge)
    size = sizes(people, "uncertainty", [], parse_measure("nDCG@10"))
    chances = people.calibrated().at_least
    shares = -np.diff(np.pad(chances, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0))), axis=1)
    mean = shares @ np.arange(4)
    np.testing.assert_allclose(size**2, shares @ np.arange(4) ** 2 - mean**2)


@pytest.mark.parametrize("name", ["DCG@10", "P(rel=2)@5", "RBP", "nDCG@10", "AP"])
def test_an_effect_is_what_a_grade_would_move_the_difference_by(name):
    """Against every grade put in: the standard deviation over them of the difference of A and B (times √½, off their mean)."""
    judge, human, runs = made(1, queries=2, documents=8)
    people = population(judge, Qrels(human.frame.head(3), "people"), runs=runs)
    measure = parse_measure(name)
    placed, calibration = people.placed(runs, [measure]), people.calibrated()
    slopes = expected(measure, placed, people.chances(calibration)).slopes.at(np.arange(len(people)))
    chances = calibration.at_least
    shares = -np.diff(np.pad(chances, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0))), axis=1)
    moves = np.concatenate([np.zeros((2, len(people), 1)), np.cumsum(slopes, axis=2)], axis=2)
    gap = (moves[0] - moves[1]) / 2  # two queries
    variance = (gap**2 * shares).sum(axis=1) - (gap * shares).sum(axis=1) ** 2
    np.testing.assert_allclose(effects(people, runs, measure), np.sqrt(variance / 2), atol=1e-12)


def test_pairs_that_both_systems_rank_alike_decide_nothing():
    judge, _, runs = made()
    people = population(judge)
    same = effects(people, [runs[0], Run(runs[0].frame, "copy")], parse_measure("DCG@10"))
    np.testing.assert_allclose(same, 0, atol=1e-12)
    # Nothing to decide: all are as likely.
    drawn = choose(judge, 10, runs=[runs[0], Run(runs[0].frame, "copy")], measure="DCG@10")
    np.testing.assert_allclose(drawn["probability"].to_numpy(), 0.1)


def test_what_is_missing_is_said():
    judge, _, runs = made()
    with pytest.raises(UnknownName):
        choose(judge, 5, rule="uniformly")
    with pytest.raises(InputError, match="give their runs"):
        choose(judge, 5)
    with pytest.raises(InputError, match="two judges"):
        choose(judge, 5, rule="spread", panel=[judge])
    with pytest.raises(InputError, match="floor"):
        choose(judge, 5, runs=runs, floor=0.0)
    with pytest.raises(InputError, match="from 1"):
        choose(judge, 0, runs=runs)
