"""Benchmarks in folders and in snapshots of the hub: what is read, what is refused, what is left out and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.smmile.small_benchmark import pixel, three
from qrelkit.bench.smmile.demo import drawn
from qrelkit.bench.smmile.folder import read_folder, write_folder
from qrelkit.bench.smmile.hub import from_hub, read_snapshot
from qrelkit.bench.smmile.manifest import revised
from qrelkit.bench.smmile.problems import Problems
from qrelkit.core.cache import cache_folder
from qrelkit.core.errors import InputError, UnknownName


def write(folder: Path, lines: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "problems.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8", newline="\n")
    for number in range(4):
        (folder / f"{number}.png").write_bytes(pixel(number).read())
    return folder


def line(order: int, **more: Any) -> dict[str, Any]:
    return {"problem_id": "p", "order": order, "question": "which?", "answer": f"a{order}", "image": f"{order}.png", **more}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_folder(three(), tmp_path / "out")
    again = read_folder(tmp_path / "out")
    assert (again.name, again.revision, again.digest) == ("three", "r1", three().digest)
    assert [t.image.read() for t in again.problems[0].triplets if t.image] == [pixel(i).read() for i in range(3)]
    assert again.problems[1].query.tags == {"speciality": "x"}


def test_writing_twice_is_free_and_another_content_is_refused(tmp_path: Path) -> None:
    write_folder(three(), tmp_path / "out")
    write_folder(three(), tmp_path / "out")
    with pytest.raises(InputError, match="holds something else"):
        write_folder(drawn(), tmp_path / "out")


def test_an_edited_folder_has_another_revision(tmp_path: Path) -> None:
    write_folder(three(), tmp_path / "out")
    path = tmp_path / "out" / "problems.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("cat", "cow"), encoding="utf-8", newline="\n")
    edited = read_folder(tmp_path / "out")
    assert edited.revision == edited.digest[:12]
    assert edited.notes["changed_since"] == three().digest


def test_the_highest_order_is_the_query_and_blanks_stay(tmp_path: Path) -> None:
    found = read_folder(write(tmp_path / "b", [line(3, answer="gold "), line(1), line(2)]))
    assert [t.answer for t in found.problems[0].triplets] == ["a1", "a2", "gold "]
    assert (found.name, found.revision) == ("b", found.digest[:12])


def test_a_problem_without_an_image_is_left_out_and_listed(tmp_path: Path) -> None:
    found = read_folder(write(tmp_path / "b", [line(1), line(2), line(1, problem_id="q", image=None), line(2, problem_id="q")]))
    assert [p.problem_id for p in found.problems] == ["p"]
    assert found.notes["without_image"] == ["q"]


def test_a_benchmark_without_any_image_is_text_only(tmp_path: Path) -> None:
    assert read_folder(write(tmp_path / "b", [line(1, image=None), line(2, image="")])).text_only


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (line(1), r"problems.jsonl:2: problem 'p' has order 1 already at .*:1"),
        (line(2, answer=7), r"problems.jsonl:2: `answer` must be a text, found 7"),
        ({**line(2), "order": "2"}, r"problems.jsonl:2: `order` must be a whole number"),
        (line(2, image="none.png"), r"problems.jsonl:2: image 'none.png' cannot be read"),
        (line(2, image="https://x.org/a.png"), r"problems.jsonl:2: image .* is an address"),
        (line(2, image="../a.png"), r"problems.jsonl:2: image .* leads out of the folder"),
        (line(2, image="problems.jsonl"), r"problems.jsonl:2: image 'problems.jsonl': not an image"),
        (line(2, speciality=["x"]), r"problems.jsonl:2: the tag `speciality` must be a text"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(second: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read_folder(write(tmp_path / "b", [line(1), second]))


def test_an_image_that_changes_in_use_is_an_error(tmp_path: Path) -> None:
    found = read_folder(write(tmp_path / "b", [line(1), line(2)]))
    (tmp_path / "b" / "2.png").write_bytes(pixel(9).read())
    image = found.problems[0].query.image
    assert image is not None
    with pytest.raises(InputError, match="has changed"):
        image.read()


def test_a_snapshot_of_the_hub_is_read_with_its_revision(tmp_path: Path) -> None:
    """The row schema of the datasets on the hub: images as bytes with a path, null where there is none; flags as tags."""
    rows = [
        {
            "problem_id": f"u_perm_{k}", "order": order, "question": "?", "answer": "x ", "parquet_path": "p", "image_url": "u",
            "image": None if k == 3 and order == 1 else {"bytes": pixel(order).read(), "path": "a.png"},
            "speciality": "surgery", "flag_rarity": None, "flag_difficulty_llms": "hard", "flag_image_type": "CT",
            "original_order": order, "original_problem_id": "u", "permutation_number": k,
        }
        for k in (1, 2, 3) for order in (1, 2)
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    pl.DataFrame(rows).write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", row_group_size=2)
    found = read_snapshot(tmp_path, name="SMMILE++", revision="abc123")
    assert (found.revision, found.notes["without_image"]) == ("abc123", ["u_perm_3"])
    first = found.problems[0]
    assert (first.problem_id, first.base_id, first.changes) == ("u_perm_1", "u", {"permutation": 1})
    assert first.query.tags == {"speciality": "surgery", "difficulty": "hard", "image_type": "CT"}
    assert first.query.answer == "x "
    assert first.query.image is found.problems[1].query.image  # equal bytes are kept once


def test_a_commit_that_was_had_once_needs_no_network(own_cache: None) -> None:
    """The cache holds it as a folder benchmark, whose manifest names the commit."""
    kept = revised(Problems(name="SMMILE", revision="", problems=three().problems), "abc123")
    write_folder(kept, cache_folder("smmile") / "smmile--SMMILE@abc123")
    found = from_hub("SMMILE", "abc123")
    assert (found.name, found.revision, found.digest) == ("SMMILE", "abc123", three().digest)
    with pytest.raises(UnknownName, match="did you mean 'SMMILE"):
        from_hub("SMILE")


def test_the_drawn_benchmark_is_the_same_everywhere() -> None:
    """Its digest covers every text and every byte of every picture."""
    assert drawn().digest == "f50e4045ad4052cb2d2e2697912af57b"
    assert drawn(1).digest != drawn().digest
    assert all(p.has_both for p in drawn().problems if p.problem_id in ("d02", "d03", "d04"))
