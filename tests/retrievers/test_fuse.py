"""Fusion against sums done by hand, and against the plain loops that the column operations replace."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.run import Run
from qrelkit.formats.trec import read_run
from qrelkit.retrievers.fuse import fuse

Scores = Mapping[str, Mapping[str, float]]


def run(tag: str, scores: Scores) -> Run:
    rows = [(query_id, doc_id, score) for query_id, docs in scores.items() for doc_id, score in docs.items()]
    return Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "score"], orient="row"), tag)


def told(fused: Run) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for query_id, doc_id, score in fused.frame.select("query_id", "doc_id", "score").iter_rows():
        out.setdefault(query_id, {})[doc_id] = score
    return out


A = run("a", {"q": {"x": 9.0, "y": 5.0, "z": 1.0}})
B = run("b", {"q": {"y": 0.8, "w": 0.4}})


def test_reciprocal_rank_fusion_by_hand() -> None:
    fused = fuse([A, B])
    # x: 1/61; y: 1/62 + 1/61; z: 1/63; w: 1/62
    assert told(fused)["q"] == pytest.approx({"y": 1 / 62 + 1 / 61, "x": 1 / 61, "w": 1 / 62, "z": 1 / 63})
    assert fused.frame["doc_id"].to_list() == ["y", "x", "w", "z"]
    assert fused.tag == "rrf"
    assert fused.notes["retriever"] == {"rule": "rrf", "weights": [1.0, 1.0], "k": 60.0}


def test_weights_and_k_by_hand() -> None:
    # k 0: x 2/1; y 2/2 + 3/1; z 2/3; w 3/2
    assert told(fuse([A, B], weights=[2, 3], k=0))["q"] == pytest.approx({"y": 4, "x": 2, "w": 1.5, "z": 2 / 3})


def test_sum_of_minmax_by_hand() -> None:
    # a: x 1, y .5, z 0; b: y 1, w 0; z and w tie at 0: by id from behind, z first
    fused = fuse([A, B], "sum")
    assert told(fused)["q"] == {"y": 1.5, "x": 1.0, "z": 0.0, "w": 0.0}
    assert fused.frame["doc_id"].to_list() == ["y", "x", "z", "w"]


def test_sum_of_shares_by_hand() -> None:
    # a less its lowest: 8, 4, 0 of 12; b: .4, 0 of .4
    assert told(fuse([A, B], "sum", normalise="sum"))["q"] == pytest.approx({"y": 4 / 12 + 1, "x": 8 / 12, "z": 0, "w": 0})


def test_sum_of_standard_scores_counts_what_is_missing_as_the_lowest_or_as_zero() -> None:
    # a: mean 5, sd √(32/3): x 4/sd, y 0, z −4/sd; b: mean .6, sd .2: y 1, w −1
    z = 4 / math.sqrt(32 / 3)
    lowest = told(fuse([A, B], "sum", normalise="zscore"))["q"]
    assert lowest == pytest.approx({"x": z - 1, "y": 1, "z": -z - 1, "w": -z - 1})
    zero = told(fuse([A, B], "sum", normalise="zscore", missing="zero"))["q"]
    assert zero == pytest.approx({"x": z, "y": 1, "z": -z, "w": -1})


def test_sum_of_raw_scores_counts_what_is_missing_as_the_runs_lowest() -> None:
    assert told(fuse([A, B], "sum", normalise="none"))["q"] == pytest.approx({"x": 9.4, "y": 5.8, "z": 1.4, "w": 1.4})
    assert told(fuse([A, B], "sum", normalise="none", missing="zero"))["q"] == {"x": 9, "y": 5.8, "z": 1, "w": 0.4}


def test_mnz_counts_how_many_runs_have_a_document() -> None:
    # y 2 · (.5 + 1); the others once what they have
    assert told(fuse([A, B], "mnz"))["q"] == {"y": 3.0, "x": 1.0, "z": 0.0, "w": 0.0}


def test_equal_scores_are_all_one_all_the_nth_part_or_all_zero() -> None:
    same = run("same", {"q": {"x": 7.0, "y": 7.0}})
    other = run("other", {"q": {"v": 2.0, "w": 1.0}})
    found = {how: told(fuse([same, other], "sum", normalise=how))["q"]["x"] for how in ("minmax", "sum", "zscore")}
    assert found == {"minmax": 1.0, "sum": 0.5, "zscore": -1.0}  # zscore: 0, and the lowest of the other run, −1


def test_queries_that_only_some_runs_have_are_kept_and_named() -> None:
    fused = fuse([run("a", {"1": {"x": 1.0}, "2": {"x": 1.0}}), run("b", {"2": {"y": 1.0}, "3": {"y": 1.0}})])
    assert fused.frame["query_id"].unique(maintain_order=True).to_list() == ["1", "2", "3"]
    assert fused.notes["only_in_some"] == ["1", "3"]


def test_depth_cuts_after_the_fusion() -> None:
    assert told(fuse([A, B], depth=2))["q"].keys() == {"y", "x"}


def plain(runs: Sequence[Scores], rule: str, weights: Sequence[float], normalise: str, missing: str) -> Scores:
    """The same in loops, every document of a query looked up in every run."""
    out: dict[str, dict[str, float]] = {}
    for query_id in {q for one in runs for q in one}:
        having = [(one[query_id], w) for one, w in zip(runs, weights, strict=True) if query_id in one]
        for doc_id in {d for docs, _ in having for d in docs}:
            parts = []
            for docs, weight in having:
                order = sorted(docs, key=lambda d: (docs[d], d), reverse=True)
                own = normal(docs, normalise)
                floor = min(own.values()) if normalise in ("zscore", "none") and missing == "lowest" else 0.0
                if rule == "rrf":
                    parts.append(weight / (60 + order.index(doc_id) + 1) if doc_id in docs else 0.0)
                else:
                    parts.append(weight * own.get(doc_id, floor if rule == "sum" else 0.0))
            times = sum(doc_id in docs for docs, _ in having) if rule == "mnz" else 1
            out.setdefault(query_id, {})[doc_id] = times * math.fsum(parts)
    return out


def normal(docs: Mapping[str, float], how: str) -> dict[str, float]:
    low, high, n = min(docs.values()), max(docs.values()), len(docs)
    if how == "minmax":
        return {d: (s - low) / (high - low) if high > low else 1.0 for d, s in docs.items()}
    if how == "sum":
        total = sum(s - low for s in docs.values())
        return {d: (s - low) / total if total else 1 / n for d, s in docs.items()}
    if how == "zscore":
        mean = sum(docs.values()) / n
        sd = math.sqrt(sum((s - mean) ** 2 for s in docs.values()) / n)
        return {d: (s - mean) / sd if sd else 0.0 for d, s in docs.items()}
    return dict(docs)


@pytest.mark.parametrize("rule", ["rrf", "sum", "mnz"])
@pytest.mark.parametrize("normalise", ["minmax", "sum", "zscore", "none"])
@pytest.mark.parametrize("missing", ["lowest", "zero"])
def test_column_work_gives_what_plain_loops_give(rule: Any, normalise: Any, missing: Any) -> None:
    draw = random.Random(7)
    scores = [
        {f"q{q}": {f"d{d}": draw.choice([draw.gauss(0, 3), 1.0]) for d in draw.sample(range(20), draw.randint(1, 12))}
         for q in draw.sample(range(6), 5)}
        for _ in range(3)
    ]  # fmt: skip
    weights = [1.0, 0.5, 2.0]
    fused = told(
        fuse([run(str(i), s) for i, s in enumerate(scores)], rule, weights=weights, normalise=normalise, missing=missing)
    )
    expected = plain(scores, rule, weights, normalise, missing)
    assert fused.keys() == expected.keys()
    for query_id, docs in expected.items():
        assert fused[query_id] == pytest.approx(docs, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": [1]}, "1 weight for 2 runs"),
        ({"weights": [1, -1]}, "from 0 up"),
        ({"weights": [0, 0]}, "not all are 0"),
        ({"k": -1}, "k is a number"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"rule": "sun"}, "did you mean 'sum'"),
        ({"rule": "sum", "normalise": "minmix"}, "did you mean 'minmax'"),
    ],
)
def test_what_cannot_be_fused_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fuse([A, B], **options)


def test_one_run_and_infinite_scores_are_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        fuse([A])
    endless = run("endless", {"q": {"x": math.inf, "y": 1.0}})
    with pytest.raises(InputError, match="'endless' has an infinite score"):
        fuse([A, endless], "sum")
    assert len(fuse([A, endless])) == 3
    with pytest.raises(UnknownName):
        fuse([A, B], "sum", missing="none")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["rrf", "sum", "mnz"])
def test_real_runs_are_fused_as_plain_loops_fuse_them(data: Path, rule: Any) -> None:
    paths = [data / "trec_dl19" / "runs" / f"{name}.gz" for name in ("bm25base_p", "p_bert", "runid3")]
    runs = [read_run(path).cut(50) for path in paths]
    fused = told(fuse(runs, rule, weights=[1, 2, 1]))
    expected = plain([told(one) for one in runs], rule, [1, 2, 1], "minmax", "lowest")
    assert fused.keys() == expected.keys()
    for query_id, docs in expected.items():
        assert fused[query_id] == pytest.approx(docs, abs=1e-12)
