"""Report: what it takes in, what it says as JSON, and that files are written whole."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Estimate
from qrelkit.reports.html import write_html
from qrelkit.reports.report import Report, write_json
from report.example_report import example


def test_a_section_nobody_knows_is_refused_with_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean 'scores'"):
        Report.of(score={})


def test_estimates_dates_and_numpy_numbers_become_json() -> None:
    said = Report.of(
        created=datetime(2026, 3, 14, 9, 26, tzinfo=UTC),
        scores={"human": {"a": {"P@5": Estimate(value=0.5, low=0.4, high=0.6, n=3)}}},
        provenance={"seed": np.int64(7), "share": np.float64(0.25), "path": Path("x"), "tags": {"b", "a"}},
    ).json()
    assert said["created"] == "2026-03-14T09:26:00+00:00"
    assert said["scores"]["human"]["a"]["P@5"] == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    assert said["provenance"] == {"seed": 7, "share": 0.25, "path": "x", "tags": ["a", "b"]}


def test_nan_is_null_and_empty_sections_are_left_out() -> None:
    report = Report.of(title="t", warnings=[], runs=(), collection={}, holes={"a": {"share": math.nan}}, expansion=None)
    assert report.json() == {"title": "t", "holes": {"a": {"share": None}}}


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold a object"):
        Report.of(provenance={"x": object()})


def test_the_json_file_makes_the_same_report_again(tmp_path: Path) -> None:
    report = example()
    write_json(report, tmp_path / "report.json")
    assert Report.of(**json.loads((tmp_path / "report.json").read_text("utf-8"))) == report


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    for write in (write_html, write_json):
        with pytest.raises(InputError, match=r"report\.html: cannot be written"):
            write(Report.of(title="t"), tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_lone_surrogate_does_not_stop_the_page(tmp_path: Path) -> None:
    report = Report.of(title="broken \ud83d text")
    write_html(report, tmp_path / "r.html")
    write_json(report, tmp_path / "r.json")
    assert "broken ? text" in (tmp_path / "r.html").read_text("utf-8")


def test_the_repr_tells_size_and_views() -> None:
    assert repr(example()) == "Report(Which fashion search is better?: 3 systems, 5 measures; human, model, mixed)"
