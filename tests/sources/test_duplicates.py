"""Documents given more than once: refused, or the last one counts; and how often each was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.steps.load import load

ROWS: list[dict[str, Any]] = [
    {"id": "b", "text": "one"},
    {"id": "a", "text": "two"},
    {"id": "b", "text": "three"},
    {"id": "c", "text": "four"},
    {"id": "b", "text": "three"},
]


def folder(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.mkdir()
    (path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_other_content_is_refused_unless_the_last_counts(tmp_path: Path) -> None:
    where = folder(tmp_path / "c")
    with pytest.raises(InputError, match=r"corpus.jsonl:3: document 'b' is given again with other content"):
        load(where)
    found = load(where, duplicates="last")
    assert found.doc_ids.to_list() == ["b", "a", "c"]  # in the place of the first, as in a dictionary
    assert [text for _, texts in found.texts() for text in texts] == ["three", "two", "four"]
    assert found.document("b").text == "three"
    assert found.notes == {"duplicate_documents": 2, "changed_duplicates": 1}
    assert found.occurrences is not None
    assert found.occurrences.tolist() == [3, 1, 1]
    with pytest.raises(InputError, match="given again"):  # a collection under one rule is none under the other
        load(where)


def test_fingerprints_do_not_know_the_rule(tmp_path: Path) -> None:
    same = [ROWS[0], ROWS[1], ROWS[0]]
    where = folder(tmp_path / "c", same)
    assert load(where).fingerprint == load(where, duplicates="last").fingerprint
    assert load(where).occurrences.tolist() == [2, 1]  # type: ignore[union-attr]
    clean = folder(tmp_path / "d", [{"id": "b", "text": "three"}, ROWS[1], ROWS[3]])
    assert load(folder(tmp_path / "e"), duplicates="last").fingerprint == load(clean).fingerprint
    assert load(clean).occurrences is None


def test_images_are_those_of_the_last(tmp_path: Path) -> None:
    where = folder(tmp_path / "c", [{"id": "a", "text": "x", "image": "1.png"}, {"id": "a", "text": "x", "image": "2.png"}])
    for name in ("1.png", "2.png"):
        Image.new("L", (int(name[0]), 1)).save(where / name)
    found = load(where, duplicates="last")
    assert found.images()["name"].to_list() == found.images(found.doc_ids)["name"].to_list()
    assert [image.read() for image in found.document("a").images] == [(where / "2.png").read_bytes()]
    assert found.image_count == 1


def test_an_older_index_that_did_not_count_is_made_anew(tmp_path: Path) -> None:
    where = folder(tmp_path / "c", [ROWS[0], ROWS[1], ROWS[0]])
    index = load(where).folder
    manifest = json.loads((index / "manifest.json").read_text(encoding="utf-8"))
    (index / "occurrences.npy").unlink()
    del manifest["files"]["occurrences.npy"]
    (index / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert load(where).occurrences.tolist() == [2, 1]  # type: ignore[union-attr]
    assert not index.exists()


def test_many_shuffled_rows_have_the_content_of_a_dictionary(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [{"id": f"d{i}", "text": f"text {n}"} for n, i in enumerate(rng.integers(0, 200, 1000).tolist())]
    found = load(folder(tmp_path / "c", rows), duplicates="last")
    expected = {row["id"]: row["text"] for row in rows}
    assert found.doc_ids.to_list() == list(expected)
    assert [d.text for d in found.documents(list(expected))] == list(expected.values())
    counts = [sum(row["id"] == doc_id for row in rows) for doc_id in expected]
    assert found.occurrences.tolist() == counts  # type: ignore[union-attr]


def test_the_rule_is_for_folders_and_tables(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'last'"):
        load(folder(tmp_path / "c"), duplicates="lost")
    with pytest.raises(InputError, match="folders with a corpus"):
        load("irds:vaswani", duplicates="last")
    table = tmp_path / "t.csv"
    table.write_text("id,text\n1,a\n1,b\n", encoding="utf-8")
    assert load(documents=table, columns={"doc_id": "id"}, duplicates="last").document("1").text == "b"
