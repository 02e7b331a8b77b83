"""Systems' measures and figures of the pool under the judge, under people and corrected: exact where people graded everything."""

from __future__ import annotations

import io

import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.steps.corrected import LIKE, THESE, Corrected
from qrelkit.steps.correction import correct
from qrelkit.steps.corrections import corrections
from qrelkit.steps.evaluate import evaluate
from steps.few_labels import ladder

MEASURES = ["nDCG@5", "nDCG(dcg=exp)@5", "P@5", "P(rel=2)@5", "R@5", "AP", "DCG@5", "Judged@5", "RBP"]
TAGS = ("good", "fair", "poor")


# where people graded everything


def test_a_complete_human_grading_gives_the_exact_values_and_no_error() -> None:
    """Against `evaluate`, which tests/oracle holds against trec_eval."""
    study = ladder(0)
    truth = evaluate([*MEASURES, "RR"], study.runs, study.people, resamples=0)
    for one in correct([*MEASURES, "RR"], study.runs, study.judge, study.people):
        assert (one.design, one.labels, one.pairs) == ("census", 144, 144)
        for tag in TAGS:
            found = one.estimate(tag)
            assert found.value == pytest.approx(truth.estimate(tag, one.measure).value, abs=1e-12)
            assert found.high - found.low == pytest.approx(0, abs=1e-12)


def test_every_measure_at_the_census_has_the_judge_beside_it() -> None:
    study = ladder(0)
    said = evaluate(MEASURES, study.runs, study.judge, resamples=0)
    for one in correct(MEASURES, study.runs, study.judge, study.people):
        for tag in TAGS:
            assert one.estimate(tag, "judge").value == pytest.approx(said.estimate(tag, one.measure).value, abs=1e-12)


def test_over_queries_like_these_a_complete_grading_has_the_error_of_the_queries() -> None:
    """By hand: t with n − 1 degrees of freedom times the standard error over queries; 2.201 for 12 queries."""
    study = ladder(0)
    values = evaluate(["P@5"], study.runs[:1], study.people, resamples=0).per_query["value"]
    half = 2.200985 * values.std() / 12**0.5  # type: ignore[operator]
    found = correct("P@5", study.runs, study.judge, study.people, estimand=LIKE)[0].estimate("good")
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-5)


def test_weights_weigh_as_evaluate_does() -> None:
    study = ladder(0)
    weights = {f"q{i:02d}": float(1 + i % 4) for i in range(12)}
    truth = evaluate(["nDCG@5"], study.runs, study.people, weights=weights, resamples=0)
    one = correct("nDCG@5", study.runs, study.judge, study.people, weights=weights)[0]
    assert [one.estimate(tag).value for tag in TAGS] == pytest.approx([truth.estimate(tag, "nDCG@5").value for tag in TAGS])


def test_groups_are_the_means_over_their_queries() -> None:
    study = ladder(0)
    language = {f"q{i:02d}": "de" if i < 5 else "en" for i in range(12)}
    one = correct("nDCG@5", study.runs, study.judge, study.people, by=language)[0]
    assert list(one.by) == ["de", "en"]
    for group, rows in (("de", pl.col("query_id") < "q05"), ("en", pl.col("query_id") >= "q05")):
        part = Qrels(study.people.frame.filter(rows), "people")
        truth = evaluate(["nDCG@5"], study.runs, part, resamples=0)
        assert one.by[group].queries == part.frame["query_id"].n_unique()
        assert one.by[group].estimate("fair").value == pytest.approx(truth.estimate("fair", "nDCG@5").value)
    mean = (5 * one.by["de"].estimate("fair").value + 7 * one.by["en"].estimate("fair").value) / 12
    assert one.estimate("fair").value == pytest.approx(mean)


# samples


def test_whole_queries_without_a_judge_are_their_mean() -> None:
    """By hand: people alone, six of twelve queries: the mean over the six, its error with 1 / 6 − 1 / 12 for these queries, and a
    little more for values that may be equal by chance on so few."""
    study = ladder(0)
    part = Qrels(study.people.frame.filter(pl.col("query_id") < "q06"), "people")
    one = correct("AP", study.runs, study.judge, part)[0]
    values = evaluate(["AP"], study.runs[:1], part, resamples=0).per_query["value"]
    found = one.estimate("good", "human")
    assert one.design == "by query"
    assert found.value == pytest.approx(values.mean())
    half = 2.570582 * values.std() * (1 / 6 - 1 / 12) ** 0.5  # type: ignore[operator]
    assert half * (1 - 1e-6) <= (found.high - found.low) / 2 <= 1.1 * half


def test_a_sample_narrows_as_it_grows_and_judge_and_people_are_better_than_people_alone() -> None:
    study = ladder(0, queries=30)
    widths = []
    for n in (60, 240):
        rows = correct("P@5", study.runs, study.judge, study.sampled((n,), "P@5"))[0].differences
        widths.append(rows.select(pl.col("corrected_sd").mean(), pl.col("human_sd").mean()).row(0))
    assert widths[0][0] > widths[1][0]
    assert widths[0][0] < widths[0][1]


def test_what_cannot_be_is_no_part_of_an_interval() -> None:
    study = ladder(0)
    one = correct("nDCG@5", study.runs, study.judge, study.sampled((12,), "nDCG@5"))[0].systems
    assert one.select(pl.col("corrected_low", "human_low").min() >= 0).row(0) == (True, True)
    assert one.select(pl.col("corrected_high", "human_high").max() <= 1).row(0) == (True, True)


