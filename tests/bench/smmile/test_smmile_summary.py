"""The published files counted again: the integers of research/smmile_expected.json, an independent computation."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qrelkit.bench.smmile.summary import Imported, import_published
from qrelkit.cli.bench_smmile import smmile
from qrelkit.core.errors import InputError

MODES = {"0-shot": "zero-shot", "ICL": "icl"}


@pytest.fixture(scope="module")
def whole(data: Path) -> Imported:
    return import_published(data / "smmile")


@pytest.fixture(scope="module")
def said(whole: Imported) -> dict[str, Any]:
    return whole.json()


@pytest.fixture(scope="module")
def wanted(data: Path) -> dict[str, Any]:
    path = data.parent / "research" / "smmile_expected.json"
    if not path.exists():
        pytest.skip(f"no expected numbers at {path}")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def named(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of the expected numbers by dataset and file name."""
    return {(r["dataset"], Path(r["file"]).name.replace("_evaluationllm.json", ".csv")): r for r in rows}


def files(said: dict[str, Any], form: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(f["dataset"], Path(f["file"]).name): f for f in said["files"] if f["form"] == form}


def test_open_answers_match_exactly_as_often_as_expected(said: dict[str, Any], wanted: dict[str, Any]) -> None:
    expected, found = named(wanted["open_exact_match"]), files(said, "open")
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        mine = found[key]
        counts = (mine["model"], mine["mode"], mine["n"], mine["exact_flexible"], mine["exact_strict"], mine["api_error"])
        flexible, strict = row["correct_flexible"], row["correct_strict"]
        assert counts == (row["model"], MODES[row["mode"]], row["n"], flexible, strict, row["rows_with_ERROR"])


def test_multiple_choice_counts_are_those_expected(said: dict[str, Any], wanted: dict[str, Any]) -> None:
    expected, found = named(wanted["mcqa"]), files(said, "choice")
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        mine = found[key]
        for name in ("n", "correct", "extraction_failed", "letter_not_among_options", "api_error"):
            assert mine[name] == row[name], (key, name)
        assert mine["options"]["gold_letter_same"] == row["gold_letter_reproduced"]
        if "selected_letter_reproduced_from_full_response" in row:
            reread = mine["reread"]
            assert reread["tagged"] == reread["tagged_equal"] > 0
            assert reread["fallback_equal"] == reread["fallback"]  # our phrases give the stored letter here, too
            same = reread["tagged_equal"] + reread["fallback_equal"] + row["api_error"]
            assert same == row["selected_letter_reproduced_from_full_response"]
        else:
            assert mine["reread"] is None


def test_stored_verdicts_are_read_and_no_exact_match_was_judged_wrong(said: dict[str, Any], wanted: dict[str, Any]) -> None:
    expected, found = named(wanted["llm_judge_stored"]), files(said, "open")
    for key, row in expected.items():
        judge = found[key]["judge"]
        assert (judge["judged"], judge["correct"], judge["unreadable"]) == (row["n"], row["correct"], 0)
        assert judge["violations"] == []


def test_what_is_wrong_with_the_files_is_said(said: dict[str, Any]) -> None:
    text = "\n".join(said["corrections"])
    for file, errors in (
        ("SMMILE/result_gpt-4o_ICL_open", "3 rows of 111"),
        ("SMMILE++/result_gpt-4o_ICL_mcqa", "49 rows of 1,038"),
    ):
        assert f"{file}.csv: API errors in place of a reply in {errors}" in text
    assert text.count("of another revision") == 4  # the four files of qwen7B on SMMILE
    assert "SMMILE: 2 revisions, which no table may mix (published: gpt-4o, llava_7b, majority, random; published-" in text
    assert "SMMILE++: 2 revisions" not in text


def test_errors_count_as_wrong_and_are_left_out_of_the_completed_set(said: dict[str, Any]) -> None:
    gpt = files(said, "choice")["SMMILE++", "result_gpt-4o_ICL_mcqa.csv"]
    assert (gpt["n"], gpt["correct"]) == (1038, 578)
    assert gpt["completed"] == {"n": 989, "correct": 578}
    assert gpt["statuses"] == {"answered": 989, "refused": 26, "api_error": 23}
    llava = files(said, "open")["SMMILE", "result_llava_7b_ICL.csv"]
    assert (llava["empty"], llava["completed"]["n"], llava["completed"]["exact_flexible"]) == (4, 107, 18)


def test_the_problems_of_both_revisions_are_rebuilt(said: dict[str, Any]) -> None:
    counts = [(p["dataset"], p["problems"], p["base_problems"], p["triplets"], p["first_matches"]) for p in said["problems"]]
    assert counts == [("SMMILE", 111, 111, 517, 32), ("SMMILE", 111, 111, 517, 42), ("SMMILE++", 1038, 86, 5994, 230)]
    assert said["totals"]["files"] == 32


