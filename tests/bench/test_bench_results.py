"""Published result files, and measured beside published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qrelkit.bench.compare import compare, compare_files
from qrelkit.bench.datasets import benchmark
from qrelkit.bench.published import published
from qrelkit.bench.results import ResultFiles, measure_of, read_results, results_json
from qrelkit.core.errors import InputError, UnknownName

R2MED, CMIRB = benchmark("r2med"), benchmark("cmirb")


def result(path: Path, said: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said), encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ndcg_at_10", "nDCG@10"),
        ("NDCG@10", "nDCG@10"),
        ("map_at_1000", "AP@1000"),
        ("Recall@100", "R@100"),
        ("P@1", "P@1"),
        ("precision_at_5", "P@5"),
        ("mrr", "RR"),
        ("MRR", "RR"),
        ("mrr_at_10", "RR@10"),
        ("evaluation_time", ""),
    ],
)
def test_the_measures_of_every_form_have_one_name(key: str, name: str) -> None:
    assert measure_of(key) == name


def test_all_three_forms_of_r2med_and_the_one_of_cmirb_are_read(tmp_path: Path) -> None:
    result(tmp_path / "base retriever" / "nv" / "Biology.json", {"dataset_name": "Biology", "test": {"ndcg_at_10": 0.2}})
    result(
        tmp_path / "base retriever" / "bm25" / "Biology.json",
        {"dataset_name": "Biology", "test": {"ndcg_at_10": 0.1, "mrr": 0.5}},
    )
    result(tmp_path / "gar" / "hyde" / "gpt4" / "bm25" / "MedQA-Diag.json", {"test": {"NDCG@10": 0.3, "P@10": 0.1}})
    found = {one.config: one.values for one in read_results(R2MED, tmp_path)}
    assert found == {
        "bm25": {"Biology": {"nDCG@10": 0.1, "RR": 0.5}},
        "nv": {"Biology": {"nDCG@10": 0.2}},
        "gar/hyde/gpt4/bm25": {"MedQA-Diag": {"nDCG@10": 0.3, "P@10": 0.1}},
    }
    said = {"dev": {"ndcg_at_10": 0.4, "evaluation_time": 3}, "mteb_dataset_name": "IIYIPostRetrieval"}
    result(tmp_path / "bge" / "IIYIPostRetrieval.json", said)
    assert [one.values for one in read_results(CMIRB, tmp_path)] == [{"IIYiPost": {"nDCG@10": 0.4}}]


def test_a_file_of_another_form_or_dataset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x" / "Biology.json"
    for said, complaint in (
        ({"train": {}}, "neither 'test' nor 'dev'"),
        ({"dataset_name": "MedQA-Diag", "test": {"mrr": 1}}, "about 'MedQA-Diag'"),
        ({"test": {"time": 1}}, "no measure that we know"),
        ({"test": {"ndcg_at_10": None}}, r"nDCG@10 is None, and result files have fractions"),
        ({"test": {"ndcg_at_10": 31.4}}, r"nDCG@10 is 31.4, and result files have fractions"),
        ({"test": {"ndcg_at_10": "0.3"}}, r"nDCG@10 is '0.3'"),
        ({"dataset_name": 5, "test": {"mrr": 1}}, "about '5'"),
    ):
        result(path, said)
        with pytest.raises(InputError, match=complaint):
            read_results(R2MED, tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is not JSON"):
        read_results(R2MED, tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="holds no result file of R2MED"):
        read_results(R2MED, tmp_path)


def test_the_means_of_a_part_by_hand() -> None:
    """Biology (103 queries) 0.2 and PMC-Clinical (114) 0.4: macro 0.3, by query (20.6 + 45.6) / 217."""
    one = ResultFiles(config="x", values={"Biology": {"nDCG@10": 0.2}, "PMC-Clinical": {"nDCG@10": 0.4}})
    mean = one.mean(R2MED)
    assert mean["called"] == "mean over 2 of 8, no average"
    assert mean["macro"]["nDCG@10"]["value"] == pytest.approx(0.3)
    assert mean["by_query"]["nDCG@10"]["value"] == pytest.approx(66.2 / 217)
    assert one.json(R2MED)["average"] is None
    assert one.groups(R2MED, "task")["clinical case"]["over"] == 1


def test_r2meds_own_files_give_its_table(data: Path) -> None:
    """All 71 configurations: every dataset, and the macro means of nDCG@10, R@10 and R@100, as printed."""
    found = read_results(R2MED, data / "r2med" / "published_results")
    assert len(found) == 71
    table = published("r2med")
    for one in found:
        assert len(one.values) == 8
        for measure in ("nDCG@10", "R@10", "R@100"):
            row, mean = table[one.config, measure], one.mean(R2MED)["macro"][measure]["value"]
            assert row.average is not None
            assert abs(100 * mean - row.average) <= row.rounding + 1e-9
            assert all(abs(100 * one.values[name][measure] - value) <= row.rounding + 1e-9 for name, value in row.values.items())


def test_r2meds_means_by_query(data: Path) -> None:
    """The dossier's query-weighted means, computed from the same files with the published numbers of queries."""
    expected = {
        "bge": 16.89,
        "bm25": 15.19,
        "e5": 23.94,
        "grit": 30.79,
        "nv": 30.78,
        "openai": 28.51,
        "sfr": 30.43,
        "voyage": 27.35,
    }
    expected |= {"bmr-7b": 30.13, "medcpt": 7.49}
    found = {
        one.config: one.mean(R2MED)["by_query"]["nDCG@10"]["value"]
        for one in read_results(R2MED, data / "r2med" / "published_results")
    }
    assert {name: round(100 * found[name], 2) for name in expected} == pytest.approx(expected, abs=0.011)


