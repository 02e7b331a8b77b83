"""Exact search among vectors, against sorting all scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.run import Run
from qrelkit.retrievers.dense import search_vectors, unit
from qrelkit.retrievers.dense_search import Matrix, best, places, single


def sorted_by_all(scores: np.ndarray, ids: list[str], depth: int) -> list[str]:
    """Score descending as float32, then id descending."""
    return [ids[i] for i in sorted(range(len(ids)), key=lambda i: (np.float32(scores[i]), ids[i]), reverse=True)[:depth]]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    ("documents", "queries", "depth"), [(1, 1, 5), (50, 3, 50), (300, 5, 7), (9000, 4, 100), (20_000, 40, 10)]
)
def test_it_is_the_order_of_all_scores_with_many_ties(documents: int, queries: int, depth: int, dtype: str) -> None:
    """Whole numbers, so that sums are exact and ties are many, also at the cut."""
    rng = np.random.default_rng(documents)
    rows = rng.integers(-2, 3, (documents, 8)).astype(dtype)
    asked = rng.integers(-2, 3, (queries, 8)).astype(np.float32)
    ids = [f"d{i}" for i in rng.permutation(documents)]
    found = search_vectors([f"q{i}" for i in range(queries)], asked, ids, rows, depth, similarity="dot")
    scores = asked @ rows.astype(np.float32).T
    for i in range(queries):
        mine = found.frame.filter(pl.col("query_id") == f"q{i}")
        assert mine["doc_id"].to_list() == sorted_by_all(scores[i], ids, depth)
        assert mine["score"].to_list() == sorted(scores[i].tolist(), reverse=True)[:depth]


def test_all_alike_is_the_largest_ids_whatever_their_place() -> None:
    ids = [f"{i:05d}" for i in np.random.default_rng(0).permutation(30_000)]
    found = search_vectors(["q"], np.ones((1, 4), np.float32), ids, np.zeros((30_000, 4), np.float16), 3)
    assert found.frame["doc_id"].to_list() == ["29999", "29998", "29997"]
    assert found.frame["score"].to_list() == [0.0] * 3  # a vector of zeros has cosine 0 with all


def test_scores_that_rise_with_every_document_are_found() -> None:
    """Every block has only better documents than all before: the list of candidates overflows each time."""
    rows = np.linspace(0, 1, 40_000, dtype=np.float32)[:, None]
    found = search_vectors(["q"], np.ones((1, 1), np.float32), [str(i) for i in range(40_000)], rows, 5, similarity="dot")
    assert found.frame["doc_id"].to_list() == ["39999", "39998", "39997", "39996", "39995"]


def test_the_cosine_is_that_of_what_is_kept() -> None:
    rng = np.random.default_rng(1)
    rows, asked = rng.standard_normal((500, 24)).astype(np.float16) * 7, rng.standard_normal((6, 24)).astype(np.float32) * 3
    found = search_vectors(list("abcdef"), asked, [str(i) for i in range(500)], rows, 500, similarity="cos")
    exact = rows.astype(np.float64)
    wanted = asked @ exact.T / np.linalg.norm(exact, axis=1) / np.linalg.norm(asked, axis=1)[:, None]
    frame = found.frame.filter(pl.col("query_id") == "c")
    assert frame["score"].to_numpy() == pytest.approx(wanted[2][frame["doc_id"].cast(pl.Int64).to_numpy()], abs=1e-6)


def test_memory_changes_no_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = np.memmap(tmp_path / "v.bin", "float16", "w+", shape=(20_000, 16))
    rows[:] = rng.standard_normal((20_000, 16))
    asked, ids = rng.standard_normal((1500, 16)).astype(np.float32), [str(i) for i in range(20_000)]
    runs = [search_vectors([str(i) for i in range(1500)], asked, ids, rows, 20, memory_mb=mb) for mb in (3, 30, 2000)]
    for run in runs[1:]:
        assert run.frame["doc_id"].equals(runs[0].frame["doc_id"])
        assert run.frame["score"].to_numpy() == pytest.approx(runs[0].frame["score"].to_numpy(), abs=1e-6)
    with pytest.raises(InputError, match="1 MB are too little to search 20,000 documents; give 2 or more"):
        search_vectors(["q"] * 16, asked[:16], ids, rows, 20, memory_mb=1)


def test_every_float16_is_itself_as_float32() -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)][:, None]  # zeros of both signs and subnormal ones too
    out = np.empty(halves.shape, np.float32)
    single(halves, out)
    assert np.array_equal(out.view(np.uint32), halves.astype(np.float32).view(np.uint32))


def test_places_are_those_of_the_ids_as_bytes() -> None:
    ids = pl.Series(["b", "a", "é", "B", "10", "9"])
    assert places(ids).tolist() == [sorted(ids.to_list(), key=str.encode).index(x) for x in ids]


def test_a_unit_vector_of_zeros_stays() -> None:
    assert unit(np.array([[3, 4], [0, 0]], np.float32)).tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))


def test_what_does_not_fit_together_is_said() -> None:
    rows, ids = np.ones((2, 3), np.float32), ["a", "b"]
    query: Any = np.ones((1, 3), np.float32)
    with pytest.raises(Mismatch, match="1 query id for 2 vectors"):
        search_vectors(["q"], rows, ids, rows, 1)
    with pytest.raises(Mismatch, match="have 2 dimensions, the documents' 3"):
        search_vectors(["q"], np.ones((1, 2), np.float32), ids, rows, 1)
    with pytest.raises(InputError, match="depth must be at least 1"):
        search_vectors(["q"], query, ids, rows, 0)
    with pytest.raises(InputError, match="query 'q' is not a number"):
        search_vectors(["q"], query * np.nan, ids, rows, 1)
    for wrong in (np.nan, np.inf):
        broken = np.array([[1, 1, 1], [1, wrong, 1]], np.float16)
        with pytest.raises(InputError, match="document 'b' is not a number"):
            search_vectors(["q"], query, ids, broken, 1, similarity="dot")
    with pytest.raises(InputError, match="vectors are one a row"):
        search_vectors(["q"], query[0], ids, rows, 1)
    with pytest.raises(InputError, match="no vector of a document"):
        search_vectors(["q"], query, [], rows[:0], 1)
    with pytest.raises(UnknownName, match="similarity"):
        search_vectors(["q"], query, ids, rows, 1, similarity="l2")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="float16 or float32"):
        best(query, Matrix(rows=np.ones((2, 3)), place=places(pl.Series(ids))), 1)


def test_no_query_is_an_empty_run() -> None:
    found = search_vectors([], np.zeros((0, 3), np.float32), ["a"], np.ones((1, 3), np.float32), 5)
    assert isinstance(found, Run)
    assert len(found) == 0
