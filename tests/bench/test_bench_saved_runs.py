"""Runs that lie there already, measured as a benchmark's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.made_up_sets import dataset
from cli.calling import call
from qrelkit.bench.benched import Benched
from qrelkit.bench.run import Bench, bench
from qrelkit.bench.saved_runs import saved_runs
from qrelkit.core.errors import InputError
from qrelkit.formats.sidecars import sha256_of, write_sidecar
from verbs.tiny import write_run

Capture = pytest.CaptureFixture[str]


def measured(folder: Path, pattern: str = "runs/{}.trec") -> Benched:
    asked = Bench(retriever=saved_runs(str(folder / pattern)), out=folder / "out")
    return bench("r2med", folder / "sets", asked)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Biology, whose query 0 wants a and 1 wants b, and a run that finds a second and has nothing for query 1."""
    dataset(tmp_path / "sets" / "Biology")
    (tmp_path / "runs").mkdir()
    write_run(tmp_path / "runs" / "Biology.trec", "bm25", {"0": "c a", "elsewhere": "a"})
    return tmp_path


def test_a_saved_run_is_scored_and_known_by_its_content(folder: Path) -> None:
    """a at rank 2 has 1 / log2(3) = .6309; query 1 has nothing and counts 0: their mean is .3155."""
    found = measured(folder)
    (result,) = found.results
    assert result.estimates["nDCG@10"].value == pytest.approx(0.31546, abs=1e-5)
    said = result.json()
    assert (said["without_hits"], said["failed"]) == (1, 0)
    assert (said["retriever"]["kind"], said["retriever"]["sha256"]) == ("saved run", sha256_of(folder / "runs" / "Biology.trec"))
    assert [str(one)[:12] for one in found.deviations] == ["1 of 8 datas", "saved runs: "]
    assert measured(folder).results[0].made.known
    write_run(folder / "runs" / "Biology.trec", "mine", {"0": "a", "1": "b"})
    assert measured(folder).results[0].estimates["nDCG@10"].value == 1.0


def test_a_query_that_the_run_says_was_not_answered_is_not_scored(folder: Path) -> None:
    write_sidecar(folder / "runs" / "Biology.trec", {"digest": "x", "notes": {"failed": {"1": "timed out"}}})
    found = measured(folder)
    assert found.results[0].estimates["nDCG@10"].value == pytest.approx(0.63093, abs=1e-5)
    assert "Biology: 1 query not answered, and not scored: not comparable" in [str(one) for one in found.all_deviations]


def test_a_run_that_cannot_be_of_the_dataset_is_refused(folder: Path) -> None:
    for docs, complaint in (({"7": "a"}, "has none of Biology's queries"), ({"0": "x y"}, "has none of Biology's documents")):
        write_run(folder / "runs" / "Biology.trec", "mine", docs)
        with pytest.raises(InputError, match=complaint):
            measured(folder)
    with pytest.raises(InputError, match=r"reranked/Biology\.trec: there is no such run; name the datasets that have one"):
        measured(folder, "reranked/{}.trec")
    with pytest.raises(InputError, match=r"say where the name of a dataset stands in it, as in runs/\{\}\.trec"):
        measured(folder, "runs/Biology.trec")


def test_on_the_command_line(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = ("bench", "r2med", "--folder", "sets", "--runs", "runs/{}.trec")
    said = call(capsys, *words, "--json")
    assert said.code == 0
    assert (said.json["config"], said.json["datasets"]["Biology"]["retriever"]["tag"]) == ("", "bm25")
    assert (folder / "bench-r2med" / "runs" / "result.json").exists()
    assert "--runs are made already" in call(capsys, *words, "--retriever", "bge").err


def test_the_hub_and_other_hosts_are_not_asked_where_only_this_machine_may_be(folder: Path, capsys: Capture) -> None:
    assert "only named hosts are allowed" in call(capsys, "bench", "r2med", "--hub", "--local-only").err
    (folder / "own.yaml").write_text("local_only: true\n", encoding="utf-8")
    assert "only named hosts are allowed" in call(capsys, "bench", "r2med", "--hub", "--project", folder / "own.yaml").err
    dense = ("--folder", folder / "sets", "--retriever", "dense", "--model", "openai:x", "--base-url", "http://192.0.2.1/v1")
    said = call(capsys, "bench", "r2med", *dense, "--query-prefix", "", "--document-prefix", "", "--local-only", "--out", folder)
    assert "the host 192.0.2.1 is not allowed" in said.err
