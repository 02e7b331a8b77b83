"""expand: human grades win, origins stay, nothing ungraded becomes 0 by itself."""

from __future__ import annotations

import json

import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.guideline import SCALES
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_qrels
from qrelkit.steps.expand import expand


def qrels(name: str, *rows: tuple[str, str, int | None, str]) -> Qrels:
    return Qrels.of(pl.DataFrame(rows, ["query_id", "doc_id", "grade", "outcome"], orient="row"), name)


HUMAN = qrels("people", ("q1", "a", 2, "graded"), ("q1", "b", 0, "graded"), ("q2", "a", 0, "graded"))
JUDGE = qrels(
    "judge",
    ("q1", "a", 0, "graded"),  # people gave 2
    ("q1", "c", 1, "graded"),
    ("q1", "d", None, "refused"),
    ("q2", "b", 0, "graded"),
    ("q3", "a", 2, "graded"),
)


def rows(expanded: Qrels) -> list[tuple[object, ...]]:
    return expanded.frame.select("query_id", "doc_id", "grade", "outcome", "origin").rows()


def test_human_grades_win_and_origins_stay():
    found = expand(HUMAN, JUDGE)
    assert rows(found.qrels) == [
        ("q1", "a", 2, "graded", "people"),
        ("q1", "b", 0, "graded", "people"),
        ("q1", "c", 1, "graded", "judge"),
        ("q1", "d", None, "refused", "judge"),
        ("q2", "a", 0, "graded", "people"),
        ("q2", "b", 0, "graded", "judge"),
        ("q3", "a", 2, "graded", "judge"),
    ]


def test_the_counts_scripts_rely_on():
    found = expand(HUMAN, JUDGE).json()
    assert json.dumps(found, allow_nan=False)
    counts = {name: found[name] for name in ("judged", "relevant", "new", "new_relevant", "ungraded")}
    assert counts == {"judged": 3, "relevant": 1, "new": 3, "new_relevant": 2, "ungraded": 1}
    assert found["per_query"]["q1"] == {
        "judged": 2,
        "relevant": 1,
        "new": 1,
        "new_relevant": 1,
        "ungraded": 1,
        "share_before": 0.5,
        "share_after": 2 / 3,
    }
    assert found["per_query"]["q2"]["share_before"] == 0
    assert found["per_query"]["q3"]["share_before"] is None
    assert found["per_query"]["q3"]["share_after"] == 1


def test_relevant_from_is_the_argument_or_the_scale():
    assert expand(HUMAN, JUDGE, relevant_from=2).counts["new_relevant"] == 1
    assert expand(HUMAN, JUDGE, scale=SCALES["trec-0-3"]).relevant_from == 2
    with pytest.raises(Mismatch, match="scale 'binary'"):
        expand(HUMAN, JUDGE, scale=SCALES["binary"])


def test_with_a_pool_only_its_holes_are_filled():
    run = Run.of(pl.DataFrame({"query_id": ["q1"] * 3, "doc_id": ["a", "c", "x"], "score": [3.0, 2.0, 1.0]}), "run")
    found = expand(HUMAN, JUDGE, pool=Pool.of([run], 3))
    assert [(r[0], r[1]) for r in rows(found.qrels)] == [("q1", "a"), ("q1", "b"), ("q1", "c"), ("q2", "a")]
    assert (found.counts["new"], found.counts["ungraded"], found.missing) == (1, 0, 1)
    assert any("1 pairs of the pool have no judgment" in w for w in found.warnings)
    assert len(expand(HUMAN, JUDGE, pool=Pool.of([run], 1)).qrels) == 3


def test_a_pair_people_left_ungraded_is_a_hole():
    human = qrels("people", ("q1", "c", None, "refused"), ("q1", "e", None, "failed"))
    found = expand(human, JUDGE)
    assert ("q1", "c", 1, "graded", "judge") in rows(found.qrels)
    assert ("q1", "e", None, "failed", "people") in rows(found.qrels)
    assert found.counts["ungraded"] == 2


def test_zeros_are_filled_in_only_by_name_and_listed():
    assert expand(HUMAN, JUDGE).filled.height == 0
    found = expand(HUMAN, JUDGE, zero_fill=True)
    assert ("q1", "d", 0, "refused", "zero_fill") in rows(found.qrels)
    assert found.filled.select("query_id", "doc_id", "outcome").rows() == [("q1", "d", "refused")]
    assert (found.counts["new"], found.counts["ungraded"], found.json()["zero_filled"]) == (3, 1, 1)
    with pytest.raises(Mismatch, match="no grade 0"):
        expand(
            qrels("p", ("q", "a", 1, "graded")), qrels("j", ("q", "b", 2, "graded")), scale=SCALES["answer-1-4"], zero_fill=True
        )


