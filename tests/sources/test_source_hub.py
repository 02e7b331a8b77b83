"""Snapshots of the hub laid out as the folders of their projects; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from bench.made_up_sets import CORPUS, QRELS, QUERIES, lines
from qrelkit.bench.datasets import benchmark
from qrelkit.bench.folders import load_dataset
from qrelkit.core.errors import InputError
from qrelkit.sources.hub import hub_folder, laid_out, read_origin

COMMIT = "8b9fec2db9eda4b5742d03732213fbaee8169556"
CARD = """---
configs:
- config_name: corpus
  data_files: [{split: corpus, path: corpus.jsonl}]
- config_name: query
  data_files: [{split: query, path: query.jsonl}]
- config_name: qrels
  data_files: [{split: qrels, path: qrels.jsonl}]
- config_name: hyde
  data_files:
  - {split: gpt4, path: hyde/gpt4.jsonl}
  - {split: qwen_7b, path: hyde/other-*.jsonl}
---
# A dataset
"""


def origin(commit: str = COMMIT) -> dict[str, str]:
    return {"repo": "R2MED/Biology", "asked": commit, "commit": commit}


def test_a_snapshot_is_laid_out_as_its_card_says(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    for name, rows in (("corpus", CORPUS), ("query", QUERIES), ("qrels", QRELS)):
        lines(snapshot / f"{name}.jsonl", rows)
    for name in ("gpt4", "other-1", "other-2"):
        lines(snapshot / "hyde" / f"{name}.jsonl", [{"id": name, "text": "q", "hy_doc": "d"}])
    (snapshot / "README.md").write_text(CARD, encoding="utf-8")
    target = laid_out(snapshot, tmp_path / "Biology", origin())
    there = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
    generations = ["hyde/gpt4/query_with_hydoc.jsonl", "hyde/qwen_7b/query_with_hydoc.jsonl"]
    assert there == ["corpus.jsonl", *generations, "origin.json", "qrels.jsonl", "query.jsonl"]
    assert (target / generations[1]).read_text(encoding="utf-8").count("\n") == 2
    assert read_origin(target)["commit"] == COMMIT
    loaded = load_dataset(benchmark("r2med").dataset("Biology"), target)
    assert (loaded.revision, len(loaded.collection)) == (COMMIT, 3)
    assert not any("revision" in one.text for one in loaded.deviations)


def test_parquet_in_folders_without_a_card_is_laid_out_by_names(tmp_path: Path) -> None:
    """CMIRB's configurations: default (the grades), corpus, queries."""
    snapshot = tmp_path / "snapshot"
    for folder, rows in (("corpus", CORPUS), ("queries", QUERIES), ("default", QRELS)):
        (snapshot / folder).mkdir(parents=True)
        for part in (0, 1):
            frame = pl.DataFrame(rows[part : part + 1] if part == 0 else rows[1:])
            frame.write_parquet(snapshot / folder / f"test-0000{part}-of-00002.parquet")
    target = laid_out(snapshot, tmp_path / "MedExam", origin("f" * 40))
    loaded = load_dataset(benchmark("cmirb").dataset("MedExam"), target)
    assert loaded.collection.doc_ids.to_list() == ["a", "b", "c"]
    assert len(loaded.qrels) == 2
    assert "MedExam: no revision was published; this is ffffffff of CMIRB/MedExamRetrieval" in map(str, loaded.deviations)


def test_another_revision_than_the_pinned_one_is_not_comparable(tmp_path: Path) -> None:
    for name, rows in (("corpus", CORPUS), ("query", QUERIES), ("qrels", QRELS)):
        lines(tmp_path / "snapshot" / f"{name}.jsonl", rows)
    target = laid_out(tmp_path / "snapshot", tmp_path / "Biology", origin("e" * 40))
    deviations = load_dataset(benchmark("r2med").dataset("Biology"), target).deviations
    assert str(deviations[-1]) == "Biology: revision eeeeeeee of R2MED/Biology where 8b9fec2d is pinned: not comparable"


def test_a_snapshot_without_a_part_is_refused_and_leaves_no_origin(tmp_path: Path) -> None:
    lines(tmp_path / "snapshot" / "corpus.jsonl", CORPUS)
    with pytest.raises(InputError, match=r"R2MED/Biology: has no configuration for query.jsonl; there is corpus.jsonl"):
        laid_out(tmp_path / "snapshot", tmp_path / "Biology", origin())
    assert read_origin(tmp_path / "Biology") == {}


def test_a_pinned_revision_that_is_in_the_cache_is_not_asked_for_again(tmp_path: Path) -> None:
    home = tmp_path / "cache" / "hub" / f"R2MED--Biology@{COMMIT}"
    for name, rows in (("corpus", CORPUS), ("query", QUERIES), ("qrels", QRELS)):
        lines(tmp_path / "snapshot" / f"{name}.jsonl", rows)
    laid_out(tmp_path / "snapshot", home, origin())
    assert hub_folder("R2MED/Biology", COMMIT) == home