def test_cmirbs_own_files_give_its_averages_and_groups(data: Path) -> None:
    found = {one.config: one.json(CMIRB) for one in read_results(CMIRB, data / "automir" / "published_results")}
    macro = {name: round(100 * one["mean"]["macro"]["nDCG@10"]["value"], 2) for name, one in found.items()}
    assert macro == {"bge": 56.75, "qwen-bge": 56.62, "qwen-bge-FT": 59.38}
    assert found["bge"]["average"] is None
    assert found["bge"]["mean"]["called"] == "mean over 9 of 10, no average"
    groups = {name: 100 * one["macro"]["nDCG@10"]["value"] for name, one in found["qwen-bge-FT"]["tasks"].items()}
    printed = {"knowledge": 69.26, "consultation": 49.26, "news": 76.95, "post": 73.81, "literature": 43.75}
    assert groups == pytest.approx(printed, abs=0.01)


def test_published_files_are_reproduced_to_their_rounding(data: Path) -> None:
    for known, folder in ((R2MED, "r2med"), (CMIRB, "automir")):
        compared = compare(results_json(known, read_results(known, data / folder / "published_results")))
        assert {one.verdict for one in compared} == {"reproduced"}
        assert len(compared) == (71 if known is R2MED else 3)


def measured(
    value: float, *, comparable: bool = True, datasets: tuple[str, ...] = ("Biology",), config: str = "bm25"
) -> dict[str, Any]:
    deviation = {"dataset": "Biology", "text": "another corpus", "comparable": comparable}
    return {
        "benchmark": "r2med",
        "config": config,
        "mean": {"over": len(datasets), "of": 8, "macro": {"nDCG@10": {"value": 0.15126}}},
        "datasets": {name: {"scores": {"nDCG@10": {"value": value}}, "deviations": [deviation]} for name in datasets},
    }


def verdicts(said: dict[str, Any], **options: Any) -> dict[str, str]:
    (one,) = compare(said, **options)
    return {row.name: row.verdict for row in one.rows}


def test_the_verdicts_of_a_row() -> None:
    """R2MED's BM25 on Biology is printed as 19.19: .1969 is 0.5 above it, .1970 more."""
    assert verdicts(measured(0.1969))["Biology"] == "reproduced"
    assert verdicts(measured(0.1970))["Biology"] == "differs"
    assert verdicts(measured(0.1970), tolerance=1)["Biology"] == "reproduced"
    assert verdicts(measured(0.1919, comparable=False))["Biology"] == "not comparable"
    assert verdicts(measured(0.1919))["MedQA-Diag"] == "missing"


