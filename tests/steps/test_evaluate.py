"""evaluate on small runs: what counts, what is left out, and what is said about it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.bounds import Unjudged
from qrelkit.steps.evaluate import evaluate

# P@1 by query under the qrels below: q1 1, q2 0, q3 not retrieved, empty 0 (nothing relevant)
QRELS = [("q1", "a", 2), ("q1", "b", 0), ("q2", "a", 1), ("q2", "b", 0), ("q3", "a", 1), ("empty", "a", 0), ("null", "a", None)]
RUN = [("q1", "a"), ("q2", "b"), ("empty", "a"), ("stray", "a")]


def qrels(rows: list[tuple[str, str, int | None]] = QRELS, name: str = "human") -> Qrels:
    return Qrels.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row"), name)


def run(tag: str = "r", rows: list[tuple[str, str]] = RUN) -> Run:
    return Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id"], orient="row").with_columns(score=1.0), tag)


def test_every_graded_query_counts_and_what_is_odd_is_said() -> None:
    scores = evaluate(["P@1"], [run()], qrels())
    estimate = scores.estimate("r", "P@1")
    assert (estimate.value, estimate.n) == (1 / 4, 4)  # q1, q2, q3, empty
    assert 0 <= estimate.low <= 1 / 4 <= estimate.high <= 1
    said = "\n".join(scores.warnings)
    assert "run 'r' has no document for 1 of 4 queries, which count 0: q3" in said
    assert "run 'r' has 1 queries without qrels, which are left out: stray" in said
    assert "1 query without a document of grade 1 or more, scored 0" in said
    assert "1 query without any graded pair, left out: null" in said


def test_empty_queries_are_left_out_by_name_each_measure_by_its_own_level() -> None:
    scores = evaluate(["P@1", "P(rel=2)@1"], [run()], qrels(), leave_out_empty=True)
    assert (scores.estimate("r", "P@1").value, scores.estimate("r", "P@1").n) == (pytest.approx(1 / 3), 3)
    assert (scores.estimate("r", "P(rel=2)@1").value, scores.estimate("r", "P(rel=2)@1").n) == (1, 1)
    assert any("2 or more, left out: empty, q2, q3" in text for text in scores.warnings)
    values = scores.per_query.filter(pl.col("measure") == "P@1").select("query_id", "value").rows()
    assert values == [("empty", None), ("q1", 1), ("q2", 0), ("q3", 0)]


def test_json_carries_single_values_when_asked() -> None:
    assert "per_query" not in evaluate(["P@1"], [run()], qrels()).json()
    out = evaluate(["P@1"], [run()], qrels(), per_query=True).json()
    assert out["per_query"] == {"r": {"P@1": {"empty": 0, "q1": 1, "q2": 0, "q3": 0}}}


def test_counts_are_summed_and_their_interval_too() -> None:
    estimate = evaluate(["NumRelRet"], [run(rows=[("q1", "a"), ("q2", "a"), ("q3", "a")])], qrels()).estimate("r", "NumRelRet")
    assert (estimate.value, estimate.n) == (3, 4)
    assert 0 < estimate.low <= 3 <= estimate.high <= 4


def test_a_split_gives_one_block_per_value_beside_the_whole() -> None:
    by = pl.DataFrame({"query_id": ["q1", "q2", "q3"], "language": ["de", "de", "en"]})
    scores = evaluate(["P@1"], [run()], qrels(), by=by)
    found = {
        group: (scores.estimate("r", "P@1", group=group).value, scores.estimate("r", "P@1", group=group).n)
        for group in scores.groups
    }
    assert found == {"": (0.25, 4), "de": (0.5, 2), "en": (0, 1), "(none)": (0, 1)}
    assert scores.json()["by"]["values"]["en"]["r"]["P@1"]["low"] is None
    with pytest.raises(InputError, match="query_id and one more column"):
        evaluate(["P@1"], [run()], qrels(), by=by.drop("language"))


def test_weights_make_weighted_means_and_must_be_complete() -> None:
    weights = {"q1": 3.0, "q2": 1.0, "q3": 1.0, "empty": 0.0}
    estimate = evaluate(["P@1"], [run()], qrels(), weights=weights).estimate("r", "P@1")
    assert (estimate.value, estimate.n) == (3 / 5, 3)
    with pytest.raises(InputError, match="1 queries have no weight: q3"):
        evaluate(["P@1"], [run()], qrels(), weights={"q1": 1, "q2": 1, "empty": 1})
    with pytest.raises(InputError, match="weights are numbers from 0 up"):
        evaluate(["P@1"], [run()], qrels(), weights=weights | {"q2": -1})


def test_human_model_and_mixed_qrels_stand_side_by_side() -> None:
    model = qrels([("q1", "a", 0), ("q1", "b", 1), ("q2", "b", 1)], "model")
    scores = evaluate(["P@1"], [run()], {"human": qrels(), "model": model})
    assert scores.estimate("r", "P@1", qrels="model").value == 0.5
    out = scores.json()
    assert out["scores"] == out["qrels"]["human"]["scores"]
    assert out["qrels"]["model"]["scores"]["r"]["P@1"]["n"] == 2
    assert scores.text().split()[:2] == ["qrels", "run"]
    assert any(text.startswith("model: run 'r' has 2 queries without qrels") for text in scores.warnings)


def test_the_highest_grade_that_err_takes_is_said() -> None:
    assert any("ERR takes 2" in text for text in evaluate(["ERR@20"], [run()], qrels()).warnings)
    assert not any("ERR takes" in text for text in evaluate(["ERR(max=3)@20"], [run()], qrels()).warnings)


def test_inputs_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(Mismatch, match=r"share no query: the run has other, the qrels empty, q1, q2 and 1 more"):
        evaluate(["P@1"], [run(rows=[("other", "a")])], qrels())
    with pytest.raises(InputError, match="two runs have the tag 'r'"):
        evaluate(["P@1"], [run(), run()], qrels())
    with pytest.raises(InputError, match="no run was given"):
        evaluate(["P@1"], [], qrels())
    with pytest.raises(InputError, match="qrels 'none' have no graded pair"):
        evaluate(["P@1"], [run()], qrels([("q", "d", None)], "none"))


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second = (evaluate(["AP", "P@1"], [run()], qrels(), seed=3).json() for _ in range(2))
    assert first == second


def test_ranges_are_means_of_each_querys_range_and_in_every_form() -> None:
    # q1 x a: x is a hole; q2 b: no hole. q1 b was not retrieved and is graded. P@1 of q1 is 0 or 1, of q2 0, of q3 and empty 0.
    runs = [run(rows=[("q1", "x"), ("q1", "a"), ("q2", "b")])]
    ordered = [Run.of(runs[0].frame.with_columns(score=-pl.col("doc_id").is_in(["a"]).cast(pl.Float64)), "r")]
    plain = evaluate(["P@1"], ordered, qrels())
    scores = evaluate(["P@1", "bpref", "Judged@1"], ordered, qrels(), ranges=Unjudged(levels=(0, 1, 2)))
    assert scores.range("r", "P@1") == (0, 1 / 4)
    assert scores.range("r", "bpref") is None
    assert scores.range("r", "Judged@1") is None
    assert any("bpref has no range over unjudged documents: it is made to leave them alone" in w for w in scores.warnings)
    out = scores.json()
    assert out["scores"]["r"]["P@1"] == plain.json()["scores"]["r"]["P@1"] | {"range": [0, 0.25]}
    assert out["levels"] == [0, 1, 2]
    assert "levels" not in plain.json()
    assert "] holes [0.000, 0.250]" in scores.text()
    assert scores.text().splitlines()[-1].endswith("were the documents without a grade given 0, 1, 2")
    assert scores.csv().splitlines()[0] == "qrels,group,tag,measure,value,low,high,n,reason,range_low,range_high"
    assert "holes [0.000, 0.250]}" in scores.latex()
    assert plain.csv().splitlines()[0] == "qrels,group,tag,measure,value,low,high,n,reason"


def test_with_a_pool_what_a_run_has_below_the_cutoff_is_no_hole_of_its_own() -> None:
    deep = Run.of(pl.DataFrame({"query_id": ["q1"] * 3, "doc_id": ["a", "b", "x"], "score": [3.0, 2.0, 1.0]}), "r")
    pool = Unjudged(levels=(0, 1, 2), pool=Pool.of([deep], 2))
    human = qrels([("q1", "a", 2), ("q1", "b", 0)])
    scores = evaluate(["nDCG@2", "nDCG"], [deep], human, ranges=pool)
    assert scores.range("r", "nDCG@2") is None  # all of the pool is judged
    low, high = scores.range("r", "nDCG") or (0, 0)  # x, third, has 0: 2/2; has 2: (2 + 2/2) / (2 + 2/log2 3) = .92
    assert (low, high) == (pytest.approx(3 / (2 + 2 / np.log2(3))), 1)
    scores = evaluate(["nDCG@2"], [deep], human, ranges=Unjudged(levels=(0, 1, 2)))
    assert scores.range("r", "nDCG@2") == (pytest.approx(2 / (2 + 2 / np.log2(3))), 1)  # without one, x is in the ideal too


def test_ranges_of_sums_are_sums_and_of_groups_their_own() -> None:
    runs = [run(rows=[("q1", "x"), ("q2", "y"), ("q3", "a")])]
    by = pl.DataFrame({"query_id": ["q1", "q2", "q3"], "language": ["de", "de", "en"]})
    scores = evaluate(["NumRelRet", "P@1"], runs, qrels(), by=by, ranges=Unjudged(levels=(0, 1)))
    assert scores.range("r", "NumRelRet") == (1, 3)
    assert scores.range("r", "P@1", group="de") == (0, 1)
    assert scores.range("r", "P@1", group="en") == (1, 1)
    assert scores.json()["by"]["values"]["de"]["r"]["P@1"]["range"] == [0, 1]


def test_a_scale_that_does_not_rise_is_refused() -> None:
    with pytest.raises(InputError, match="rise from the lowest"):
        Unjudged(levels=(2, 0))


def test_err_has_a_range_only_on_a_scale_that_holes_cannot_leave() -> None:
    wide = Unjudged(levels=(0, 1, 2, 3))
    runs = [run(rows=[("q1", "x"), ("q2", "a")])]
    assert evaluate(["ERR"], runs, qrels(), ranges=wide).range("r", "ERR") is None
    # q1 x: grade 3 of 3 has R 7/8, grade 0 none; q2 a of grade 1: 1/8
    assert evaluate(["ERR(max=3)"], runs, qrels(), ranges=wide).range("r", "ERR(max=3)") == (1 / 32, 8 / 32)
