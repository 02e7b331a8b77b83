"""Human grades that are a sample: the probabilities beside them, and what is wrong with a file, by line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import InputError, Mismatch
from qrelkit.core.qrels import Qrels
from qrelkit.formats.samples import probabilities_path, read_sample, write_probabilities, write_sample

GRADES = "q1 0 007 2\nq1 0 8 0\n"
DRAWN = "q1\t007\t0.25\t1\nq1\t8\t0.5\t2\n"


def sample(folder: Path, drawn: str | None, grades: str = GRADES) -> str:
    file = folder / "people.qrels"
    file.write_text(grades, encoding="utf-8")
    if drawn is not None:
        (folder / "people.prob.tsv").write_text(drawn, encoding="utf-8", newline="")
    return str(file)


def rows(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    return frame.select("query_id", "doc_id", "grade", "probability", "round").rows()


def test_the_probabilities_stand_beside_the_grades() -> None:
    assert probabilities_path("some/H.qrels") == Path("some/H.prob.tsv")
    assert probabilities_path("people.txt") == Path("people.prob.tsv")


def test_without_a_sidecar_they_are_plain_qrels(tmp_path: Path) -> None:
    assert "probability" not in read_sample(sample(tmp_path, None)).frame.columns


@pytest.mark.parametrize(
    "drawn",
    [
        DRAWN,
        "query_id\tdoc_id\tprobability\tround\n" + DRAWN,
        "query_id\tdoc_id\tprobability\tround\n" + DRAWN.replace("q1\t8", "query_id\tdoc_id\tprobability\tround\nq1\t8"),
        DRAWN.replace("\t", " "),
        "\ufeff" + DRAWN.replace("\n", "\r\n"),
        "\n".join(reversed(DRAWN.splitlines())) + "\n\n",
        DRAWN + "q9\tnobody-graded-it\t0.1\t1\n",
    ],
    ids=["bare", "heading", "a heading in each part", "blanks", "mark and CRLF", "another order", "more than was graded"],
)
def test_every_form_of_the_sidecar_says_the_same(drawn: str, tmp_path: Path) -> None:
    assert rows(read_sample(sample(tmp_path, drawn)).frame) == [("q1", "007", 2, 0.25, 1), ("q1", "8", 0, 0.5, 2)]


def test_without_a_round_it_is_the_first(tmp_path: Path) -> None:
    assert read_sample(sample(tmp_path, "q1\t007\t0.25\nq1\t8\t0.5\n")).frame["round"].to_list() == [1, 1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("q1\t8", "found 2 columns"),
        ("q1\t8\t0.5\t1\tmore", "found 5 columns"),
        ("q1\t8\thalf\t1", "'half 1' is no probability"),
        ("q1\t8\t0.5\tfirst", "'0.5 first' is no probability"),
        ("q1\t8\t0", "the probability 0 is not above 0"),
        ("q1\t8\t1.5", "the probability 1.5 is not above 0 and at most 1"),
        ("q1\t8\tnan", "the probability nan is not above 0"),
    ],
)
def test_a_wrong_line_is_named_with_its_file(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_sample(sample(tmp_path, f"q1\t007\t0.25\n\n{line}\n"))
    assert f"{tmp_path / 'people.prob.tsv'}:3: " in str(error.value)
    assert said in str(error.value)


def test_two_probabilities_of_one_pair_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="query 'q1', document '007' has two probabilities; keep one"):
        read_sample(sample(tmp_path, DRAWN + "q1\t007\t0.3\t2\n"))


def test_a_graded_pair_without_a_probability_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Mismatch) as error:
        read_sample(sample(tmp_path, "q1\t007\t0.25\t1\n"))
    assert "has no probability for 1 graded pairs" in str(error.value)
    assert "query 'q1', document '8'" in str(error.value)
    assert "1 where a pair was sure to be graded" in str(error.value)


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = sample(tmp_path, None)
    (tmp_path / "people.prob.tsv").write_bytes(b"\xff\xfe\x00q")
    with pytest.raises(InputError, match=r"people\.prob\.tsv: cannot be read as UTF-8"):
        read_sample(file)


def test_a_sample_is_written_with_its_probabilities(tmp_path: Path) -> None:
    before = read_sample(sample(tmp_path, DRAWN))
    write_sample(before, tmp_path / "again.qrels")
    assert rows(read_sample(str(tmp_path / "again.qrels")).frame) == rows(before.frame)
    with pytest.raises(InputError, match="has no column 'probability', so it is no sample"):
        write_sample(Qrels(before.frame.drop("probability"), "people"), tmp_path / "plain.qrels")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = sample(tmp_path, None)
    drawn = pl.DataFrame({"query_id": ["q1", "q1"], "doc_id": ["007", "8"], "probability": [1 / 3, 1.0], "round": [1, 2]})
    write_probabilities(drawn, probabilities_path(file))
    assert rows(read_sample(file).frame) == [("q1", "007", 2, 1 / 3, 1), ("q1", "8", 0, 1.0, 2)]
