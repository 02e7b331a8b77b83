"""Problems rebuilt from transcripts: hand cases, and the real files against research/smmile.md §1.3, §1.5."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest

from qrelkit.bench.smmile.choice import choice_frame, choices
from qrelkit.bench.smmile.exact import normalised
from qrelkit.bench.smmile.problems import Problems
from qrelkit.bench.smmile.published import read_published
from qrelkit.bench.smmile.transcripts import problems_beside, problems_from
from qrelkit.core.errors import InputError, Mismatch

HEAD = "problem_id,final_question,true_answer,generated_answer,full_response\n"


def file(folder: Path, text: str, *, question: str = "q2?", name: str = "result_m_ICL.csv") -> Path:
    path = folder / name
    quoted = text.replace('"', '""')
    path.write_text(f'{HEAD}p1,"{question}","gold ","out","{quoted}"\n', encoding="utf-8", newline="\n")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "USER:  \nq1? ASSISTANT: yes  USER:  \nq2 \nand more? ASSISTANT: the end",
        "USER:  \nq1? ASSISTANT: yes  USER:  \nq2 \nand more? ASSISTANT:\n\n\n",
        "system\nYou are a helpful assistant.\nuser\nq1?\nassistant\nyes \nuser\nq2 \nand more?\nassistant\nthe end",
    ],
)
def test_turns_become_demonstrations_with_their_blanks(tmp_path: Path, text: str) -> None:
    found = problems_from(file(tmp_path, text, question="q2 \nand more?"))
    assert found.text_only
    assert found.notes["from"] == f"{tmp_path.name}/result_m_ICL.csv"
    (problem,) = found.problems
    assert [(t.question, t.answer) for t in problem.triplets] == [("q1?", "yes "), ("q2 \nand more?", "gold ")]


def test_a_transcript_that_does_not_end_with_the_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="problem 'p1' does not end with its question"):
        problems_from(file(tmp_path, "USER:  \nq1? ASSISTANT: yes"))
    with pytest.raises(Mismatch, match="p1"):
        problems_from(file(tmp_path, "just a reply"))


@pytest.mark.parametrize("name", ["result_m_0-shot.csv", "result_m_ICL_mcqa.csv"])
def test_only_in_context_open_files_have_the_whole_problem(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="in-context, open-ended"):
        problems_from(file(tmp_path, "USER:  \nq2? ASSISTANT: yes", name=name))


@pytest.fixture(scope="module")
def llava(data: Path) -> dict[str, Problems]:
    return {name: problems_from(data / "smmile" / name / "result_llava_7b_ICL.csv") for name in ("SMMILE", "SMMILE++")}


def test_smmile_is_rebuilt_whole(llava: dict[str, Problems]) -> None:
    problems = llava["SMMILE"].problems
    assert (len(problems), sum(len(p.triplets) for p in problems)) == (111, 517)
    sizes = Counter(len(p.demonstrations) for p in problems)
    assert sizes == {2: 34, 3: 34, 4: 18, 5: 12, 6: 6, 7: 2, 8: 1, 9: 3, 19: 1}
    assert sum(p.first_matches for p in problems) == 32
    assert sum(p.last_matches for p in problems) == 23
    assert sum(p.has_both for p in problems) == 69
    assert llava["SMMILE"].revision == "published"
    assert all(p.query.tags["difficulty"] in ("hard", "medium") for p in problems)


def test_gold_answers_absent_from_the_demonstrations(llava: dict[str, Problems]) -> None:
    rows = [(i, t.answer, p.query.answer) for i, p in enumerate(llava["SMMILE"].problems) for t in p.demonstrations]
    frame = pl.DataFrame(rows, schema=["problem", "answer", "gold"], orient="row")
    raw, like = pl.col("answer") == pl.col("gold"), normalised(pl.col("answer")) == normalised(pl.col("gold"))
    seen = frame.group_by("problem").agg(raw=raw.any(), like=like.any())
    assert ((~seen["raw"]).sum(), (~seen["like"]).sum()) == (41, 35)


def test_smmile_plus_plus_is_rebuilt_whole_and_alike_from_two_models(llava: dict[str, Problems], data: Path) -> None:
    found = llava["SMMILE++"]
    problems = found.problems
    assert (len(problems), sum(len(p.triplets) for p in problems)) == (1038, 5994)
    sizes = Counter({p.base_id: len(p.demonstrations) for p in problems}.values())
    assert sizes == {2: 27, 3: 24, 4: 16, 5: 11, 6: 4, 7: 2, 8: 1, 19: 1}  # e65f6b06 has lost one of its five
    assert (sum(p.first_matches for p in problems), sum(p.last_matches for p in problems)) == (230, 250)
    assert found.digest == problems_from(data / "smmile" / "SMMILE++" / "result_qwen7B_ICL_open.csv").digest
    assert found.revision == "published"


def test_small_problems_are_permuted_in_lexicographic_order(llava: dict[str, Problems]) -> None:
    """research §1.5: up to four demonstrations, perm_k is the k-th of itertools.permutations of the original order."""
    original = {p.problem_id: p for p in llava["SMMILE"].problems}
    checked = 0
    for problem in llava["SMMILE++"].problems:
        own = original[problem.base_id].demonstrations
        if len(own) <= 4:
            k = int(problem.problem_id.rpartition("_perm_")[2])
            wanted = list(permutations(own))[k - 1]
            assert [(t.question, t.answer) for t in problem.demonstrations] == [(t.question, t.answer) for t in wanted]
            checked += 1
    assert checked == 54 + 144 + 15 * 24


def test_option_counts_and_oddities_of_smmile(llava: dict[str, Problems]) -> None:
    frame = choice_frame(choices(llava["SMMILE"]))
    counts = Counter(frame["options"].list.len().to_list())
    assert counts == {1: 1, 2: 41, 3: 38, 4: 21, 5: 5, 6: 2, 7: 2, 20: 1}
    assert (frame["one_option"].sum(), frame["equal_options"].sum()) == (1, 9)


@pytest.mark.parametrize("dataset", ["SMMILE", "SMMILE++"])
@pytest.mark.parametrize("mode", ["0-shot", "ICL"])
def test_the_shown_order_is_the_one_that_llava_was_printed(
    llava: dict[str, Problems], data: Path, dataset: str, mode: str
) -> None:
    """The option block of each multiple-choice transcript: lines "L. answer" between two fixed sentences."""
    path = data / "smmile" / dataset / f"result_llava_7b_{mode}_mcqa.csv"
    texts = pl.read_csv(path, infer_schema=False)["full_response"].to_list()
    blocks = [text.rpartition("following options:\n")[2].partition("\n\nYour task:")[0] for text in texts]
    made = [("\n".join(f"{letter}. {text}" for letter, text in c.lines)) for c in choices(llava[dataset]).values()]
    assert blocks == made


def test_each_revision_is_rebuilt_from_its_own_transcripts(data: Path) -> None:
    folder = data / "smmile" / "SMMILE"
    answers = read_published(folder / "result_qwen7B_ICL_mcqa.csv")
    ((key, problems),) = problems_beside(answers, folder).items()
    assert key == ("SMMILE", answers.frame["revision"][0])
    assert problems.revision != "published"
    assert problems.notes["from"] == "SMMILE/result_qwen7B_ICL_open.csv"
