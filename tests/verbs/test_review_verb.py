"""review: a blind sheet out to a spreadsheet, a person's grades back in, row by row."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.calling import call
from servers.chat import ChatServer
from verbs.tiny import PAIRS, TRUTH, served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
Row = dict[str, str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def grade_of(row: Row) -> str:
    return next(name for name in row if name.startswith("grade"))


def fill(path: Path, grade: Callable[[Row], object], *, delimiter: str = ",", encoding: str = "utf-8") -> None:
    """Types grades into a sheet and saves it as a spreadsheet would."""
    rows = read(path)
    for row in rows:
        row[grade_of(row)] = str(grade(row))
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def truth(row: Row) -> int:
    return TRUTH[row["query_id"]].get(row["doc_id"], 0)


def test_the_sheet_is_blind_and_seeded_and_has_pictures(shop: Path, capsys: Capture) -> None:
    assert call(capsys, "review", "--to", "sheet.csv").code == 0
    rows = read(shop / "sheet.csv")
    assert len(rows) == PAIRS
    assert list(rows[0]) == [
        "query_id", "doc_id", "query", "document", "images",
        "grade: 0 irrelevant / 1 acceptable_substitute / 2 highly_relevant / cannot_judge", "note",
    ]  # fmt: skip
    text = (shop / "sheet.csv").read_text(encoding="utf-8-sig")
    assert not any(word in text for word in ("words", "sight", "lexical", "rank", "score"))
    assert all((shop / row["images"]).read_bytes()[:4] == b"\x89PNG" for row in rows)
    call(capsys, "review", "--to", "again.csv")
    order = [(row["query_id"], row["doc_id"]) for row in rows]
    assert [(row["query_id"], row["doc_id"]) for row in read(shop / "again.csv")] == order
    call(capsys, "review", "--to", "other.csv", "--seed", 1)
    assert [(row["query_id"], row["doc_id"]) for row in read(shop / "other.csv")] != order
    call(capsys, "review", "--to", "few.csv", "-n", 4)
    assert len(read(shop / "few.csv")) == 4


def test_a_sheet_that_is_there_is_not_overwritten(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", truth)
    before = (shop / "sheet.csv").read_bytes()
    found = call(capsys, "review", "--to", "sheet.csv")
    assert found.code == 1
    assert "exists already" in found.error
    assert (shop / "sheet.csv").read_bytes() == before


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-8")])
def test_what_a_person_typed_comes_back(shop: Path, capsys: Capture, delimiter: str, encoding: str) -> None:
    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", truth, delimiter=delimiter, encoding=encoding)
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json")
    assert (found.code, found.json["added"], found.json["problems"]) == (0, PAIRS, [])
    again = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json").json
    assert (again["added"], again["known"]) == (0, PAIRS)


def test_labels_may_be_typed_too(shop: Path, capsys: Capture) -> None:
    words = ["irrelevant", "Acceptable substitute", "highly_relevant"]
    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", lambda row: words[truth(row)])
    call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
    (row,) = call(capsys, "show", "judgment", "q1", "p03", "--json").json
    assert (row["assessor"], row["grade"], row["outcome"]) == ("ann", 1, "graded")


def test_a_half_filled_sheet_can_be_read_and_filled_on(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", lambda row: truth(row) if row["query_id"] == "q1" else "")
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json").json
    assert (found["added"], found["blank"]) == (5, 10)
    fill(shop / "sheet.csv", truth)
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json").json
    assert (found["added"], found["known"], found["blank"]) == (10, 5, 0)


def test_every_row_that_cannot_be_read_is_named_and_the_others_are_kept(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv")
    wrong = {2: "7", 3: "maybe", 4: "1.5", 5: "cannot_judge"}
    line = iter(range(2, 99))
    fill(shop / "sheet.csv", lambda row: wrong.get(next(line), truth(row)))
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json")
    assert found.code == 1
    assert [p.partition(": ")[0] for p in found.json["problems"]] == ["sheet.csv:2", "sheet.csv:3", "sheet.csv:4"]
    assert "7 is not on the scale 0, 1, 2" in found.json["problems"][0]
    assert found.json["added"] == PAIRS - 3
    assert "sheet.csv:3" in found.err


def test_ids_that_were_edited_are_named(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", truth)
    text = (shop / "sheet.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    text[1] = text[1].replace(",p", ",x", 1)
    text += [text[2], text[3].replace(",p", ",p", 1)]
    (shop / "sheet.csv").write_text("".join(text), encoding="utf-8")
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json")
    assert found.code == 1
    (problem,) = found.json["problems"]
    assert problem.startswith("sheet.csv:2: unknown document of shop 'x")
    assert found.json["added"] == PAIRS - 1  # the rows that stand there twice with one grade count once


def test_one_pair_graded_twice_differently_is_named(shop: Path, capsys: Capture) -> None:
    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", lambda row: 2)
    lines = (shop / "sheet.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    changed = ",0,".join(lines[1].rsplit(",2,", 1))
    (shop / "sheet.csv").write_text("".join([*lines, changed]), encoding="utf-8")
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
    assert found.code == 1
    assert f"sheet.csv:{PAIRS + 2}: " in found.err
    assert "graded twice" in found.err


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty"),
        (b"query_id,doc_id\nq1,p01\n", "no column 'grade'"),
        (b"query,doc_id,grade\nred,p01,1\n", "no column 'query_id'"),
        ("query_id,doc_id,grade\nq1,p01,sch\xf6n\n".encode("latin-1"), "UTF-8"),
        (b"PK\x03\x04\x14\x00", "sheet.csv"),
    ],
)
def test_a_file_that_is_no_sheet(shop: Path, capsys: Capture, data: bytes, complaint: str) -> None:
    (shop / "sheet.csv").write_bytes(data)
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
    assert found.code == 1
    assert complaint in found.error


def test_a_correction_names_the_row_it_replaces(shop: Path, capsys: Capture) -> None:
    import qrelkit as qk

    call(capsys, "review", "--to", "sheet.csv")
    fill(shop / "sheet.csv", truth)
    call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
    fill(shop / "sheet.csv", lambda row: 2 if row["doc_id"] == "p09" else truth(row))
    found = call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann", "--json").json
    assert (found["added"], found["corrected"]) == (0, 1)  # p09 was 2 for q3 already, and becomes 2 for q1
    with qk.Project.open() as project:
        rows = project.store.judgments().rows(named=True)
        mine = [row for row in rows if (row["query_id"], row["doc_id"]) == ("q1", "p09")]
        assert [row["grade"] for row in mine] == [0, 2]
        assert mine[1]["replaces"] == mine[0]["id"]
        assert project.human()["ann"].frame.filter(query_id="q1", doc_id="p09")["grade"].to_list() == [2]


def test_people_of_the_sheet_count_as_people(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        (shop / "shop" / "qrels.txt").unlink()
        write_config(shop, **served(server.url))
        call(capsys, "judge")
        assert "bring them with review" in call(capsys, "agree").error
        call(capsys, "review", "--to", "sheet.csv")
        fill(shop / "sheet.csv", truth)
        call(capsys, "review", "--from", "sheet.csv", "--assessor", "ann")
        found = call(capsys, "agree", "--json").json
    assert (found["human"], found["n"], found["exact"]["value"]) == ("ann", PAIRS, 1)


def test_two_people_are_two_assessors(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        (shop / "shop" / "qrels.txt").unlink()
        write_config(shop, **served(server.url))
        call(capsys, "judge")
        call(capsys, "review", "--to", "sheet.csv")
        for name, grade in (("ann", truth), ("bob", lambda row: 2)):
            fill(shop / "sheet.csv", grade)
            call(capsys, "review", "--from", "sheet.csv", "--assessor", name)
        found = call(capsys, "agree", "--json").json
    assert set(found["against"]) == {"ann", "bob", "majority"}
    assert found["either"]["value"] == 1


@pytest.mark.parametrize("argv", ["review", "review --from sheet.csv", "review --to a.csv --from b.csv --assessor ann"])
def test_what_it_needs(shop: Path, capsys: Capture, argv: str) -> None:
    found = call(capsys, *argv.split())
    assert found.code == 1
    assert "--to SHEET.csv, or --from SHEET.csv --assessor NAME" in found.error


def test_cells_are_no_formulas(shop: Path, capsys: Capture) -> None:
    corpus = shop / "shop" / "corpus.jsonl"
    corpus.write_text(corpus.read_text(encoding="utf-8").replace("Blue dress", "=HYPERLINK(1)"), encoding="utf-8")
    call(capsys, "review", "--to", "sheet.csv")
    assert not any(row["document"].startswith(("=", "+", "-", "@")) for row in read(shop / "sheet.csv"))
