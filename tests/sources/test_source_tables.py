"""Collections in single tables with a column map."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import polars as pl
import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.steps.load import load

COLUMNS = {"doc_id": "sku", "title": "name", "text": ["brand", "description"]}
PRODUCTS = pl.DataFrame(
    {
        "sku": ["007", "8"],
        "name": ["Shoe", "Boot"],
        "brand": ["Acme", None],
        "description": ['says "hi",\nthen goes', "high"],
        "color": ["red", None],
    }
)


def test_csv_parquet_and_jsonl_of_one_table_are_one_collection(tmp_path: Path) -> None:
    PRODUCTS.write_csv(tmp_path / "a.csv")
    PRODUCTS.write_parquet(tmp_path / "b.parquet")
    PRODUCTS.write_ndjson(tmp_path / "c.jsonl")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    found = [load(tmp_path / name, columns=COLUMNS) for name in ("a.csv", "b.parquet", "c.jsonl", "d.csv.gz")]
    assert len({c.fingerprint for c in found}) == 1
    for one in found:
        shoe, boot = one.documents(["007", "8"])
        assert (shoe.title, shoe.text) == ("Shoe", 'Shoe Acme says "hi",\nthen goes')
        assert (boot.text, dict(boot.columns), dict(shoe.columns)) == ("Boot high", {}, {"color": "red"})


def test_documents_queries_and_qrels_are_named_one_by_one(tmp_path: Path) -> None:
    PRODUCTS.write_csv(tmp_path / "products.csv")
    (tmp_path / "q.csv").write_text("nr,wording,weight,lang\n01,rote Schuhe,2.5,de\n", encoding="utf-8")
    (tmp_path / "human.csv").write_text("query_id,doc_id,grade\n01,007,2\n01,8,\n", encoding="utf-8")
    found = load(
        documents=tmp_path / "products.csv",
        columns=COLUMNS,
        queries=tmp_path / "q.csv",
        query_columns={"query_id": "nr", "text": "wording"},
        qrels={"ann": tmp_path / "human.csv"},
        name="mine",
    )
    assert found.query("01").text == "rote Schuhe"
    assert found.query("01").columns == {"weight": 2.5, "lang": "de"}
    assert found.qrels["ann"].frame["grade"].to_list() == [2, None]
    assert found.name == "mine"


def test_typed_columns_of_parquet_become_plain_values(tmp_path: Path) -> None:
    table = pl.DataFrame({"id": [7], "text": ["x"], "day": [datetime.date(2026, 1, 2)], "price": [1.5], "tags": [["a", "b"]]})
    table.write_parquet(tmp_path / "p.parquet")
    assert load(tmp_path / "p.parquet").document("7").columns == {"day": "2026-01-02", "price": 1.5, "tags": ["a", "b"]}


def test_image_columns_are_taken_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,text,front,back\n1,x,a.png,b.png\n2,y,,c.png\n", encoding="utf-8")
    found = load(tmp_path / "p.csv", columns={"image": ["front", "back"]})
    assert found.notes["first_missing_images"] == ["a.png", "b.png", "c.png"]
    assert found.document("1").columns == {}


@pytest.mark.parametrize(
    ("content", "columns", "says"),
    [
        (b"id,text\n1,x\n2,y,z\n", {}, "p.csv:3: has 3 fields where the header has 2"),
        (b'id,text\n1,"x\ny"\n2\n', {}, "p.csv:4: has 1 fields where the header has 2"),
        (b"id,text\n1,x\n\n,y\n", {}, "p.csv:4: has no id"),
        (b"id,text\n1,\xe9\n", {}, "p.csv:2: is not UTF-8"),
        (b'id,text\n1,"x\n', {}, "p.csv:2: "),
        (b"", {}, "has no document"),
        (b"id,text\n", {}, "has no document"),
        (b"id,name\n1,x\n", {}, "p.csv:2: document '1' has no 'text'; its fields are id, name"),
    ],
)
def test_a_bad_table_is_named_with_file_and_line(tmp_path: Path, content: bytes, columns: dict[str, str], says: str) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path, columns=columns)
    assert says in str(caught.value)


def test_a_column_map_with_unknown_names_says_which_are_near(tmp_path: Path) -> None:
    PRODUCTS.write_csv(tmp_path / "p.csv")
    with pytest.raises(UnknownName, match=r"unknown column of .*p.csv 'skv'; did you mean 'sku'"):
        load(tmp_path / "p.csv", columns={"doc_id": "skv"})
    with pytest.raises(UnknownName, match=r"entry of the column map .* 'docid'; did you mean 'doc_id'"):
        load(tmp_path / "p.csv", columns={"docid": "sku"})
    (tmp_path / "p.xml").write_text("<x/>", encoding="utf-8")
    with pytest.raises(InputError, match="is no table we know by its name"):
        load(tmp_path / "p.xml")


def test_a_cell_of_one_megabyte_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,text\n1," + "x" * 1_000_000 + "\n", encoding="utf-8")
    assert len(load(tmp_path / "p.csv").document("1").text) == 1_000_000
