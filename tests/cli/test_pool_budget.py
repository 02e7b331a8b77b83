"""pool -n and pool --compare on the command line: on files, in a project, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.calling import call
from verbs.tiny import JUDGED, PAIRS, TRUTH, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and truth.qrels beside it."""
    monkeypatch.chdir(write_tiny(tmp_path))
    lines = [f"{q} 0 {d} {g}\n" for q, grades in TRUTH.items() for d, g in grades.items()]
    (tmp_path / "truth.qrels").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_n_pairs_are_chosen_and_written(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "pool", "-n", 5, "--method", "bandit", "--feedback", "truth.qrels", "-o", "people.tsv")
    assert found.code == 0
    assert "5 pairs" in found.err
    assert "chosen by bandit" in found.err
    assert len((shop / "people.tsv").read_text(encoding="utf-8").splitlines()) == 6


def test_the_json_says_what_chose_and_is_as_before_without_a_budget(capsys: Capture) -> None:
    assert call(capsys, "pool", "--json").json == {"queries": 3, "pairs": PAIRS, "depth": 4, "runs": 2}
    found = call(capsys, "pool", "-n", 3, "--method", "fused", "--json").json
    assert found == {"queries": 3, "pairs": 3, "depth": found["depth"], "runs": 2, "chosen_by": "fused"}


def test_depth_is_what_chooses_unless_said(capsys: Capture) -> None:
    # Six of the pairs are first of a run, two of each query.
    found = call(capsys, "pool", "runs/words.trec", "runs/sight.trec", "-n", 6, "--json")
    assert (found.json["depth"], found.json["chosen_by"]) == (1, "depth")


def test_runs_are_named_with_and_without_the_option(capsys: Capture) -> None:
    one = call(capsys, "pool", "--runs", "runs/words.trec", "--runs", "runs/sight.trec", "-n", 4)
    assert one.out == call(capsys, "pool", "runs/words.trec", "runs/sight.trec", "-n", 4).out
    assert one.out == call(capsys, "pool", "--runs", "runs/words.trec", "runs/sight.trec", "-n", 4).out


def test_compare_on_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    runs = ("--runs", "../runs/words.trec", "--runs", "../runs/sight.trec")
    asked = ("pool", "--compare", "--measure", "nDCG@3", *runs, "--qrels", "../truth.qrels", "-n", 3, "-n", "6,9")
    found = call(capsys, *asked, "--json").json
    assert [(c["method"], c["labels"]) for c in found["choices"]][:4] == [("depth", 3), ("depth", 6), ("depth", 9), ("fused", 3)]
    assert all(c["found"] == 1 for c in found["choices"] if c["labels"] == 9)
    assert list((tmp_path / "elsewhere").iterdir()) == []  # nothing is made where there is no project
    rows = call(capsys, *asked).rows
    assert rows[0][:3] == ["method", "labels", "found"]
    assert len(rows) == 1 + 5 * 3
    assert "tabular" in call(capsys, *asked, "--format", "latex", "--method", "depth,mtf").out


def test_compare_in_a_project_takes_its_measure_runs_and_people(capsys: Capture) -> None:
    found = call(capsys, "pool", "--compare", "-n", 4, "--method", "depth", "--feedback", "truth.qrels", "--json").json
    assert (found["measure"], found["systems"], found["feedback"]) == ("nDCG@10", 2, "truth.qrels")
    assert found["pairs"] == len(JUDGED)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("-n 5 --method bandits", "'bandit'"),
        ("-n 5 --method mtf", "--feedback"),
        ("-n five", "found 'five'"),
        ("-n 0", "at least 1"),
        ("-n 5,6", "--compare takes several"),
        ("--method fused", "goes with -n N"),
        ("-n 5 --measure AP", "goes with --compare"),
        ("--compare", "-n 500,1000"),
        ("--compare -n 5 --depth 3", "has no part in --compare"),
        ("--compare -n 5 --holes-of truth.qrels", "--holes-of has no part"),
        ("--compare -n 5 --method depth,fuse", "'fused'"),
        ("runs/words.trec --project nowhere.yaml --compare -n 5", "nowhere.yaml"),
    ],
)
def test_what_is_refused_says_the_way_out(capsys: Capture, argv: str, said: str) -> None:
    found = call(capsys, "pool", *argv.split())
    assert found.code == 1
    assert said in found.error


def test_compare_without_labels_says_how_to_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = call(capsys, "pool", "../runs/words.trec", "../runs/sight.trec", "--compare", "-n", 5)
    assert "--qrels FILE" in found.error