def test_only_a_whole_benchmark_has_an_average_to_compare() -> None:
    assert verdicts(measured(0.1919))["average"] == "missing"
    assert verdicts(measured(0.1919, datasets=tuple(R2MED.names)))["average"] == "reproduced"
    assert verdicts(measured(0.1919, datasets=tuple(R2MED.names), comparable=False))["average"] == "not comparable"


def of_cmirb(*missing: str, tasks: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A result over all of CMIRB but some."""
    names = [name for name in CMIRB.names if name not in missing]
    datasets = {name: {"scores": {"nDCG@10": {"value": 0.5}}, "deviations": []} for name in names}
    mean = {"over": len(names), "of": 10, "macro": {"nDCG@10": {"value": 0.5675}}}
    return {"benchmark": "cmirb", "mean": mean, "tasks": tasks or {}, "datasets": datasets, **more}


def test_a_mean_over_nine_datasets_is_compared_over_the_same_nine_and_not_called_average() -> None:
    """AutoMIR's files of bge are without CSLCite: 56.75 is over nine."""
    assert verdicts(of_cmirb("CSLCite"), config="bge")["mean over 9 of 10"] == "reproduced"
    assert verdicts(of_cmirb("Medical"), config="bge")["mean over 9 of 10"] == "missing"
    assert verdicts(of_cmirb(), config="bge")["mean over 9 of 10"] == "missing"
    assert "average" not in verdicts(of_cmirb("CSLCite"), config="bge")


def test_the_row_of_a_task_is_as_comparable_as_its_datasets() -> None:
    """SL-HyDE's post task is printed as 73.81."""
    tasks = {"post": {"over": 1, "of": 1, "macro": {"nDCG@10": {"value": 0.7381}}}}
    config = "sl-hyde/qwen2-7b/bge"
    assert verdicts(of_cmirb(tasks=tasks), config=config)["post"] == "reproduced"
    pool = of_cmirb(tasks=tasks)
    pool["datasets"]["IIYiPost"]["deviations"] = [{"dataset": "IIYiPost", "text": "a gold pool", "comparable": False}]
    assert verdicts(pool, config=config)["post"] == "not comparable"
    assert verdicts(pool, config=config)["Medical"] == "differs"


def test_deviations_are_said_with_the_verdicts_and_one_of_all_datasets_is_of_every_row() -> None:
    shallow = {"dataset": "", "text": "5 documents per query", "comparable": False}
    (one,) = compare(measured(0.1919) | {"deviations": [shallow]})
    assert (one.rows[0].verdict, one.rows[0].reason) == ("not comparable", "5 documents per query")
    assert one.json()["deviations"] == ["5 documents per query: not comparable", "Biology: another corpus"]


def test_a_row_says_how_far_it_is_and_from_where() -> None:
    (one,) = compare(measured(0.2), "bge")
    row = one.rows[0]
    assert (row.measured, row.published, round(row.difference or 0, 2), one.source) == (
        20.0, 12.71, 7.29, "R2MED@62b7074 results/base retriever/bge",
    )  # fmt: skip
    assert one.json()["unit"] == "points"


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--published CONFIG"):
        compare(measured(0.2, config=""))
    with pytest.raises(UnknownName, match="bm25"):
        compare(measured(0.2), "bm52")
    with pytest.raises(UnknownName, match=r"measure of the published bm25 'nDCG@11'; did you mean 'nDCG@10'"):
        compare(measured(0.2), measure="nDCG@11")
    with pytest.raises(InputError, match="the tolerance is a number of points from 0 up"):
        compare(measured(0.2), tolerance=-1)
    with pytest.raises(UnknownName, match="bm25"):
        compare({"benchmark": "r2med", "configs": {}}, "bm52")
    whole = measured(0.2)
    for said in (
        {"scores": {}},
        [],
        {"benchmark": "r2med", "datasets": {}},
        whole | {"mean": {}},
        whole | {"datasets": {"Biology": {}}},
    ):
        result(tmp_path / "x.json", said)
        with pytest.raises(InputError, match="is not what `qrelkit bench` writes"):
            compare_files(tmp_path / "x.json")
