"""The index behind a collection: ids, fingerprints and offsets."""

from __future__ import annotations

import gc
import json
import os
import weakref
from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.collection import Collection, LazyQrels
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.index import Blob, keys_of
from qrelkit.core.indexing import as_series
from qrelkit.core.qrels import Qrels
from qrelkit.steps.load import load


def many(folder: Path, rows: list[dict[str, object]]) -> Collection:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "topics.tsv").write_text("1\tone\n2\ttwo\n", encoding="utf-8")
    return load(folder, name="same")


def test_fingerprints_come_in_the_order_asked_for_and_once_per_mention(tmp_path: Path) -> None:
    found = many(tmp_path, [{"id": str(i), "text": f"t{i}"} for i in range(50)])
    asked = pl.Series("doc_id", ["7", "3", "7", "49", "0"])
    prints = found.fingerprints(asked)
    assert prints.to_list() == [found.document(i).fingerprint for i in asked]
    assert prints.str.len_bytes().unique().to_list() == [32]
    assert found.fingerprints(pl.Series("doc_id", [], dtype=pl.String)).to_list() == []
    with pytest.raises(UnknownName, match="unknown document of same '99'"):
        found.fingerprints(pl.Series(["1", "99"]))


def test_a_document_fingerprint_covers_all_an_assessor_may_see(tmp_path: Path) -> None:
    base = {"id": "1", "title": "a", "text": "b", "color": "red"}
    others = [base | {"title": "A"}, base | {"text": "B"}, base | {"color": "blue"}, base | {"size": 1}]
    prints = [many(tmp_path / str(i), [row]).document("1").fingerprint for i, row in enumerate([base, *others])]
    assert len(set(prints)) == 5
    same = [base | {"id": "2"}, dict(reversed(base.items())), base | {"size": None}]
    for i, row in enumerate(same):
        assert many(tmp_path / f"same{i}", [row]).fingerprints(pl.Series([row["id"]]))[0] == prints[0]


def test_the_fingerprint_of_a_collection_knows_contents_and_not_order(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": str(i), "text": f"t{i}"} for i in range(20)]
    one, other = many(tmp_path / "a", rows), many(tmp_path / "b", rows[::-1])
    assert one.fingerprint == other.fingerprint
    assert other.doc_ids.to_list() == [str(i) for i in range(19, -1, -1)]
    assert many(tmp_path / "c", rows[:-1]).fingerprint != one.fingerprint
    swapped = [{"id": str(i), "text": f"t{19 - i}"} for i in range(20)]
    assert many(tmp_path / "d", swapped).fingerprint != one.fingerprint


def test_documents_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    found = many(tmp_path, [{"id": f"id {i} ü", "text": f"t{i}"} for i in range(30)])
    wanted = [f"id {i} ü" for i in (29, 0, 7, 7)]
    assert [(d.doc_id, d.text) for d in found.documents(wanted)] == [(i, "t" + i.split()[1]) for i in wanted]
    assert found.contains(pl.Series([*wanted, "x", ""])).to_list() == [True] * 4 + [False] * 2
    assert found.contains(pl.Series([], dtype=pl.String)).to_list() == []


def test_texts_stream_in_batches(tmp_path: Path) -> None:
    found = many(tmp_path, [{"id": str(i), "title": "T", "text": str(i)} for i in range(5)])
    batches = list(found.texts(batch=2))
    assert [len(ids) for ids, _ in batches] == [2, 2, 1]
    assert [text for _, texts in batches for text in texts] == [f"T {i}" for i in range(5)]


def test_keys_of_ids_never_change() -> None:
    # blake2b with 16 bytes, by `python -c "import hashlib; print(hashlib.blake2b(b'007', digest_size=16).hexdigest())"`
    assert keys_of(["007"])[0].hex() == "b797c0db213d0981f111d755b86ab03b"


def test_a_blob_gives_exactly_what_was_asked_or_complains(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"0123456789")
    blob = Blob(tmp_path / "b")
    assert (blob.read(3, 4), blob.read(10, 0), blob.all()) == (b"3456", b"", b"0123456789")
    with pytest.raises(InputError, match="has changed since it was indexed"):
        blob.read(8, 3)
    gone = weakref.ref(blob)
    del blob
    gc.collect()
    assert gone() is None  # and its handle is closed: unclosed ones are warnings, which are errors here


def test_a_blob_is_read_where_the_system_has_no_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").write_bytes(b"0123456789")
    monkeypatch.delattr(os, "pread", raising=False)  # as on Windows
    blob = Blob(tmp_path / "b")
    assert (blob.read(3, 4), blob.read(0, 2), blob.all()) == (b"3456", b"01", b"0123456789")


def test_qrels_are_read_when_first_asked_for() -> None:
    asked: list[int] = []

    def read() -> Qrels:
        asked.append(1)
        return Qrels.of(pl.DataFrame({"query_id": ["1"], "doc_id": ["d"], "grade": [1]}), "ann")

    qrels = LazyQrels({"ann": read})
    assert (list(qrels), len(qrels), "ann" in qrels, "bob" in qrels, asked) == (["ann"], 1, True, False, [])
    assert qrels["ann"] is qrels["ann"]
    assert asked == [1]


@pytest.mark.parametrize(
    ("values", "out"),
    [
        ([1, None, 2.5], [1.0, None, 2.5]),
        ([1, "a"], ["1", "a"]),
        ([True, 1], ["true", "1"]),
        ([{"a": 1}, {"b": 2}], ['{"a":1}', '{"b":2}']),
        ([["a"], ["b", "c"]], [["a"], ["b", "c"]]),
        ([None, None], [None, None]),
    ],
)
def test_a_column_has_one_type_and_loses_nothing(values: list[object], out: list[object]) -> None:
    assert as_series(values).to_list() == out
