"""The published layouts, on files written here; the real ones are counted in test_smmile_summary.py."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from qrelkit.bench.smmile.answers import SCHEMA
from qrelkit.bench.smmile.problems import TAGS
from qrelkit.bench.smmile.published import (
    known_problems,
    name_of,
    read_published,
    read_published_folder,
    tags_of,
)
from qrelkit.core.errors import InputError, Mismatch

OPEN = {"problem_id": "p1", "final_question": "q?", "true_answer": "yes", "generated_answer": "Yes", "full_response": "Yes"}
CHOICE = {
    "problem_id": "p1", "final_question": "q?", "true_answer": "yes", "correct_option": "A", "selected_option": "A",
    "is_correct": "True", "generated_answer": "yes", "full_response": "<answer>A</answer>",
}  # fmt: skip
MEDVLM = {
    "problem_id": "p1", "original_question": "q?", "correct_letter": "A", "correct_answer": "yes", "extracted_answer": "B",
    "is_correct": "False", "full_response": "<answer>B</answer>",
}  # fmt: skip


def write(path: Path, *rows: Mapping[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def without(row: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("result_gpt-4o_0-shot_open.csv", ("gpt-4o", "zero-shot", "open")),
        ("result_llava_7b_ICL.csv", ("llava_7b", "icl", "open")),
        ("result_llavaonevision_0.5b_ICL_mcqa.csv", ("llavaonevision_0.5b", "icl", "choice")),
        ("result_llama33textonly_0-shot_mcqa.csv", ("llama33textonly", "blind", "choice")),
        ("result_llama33textonly_ICL.csv", ("llama33textonly", "text-icl", "open")),
    ],
)
def test_model_mode_and_form_stand_in_the_name(name: str, wanted: tuple[str, str, str]) -> None:
    assert name_of(Path(name)) == wanted


LAYOUTS = {
    "open": ("result_m_ICL_open.csv", OPEN, ("open", "Yes", "Yes", None, None)),
    "open of MedVLM": (
        "result_m_ICL_open.csv",
        {("original_question" if k == "final_question" else k): v for k, v in OPEN.items()},
        ("open", "Yes", "Yes", None, None),
    ),
    "choice": ("result_m_ICL_mcqa.csv", CHOICE, ("choice", "yes", "<answer>A</answer>", "A", "A")),
    "choice of Qwen": ("result_m_ICL_mcqa.csv", without(CHOICE, "full_response"), ("choice", "yes", None, "A", "A")),
    "choice of Llama": (
        "result_m_ICL_mcqa.csv",
        without(CHOICE, "generated_answer"),
        ("choice", None, "<answer>A</answer>", "A", "A"),
    ),
    "choice of MedVLM": ("result_m_ICL_mcqa.csv", MEDVLM, ("choice", None, "<answer>B</answer>", "B", "A")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_becomes_the_same_columns(tmp_path: Path, layout: str) -> None:
    name, row, wanted = LAYOUTS[layout]
    answers = read_published(write(tmp_path / "folder" / name, row))
    assert answers.frame.columns[: len(SCHEMA)] == list(SCHEMA)
    assert {n: answers.frame.schema[n] for n in SCHEMA} == SCHEMA
    found = answers.frame.row(0, named=True)
    assert (found["form"], found["answer"], found["output"], found["letter"], found["gold_letter"]) == wanted
    assert (found["question"], found["gold"], found["status"], found["dataset"]) == ("q?", "yes", "answered", "folder")
    assert found["source"] == f"folder/{name}"


def said(text: str, answer: str | None = None, problem_id: str = "p1") -> dict[str, str]:
    return {**OPEN, "problem_id": problem_id, "generated_answer": text if answer is None else answer, "full_response": text}


def test_errors_and_silence_have_a_status_of_their_own(tmp_path: Path) -> None:
    rows = [
        said("ERROR: API Request Failed", problem_id="a"),
        said("ERROR: code 400 {'code': 'ResponsibleAIPolicyViolation', 'content_filter_results': 1}", problem_id="b"),
        said("ERROR: The image is too large. The maximum limit is 20MB.", problem_id="c"),
        said("ERROR: Request timed out.", problem_id="d"),
        said("\n\n \n", problem_id="e"),
        said("an error of reading", problem_id="f"),
    ]
    answers = read_published(write(tmp_path / "result_m_ICL.csv", *rows))
    statuses = ["api_error", "refused", "oversize_image", "api_error", "empty", "answered"]
    assert answers.frame["status"].to_list() == statuses
    assert answers.frame["error"].to_list() == ["unknown", "content filter", "image too large", "time-out", None, None]
    assert answers.frame["answer"].to_list() == [None] * 5 + ["an error of reading"]
    assert len(answers.corrections) == 1
    assert "API errors in place of a reply in 4 rows of 6" in answers.corrections[0]


@pytest.mark.parametrize("stored", ["EXTRACTION_FAILED", "ERROR", ""])
def test_a_letter_that_was_not_extracted_is_none(tmp_path: Path, stored: str) -> None:
    row = {**CHOICE, "selected_option": stored}
    assert read_published(write(tmp_path / "result_m_ICL_mcqa.csv", row)).frame["letter"].to_list() == [None]


def test_of_a_transcript_the_reply_is_the_output_and_a_cut_answer_is_said(tmp_path: Path) -> None:
    llava = "USER:  \nq? ASSISTANT: no USER:  \nq? ASSISTANT: Yes"
    qwen = "system\nYou help.\nuser\nq?\nassistant\nA systemic sign"
    rows = [said(llava, "Yes", "a"), said(qwen, "A", "b"), said("my assistant says: yes", problem_id="c")]
    answers = read_published(write(tmp_path / "result_m_ICL.csv", *rows))
    assert answers.frame["output"].to_list() == ["Yes", "A systemic sign", "my assistant says: yes"]
    assert answers.frame["cut"].to_list() == [False, True, False]
    assert "in 1 row the stored answer ends in the middle" in answers.corrections[0]


def test_raw_texts_survive_with_their_blanks(tmp_path: Path) -> None:
    row = {**OPEN, "true_answer": "Yes \n", "generated_answer": " Yes,\r\nmaybe "}
    found = read_published(write(tmp_path / "result_m_ICL.csv", row)).frame.row(0, named=True)
    assert (found["gold"], found["answer"]) == ("Yes \n", " Yes,\r\nmaybe ")


def test_permutations_are_smmile_plus_plus_and_keep_their_base(tmp_path: Path) -> None:
    rows = [said("x", problem_id=f"p_perm_{k}") for k in (1, 12)]
    frame = read_published(write(tmp_path / "result_m_ICL.csv", *rows)).frame
    assert frame["dataset"].unique().to_list() == ["SMMILE++"]
    assert frame["base_id"].to_list() == ["p", "p"]


def test_another_gold_answer_is_another_revision_whatever_the_name(tmp_path: Path) -> None:
    known, other = sorted(known_problems())[:2]
    rows = [{**OPEN, "problem_id": known, "true_answer": gold} for gold in ("mine", "yours")]
    one, two = (read_published(write(tmp_path / f"result_{i}_ICL.csv", row)) for i, row in enumerate(rows))
    revisions = {one.frame["revision"][0], two.frame["revision"][0]}
    assert len(revisions) == 2
    assert all(r.startswith("published-") for r in revisions)
    assert "another revision of the dataset: 1 problem of 1" in one.corrections[0]
    with pytest.raises(Mismatch, match="SMMILE: answers to several revisions"):
        read_published_folder(tmp_path).refuse_mixture()
    assert other != known


def test_files_of_unknown_problems_are_of_one_revision_if_their_golds_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "result_a_ICL.csv", OPEN)
    write(tmp_path / "result_b_ICL_mcqa.csv", CHOICE)
    answers = read_published_folder(tmp_path)
    answers.refuse_mixture()
    assert answers.frame["revision"][0].startswith("golds-")
    write(tmp_path / "result_c_ICL.csv", {**OPEN, "true_answer": "no"})
    with pytest.raises(Mismatch):
        read_published_folder(tmp_path).refuse_mixture()


def test_verdicts_beside_a_file_are_joined_by_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "result_m_ICL.csv", *(said("x", problem_id=i) for i in "abc"))
    beside = tmp_path / "result_m_ICL_evaluationllm.json"
    beside.write_text(json.dumps({"problem_accuracies": {"c": 100.0, "a": 0.0}}), encoding="utf-8")
    assert read_published(path).frame["verdict"].to_list() == [0, None, 1]
    beside.write_text(json.dumps({"problem_accuracies": {"c": 50.0}}), encoding="utf-8")
    with pytest.raises(InputError, match="no file of verdicts"):
        read_published(path)


REFUSED: Sequence[tuple[str, Mapping[str, str], str]] = (
    ("answers.csv", OPEN, "is not named like"),
    ("result_m_ICL.csv", without(OPEN, "true_answer"), "lacks the column 'true_answer'"),
    ("result_m_ICL_mcqa.csv", without(CHOICE, "correct_option"), "lacks the column 'correct_option'"),
    ("result_m_ICL.csv", {("id" if k == "problem_id" else k): v for k, v in OPEN.items()}, "lacks the column 'problem_id'"),
)


@pytest.mark.parametrize(("name", "row", "why"), REFUSED)
def test_what_is_no_result_file_is_refused_with_the_reason(tmp_path: Path, name: str, row: dict[str, str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_published(write(tmp_path / name, row))


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result_m_ICL.csv"
    path.write_text("problem_id,final_question,true_answer,generated_answer\n", encoding="utf-8")
    with pytest.raises(InputError, match="no row below its header"):
        read_published(path)


def test_a_problem_twice_and_a_folder_without_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="problem 'p1' is there twice"):
        read_published(write(tmp_path / "result_m_ICL.csv", OPEN, OPEN))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="has no file named like"):
        read_published_folder(empty)


def test_the_shipped_tags_are_those_of_111_problems_and_say_what_could_not_be_told_apart() -> None:
    known = known_problems()
    assert len(known) == 111
    assert all(len(p["tags"]) == len(TAGS) for p in known.values())
    tags = [tags_of(base_id) for base_id in known]
    assert sum(t["cognitive_process"] == "reasoning classification" for t in tags) == 25  # research §1.4
    assert {f: sum(t["answer_format"] == f for t in tags) for f in ("free response", "binary(yes/no)")} == {
        "free response": 79,
        "binary(yes/no)": 22,
    }
    assert sum(t["image_type"] == "CT or X-Ray" for t in tags) == 2
    assert tags_of("unknown") == {}
