"""Ranges over unjudged documents, calibration and leaving out, as commands; files in, JSON out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.calling import call

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """people.qrels grades d0 … d24 of q, model.qrels d0 … d39; up.trec begins at d0, down.trec at d39."""
    monkeypatch.chdir(tmp_path)
    lines = [f"q 0 d{i} {i % 3}\n" for i in range(40)]
    (tmp_path / "people.qrels").write_text("".join(lines[:25]), encoding="utf-8")
    (tmp_path / "model.qrels").write_text("".join(lines), encoding="utf-8")
    for tag, docs in {"up": range(40), "down": range(39, -1, -1)}.items():
        rows = [f"q Q0 d{doc} {rank} {100 - rank} {tag}\n" for rank, doc in enumerate(docs, 1)]
        (tmp_path / f"{tag}.trec").write_text("".join(rows), encoding="utf-8")
    return tmp_path


def test_evaluate_gives_ranges_when_asked(files: Path, capsys: Capture) -> None:
    asked = ("evaluate", "P@10", "--qrels", "people.qrels", "--runs", "up.trec", "down.trec")
    plain = call(capsys, *asked, "--json").json
    found = call(capsys, *asked, "--ranges", "--json").json
    # up: d1, d2, d4, d5, d7, d8 of ten; down: d39 … d30, none of them graded
    assert found["scores"]["up"]["P@10"] == plain["scores"]["up"]["P@10"] | {"range": [0.6, 0.6]}
    assert found["scores"]["down"]["P@10"]["range"] == [0, 1]
    assert (found["levels"], "levels" in plain) == ([0, 1, 2], False)
    assert call(capsys, *asked, "--scale", "trec-0-3", "--json").json["levels"] == [0, 1, 2, 3]


def test_ranges_can_be_over_a_pool(files: Path, capsys: Capture) -> None:
    asked = ("evaluate", "R@10", "--qrels", "people.qrels", "--runs", "up.trec", "--json")
    # people know 16 relevant (of d0 … d24), up has 6 of them; d25 … d39 could be relevant too, but are no part of a pool of 10
    assert "range" not in call(capsys, *asked, "--depth", 10).json["scores"]["up"]["R@10"]
    assert call(capsys, *asked, "--ranges").json["scores"]["up"]["R@10"]["range"] == [6 / 31, 6 / 16]


def test_expand_scores_the_runs_and_leaves_each_team_out(files: Path, capsys: Capture) -> None:
    asked = (
        "expand",
        "people.qrels",
        "--with",
        "model.qrels",
        "--runs",
        "up.trec",
        "down.trec",
        "--depth",
        10,
        "-o",
        "out.qrels",
    )
    found = call(capsys, *asked, "--measures", "P@10", "AP", "--json").json
    assert list(found["scores"]) == ["people.qrels", "model.qrels", "mixed"]
    assert set(found["scores"]["mixed"]["up"]) == {"P@10", "AP"}
    left = found["leave_out"]
    assert (left["measure"], left["unit"], left["depth"]) == ("P@10", "run", 10)
    # up alone brought d0 … d9: without them it has none of ten; d30 … d39 were never graded by people
    assert [(run["tag"], run["pairs"], run["holes"]["0"]["value"]) for run in left["runs"]] == [("up", 10, 0), ("down", 0, 0)]
    teams = call(capsys, *asked, "--teams", "up=ours", "down=theirs", "--json").json["leave_out"]
    assert (teams["unit"], {run["team"] for run in teams["runs"]}) == ("team", {"ours", "theirs"})
    one = call(capsys, *asked, "--teams", "up=ours", "down=ours", "--json").json["leave_out"]
    assert one == {"reason": "leaving one team out needs at least two of them, not 1"}


def test_expand_calibrates_on_the_overlap(files: Path, capsys: Capture) -> None:
    found = call(capsys, "expand", "people.qrels", "--with", "model.qrels", "--policy", "calibrated", "-o", "out.qrels", "--json")
    assert (found.code, found.json["policy"], found.json["calibration"]["pairs"]) == (0, "calibrated", 25)
    assert "q\td39\t0\tmodel.qrels (calibrated)\tgraded\t0.0" in (files / "out.qrels.origins.tsv").read_text(encoding="utf-8")
    (files / "few.qrels").write_text("q 0 d1 1\nq 0 d39 0\n", encoding="utf-8")
    few = call(capsys, "expand", "people.qrels", "--with", "few.qrels", "--policy", "calibrated", "-o", "out.qrels")
    assert "1 pair graded by both people.qrels and few.qrels: too few to calibrate by" in few.error


def test_what_is_about_runs_is_refused_without_them(files: Path, capsys: Capture) -> None:
    asked = ("expand", "people.qrels", "--with", "model.qrels", "-o", "out.qrels")
    assert "name them with --runs" in call(capsys, *asked, "--teams", "up=ours").error
