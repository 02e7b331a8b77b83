"""`evaluate --judge --human`: the three values of every system and measure (issue 4, point 9), and figures of the pool."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cli.calling import Said, call
from qrelkit.formats.samples import probabilities_path, write_probabilities
from qrelkit.formats.trec import write_qrels, write_run
from steps.few_labels import Study, ladder

Capture = pytest.CaptureFixture[str]
STATISTIC = {"value", "low", "high", "n"}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """good.trec, poor.trec, J.qrels, H.qrels (40 drawn) with H.prob.tsv and all.qrels, in the current folder."""
    monkeypatch.chdir(tmp_path)
    study = ladder(3)
    for run in study.runs:
        write_run(run, tmp_path / f"{run.tag}.trec")
    people = study.sampled((40,), "nDCG@5")
    for name, grades in (("J", study.judge), ("H", people), ("all", study.people)):
        write_qrels(grades, tmp_path / f"{name}.qrels")
    write_probabilities(people.frame, probabilities_path("H.qrels"))
    return study


def scored(capsys: Capture, *more: object, human: str = "H.qrels") -> Said:
    runs = ("--runs", "good.trec", "poor.trec")
    return call(capsys, "evaluate", *more, *runs, "--judge", "J.qrels", "--human", human)


def test_json_has_three_values_per_system_and_measure(study: Study, capsys: Capture) -> None:
    found = scored(capsys, "nDCG@5", "P@5", "--json").json
    assert list(found["scores"]) == ["good", "poor"]
    for measures in found["scores"].values():
        assert list(measures) == ["nDCG@5", "P@5"]
        for sides in measures.values():
            assert all(set(sides[side]) == STATISTIC for side in ("judge_only", "human_only", "corrected"))
    assert found["measures"]["nDCG@5"]["labels"] == 40


def test_a_complete_human_file_gives_trec_evals_values_without_error(study: Study, capsys: Capture) -> None:
    """Against `evaluate --qrels`, whose values are trec_eval's (tests/oracle)."""
    found = scored(capsys, "nDCG@5", "AP", "RR", "--json", human="all.qrels").json
    plain = call(capsys, "evaluate", "nDCG@5", "AP", "RR", "--runs", "good.trec", "poor.trec", "--qrels", "all.qrels", "--json")
    for tag, measures in plain.json["scores"].items():
        for measure, statistic in measures.items():
            corrected = found["scores"][tag][measure]["corrected"]
            assert corrected["value"] == pytest.approx(statistic["value"])
            assert corrected["high"] - corrected["low"] == pytest.approx(0, abs=1e-12)


def test_figures_of_the_pool_stand_beside(study: Study, capsys: Capture) -> None:
    found = scored(capsys, "nDCG@5", "prevalence(rel=2)", "kappa", "--json").json
    assert list(found["figures"]) == ["prevalence(rel=2)", "kappa"]
    assert found["figures"]["kappa"]["judge_only"]["value"] is None
    alone = scored(capsys, "kappa_quadratic", "--json").json
    assert alone["scores"] == {}
    assert set(alone["figures"]["kappa_quadratic"]["corrected"]) == STATISTIC


def test_text_has_a_block_for_each_measure(study: Study, capsys: Capture) -> None:
    out = scored(capsys, "nDCG@5", "P@5", "kappa", "--format", "text").out
    assert "nDCG@5, mean over these queries (12); 40 of 144 pairs graded by people (sampled pairs)" in out
    assert "P@5, mean over these queries (12); 40 of 144" in out
    assert "the pool, these queries; 40 of 144 pairs graded by people" in out


def test_in_a_pipe_there_is_a_row_per_number(study: Study, capsys: Capture) -> None:
    head, *rows = csv.reader(scored(capsys, "nDCG@5").out.splitlines(), delimiter="\t")
    assert head[:6] == ["measure", "tag", "side", "value", "low", "high"]
    assert [row[1:3] for row in rows[:3]] == [["good", "judge_only"], ["good", "human_only"], ["good", "corrected"]]


def test_latex_is_a_table(study: Study, capsys: Capture) -> None:
    out = scored(capsys, "nDCG@5", "--format", "latex").out
    assert out.count(r"\begin{tabular}{lrrr}") == out.count(r"\end{tabular}") == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("nDCG@5 --runs good.trec --judge J.qrels", "--judge and --human go together, with measures and --runs"),
        ("nDCG@5 --runs good.trec --judge J.qrels --human H.qrels --qrels all.qrels", "without --qrels"),
        ("nDCG@5 --judge J.qrels --human H.qrels", "with measures and --runs"),
        ("RR --runs good.trec --judge J.qrels --human H.qrels", "RR cannot be estimated from sampled pairs"),
        ("nDCG@5 --runs good.trec --judge J.qrels --human H.qrels --estimand both", "unknown estimand 'both'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(argv: str, said: str, study: Study, capsys: Capture) -> None:
    found = call(capsys, "evaluate", *argv.split())
    assert found.code == 1
    assert said in found.error
