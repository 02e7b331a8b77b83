"""Grades of drawn pairs as a sample: rounds, probabilities, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Judgment
from qrelkit.formats.samples import probabilities_path
from qrelkit.project.drawing import Drawing, drawing_beside, sampled, seconds_per_label
from qrelkit.project.review import pace, people_rows
from qrelkit.stats.sampling import draw, probabilities, weights
from qrelkit.stores.memory import MemoryStore


def drawing(places: list[int], p: list[float], rule: str = "decision") -> Drawing:
    ids = [f"d{place}" for place in places]
    return Drawing(
        rule=rule,
        frame=pl.DataFrame(
            {"query_id": ["q"] * len(ids), "doc_id": ids, "probability": p, "round": [1] * len(ids)},
            schema_overrides={"round": pl.Int32},
        ),
    )


def judgment(place: int, grade: int | None, **more: object) -> Judgment:
    outcome = "refused" if grade is None else "graded"
    return Judgment(query_id="q", doc_id=f"d{place}", grade=grade, outcome=outcome, **more)  # type: ignore[arg-type]


def graded(store: MemoryStore, grades: dict[int, int | None], of: Drawing | None = None, who: str = "ann") -> None:
    """Grades by a person, of a drawing or by choice."""
    told = of.details() if of is not None else {}
    store.add_judge(f"human:{who}", who, {})
    rows = [judgment(place, grade, details=told.get(("q", f"d{place}"))) for place, grade in grades.items()]
    store.add_judgments(f"human:{who}", rows)


def rows(found: Qrels) -> dict[str, tuple[int | None, float, int]]:
    """doc_id → grade, probability, round."""
    told = found.frame.select("doc_id", "grade", "probability", "round").iter_rows()
    return {doc_id: (grade, round(p, 9), number) for doc_id, grade, p, number in told}


def test_a_drawn_grade_has_its_probability_and_its_round() -> None:
    store = MemoryStore()
    first, second = drawing([1, 2], [0.5, 0.2]), drawing([3], [0.25])
    graded(store, {1: 2, 2: 0}, first)
    graded(store, {3: 1}, second, who="bob")
    assert rows(sampled(people_rows(store))) == {"d1": (2, 0.5, 1), "d2": (0, 0.2, 1), "d3": (1, 0.25, 2)}


def test_what_was_known_before_is_round_0_and_later_choices_are_left_out() -> None:
    store = MemoryStore()
    imported = Qrels.of(pl.DataFrame({"query_id": ["q"], "doc_id": ["d9"], "grade": [2]}), "old")
    graded(store, {7: 1})
    graded(store, {1: 2}, drawing([1], [0.5]))
    graded(store, {8: 1})  # by choice, and perhaps because of what d1 got
    assert rows(sampled(people_rows(store), [imported])) == {"d9": (2, 1.0, 0), "d7": (1, 1.0, 0), "d1": (2, 0.5, 1)}


def test_the_newest_grade_of_a_pair_counts_with_the_probability_of_its_drawing() -> None:
    store = MemoryStore()
    graded(store, {1: 2}, drawing([1], [0.5]))
    graded(store, {1: 0})
    assert rows(sampled(people_rows(store))) == {"d1": (0, 0.5, 1)}


def test_rows_not_answered_lower_the_probability_of_the_others() -> None:
    """4 were drawn, 2 have a grade, 1 could not be judged and 1 was left blank: p × 2 / 4."""
    store = MemoryStore()
    graded(store, {1: 2, 2: 1, 3: None}, drawing([1, 2, 3, 4], [0.8, 0.4, 0.4, 0.4]))
    found = rows(sampled(people_rows(store)))
    assert found == {"d1": (2, 0.4, 1), "d2": (1, 0.2, 1), "d3": (None, 0.2, 1)}


def test_a_pair_of_two_drawings_belongs_to_the_one_that_came_back_first() -> None:
    """Of the second drawing's three pairs one is the first's; of the two others one was answered: p × 1 / 2."""
    store = MemoryStore()
    graded(store, {1: 2, 2: 1}, drawing([1, 2], [0.5, 0.5]))
    graded(store, {2: 1, 3: 0}, drawing([2, 3, 4], [0.3, 0.3, 0.3]))
    assert rows(sampled(people_rows(store))) == {"d1": (2, 0.5, 1), "d2": (1, 0.5, 1), "d3": (0, 0.15, 2)}


def test_grades_whose_probability_was_lost_are_no_part_until_it_is_found() -> None:
    store = MemoryStore()
    one = drawing([1, 2], [0.5, 0.5])
    store.add_judge("human:ann", "ann", {})
    store.add_judgments("human:ann", [judgment(1, 2, details={"drawing": one.name})])
    assert len(sampled(people_rows(store))) == 0
    graded(store, {1: 2, 2: 0}, one)
    assert rows(sampled(people_rows(store))) == {"d1": (2, 0.5, 1), "d2": (0, 0.5, 1)}


def test_the_sample_is_unbiased_with_pairs_known_before_sheets_that_overlap_and_rows_left_blank() -> None:
    """The estimated total of 60 pairs' grades, over 300 repetitions, within four standard errors of the true one."""
    rng = np.random.default_rng(5)
    grade, size = rng.integers(0, 4, 60), rng.random(60) + 0.2
    known = Qrels.of(pl.DataFrame({"query_id": ["q"] * 5, "doc_id": [f"d{i}" for i in range(5)], "grade": grade[:5]}), "old")
    totals = []
    for _ in range(300):
        store = MemoryStore()
        for answered in (12, 20):  # both sheets were drawn from the same 55 pairs; of the first only 12 rows were answered
            p = probabilities(size[5:], 20)
            places = rng.permutation(draw(p, rng))
            one = drawing((places + 5).tolist(), p[places].tolist())
            graded(store, {int(i) + 5: int(grade[i + 5]) for i in places[:answered]}, one)
        frame = sampled(people_rows(store), [known]).frame
        p, number = frame["probability"].to_numpy(), frame["round"].to_numpy().astype(np.int64)
        times = weights(p, number, np.ones(len(frame)), rest=60 - len(frame)).times
        totals.append(float(times @ frame["grade"].to_numpy()))
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - grade.sum()) < 4 * error
    assert error < 0.02 * grade.sum()


