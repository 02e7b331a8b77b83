"""A query that an engine failed on is left out for every system; it is not a query that found nothing."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.files import read_any_runs
from qrelkit.formats.sidecars import write_sidecar
from qrelkit.formats.trec import write_run
from qrelkit.steps.compare import compare
from qrelkit.steps.evaluate import evaluate


def qrels() -> Qrels:
    return Qrels.of(pl.DataFrame({"query_id": ["1", "2", "3"], "doc_id": ["a", "a", "a"], "grade": [1, 1, 1]}), "people")


def run(tag: str, failed: dict[str, str], *queries: str) -> Run:
    made = Run.of(pl.DataFrame({"query_id": queries, "doc_id": ["a"] * len(queries), "score": 1.0}), tag)
    return Run(made.frame, tag, {"failed": failed} if failed else {})


def test_failed_queries_are_left_out_for_all_runs_and_this_is_said() -> None:
    # q3 failed for one engine: both are measured on q1 and q2, where the other found nothing for q2
    scores = evaluate(["P@1"], [run("whole", {}, "1", "3"), run("broken", {"3": "time-out"}, "1", "2")], qrels())
    assert [(cell.tag, cell.estimate.value, cell.estimate.n) for cell in scores.cells] == [("whole", 0.5, 2), ("broken", 1.0, 2)]
    assert any("'broken' (1 query): 3" in text for text in scores.warnings)
    found = compare("P@1", [run("whole", {}, "1", "3"), run("broken", {"3": "time-out"}, "1", "2")], [qrels()])
    assert any("no answer came" in text for text in found.warnings)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(Mismatch, match="no answer"):
        evaluate(["P@1"], [run("broken", dict.fromkeys("123", "time-out"), "1")], qrels())


def test_a_saved_run_says_by_its_sidecar_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "a.trec"
    write_run(run("a", {}, "1"), path)
    assert read_any_runs(str(path))[0].notes == {}
    write_sidecar(path, {"notes": {"failed": {"2": "503"}}})
    assert read_any_runs(str(path))[0].notes == {"failed": {"2": "503"}}
    write_run(run("a", {}, "1", "2"), path)  # the sidecar is about another content now
    assert read_any_runs(str(path))[0].notes == {}