def test_a_table_of_two_revisions_is_refused(whole: Imported) -> None:
    with pytest.raises(InputError, match="several revisions"):
        whole.answers.refuse_mixture()


def test_all_32_files_are_read_and_scored_within_the_promised_time(data: Path) -> None:
    """1.5 s are promised (0.8 s measured on two cores); the rest is for a busy machine and for threads counted twice."""
    begun = time.process_time()
    import_published(data / "smmile").json()
    assert time.process_time() - begun < 5.0


@pytest.mark.parametrize("name", ["result_gpt-4o_ICL_open.csv", "result_gpt-4o_ICL_mcqa.csv"])
def test_the_command_prints_the_summary_of_a_file(data: Path, said: dict[str, Any], name: str) -> None:
    result = CliRunner().invoke(smmile, ["--import", str(data / "smmile" / "SMMILE" / name), "--json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert {k: v for k, v in printed.items() if k != "corrections"} == next(
        f for f in said["files"] if f["file"] == f"SMMILE/{name}"
    )
    assert [any(what in line for what in ("API errors", "role of the system")) for line in printed["corrections"]] == [True, True]


def test_the_command_prints_a_folder_as_a_table_with_its_corrections(data: Path) -> None:
    result = CliRunner().invoke(smmile, ["--import", str(data / "smmile" / "SMMILE")])
    assert result.exit_code == 0
    assert "SMMILE/llava_7b_ICL_mcqa\t111\t\t\t\t25\t13\t0\t25 of 102" in result.stdout
    assert "warning: SMMILE/result_gpt-4o_ICL_open.csv: API errors" in result.stderr


def test_a_file_alone_is_scored_without_its_options(data: Path, tmp_path: Path) -> None:
    shutil.copyfile(data / "smmile" / "SMMILE" / "result_llava_7b_ICL_mcqa.csv", tmp_path / "result_llava_7b_ICL_mcqa.csv")
    found = import_published(tmp_path / "result_llava_7b_ICL_mcqa.csv").json()
    assert (found["n"], found["correct"], found["extraction_failed"]) == (111, 25, 13)
    assert found["letter_not_among_options"] is None
    assert found["options"]["known"] == 0
    assert found["reread"]["tagged_equal"] == found["reread"]["tagged"] == 4
    assert found["reread"]["strict"] is None


def test_gold_letters_that_are_not_those_of_the_answers_are_corrected(tmp_path: Path) -> None:
    """Options by first appearance: A = left upper lobe, B = upper lobe; the gold letter was stored as A, by substring."""
    transcript = "USER:  \nWhere? ASSISTANT: left upper lobe USER:  \nWhere? ASSISTANT: upper lobe"
    (tmp_path / "result_x_ICL.csv").write_text(
        f'problem_id,final_question,true_answer,generated_answer,full_response\np,Where?,upper lobe,upper lobe,"{transcript}"\n',
        encoding="utf-8",
    )
    (tmp_path / "result_MedVLM-R1_ICL_mcqa.csv").write_text(
        "problem_id,original_question,correct_letter,correct_answer,extracted_answer,is_correct,full_response\n"
        "p,Where?,A,upper lobe,A,False,<answer>A</answer>\n",
        encoding="utf-8",
    )
    found = import_published(tmp_path).json()
    assert [line.partition(": ")[2] for line in found["corrections"]] == [
        "in 1 row the stored gold letter is not that of the gold answer; by the right letters -1 correct",
        "in 1 row is_correct is not what the stored letters say; counted by the letters",
    ]
    assert next(f for f in found["files"] if f["form"] == "choice")["reread"]["rule"] == "v3"


def test_the_command_has_a_model_judge_and_keeps_its_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("result_m_ICL.csv").write_text(
        "problem_id,final_question,true_answer,generated_answer\na,What?,yes,Yes!\nb,What?,no,I think not\nc,What?,no,\n",
        encoding="utf-8",
    )
    Path("says.yaml").write_text("- {when: 'I think not', say: '1'}\n- {say: 'hm'}\n", encoding="utf-8")
    asked = ["--import", "result_m_ICL.csv", "--judge", "scripted:says.yaml", "--json"]
    first, again = (CliRunner().invoke(smmile, asked) for _ in range(2))
    assert first.exit_code == 4, "one verdict could not be read"
    found = json.loads(first.stdout)
    assert found["judge"].pop("by").startswith("scripted:says.yaml")
    assert (found["n"], found["exact_flexible"], found["exact_strict"], found["empty"]) == (3, 1, 0, 1)
    assert found["judge"] == {"judged": 1, "correct": 1, "unreadable": 1, "violations": []}
    assert again.stdout == first.stdout


def test_without_a_path_and_for_a_path_that_is_not_there_the_command_says_so() -> None:
    assert isinstance(CliRunner().invoke(smmile, ["--json"]).exception, InputError)
    missing = CliRunner().invoke(smmile, ["--import", "nowhere"]).exception
    assert isinstance(missing, InputError)
    assert "there is no such file or folder" in str(missing)