def test_probabilities_are_found_beside_the_sheet_also_under_another_name(tmp_path: Path) -> None:
    one, sheet = drawing([1, 2], [1 / 3, 0.1 + 0.2]), tmp_path / "sheet.csv"
    one.write_beside(sheet)
    found = drawing_beside(sheet, one.name)
    assert found is not None
    assert found.frame.equals(one.frame)
    assert drawing_beside(tmp_path / "filled.csv", one.name) is not None
    assert drawing_beside(sheet, drawing([1, 2], [1 / 3, 0.4]).name) is None
    one.write_beside(sheet)  # the same again is no harm
    with pytest.raises(InputError, match="has the probabilities of another sheet"):
        drawing([5], [0.5]).write_beside(sheet)
    assert probabilities_path(sheet).name == "sheet.prob.tsv"


def test_the_pace_is_the_median_gap_within_a_sitting() -> None:
    """Gaps of 10, 20, 600 (a break) and 40 s for two grades: 10, 20, 20, 20."""
    now = [1_700_000_000.0]
    store = MemoryStore(now=lambda: now[0])
    graded(store, {0: 1, 1: 1})
    assert pace(store) is None
    for place, gap in ((2, 10), (3, 20), (4, 600)):
        now[0] += gap
        graded(store, {place: 1})
    now[0] += 40
    graded(store, {5: 1, 6: 1})
    assert pace(store) == 20
    graded(store, {7: 1}, who="bob")
    assert pace(store) == 20


def test_sheets_read_one_right_after_the_other_say_nothing_of_the_pace() -> None:
    now = [1_700_000_000.0]
    store = MemoryStore(now=lambda: now[0])
    graded(store, {0: 1})
    now[0] += 3
    graded(store, dict.fromkeys(range(1, 30), 1))
    assert seconds_per_label(people_rows(store)) is None
