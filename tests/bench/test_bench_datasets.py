"""The datasets of the benchmarks, as data, and the published tables."""

from __future__ import annotations

import pytest

from qrelkit.bench.datasets import benchmark
from qrelkit.bench.published import configs, find_published, published, published_tasks
from qrelkit.core.errors import UnknownName


def test_the_counts_are_those_that_the_papers_give_in_all() -> None:
    r2med, cmirb = benchmark("r2med"), benchmark("cmirb")
    assert (len(r2med.datasets), sum(d.queries for d in r2med.datasets), sum(d.pairs for d in r2med.datasets)) == (8, 876, 2679)
    assert (len(cmirb.datasets), sum(d.queries for d in cmirb.datasets)) == (10, 10_962)
    assert len({d.task for d in r2med.datasets}) == 3
    assert len({d.scenario for d in r2med.datasets}) == 5


@pytest.mark.parametrize(
    ("name", "given", "is_"),
    [
        ("r2med", "Stack-Biology", "Biology"),
        ("r2med", "IIYiPatients-EN", "IIYi-Clinical"),
        ("r2med", "PMC-Treat", "PMC-Treatment"),
        ("r2med", "Biology-demo", "Biology"),
        ("cmirb", "IIYIPostRetrieval", "IIYiPost"),
        ("cmirb", "CSLRelatedRetrieval", "CSLRel"),
        ("cmirb", "medexam", "MedExam"),
    ],
)
def test_a_dataset_is_known_by_every_name_that_people_use(name: str, given: str, is_: str) -> None:
    assert benchmark(name).dataset(given).name == is_


def test_an_unknown_dataset_or_benchmark_is_refused_with_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean 'Biology'"):
        benchmark("r2med").dataset("Biologie")
    with pytest.raises(UnknownName, match="benchmark"):
        benchmark("beir")


def test_every_revision_of_r2med_is_a_whole_commit_and_cmirb_has_none() -> None:
    assert all(len(d.revision) == 40 for d in benchmark("r2med").datasets)
    assert not any(d.revision for d in benchmark("cmirb").datasets)


def test_every_published_average_is_that_of_its_row() -> None:
    """Macro mean of the printed cells, to twice the rounding of one digit."""
    for name, of in (("r2med", 8), ("cmirb", 10)):
        whole = [row for row in published(name).values() if len(row.values) == of]
        assert len(whole) >= 19
        wrong = {row.config: row for row in whole if abs(sum(row.values.values()) / of - row.average) > 4 * row.rounding}
        assert wrong == {}


def test_the_tables_have_what_was_published() -> None:
    r2med = published("r2med")
    assert sum(row.source.startswith("R2MED@") for (_, measure), row in r2med.items() if measure == "nDCG@10") == 71
    assert (r2med["gar/query2doc/gpt4/nv", "nDCG@10"].average, r2med["nv", "R@100"].average) == (41.65, 68.06)
    assert find_published("r2med", "gar/hyde/o3-mini/nv").average == 41.35  # the paper's headline 41.4
    assert find_published("cmirb", "bge").n == 9  # CSLCite has no result file
    assert find_published("cmirb", "bm25", "R@100").values["Cmedqa"] == 17.26
    assert published_tasks("cmirb")["sl-hyde/qwen2-7b/bge", "nDCG@10"].values["consultation"] == 49.26
    assert published_tasks("r2med") == {}
    assert "medcpt (leaderboard)" in configs("r2med")


def test_the_gains_that_the_paper_prints_follow_from_the_table() -> None:
    """AutoMIR: SL-HyDE over HyDE 4.87 %, over BGE 7.18 %."""
    sl, hyde, bge = (
        find_published("cmirb", c).average for c in ("sl-hyde/qwen2-7b/bge", "hyde/qwen2-7b/bge", "bge-large-zh-v1.5")
    )
    assert round(100 * (sl / hyde - 1), 2) == 4.87
    assert round(100 * (sl / bge - 1), 2) == 7.18


def test_an_unknown_configuration_is_refused() -> None:
    with pytest.raises(UnknownName, match="'bm25'"):
        find_published("r2med", "bm52")
