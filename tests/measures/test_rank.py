"""The measures on one query worked by hand; tests/oracle has the comparison with trec_eval."""

from __future__ import annotations

import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.parse import parse_measure
from qrelkit.measures.rank import Judged, Ranked

# The query's grades, and the run: b, x, a, e, c at ranks 1 to 5 (x is not in the qrels, e has a negative grade).
GRADES = {"a": 2, "b": 0, "c": 1, "d": 1, "e": -1, "f": 0}
RUN = ["b", "x", "a", "e", "c"]
# R = 3 relevant (a, c, d), of which a is at rank 3 and c at rank 5; N = 2 judged and not relevant (b, f), b at rank 1.


def qrels(expected: dict[str, float] | None = None) -> Qrels:
    rows = {"query_id": ["q"] * len(GRADES), "doc_id": list(GRADES), "grade": list(GRADES.values())}
    frame = pl.DataFrame(rows | ({"expected": [expected.get(d) for d in GRADES]} if expected else {}))
    return Qrels.of(frame, "hand")


def run(documents: list[str], query: str = "q") -> Run:
    return Run.of(pl.DataFrame({"query_id": [query] * len(documents), "doc_id": documents, "rank": range(len(documents))}), "r")


def score(measure: str, graded: Qrels | None = None) -> float:
    return float(parse_measure(measure).of(Ranked(run(RUN), Judged(graded or qrels())))[0])


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("P@5", 2 / 5),
        ("P@10", 2 / 10),  # five ranks are empty
        ("P(rel=2)@5", 1 / 5),
        ("R@3", 1 / 3),
        ("R@5", 2 / 3),
        ("Success@2", 0),
        ("Success@3", 1),
        ("RR", 1 / 3),
        ("RR@2", 0),
        ("AP", (1 / 3 + 2 / 5) / 3),
        ("AP@3", (1 / 3) / 3),
        ("AP(rel=2)", 1 / 3),
        # DCG = 2/log2(4) + 1/log2(6) = 1.386853; ideal 2/1 + 1/log2(3) + 1/log2(4) = 3.130930
        ("nDCG", 0.442952),
        ("nDCG@5", 0.442952),
        ("nDCG@3", 1 / 3.130930),
        # gains 3 and 1: 3/2 + 0.386853 = 1.886853; ideal 3 + 0.630930 + 0.5 = 4.130930
        ("nDCG(dcg=exp)", 0.456762),
        # above both relevant ones is one of two others: 1 - 1/2, twice, over R
        ("bpref", 1 / 3),
        ("Rprec", 1 / 3),
        ("RBP", 0.2 * (0.8**2 + 0.8**4)),
        ("RBP(gain=graded)", 0.2 * (0.8**2 + 0.8**4 / 2)),
        ("RBP(p=0.5,rel=2)", 0.5 * 0.5**2),
        # stops at a with (2^2 - 1)/2^2 = 3/4, at c with 1/4 of the 1/4 who came so far
        ("ERR", 3 / 4 / 3 + 1 / 4 * 1 / 4 / 5),
        ("ERR@3", 3 / 4 / 3),
        # with 4 as the highest grade: 3/16, then 13/16 · 1/16
        ("ERR(max=4)", 3 / 16 / 3 + 13 / 16 * 1 / 16 / 5),
        ("IPrec@0.1", 2 / 5),  # 0.3 documents are none: the highest precision anywhere
        ("IPrec@0.5", 2 / 5),  # 1.5 documents are two
        ("IPrec@1", 0),
        ("Judged@5", 3 / 5),  # b, a, c
        ("Judged@10", 3 / 5),  # of the five that are there
        ("Judged@2", 1 / 2),
        ("SetP", 2 / 5),
        ("SetR", 2 / 3),
        ("SetF", 2 * (2 / 5) * (2 / 3) / (2 / 5 + 2 / 3)),
        ("SetAP", 2 / 5 * 2 / 3),
        ("NumRet", 5),
        ("NumRel", 3),
        ("NumRelRet", 2),
    ],
)
def test_a_measure_has_its_hand_worked_value(measure: str, value: float) -> None:
    assert score(measure) == pytest.approx(value, abs=1e-6)


def test_expected_grades_are_gains_and_a_human_grade_stands_for_itself() -> None:
    # DCG .5/1 + 1.5/2 + 1/log2(6) = 1.636853; ideal 1.5 + 1/log2(3) + 1/2 + .5/log2(5) = 2.846268, d having its grade 1
    graded = qrels({"a": 1.5, "b": 0.5, "c": 1.0, "f": 0.0})
    assert score("nDCG(gain=expected)", graded) == pytest.approx(0.575087, abs=1e-6)
    assert score("nDCG(gain=expected)") == score("nDCG")  # where there are no probabilities at all
    assert score("nDCG(gain=expected)", qrels(dict.fromkeys("abcf"))) == score("nDCG")


def test_an_ungraded_pair_is_as_if_it_were_not_there() -> None:
    with_null = pl.concat([qrels().frame, qrels().frame.head(1).with_columns(doc_id=pl.lit("x"), grade=pl.lit(None, pl.Int32))])
    ungraded = Qrels.of(with_null, "null")
    for measure in ("bpref", "Judged@5", "nDCG", "ERR", "P@5"):
        assert score(measure, ungraded) == score(measure)


def test_a_scale_that_ends_below_the_grades_is_refused() -> None:
    with pytest.raises(InputError, match="have a grade 2"):
        score("ERR(max=1)")


def test_a_query_that_is_missed_or_has_nothing_relevant_scores_0_and_none_is_nan() -> None:
    rows = {"query_id": ["empty", "missed", "q"], "doc_id": ["a", "a", "a"], "grade": [0, 1, 1]}
    both = pl.concat([run(["a"]).frame, run(["a"], "empty").frame])
    ranked = Ranked(Run.of(both, "r"), Judged(Qrels.of(pl.DataFrame(rows), "x")))
    for name in ("nDCG@10", "AP", "RR", "P@1", "R@1", "bpref", "Rprec", "RBP", "ERR", "Success@1", "SetF", "SetAP", "IPrec@0.0"):
        values = parse_measure(name).of(ranked).tolist()
        assert values[:2] == [0, 0]
        assert values[2] > 0
