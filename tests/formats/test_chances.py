"""Probabilities of grades in tables of labels: read in every form, checked, and turned into the expected grade."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import InputError
from qrelkit.formats.chances import chance_columns
from qrelkit.formats.files import read_any_qrels
from qrelkit.formats.tables import write_table

ROWS = [("q1", "d1", 2, 0.05, 0.15, 0.8), ("q1", "d2", 0, 0.4, 0.35, 0.25), ("q2", "d1", 1, None, None, None)]
FRAME = pl.DataFrame(ROWS, schema=["query_id", "doc_id", "grade", "p0", "p1", "p2"], orient="row")


@pytest.mark.parametrize("name", ["l.csv", "l.tsv", "l.tsv.gz", "l.jsonl", "l.parquet"])
def test_every_table_may_have_them(tmp_path: Path, name: str) -> None:
    write_table(FRAME, tmp_path / name)
    found = read_any_qrels(str(tmp_path / name)).frame
    assert found.select("query_id", "doc_id", "grade", "p0", "p1", "p2").rows() == ROWS
    # 0.15 + 2 · 0.8 = 1.75; 0.35 + 2 · 0.25 = 0.85; nothing is said of the third
    assert found["expected"].round(9).to_list() == [1.75, 0.85, None]


def test_a_tsv_without_them_is_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\n", encoding="utf-8")
    assert read_any_qrels(str(tmp_path / "q.tsv")).frame.columns == ["query_id", "doc_id", "grade", "outcome", "origin"]
    (tmp_path / "r.tsv.gz").write_bytes(gzip.compress(b"q1\t0\td1\t2\n"))
    assert read_any_qrels(str(tmp_path / "r.tsv.gz")).grades == [2]
    (tmp_path / "cut.tsv.gz").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(InputError, match="broken or cut short"):
        read_any_qrels(str(tmp_path / "cut.tsv.gz"))


def test_the_expected_grade_alone_will_do(tmp_path: Path) -> None:
    (tmp_path / "e.tsv").write_text("query_id\tdoc_id\tgrade\texpected\n7\td1\t2\t1.6\n7\td2\t0\t\n", encoding="utf-8")
    assert read_any_qrels(str(tmp_path / "e.tsv")).frame["expected"].to_list() == [1.6, None]
    (tmp_path / "e.csv").write_text("query_id,doc_id,grade,expected\n7,d1,2,much\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"e\.csv:2: expected is 'much', not a number"):
        read_any_qrels(str(tmp_path / "e.csv"))


def test_what_is_rounded_is_made_to_sum_to_one(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("query_id,doc_id,grade,p0,p1,p2\nq,d,0,0.333,0.333,0.333\n", encoding="utf-8")
    assert read_any_qrels(str(tmp_path / "l.csv")).frame.select("p0", "expected").row(0) == pytest.approx((1 / 3, 1.0))


@pytest.mark.parametrize("cells", ["0.5,0.4", "0.5,", "-0.1,1.1", "half,0.5", "2,-1", "nan,nan"])
def test_what_is_no_probability_is_refused_with_its_line(tmp_path: Path, cells: str) -> None:
    (tmp_path / "l.csv").write_text(f"query_id,doc_id,grade,p0,p1\nq,c,0,1,0\nq,d,0,{cells}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"l\.csv:3: .* are no probabilities of all grades"):
        read_any_qrels(str(tmp_path / "l.csv"))


def test_of_a_pair_listed_twice_those_of_the_grade_that_is_kept_are_kept(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("query_id,doc_id,grade,p0,p1\nq,d,0,0.9,0.1\nq,d,1,0.2,0.8\n", encoding="utf-8")
    assert read_any_qrels(str(tmp_path / "l.csv"), duplicates="last").frame.select("grade", "p1").rows() == [(1, 0.8)]


def test_columns_are_in_the_order_of_the_grades() -> None:
    assert chance_columns(["p10", "p2", "query_id", "page", "p-1", "p0"]) == ["p-1", "p0", "p2", "p10"]
