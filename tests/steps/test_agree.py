"""agree: small tables by hand, then the published figures of real label sets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.guideline import SCALES
from qrelkit.core.qrels import Qrels
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.agree import agree


def qrels(name: str, grades: str, *, queries: str = "", outcomes: dict[int, str] | None = None) -> Qrels:
    """`grades`: one character per document d0, d1, …; `.` is ungraded, a blank no row. `queries`: one per document."""
    rows = [
        {
            "query_id": queries[i] if queries else "q",
            "doc_id": f"d{i}",
            "grade": None if g == "." else int(g),
            "outcome": (outcomes or {}).get(i, "failed" if g == "." else "graded"),
        }
        for i, g in enumerate(grades)
        if g != " "
    ]
    return Qrels.of(pl.DataFrame(rows, schema_overrides={"grade": pl.Int32}), name)


def test_the_json_form_is_the_one_scripts_rely_on():
    found = agree(qrels("judge", "0122", queries="aabb"), [qrels("ann", "0112", queries="aabb")]).json()
    assert list(json.loads(json.dumps(found, allow_nan=False))) == list(found)
    issue = "n exact kappa kappa_linear kappa_quadratic cuts alpha_ordinal alpha_nominal mae bias hard either majority confusion"
    assert set(issue.split()) <= set(found)
    assert found["n"] == 4
    assert found["confusion"] == {"labels": [0, 1, 2], "rows": "human", "counts": [[1, 0, 0], [0, 1, 1], [0, 0, 1]]}
    assert set(found["cuts"]) == {"1", "2"}
    assert set(found["exact"]) == {"value", "low", "high", "n"}
    assert (found["exact"]["value"], found["exact"]["n"]) == (0.75, 2)
    assert found["bias"]["value"] == 0.25


def test_ungraded_pairs_are_counted_by_outcome_and_never_0():
    judge = qrels("judge", "0.1.", outcomes={1: "refused", 3: "unparsable"})
    found = agree(judge, [qrels("ann", "0011")])
    assert found.figures.pairs == 2
    assert found.figures.counts.tolist() == [[1, 0], [0, 1]]
    assert found.ungraded == {"refused": 1, "unparsable": 1}
    assert any("2 pairs have no grade" in w for w in found.warnings)
    assert "not counted as 0" in found.text()


def test_pairs_of_one_side_only_are_counted_and_left_out():
    found = agree(qrels("judge", "01 1"), [qrels("ann", "011 ")])
    assert found.figures.pairs == 2
    assert found.unmatched == {"assessor": 1, "human": 1}


def test_examples_are_excluded_and_counted():
    shown = pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["d0", "d9"]})
    found = agree(qrels("judge", "011"), [qrels("ann", "001")], exclude=shown)
    assert (found.figures.pairs, found.excluded) == (2, 1)


def test_labels_off_the_human_scale_are_an_error_that_names_clip():
    judge, ann = qrels("judge", "0150"), qrels("ann", "0120")
    with pytest.raises(Mismatch, match=r"judge has grades \[5\].*1 pairs.*'d2'.*--clip"):
        agree(judge, [ann])
    found = agree(judge, [ann], clip=True)
    assert found.clipped == 1
    assert found.figures.estimates["exact"].value == 1


def test_a_scale_may_be_wider_than_the_grades_seen():
    found = agree(qrels("judge", "013"), [qrels("ann", "011")], scale=SCALES["trec-0-3"])
    assert found.figures.values == (0, 1, 2, 3)
    with pytest.raises(Mismatch, match="scale 'binary'"):
        agree(qrels("judge", "01"), [qrels("ann", "02")], scale=SCALES["binary"])


def test_with_two_humans_the_first_is_the_reference():
    #        judge ann bob   either  majority
    # d0       0    0   0    yes     0, yes
    # d1       1    0   1    yes     tie
    # d2       2    1   1    no      1, no
    # d3       0    2   –    no      2, no (only ann graded it)
    judge, ann, bob = qrels("judge", "0120"), qrels("ann", "0012"), qrels("bob", "011 ")
    found = agree(judge, [ann, bob])
    e = found.figures.estimates
    assert found.human == "ann"
    assert found.figures.counts.tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert (e["exact"].value, e["either"].value) == (0.25, 0.5)
    assert e["majority"].value == pytest.approx(1 / 3)
    assert found.no_majority == 1
    assert set(found.against) == {"ann", "bob", "majority"}
    assert found.against["ann"].estimates["exact"].value == 0.25
    assert found.against["bob"].estimates["exact"].value == pytest.approx(2 / 3)
    assert found.against["majority"].pairs == 3
    assert found.humans["ann", "bob"].estimates["exact"].value == pytest.approx(2 / 3)
    # Nominal alpha over all three, units 000, 101, 211, 02: ordered pairs that differ, each over m − 1: 0 + 4/2 + 4/2 + 2/1 = 6;
    # n = 5 zeros, 4 ones, 2 twos of 11; Σ n_c n_k = 2 · (5·4 + 5·2 + 4·2) = 76; alpha = 1 − 10 · 6 / 76.
    assert e["alpha_nominal"].value == pytest.approx(1 - 60 / 76)


def test_with_one_human_either_and_majority_are_exact():
    e = agree(qrels("judge", "0120"), [qrels("ann", "0012")]).figures.estimates
    assert e["either"] == e["majority"] == e["exact"]


def test_humans_who_always_tie_have_no_majority():
    e = agree(qrels("judge", "01"), [qrels("ann", "01"), qrels("bob", "10")]).json()["majority"]
    assert e["value"] is None
    assert "majority" in e["reason"]


def test_two_files_of_one_name_stay_apart():
    found = agree(qrels("judge", "01"), [qrels("qrels", "01"), qrels("qrels", "11")])
    assert list(found.against) == ["qrels", "qrels #2", "majority"]


def test_a_constant_guess_stands_beside():
    found = agree(qrels("judge", "0101", queries="abab"), [qrels("ann", "0001", queries="abab")])
    grade, guess = found.constant
    assert grade == 0
    assert guess["exact"].value == 0.75
    assert guess["kappa"].value == pytest.approx(0)


def test_a_figure_without_a_value_is_null_with_a_reason():
    found = agree(qrels("judge", "11"), [qrels("ann", "11")]).json()
    assert found["exact"]["value"] == 1
    assert found["kappa"]["value"] is None
    assert "only one grade" in found["kappa"]["reason"]
    nothing = agree(qrels("judge", ".."), [qrels("ann", "01")]).json()
    assert nothing["n"] == 0
    assert "no pair" in nothing["exact"]["reason"]


def test_groups_of_queries():
    found = agree(qrels("judge", "0011", queries="abab"), [qrels("ann", "0110", queries="abab")], by={"a": "en"})
    assert {g: f.estimates["exact"].value for g, f in found.by.items()} == {"": 0, "en": 1}
    assert found.json()["by"]["en"]["n"] == 2


def test_nothing_in_common_is_an_error_that_shows_both_sides():
    with pytest.raises(Mismatch, match=r"share no pair.*query 'a'.*query 'b'"):
        agree(qrels("judge", "0", queries="a"), [qrels("ann", "0", queries="b")])
    with pytest.raises(InputError, match="at least one human"):
        agree(qrels("judge", "0"), [])


def test_the_table_for_people():
    text = agree(qrels("judge", "0122", queries="aabb"), [qrels("ann", "0112", queries="aabb")]).text()
    assert "judge against ann: 4 pairs of 2 queries" in text
    assert "exact agreement" in text
    assert "kappa, 2 and above relevant" in text
    assert max(len(line) for line in text.splitlines()) <= 110


# ── real label sets ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["TREMA-nuggets", "prophet-setting4", "willia-umbrela1", "RMITIR-llama70B"])
def test_llmjudge_gives_the_published_tables(data: Path, name: str):
    folder = data / "llmjudge_dl23"
    human, assessor = (read_qrels(folder / p) for p in ("qrels.human.test.txt", f"llm_labels/{name}.txt"))
    row = pl.read_csv(folder / "published.tsv", separator="\t").row(by_predicate=pl.col("submission") == name, named=True)
    found = agree(assessor, [human], clip=True)
    e = found.figures.estimates
    assert found.figures.pairs == 4423
    assert found.clipped == (2 if name == "RMITIR-llama70B" else 0)
    ours = (e["kappa"], e["alpha_ordinal"], e["cut 1"], e["cut 2"], e["cut 3"])
    published = [row[c] for c in ("kappa4", "alpha", "kappa_0v123", "kappa_01v23", "kappa_012v3")]
    assert [estimate.value for estimate in ours] == pytest.approx(published, abs=5.1e-5)


def test_labels_above_the_scale_are_refused_without_clip(data: Path):
    folder = data / "llmjudge_dl23"
    human, assessor = (read_qrels(folder / p) for p in ("qrels.human.test.txt", "llm_labels/RMITIR-llama70B.txt"))
    with pytest.raises(Mismatch, match=r"\[5\]"):
        agree(assessor, [human])


def test_intervals_are_by_query(data: Path):
    # research/judging.md §4 and the issue: confusion, exact, MAE, bias, hard; intervals by query, not by pair ([.27, .31]).
    folder = data / "llmjudge_dl23"
    human, assessor = (read_qrels(folder / p) for p in ("qrels.human.test.txt", "llm_labels/willia-umbrela1.txt"))
    found = agree(assessor, [human]).figures
    expected = [[1521, 369, 88, 27], [579, 457, 157, 40], [189, 280, 270, 69], [46, 125, 93, 113]]
    assert found.counts.tolist() == expected
    e = found.estimates
    values = [e[name].value for name in ("exact", "mae", "kappa_quadratic", "bias", "hard", "alpha_nominal")]
    assert values == pytest.approx([0.5338, 0.599, 0.5044, -0.178, 0.1164, 0.2840], abs=5e-4)
    assert (e["kappa"].low, e["kappa"].high) == pytest.approx((0.17, 0.39), abs=0.01)
    assert (e["kappa_quadratic"].low, e["kappa_quadratic"].high) == pytest.approx((0.38, 0.61), abs=0.01)
    assert e["kappa"].n == 25


def test_trec_dl19_gpt4o(data: Path):
    folder = data / "trec_dl19"
    human, assessor = (read_qrels(folder / p) for p in ("qrels.human.txt", "llm_labels/gpt-4o_umbrela.txt"))
    found = agree(assessor, [human]).figures
    e = found.estimates
    assert (found.pairs, found.queries) == (9260, 43)
    assert [e[n].value for n in ("kappa", "kappa_quadratic", "cut 2")] == pytest.approx([0.3626, 0.5951, 0.5244], abs=5e-5)
    assert (e["kappa"].low, e["kappa"].high) == pytest.approx((0.30, 0.42), abs=0.01)


MIRACL = {
    "ChatGPT": "chatgpt_test",
    "DeepSeek-V3": "deepseek_test",
    "Gemma2-vllm-zs-bing": "sahabat-gemma_vllm_zeroshot_bing_test",
    "Gemma2-vllm-zs-bing-strict": "sahabat-gemma_vllm_zeroshot_bing_strict_test",
    "Llama3-default": "sahabat_llama_test",
    "Llama3-strict": "sahabat_llama_strict_test",
    "Llama3-vllm-fs-basic": "sahabat-llama_vllm_fewshot_basic_test",
    "Llama3-vllm-fs-bing": "sahabat-llama_vllm_fewshot_bing_test",
    "Llama3-vllm-zs-basic": "sahabat-llama_vllm_zeroshot_basic_test",
}


def test_miracl_judges_among_themselves(data: Path):
    # The published kappas are of the cut at 2; 36 of the 55 rows are between judges whose labels are here.
    folder = data / "miracl_id_judges"
    labels = {judge: read_qrels(folder / "labels" / f"{stem}.txt") for judge, stem in MIRACL.items()}
    with open(folder / "expected" / "inter_judge_kappa.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if {row["judge_a"], row["judge_b"]} <= MIRACL.keys()]
    assert len(rows) == 36
    for row in rows:
        found = agree(labels[row["judge_b"]], [labels[row["judge_a"]]], scale=SCALES["trec-0-3"], resamples=0).figures
        assert found.pairs == int(row["n_common_pairs"])
        assert found.estimates["cut 2"].value == pytest.approx(float(row["kappa"]), abs=5.1e-5), row
