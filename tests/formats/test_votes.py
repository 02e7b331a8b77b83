"""Several labels of a pair as one, by hand and beside the judge `Panel`, which votes pair by pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from judges.talking import Told, answer_each, pairs
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.formats.votes import RULES, read_labels, voted
from qrelkit.judges.panel import Panel


def votes(*grades: int | None) -> pl.DataFrame:
    return pl.DataFrame({"query_id": "q", "doc_id": "d", "grade": list(grades)}, schema_overrides={"grade": pl.Int32})


@pytest.mark.parametrize(
    ("given", "majority", "median", "mean"),
    [
        ((3, 3, 0), 3, 3, 2),  # mean 2
        ((0, 3), 0, 0, 1),  # a tie goes down; of two the lower; 1.5 goes down
        ((0, 1, 3, 3), 3, 1, 2),  # 1.75 is nearest to 2
        ((None, 2, None), 2, 2, 2),
    ],
)
def test_the_rules(given: tuple[int | None, ...], majority: int, median: int, mean: int) -> None:
    assert [voted(votes(*given), "panel", rule).grades for rule in RULES] == [[majority], [median], [mean]]


def test_shares_of_the_votes_are_the_probabilities() -> None:
    row = voted(votes(0, 2, 2, None, 0, 2), "panel").frame.row(0, named=True)
    assert (row["p0"], row["p2"], row["expected"], row["grade"]) == (0.4, 0.6, 1.2, 2)  # the one without a grade has no vote
    none = voted(pl.concat([votes(None, None), votes(1).with_columns(doc_id=pl.lit("e"))]), "panel").frame
    assert none.select("grade", "outcome", "p1").rows() == [(None, "failed", None), (1, "graded", 1.0)]


@pytest.mark.parametrize("rule", RULES)
def test_it_votes_as_the_panel_does(rule: str) -> None:
    rng = np.random.default_rng(1)
    given = rng.integers(-1, 3, size=(5, 60))
    asked = pairs(60)
    said = [{p.document.doc_id: int(g) if g >= 0 else (None, "failed") for p, g in zip(asked, row, strict=True)} for row in given]
    judge = Panel([Told(f"m{i}", one, rounds=0) for i, one in enumerate(said)], rule=rule, quorum=0)
    _, judged = answer_each(judge.flow(asked), lambda request: "")
    rows = [
        (p.query.query_id, p.document.doc_id, int(g) if g >= 0 else None)
        for row in given
        for p, g in zip(asked, row, strict=True)
    ]
    found = voted(pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row"), "panel", rule)
    assert found.frame["grade"].to_list() == [one.grade for one in judged]
    shares = found.frame.select("p0", "p1", "p2").rows()
    assert [one.probabilities for one in judged if one.grade is not None] == [
        pytest.approx(s) for s in shares if s[0] is not None
    ]


def test_a_file_is_read_as_votes_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "messy.txt"
    path.write_text("q 0 d 0\nq 0 d 2\nq 0 e 1\nq 0 d 2\n", encoding="utf-8")
    found = read_labels(str(path), "votes")
    assert (found.name, found.frame.select("doc_id", "grade", "p2").rows()) == ("messy", [("d", 2, 2 / 3), ("e", 1, 0.0)])
    with pytest.raises(InputError, match="several different grades"):
        read_labels(str(path))
    assert read_labels(str(path), "max", name="best").frame["grade"].to_list() == [2, 1]
    with pytest.raises(UnknownName, match="votes"):
        read_labels(str(path), "vote")
    with pytest.raises(UnknownName, match="majority"):
        voted(votes(1), "panel", "majorety")


def test_a_file_that_lists_each_pair_once_has_no_votes(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("query_id,doc_id,grade,p0,p1\nq,d,1,0.3,0.7\n", encoding="utf-8")
    assert read_labels(str(tmp_path / "l.csv"), "votes").frame["p1"].to_list() == [0.7]
    (tmp_path / "l.txt").write_text("q 0 d 1\n", encoding="utf-8")
    assert "p1" not in read_labels(str(tmp_path / "l.txt"), "votes").frame.columns
    (tmp_path / "m.csv").write_text("query_id,doc_id,stars\nq,d,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"m\.csv: has no column grade"):
        read_labels(str(tmp_path / "m.csv"), "votes")
