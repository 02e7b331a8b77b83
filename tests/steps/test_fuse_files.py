from __future__ import annotations

import json
from pathlib import Path

import pytest

from qrelkit.core.errors import InputError
from qrelkit.formats.sidecars import sha256_of
from qrelkit.steps.fuse import fuse_to
from verbs.tiny import write_run


def two(folder: Path) -> list[Path]:
    write_run(folder / "a.trec", "a", {"q1": "x y z", "q2": "x"})
    write_run(folder / "b.trec", "b", {"q1": "y w"})
    return [folder / "a.trec", folder / "b.trec"]


def test_a_fused_run_says_what_it_was_made_of_and_is_made_once(tmp_path: Path) -> None:
    files = two(tmp_path)
    out = tmp_path / "fused.trec"
    made = fuse_to(out, files, "sum", weights=[1, 2])
    said = json.loads((tmp_path / "fused.trec.json").read_text(encoding="utf-8"))
    assert [one["sha256"] for one in said["made_of"]] == [sha256_of(file) for file in files]
    assert said["retriever"] == {
        "name": "fuse", "rule": "sum", "weights": [1, 2], "normalise": "minmax", "missing": "lowest",
    }  # fmt: skip
    assert said["notes"]["only_in_some"] == ["q2"]
    assert not made.known
    assert fuse_to(out, files, "sum", weights=[1, 2]).known
    assert not fuse_to(out, files, "sum", weights=[2, 2]).known
    assert not fuse_to(out, files, "sum", weights=[2, 2], again=True).known


def test_another_content_of_a_run_makes_another_fusion(tmp_path: Path) -> None:
    files = two(tmp_path)
    out = tmp_path / "fused.trec"
    fuse_to(out, files)
    write_run(tmp_path / "b.trec", "b", {"q1": "w y"})
    made = fuse_to(out, files)
    assert not made.known
    assert made.said["made_of"][1]["sha256"] == sha256_of(files[1])


def test_a_run_made_of_a_fused_run_names_its_digest(tmp_path: Path) -> None:
    files = two(tmp_path)
    first = fuse_to(tmp_path / "fused.trec", files)
    second = fuse_to(tmp_path / "again.trec", [tmp_path / "fused.trec", files[0]])
    assert second.said["made_of"][0]["digest"] == first.said["digest"]


def test_a_run_is_not_written_over_one_that_it_is_made_of(tmp_path: Path) -> None:
    files = two(tmp_path)
    before = files[0].read_bytes()
    with pytest.raises(InputError, match=r"a\.trec: is itself one of the runs that go in"):
        fuse_to(files[0], files)
    assert files[0].read_bytes() == before


def test_tags_that_clash_become_file_names(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", "mine", {"q1": "x"})
    write_run(tmp_path / "b.trec", "mine", {"q1": "y"})
    made = fuse_to(tmp_path / "out.trec", [tmp_path / "a.trec", tmp_path / "b.trec"], tag="both")
    assert [one["tag"] for one in made.said["made_of"]] == ["a", "b"]
    assert made.run.tag == "both"
