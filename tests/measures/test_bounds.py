"""Ranges over unjudged documents: the oracle is every assignment, tried one after the other on small random cases."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.measures.bounds import Holes, Unjudged, bounds
from qrelkit.measures.parse import parse_measure
from qrelkit.measures.rank import Judged, Ranked

ROWS = ["query_id", "doc_id", "grade"]
DOCS = "abcdefgh"
SEEDS = 14


def run_of(rankings: dict[str, list[str]], tag: str = "run") -> Run:
    rows = [(q, d, -float(rank)) for q, docs in rankings.items() for rank, d in enumerate(docs)]
    return Run.of(pl.DataFrame(rows, ["query_id", "doc_id", "score"], orient="row"), tag)


def qrels_of(rows: list[tuple[object, ...]], *more: str) -> Qrels:
    return Qrels.of(pl.DataFrame(rows, [*ROWS, *more], orient="row", infer_schema_length=None), "q")


def pool_of(pairs: list[tuple[str, str]]) -> Pool:
    return Pool(pl.DataFrame(pairs, {"query_id": pl.String, "doc_id": pl.String}, orient="row"), 0, 1)


def tried(name, run, rows, more, holes, levels):
    """The lowest and highest value of each query over every assignment of its holes, each of which is a query of its own here."""
    out = {}
    for query, unjudged in holes.items():
        mine = [row[1:] for row in rows if row[0] == query]
        ranking = run.frame.filter(pl.col("query_id") == query)["doc_id"].to_list()
        every = list(product(levels, repeat=len(unjudged)))
        filled = [mine + [(d, g, *(None for _ in more)) for d, g in zip(unjudged, grades, strict=True)] for grades in every]
        judged = Judged(qrels_of([(str(i), *row) for i, rows_ in enumerate(filled) for row in rows_], *more))
        values = parse_measure(name).of(Ranked(run_of({str(i): ranking for i in range(len(every))}), judged))
        out[query] = (values.min(), values.max())
    return out


def found(name, run, rows, more, pool, levels):
    qrels = qrels_of(rows, *more)
    judged = Judged(qrels)
    pairs = Unjudged(levels=levels, pool=pool).pairs([run], qrels)
    low, high = bounds(parse_measure(name), Ranked(run, judged), Holes.of(run, pairs, qrels, judged), levels)
    return {q: (low[i], high[i]) for i, q in enumerate(judged.query_ids)}


def case(rng, levels, expected=False):
    """A run, graded rows and holes of two queries: at most five holes each, retrieved or not."""
    rankings, rows, holes, pool = {}, [], {}, []
    for query in ("q1", "q2"):
        retrieved = list(rng.permutation(list(DOCS))[: rng.integers(1, 8)])
        unjudged = list(rng.permutation(list(DOCS))[: rng.integers(0, 6)])
        rankings[query] = retrieved
        holes[query] = unjudged
        pool += [(query, d) for d in unjudged]
        grades = [0, 1, 2, 3] if rng.random() < 0.6 else [0, 0, 0, 1]
        graded = [d for d in DOCS if d not in unjudged]
        rows += [
            (query, d, int(rng.choice(grades)), *([float(rng.choice([0.0, 0.4, 1.5, 2.2]))] if expected else [])) for d in graded
        ]
    return run_of(rankings), rows, holes, pool_of(pool)


MEASURES = (
    *(
        "nDCG@3",
        "nDCG@5",
        "nDCG",
        "nDCG(dcg=exp)@4",
        "nDCG(dcg=exp)",
        "DCG@3",
        "DCG(dcg=exp)",
        "AP",
        "AP@3",
        "AP(rel=2)",
        "RR",
        "RR(rel=2)@3",
        "P@3",
    ),
    *("P(rel=3)@5", "R@3", "R(rel=2)@5", "Success@2", "RBP", "RBP(rel=2)@3", "RBP(gain=graded)", "RBP(gain=graded,rel=2)@3"),
    *("ERR(max=3)", "ERR(max=3)@3", "SetP", "SetR", "SetF", "SetAP", "NumRel(rel=2)", "NumRelRet", "NumRet"),
)


@pytest.mark.parametrize("name", MEASURES)
def test_ranges_equal_every_assignment_tried(name: str) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    for trial in range(SEEDS):
        levels = [[0, 1, 2, 3], [0, 1], [0, 3], [1, 2, 3], [0, 2, 3], [-1, 0, 1], [0, 1, 2]][trial % 7]
        run, rows, holes, pool = case(rng, levels)
        ours, theirs = found(name, run, rows, (), pool, levels), tried(name, run, rows, (), holes, [max(g, 0) for g in levels])
        for query, span in theirs.items():
            assert ours[query] == pytest.approx(span, abs=1e-12), (trial, query)


def test_ranges_of_ndcg_equal_every_assignment_tried_where_judged_grades_are_means() -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        run, rows, holes, pool = case(rng, [0, 1, 2, 3], expected=True)
        for name in ("nDCG(gain=expected)@4", "nDCG(gain=expected)", "DCG(gain=expected)@4"):
            theirs = tried(name, run, rows, ("expected",), holes, [0, 1, 2, 3])
            ours = found(name, run, rows, ("expected",), pool, [0, 1, 2, 3])
            assert all(ours[q] == pytest.approx(span, abs=1e-12) for q, span in theirs.items())


def test_the_highest_ndcg_is_not_all_holes_at_the_top_grade() -> None:
    # judged: a 1 (rank 1). The hole b at rank 2 with grade g: (1 + g/log2 3) / (max(1, g) + min(1, g)/log2 3), 1 at g = 1 and
    # less for 2 or 3; lowest at g = 3: (1 + 3/log2 3)/(3 + 1/log2 3)
    run = run_of({"q": ["a", "b"]})
    second = 1 / np.log2(3)
    low, high = found("nDCG@10", run, [("q", "a", 1)], (), pool_of([("q", "b")]), [0, 1, 2, 3])["q"]
    assert high == 1
    assert low == pytest.approx((1 + 3 * second) / (3 + second))


def test_a_measure_without_an_exact_range_says_so() -> None:
    run = run_of({"q": ["a", "b"]})
    for name in ("bpref", "Rprec", "IPrec@0.1", "ERR"):
        with pytest.raises(InputError, match="no range over unjudged documents"):
            found(name, run, [("q", "a", 1)], (), pool_of([("q", "b")]), [0, 1, 2, 3])


def test_judged_and_retrieved_are_not_moved_by_grades() -> None:
    run = run_of({"q": ["a", "b"]})
    assert found("Judged@2", run, [("q", "a", 1)], (), pool_of([("q", "b")]), [0, 1])["q"] == (0.5, 0.5)
    assert found("NumRet", run, [("q", "a", 1)], (), pool_of([("q", "b")]), [0, 1])["q"] == (2, 2)


def test_without_holes_lowest_and_highest_are_the_value() -> None:
    rng = np.random.default_rng(3)
    run, rows, _, _ = case(rng, [0, 1, 2])
    graded = {(q, d) for q, d, *_ in rows}
    rows += [(q, d, 0) for q, d in run.frame.select("query_id", "doc_id").iter_rows() if (q, d) not in graded]
    judged = Judged(qrels_of(rows))
    for name in MEASURES:
        value = parse_measure(name).of(Ranked(run, judged))
        ours = found(name, run, rows, (), pool_of([]), [0, 1, 2, 3])
        assert [span[0] for span in ours.values()] == pytest.approx(list(value), abs=1e-12)
        assert [span[1] for span in ours.values()] == pytest.approx(list(value), abs=1e-12)
