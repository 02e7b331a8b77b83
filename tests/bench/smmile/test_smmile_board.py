"""The board on the published files: the tables of smmile_expected.json (made by an independent programme from the same files),
corrections said, revisions apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from qrelkit.bench.smmile.board import Board, board
from qrelkit.bench.smmile.printed import printed

MODES = {"0-shot": "zero-shot", "ICL": "icl"}


@pytest.fixture(scope="module")
def published(data: Path) -> Path:
    folder = data / "smmile"
    if not folder.is_dir():
        pytest.skip(f"no published results at {folder}")
    return folder


@pytest.fixture(scope="module")
def expected(data: Path) -> dict[str, Any]:
    path = data.parent / "research" / "smmile_expected.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def whole(published: Path) -> Board:
    return board([published])


@pytest.fixture(scope="module")
def said(whole: Board) -> dict[str, Any]:
    return whole.json()


def cell(rows: list[dict[str, Any]], **where: str) -> dict[str, Any]:
    (found,) = [row for row in rows if all(row[name] == value for name, value in where.items())]
    return found


def test_micro_macro_and_clustered_errors(said: dict[str, Any], expected: dict[str, Any]) -> None:
    rows = said["datasets"]["SMMILE++"]["accuracy"]
    for row in expected["smmilepp_clustering"]["rows"]:
        found = cell(rows, model=row["model"], mode=MODES[row["mode"]], metric="judge")
        got = (found["micro"]["value"], found["macro"]["value"], found["se_iid"], found["se_clustered"])
        assert [round(100 * value, 3) for value in got] == [
            row[n] for n in ("micro", "macro_over_base", "se_iid", "se_clustered")
        ]


def test_in_context_against_zero_shot(said: dict[str, Any], expected: dict[str, Any]) -> None:
    for row in expected["paired_icl_vs_zero_shot_smmile_llm_judge"]:
        pairs = [pair for one in said["datasets"].values() for pair in one["paired"] if pair["metric"] == "judge" and "n" in pair]
        found = cell([pair for pair in pairs if pair["n"] == 111 and not pair["completed"]], model=row["model"])
        assert [found[name] for name in ("first", "second", "gained", "lost")] == [
            row[name] for name in ("zero_shot", "icl", "gained", "lost")
        ]
        assert found["p"] == pytest.approx(row["mcnemar_exact_p"], abs=5e-5)


def test_pairs_without_the_errors_stand_beside(said: dict[str, Any]) -> None:
    pairs = [pair for pair in said["datasets"]["SMMILE"]["paired"] if pair["metric"] == "judge" and pair["completed"]]
    found = cell(pairs, model="gpt-4o")
    assert (found["n"], found["gained"], found["lost"]) == (108, 24, 4)  # three API errors, one of them on a problem once right


def test_recency(said: dict[str, Any], expected: dict[str, Any]) -> None:
    rows = said["datasets"]["SMMILE++"]["recency"]
    for row in expected["order_effects_smmilepp"]["rows"]:
        for metric, ours in (("exact_match", "exact"), ("llm_judge", "judge")):
            for place, numbers in row[metric].items():
                found = cell(rows, model=row["model"], metric=ours, place=place, mode="icl")
                assert (found["match"], found["no_match"]) == (numbers["n_match"], numbers["n_no_match"])
                assert 100 * found["match_correct"] / found["match"] == pytest.approx(numbers["match"], abs=5e-4)
                assert 100 * found["paired"]["value"] == pytest.approx(numbers["paired_mean_diff"], abs=5e-4)
                assert 100 * found["paired_se"] == pytest.approx(numbers["paired_se"], abs=5e-4)
                assert found["paired"]["n"] == numbers["n_base"]


def test_copying_the_last_answer_is_beyond_chance_for_the_small_model_only(said: dict[str, Any]) -> None:
    rows = said["datasets"]["SMMILE++"]["recency"]
    small = cell(rows, model="llava_7b", metric="judge", place="last", mode="icl")
    strong = cell(rows, model="gpt-4o", metric="judge", place="last", mode="icl")
    assert small["paired"]["value"] > small["by_chance"][1]
    assert strong["by_chance"][0] < strong["paired"]["value"] < strong["by_chance"][1]


def test_strata_have_the_sizes_of_the_dataset(said: dict[str, Any], expected: dict[str, Any]) -> None:
    for dataset, key in (("SMMILE", "strata_smmile"), ("SMMILE++", "strata_smmilepp")):
        strata = [
            s
            for s in said["datasets"][dataset]["strata"]
            if s["model"] == "gpt-4o" and s["mode"] == "icl" and s["metric"] == "exact"
        ]
        found = {row["tag_difficulty"]: row["n"] for row in cell(strata, by="tag_difficulty")["rows"]}
        assert found == expected["dataset"][key]["difficulty"]


def test_what_random_answers_would_score(said: dict[str, Any], expected: dict[str, Any]) -> None:
    numbers = expected["baselines_regenerated"]["random_expected_exact"]
    for theirs, form in (("open", "open"), ("mcqa", "choice")):
        for dataset, value in numbers[theirs].items():
            assert 100 * said["expected"][dataset][form] == pytest.approx(value, abs=1e-4)


def test_another_revision_stands_apart_and_corrections_are_said(said: dict[str, Any]) -> None:
    models = {name: {row["model"] for row in one["accuracy"]} for name, one in said["datasets"].items()}
    assert "qwen7B" not in models["SMMILE"]
    assert any("qwen7B" in found for name, found in models.items() if name.startswith("SMMILE @ "))
    text = " ".join(said["corrections"])
    assert "another revision" in text
    assert "API errors" in text


def test_the_shipped_tables_are_the_printed_ones(expected: dict[str, Any]) -> None:
    names = {"llm_judge": "judge", "exact_match": "exact", "mcqa": "choice"}
    datasets = {"Table 1": "SMMILE", "Table 2": "SMMILE++"}
    theirs = {
        (datasets[row["table"]], row["model"], row["mode"], names[row["metric"]]): (row["paper_mean"], row["paper_sd"])
        for row in expected["paper_tables"]
    }
    text_only = {"0-shot": "blind", "ICL": "text-icl"}
    ours = {key: value[1:] for key, value in printed().items()}
    assert ours == {
        (dataset, model, (text_only if "textonly" in model else MODES)[mode], metric): value
        for (dataset, model, mode, metric), value in theirs.items()
    }


def test_a_printed_figure_that_is_not_in_the_file_is_corrected(said: dict[str, Any]) -> None:
    found = [line for line in said["corrections"] if "prints" in line]
    assert found == ["SMMILE/result_random_ICL.csv: Table 1 prints 27.86 % (judge), the file holds 26 of 111 (23.42 %)"]


def test_zero_of_111_is_not_certain(said: dict[str, Any]) -> None:
    # Wilson's upper end of 0 of n is z²/(n + z²)
    found = cell(said["datasets"]["SMMILE"]["accuracy"], model="gpt-4o", mode="zero-shot", metric="exact")
    assert (found["correct"], found["micro"]["low"]) == (0, 0)
    assert found["micro"]["high"] == pytest.approx(1.96**2 / (111 + 1.96**2), abs=1e-5)


def test_all_of_it_is_json(said: dict[str, Any]) -> None:
    assert orjson.loads(orjson.dumps(said)) == said


def test_the_page_says_the_published_figure_beside_the_counts(whole: Board) -> None:
    page = whole.html()
    assert "55 of 111 (49.55 %)" in page
    assert "published 49.88 ± 4.69" in page
    assert page.count("published 29.58") == 1, "qwen7B is in Table 1 beside files of the other revision"
    assert page.count("published 26.30") == 1, "the majority of the other revision was made here"
    assert "order of the examples" in page
    assert "<script" not in page