def test_an_unknown_policy_and_mixed_scales_are_told():
    with pytest.raises(UnknownName, match="human_first"):
        expand(HUMAN, JUDGE, policy="human-first")
    wide = qrels("judge", ("q1", "c", 4, "graded"))
    assert any("two scales" in w for w in expand(HUMAN, wide).warnings)


def test_expected_gains_of_the_assessor_are_kept():
    judge = Qrels.of(pl.DataFrame({"query_id": ["q1"], "doc_id": ["z"], "grade": [1], "expected": [1.3]}), "judge")
    kept = expand(HUMAN, judge).qrels.frame.select("doc_id", "expected").rows()
    assert kept == [("a", None), ("b", None), ("z", 1.3), ("a", None)]


def run(tag: str, **ranked: str) -> Run:
    rows = [(query, doc, -float(rank)) for query, docs in ranked.items() for rank, doc in enumerate(docs)]
    return Run.of(pl.DataFrame(rows, ["query_id", "doc_id", "score"], orient="row"), tag)


def test_given_runs_they_stand_under_each_view_and_are_left_out_in_turn():
    runs = [run("old", q1="ab", q2="ab"), run("new", q1="ca", q2="ba")]
    found = expand(HUMAN, JUDGE, pool=Pool.of(runs, 2), runs=runs, measures=["P@1"], relevant_from=1)
    out = found.json()
    # people: q1 a is relevant, q2 nothing; the judge: q1 c alone (a 0, d refused), q2 nothing; it has q3 too, which no run has
    values = {view: {tag: row["P@1"]["value"] for tag, row in tree.items()} for view, tree in out["scores"].items()}
    assert values == {
        "people": {"old": 1 / 2, "new": 0},
        "judge": {"old": 0, "new": pytest.approx(1 / 3)},
        "mixed": {"old": 1 / 2, "new": 1 / 2},
    }
    # people did not grade q1 c nor q2 b: new could have both relevant, or neither
    assert out["scores"]["people"]["new"]["P@1"]["range"] == [0, 1]
    assert out["scores"]["people"]["old"]["P@1"]["range"] == [0.5, 0.5]
    assert "range" not in out["scores"]["mixed"]["new"]["P@1"]
    assert out["leave_out"]["measure"] == "P@1"
    assert list(out["leave_out"]["holes"]) == ["0", "judge"]
    assert json.dumps(out, allow_nan=False)
    assert "judge graded 1 of 3 pairs of the pool that people graded" in "\n".join(found.warnings)
    text = found.text()
    assert "the runs by people, by the assessor, and mixed" in text
    assert "one run left out at a time: P@1 under people, pool of depth 2" in text


def test_one_run_cannot_be_left_out_and_this_is_said():
    found = expand(HUMAN, JUDGE, runs=[run("old", q1="ab")])
    assert found.json()["leave_out"] == {"reason": "leaving one run out needs at least two of them, not 1"}
    assert "leaving one run out needs at least two of them" in found.text()
    assert not {"leave_out", "scores", "calibration"} & set(expand(HUMAN, JUDGE).json())


def test_runs_of_other_queries_do_not_keep_the_qrels_from_being_made():
    found = expand(HUMAN, JUDGE, runs=[run("stray", q9="ab"), run("old", q1="ab")])
    assert any("the runs are not scored: run 'stray' and qrels 'people' share no query" in w for w in found.warnings)
    assert found.counts["new"] == 3


def test_files_are_written_whole_with_their_origins(tmp_path):
    out = tmp_path / "new.qrels"
    sidecar = expand(HUMAN, JUDGE).write(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.qrels", "new.qrels.origins.tsv"]
    again = read_qrels(out)
    assert len(again) == 6  # the refused pair is not exported
    lines = sidecar.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "query_id\tdoc_id\tgrade\torigin\toutcome"
    assert lines[4] == "q1\td\t\tjudge\trefused"
    assert len(lines) == 8


def test_a_folder_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        expand(HUMAN, JUDGE).write(tmp_path / "nowhere" / "new.qrels")


def test_an_id_that_a_trec_file_cannot_hold_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError):
        expand(HUMAN, qrels("judge", ("q1", "a b", 1, "graded"))).write(tmp_path / "new.qrels")
    assert list(tmp_path.iterdir()) == []


def test_trec_dl19_filled_by_gpt4o(data):
    # The assessor has the people's pairs and no other: nothing is new. Without half the people's queries, the rest is.
    folder = data / "trec_dl19"
    human, judge = (read_qrels(folder / p) for p in ("qrels.human.txt", "llm_labels/gpt-4o_umbrela.txt"))
    assert expand(human, judge).counts | {"relevant": 0} == {
        "judged": 9260,
        "relevant": 0,
        "new": 0,
        "new_relevant": 0,
        "ungraded": 0,
    }
    half = Qrels(human.frame.gather_every(2), "half")
    found = expand(half, judge, relevant_from=2)
    assert found.counts["judged"] + found.counts["new"] == 9260
    assert found.counts["relevant"] == half.frame.filter(pl.col("grade") >= 2).height
