"""Prevalence and kappa of a pool from few grades: exact at the census, and as often right as they claim."""

from __future__ import annotations

import numpy as np
import pytest

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.stats.sampling import draw
from qrelkit.steps.agree import agree
from qrelkit.steps.corrected import LIKE
from qrelkit.steps.figures import figures, is_figure
from steps.few_labels import Study, ladder, qrels

EVERY = ["prevalence", "prevalence(rel=2)", "kappa", "kappa(rel=2)", "kappa_quadratic"]


def test_names_of_figures_are_told_from_measures() -> None:
    assert all(map(is_figure, EVERY))
    assert not any(map(is_figure, ["nDCG@10", "prevalence@10", "kappa(rel=x)", "alpha"]))


# where people graded everything


def test_prevalence_at_the_census_is_the_share() -> None:
    study = ladder(0)
    grades = study.people.frame["grade"]
    one, two = figures(EVERY[:2], study.judge, study.people)
    for figure, cut in ((one, 1), (two, 2)):
        share = (grades >= cut).mean()
        for side in (figure.human, figure.corrected):
            assert (side.value, side.low, side.high) == pytest.approx((share, share, share))
        assert figure.judge.value == pytest.approx((study.judge.frame["grade"] >= cut).mean())


def test_kappas_at_the_census_are_those_of_agree() -> None:
    """Another implementation: `agree`, which tests/oracle holds against scikit-learn."""
    study = ladder(0)
    known = agree(study.judge, [study.people]).figures.estimates
    for figure, name in zip(figures(EVERY[2:], study.judge, study.people), ("kappa", "cut 2", "kappa_quadratic"), strict=True):
        assert figure.corrected.value == figure.human.value == pytest.approx(known[name].value)
        assert figure.corrected.high - figure.corrected.low == pytest.approx(0, abs=1e-9)


def test_a_kappa_by_hand() -> None:
    """By hand: judge and people on ten pairs: 4 agree on 1, 3 on 0, 3 differ (judge 1, people 0). Observed .7; expected by the
    margins .7 · .4 + .3 · .6 = .46; kappa (.7 − .46) / (1 − .46) = .4444. Prevalence .4, by the judge .7."""
    people = [1] * 4 + [0] * 6
    judge = [1] * 7 + [0] * 3
    sides = [
        qrels([(f"q{i % 2}", f"d{i}", g) for i, g in enumerate(grades)], name) for name, grades in (("j", judge), ("h", people))
    ]
    share, agreement = figures(["prevalence", "kappa"], *sides)
    assert (share.judge.value, share.corrected.value) == pytest.approx((0.7, 0.4))
    assert agreement.corrected.value == pytest.approx(0.24 / 0.54)
    assert np.isnan(agreement.judge.value)
    assert "not known from the assessor alone" in agreement.judge.reason


# samples


def test_intervals_from_eighty_of_four_hundred_pairs_hold_as_often_as_they_say() -> None:
    """Simulated, 150 samples: 95 % intervals hold in 95 %, give or take 1.96 · √(.05 · .95 / 150) = 3.5 points; kappa's, which
    bends, may miss 4 points more."""
    study = ladder(4, queries=40, docs=10)
    names = ["prevalence", "kappa_quadratic"]
    truth = [figure.corrected.value for figure in figures(names, study.judge, study.people)]
    held = np.zeros((2, 2))
    for seed in range(150):
        for i, figure in enumerate(figures(names, study.judge, uniform(study, 80, seed))):
            held[i] += [covers(side, truth[i]) for side in (figure.corrected, figure.human)]
    assert (held[0] / 150 >= 0.915).all()
    assert (held[1] / 150 >= 0.875).all()


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def uniform(study: Study, n: int, seed: int) -> Qrels:
    """A plain sample of the people's grades, without a word on probabilities."""
    return Qrels(study.people.frame.sample(n, seed=seed), "people")


def test_a_designed_sample_is_undone_by_its_probabilities() -> None:
    """Of what the judge grades 0, 1 and 2 one in ten, four and six are drawn: counted plainly the share of relevant pairs is too
    high, weighted it is right."""
    study = ladder(4, queries=40, docs=10)
    truth = (study.people.frame["grade"] >= 1).mean()
    p = np.array([0.1, 0.4, 0.6])[study.judge.frame["grade"].to_numpy()]
    plain, weighted = [], []
    for seed in range(40):
        places = draw(p, np.random.default_rng(seed))
        drawn = study.judge.frame.select("query_id", "doc_id").with_columns(probability=p, round=1)[places]
        people = study.graded(drawn)
        plain.append((people.frame["grade"] >= 1).mean())
        weighted.append(figures(["prevalence"], study.judge, people)[0].corrected.value)
    assert np.mean(plain) > truth + 0.1
    assert np.mean(weighted) == pytest.approx(truth, abs=0.02)


def test_the_judge_narrows_what_people_alone_say() -> None:
    study = ladder(4, queries=40, docs=10)
    (found,) = figures(["prevalence"], study.judge, uniform(study, 100, 0))
    assert found.corrected.high - found.corrected.low < found.human.high - found.human.low


def test_over_queries_like_these_the_interval_is_wider() -> None:
    study = ladder(4, queries=40, docs=10)
    for name in EVERY:
        (these,), (like,) = (figures([name], study.judge, study.people, **o) for o in ({}, {"estimand": LIKE}))
        assert like.corrected.value == pytest.approx(these.corrected.value)
        assert like.corrected.high - like.corrected.low > these.corrected.high - these.corrected.low


# forms and errors


def test_json_and_text_name_the_three_sides() -> None:
    study = ladder(0)
    (found,) = figures(["prevalence(rel=2)"], study.judge, uniform(study, 40, 0))
    assert set(found.json()) == {"figure", "estimand", "labels", "pairs", "judge_only", "human_only", "corrected"}
    assert (found.json()["labels"], found.json()["pairs"]) == (40, 144)
    assert found.text().startswith("prevalence(rel=2)")
    assert "judge only 0." in found.text()


def test_another_name_lists_the_figures() -> None:
    study = ladder(0)
    with pytest.raises(InputError, match=r"'alpha' is no figure of a pool; there are prevalence, kappa, kappa_quadratic"):
        figures(["alpha"], study.judge, study.people)


def test_people_without_a_grade_are_an_error() -> None:
    study = ladder(0)
    with pytest.raises(InputError, match="people has no grade at all"):
        figures(["kappa"], study.judge, Qrels(study.people.frame.head(0), "people"))


def test_a_kappa_of_two_scales_is_an_error() -> None:
    study = ladder(0)
    binary = qrels([(q, d, min(g, 1)) for q, d, g in study.people.frame.select("query_id", "doc_id", "grade").iter_rows()], "H")
    with pytest.raises(Mismatch, match=r"judge has grades \[2\] that are not on the people's scale \[0, 1\]"):
        figures(["kappa"], study.judge, binary)
    assert figures(["prevalence"], study.judge, binary)[0].corrected.value > 0
