"""calibrated: the assessor's grades in people's terms, learnt from the pairs that both graded."""

from __future__ import annotations

import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.guideline import SCALES
from qrelkit.core.qrels import Qrels
from qrelkit.steps.calibration import calibrate
from qrelkit.steps.expand import expand


def qrels(name: str, grades: list[int | None], start: int = 0) -> Qrels:
    docs = [f"d{i + start}" for i in range(len(grades))]
    return Qrels.of(pl.DataFrame({"query_id": "q", "doc_id": docs, "grade": pl.Series(grades, dtype=pl.Int32)}), name)


# both graded 20: where the judge says 1, people say 0 eight times of ten; where it says 2, 0 three times, 1 once and 2 six times
PEOPLE = qrels("people", [0] * 8 + [2] * 2 + [0] * 3 + [1] + [2] * 6)
JUDGE = qrels("judge", [1] * 10 + [2] * 10 + [1, 2, 3, None])


def test_filled_pairs_have_the_mean_human_grade_and_the_nearest_one() -> None:
    found = expand(PEOPLE, JUDGE, policy="calibrated")
    filled = found.qrels.frame.filter(pl.col("doc_id").is_in(["d20", "d21", "d22", "d23"])).sort("doc_id")
    # judge 1: (8·0 + 2·2)/10 = .4 → 0; judge 2: (3·0 + 1 + 6·2)/10 = 1.3 → 1; judge 3 never met people: as 2
    assert filled.select("grade", "expected", "origin", "outcome").rows() == [
        (0, 0.4, "judge (calibrated)", "graded"),
        (1, 1.3, "judge (calibrated)", "graded"),
        (1, 1.3, "judge (calibrated)", "graded"),
        (None, None, "judge", "failed"),
    ]
    assert found.qrels.frame.filter(pl.col("origin") == "people")["grade"].to_list() == PEOPLE.frame["grade"].to_list()
    learnt = {"1": {"n": 10, "expected": 0.4, "grade": 0}, "2": {"n": 10, "expected": 1.3, "grade": 1}}
    assert found.qrels.notes["calibration"] == {"pairs": 20, "grades": learnt}
    assert found.json()["calibration"]["pairs"] == 20
    assert "calibrated on 20 pairs that both graded: 1 is 0.40, 2 is 1.30" in found.text()
    assert "judge gives [3] only where people gave none: taken for the nearest that they share" in found.warnings


def test_a_file_says_what_each_pair_was_expected_to_be(tmp_path) -> None:
    sidecar = expand(PEOPLE, JUDGE, policy="calibrated").write(tmp_path / "out.qrels")
    lines = sidecar.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "query_id\tdoc_id\tgrade\torigin\toutcome\texpected"
    assert "q\td20\t0\tjudge (calibrated)\tgraded\t0.4" in lines


def test_grades_are_of_the_scale() -> None:
    people, judge = qrels("people", [0] * 10 + [2] * 10), qrels("judge", [1] * 20)
    assert calibrate(people, judge).grades[1].grade == 0  # 1.0 is as near to 2, and people never gave 1
    assert calibrate(people, judge, scale=SCALES["product-3"]).grades[1].grade == 1


def test_too_small_an_overlap_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"19 pairs graded by both .* judge at least 20 of the pairs that people graded"):
        calibrate(PEOPLE, qrels("judge", [1] * 19))
    shown = pl.DataFrame({"query_id": ["q"], "doc_id": ["d0"]})
    with pytest.raises(InputError, match="19 pairs"):
        calibrate(PEOPLE, JUDGE, exclude=shown)