def test_without_people_there_is_the_judge_and_nothing_else() -> None:
    study = ladder(0)
    one = correct("nDCG@5", study.runs, study.judge)[0]
    assert (one.design, one.labels) == ("nobody", 0)
    assert one.json()["systems"]["good"]["corrected"]["value"] is None
    assert one.json()["systems"]["good"]["corrected"]["reason"] == "nobody graded a pair yet"
    assert one.conclusions.may == ()


# forms


def sampled(measures: list[str], **options: object) -> Corrected:
    study = ladder(0)
    people = study.sampled((30, 30), "nDCG@5")
    return correct(measures, study.runs, study.judge, people, **options)[0]  # type: ignore[arg-type]


def test_json_has_the_three_values_of_every_system_and_measure() -> None:
    study = ladder(0)
    people = study.sampled((40,), "nDCG@5")
    found = corrections(["nDCG@5", "P@5", "prevalence", "kappa(rel=2)"], study.runs, study.judge, people).json()
    assert set(found) == {"scores", "figures", "measures"}
    assert list(found["scores"]) == list(TAGS)
    for measures in found["scores"].values():
        assert list(measures) == ["nDCG@5", "P@5"]
        for sides in measures.values():
            assert set(sides) == {"judge_only", "human_only", "corrected", "shrunk"}
            assert all(set(sides[name]) == {"value", "low", "high", "n"} for name in ("judge_only", "human_only", "corrected"))
    assert list(found["figures"]) == ["prevalence", "kappa(rel=2)"]
    assert found["figures"]["kappa(rel=2)"]["judge_only"]["value"] is None
    assert {"estimand", "design", "labels", "trust", "bend"} <= set(found["measures"]["P@5"])
    assert found["measures"]["P@5"]["bend"] == 0.0  # linear in the grades


def test_csv_has_one_row_per_number() -> None:
    study = ladder(0)
    people = study.sampled((40,), "nDCG@5")
    language = {f"q{i:02d}": "de" if i < 5 else "en" for i in range(12)}
    found = corrections(["nDCG@5", "prevalence"], study.runs, study.judge, people, by=language)
    table = pl.read_csv(io.StringIO(found.csv()))
    assert table.columns == ["measure", "tag", "side", "value", "low", "high", "n", "estimand", "labels", "group"]
    assert table.height == 3 * 3 * 3 + 3  # systems × sides × (all, de, en), and the figure's sides
    assert set(table["group"].fill_null("")) == {"", "de", "en"}
    assert table["estimand"].unique().to_list() == [THESE]


def test_latex_is_a_table_for_each_measure() -> None:
    study = ladder(0)
    people = study.sampled((40,), "nDCG@5")
    found = corrections(["nDCG@5", "P@5"], study.runs, study.judge, people).latex()
    assert found.count(r"\begin{table}") == found.count(r"\end{table}") == 2
    assert found.count(r"\toprule") == found.count(r"\bottomrule") == 2
    rows = [line for line in found.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 2 * (1 + 3)
    assert {row.count("&") for row in rows} == {3}
    assert "40 of 144 pairs graded by people" in found


def test_text_names_measure_estimand_and_design() -> None:
    text = sampled(["nDCG@5"]).text()
    assert "nDCG@5, mean over these queries (12); 60 of 144 pairs graded by people (sampled pairs)" in text
    assert "ranked with " in text
    assert "sampled pairs may leave a bias of about 0.0" in text
    assert "mean over queries like these (12)" in sampled(["nDCG@5"], estimand=LIKE).text()
    assert "may leave a bias" not in sampled(["P@5"]).text()


def test_a_system_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        sampled(["P@5"]).estimate("nobody")


# what cannot be


def test_people_without_a_grade_are_an_error() -> None:
    study = ladder(0)
    empty = Qrels.of(pl.DataFrame({"query_id": ["q00"], "doc_id": ["d00"], "grade": [None]}), "H.qrels")
    with pytest.raises(InputError, match=r"H\.qrels has no grade at all, so there is nothing to correct with"):
        correct("nDCG@5", study.runs, study.judge, empty)


def test_grades_that_nobody_drew_stand_for_no_other_pair() -> None:
    study = ladder(0)
    rows = study.people.frame.head(20).with_columns(probability=pl.lit(1.0), round=pl.lit(0, pl.Int32))
    with pytest.raises(InputError, match="no grade of H was drawn by chance"):
        correct("nDCG@5", study.runs, study.judge, Qrels(rows, "H"))


def test_pairs_cannot_tell_of_a_measure_of_the_first_relevant_document() -> None:
    study = ladder(0)
    with pytest.raises(InputError, match=r"RR cannot be estimated from sampled pairs, only .*nDCG.*; grade whole queries for it"):
        correct("RR", study.runs, study.judge, study.sampled((30,), "nDCG@5"))


def test_one_query_that_is_wholly_graded_gives_no_interval() -> None:
    study = ladder(0)
    one = Qrels(study.people.frame.filter(pl.col("query_id") == "q00"), "H")
    with pytest.raises(InputError, match="people graded 1 query wholly, which gives no interval; grade 2 or more"):
        correct("nDCG@5", study.runs, study.judge, one)


def test_a_query_without_a_weight_is_an_error() -> None:
    study = ladder(0)
    with pytest.raises(InputError, match="11 queries have no weight, the first is 'q01'"):
        correct("nDCG@5", study.runs, study.judge, study.people, weights={"q00": 1.0})
