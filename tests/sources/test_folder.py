"""Folders in BEIR's and in a simple form, whole and broken."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.sources.spec import open_source
from qrelkit.steps.load import facts, load


def write(folder: Path, name: str, *rows: object) -> Path:
    """A JSONL file (rows that are strings or bytes as they are)."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        r if isinstance(r, bytes) else (r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)).encode() for r in rows
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def simple(tmp_path: Path, *rows: object) -> Path:
    """A simple folder with these documents and one topic."""
    folder = tmp_path / "simple"
    write(folder, "corpus.jsonl", *rows)
    write(folder, "topics.tsv", "1\tred shoes")
    return folder


def complaint(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(folder)
    return str(caught.value)


def test_simple_folder_joins_title_and_text_by_a_space(tmp_path: Path) -> None:
    folder = simple(tmp_path, {"id": "007", "title": "Shoe", "text": "red", "price": 9, "size": None}, {"id": 7, "title": "Boot"})
    write(folder, "qrels.txt", "1 0 007 2")
    found = load(folder)
    shoe = found.document("007")
    assert (shoe.title, shoe.text, dict(shoe.columns)) == ("Shoe", "Shoe red", {"price": 9})
    assert found.document("7").text == "Boot"
    assert found.query("1").text == "red shoes"
    assert found.qrels["qrels"].frame.select("query_id", "doc_id", "grade").rows() == [("1", "007", 2)]
    assert repr(found) == "Collection(simple: 1 queries, 2 documents)"


def test_beir_folder_with_metadata_and_two_splits(tmp_path: Path) -> None:
    write(tmp_path, "corpus.jsonl", {"_id": "d1", "title": "", "text": "a", "metadata": {"url": "u"}})
    write(tmp_path, "queries.jsonl", {"_id": "q1", "text": "b", "metadata": {}})
    for split in ("test", "dev"):
        write(tmp_path, f"qrels/{split}.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t1")
    found = load(tmp_path)
    assert found.document("d1").columns == {"url": "u"}
    assert found.queries.columns == ["query_id", "text", "fingerprint"]
    assert sorted(found.qrels) == ["dev", "test"]
    assert len(found.qrels["test"]) == 1


def test_gz_bom_crlf_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    rows = [json.dumps({"id": name, "text": f"{name} é"}, ensure_ascii=False) for name in "abc"]
    plain = simple(tmp_path / "plain", *rows)
    odd = simple(tmp_path / "odd")
    (odd / "corpus.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(rows).encode() + b"\r\n")
    (odd / "topics.tsv").write_bytes(b"\xef\xbb\xbf1\tred shoes\r\n")
    packed = tmp_path / "packed" / "simple"
    packed.mkdir(parents=True)
    for name in ("corpus.jsonl", "topics.tsv"):
        (packed / f"{name}.gz").write_bytes(gzip.compress((odd / name).read_bytes()))
    found = [load(folder) for folder in (plain, odd, packed)]
    assert len({c.fingerprint for c in found}) == 1
    assert [c.document("c").text for c in found] == ["c é"] * 3
    assert [list(c.texts(2)) for c in found] == [[(["a", "b"], ["a é", "b é"]), (["c"], ["c é"])]] * 3


def test_query_columns_of_any_kind_become_columns(tmp_path: Path) -> None:
    write(tmp_path, "corpus.jsonl", {"id": "d", "text": ""})
    write(
        tmp_path,
        "query.jsonl",
        {"id": "1", "text": "a", "language": "de", "weight": 1, "docs": ["x", "y"], "about": {"k": 1}},
        {"id": "2", "text": "b", "language": "de", "weight": 2.5, "mixed": 1},
        {"id": "3", "text": "c", "language": "en", "mixed": "x"},
    )
    found = load(tmp_path)
    assert found.queries["weight"].to_list() == [1.0, 2.5, None]
    assert found.queries["docs"].to_list() == [["x", "y"], None, None]
    assert found.queries["about"].to_list() == ['{"k":1}', None, None]
    assert found.queries["mixed"].to_list() == [None, "1", "x"]
    assert found.query("2").columns == {"language": "de", "weight": 2.5, "mixed": "1"}
    assert facts(found)["languages"] == {"de": 2, "en": 1}


def test_topics_with_a_header_have_columns_and_without_exactly_two(tmp_path: Path) -> None:
    folder = simple(tmp_path, {"id": "d", "text": "t"})
    write(folder, "topics.tsv", "query_id\ttext\tweight", '007\t5" pipe\t2.5')
    assert load(folder).query("007").columns == {"weight": 2.5}
    assert load(folder).query("007").text == '5" pipe'
    write(folder, "topics.tsv", "1\ta", "2\tb\tc")
    assert "topics.tsv:2: has 2 tabs where a topic has one" in complaint(folder)


def test_no_queries_is_right_and_no_corpus_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "corpus.jsonl", {"id": "d", "text": "t"})
    assert load(tmp_path).queries.height == 0
    (tmp_path / "corpus.jsonl").rename(tmp_path / "passages.jsonl")
    assert "has no corpus.jsonl" in complaint(tmp_path)
    assert len(load(tmp_path, documents="passages.jsonl")) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"id": "2", "text": ', "corpus.jsonl:2: is not JSON"),
        ("[1]", "corpus.jsonl:2: is not a JSON object"),
        ({"text": "x"}, "corpus.jsonl:2: has no id"),
        ({"id": "", "text": "x"}, "corpus.jsonl:2: id is ''"),
        ({"id": 2.0, "text": "x"}, "corpus.jsonl:2: id is 2.0"),
        ({"id": "2", "name": "x"}, "corpus.jsonl:2: document '2' has no 'text'; its fields are id, name"),
        ({"id": "2", "text": ["x"]}, "corpus.jsonl:2: text is list, not a string"),
        ({"id": "2", "text": "x", "image": 7}, "corpus.jsonl:2: an image is a path"),
        ('{"id": "2", "text": "caf\xe9"}'.encode("latin-1"), "corpus.jsonl:2: is not UTF-8 (byte 0xe9 at position 25)"),
        ({"id": "1", "text": "other"}, "corpus.jsonl:2: document '1' is given again with other content"),
    ],
)
def test_a_bad_line_is_named_with_file_and_line(tmp_path: Path, row: object, says: str) -> None:
    assert says in complaint(simple(tmp_path, {"id": "1", "text": "one"}, row))


def test_identical_documents_and_queries_given_twice_are_counted(tmp_path: Path) -> None:
    rows = [{"id": name, "text": name} for name in ("b", "a", "b", "c", "b")]
    folder = simple(tmp_path, *rows)
    write(folder, "topics.tsv", "1\tx", "1\tx")
    found = load(folder)
    assert found.notes == {"duplicate_documents": 2, "duplicate_queries": 1}
    assert found.doc_ids.to_list() == ["b", "a", "c"]
    assert [d.text for d in found.documents(["c", "a", "b"])] == ["c", "a", "b"]
    write(folder, "topics.tsv", "1\tx", "2\ty", "1\tz")
    assert "topics.tsv:3: query '1' is given again with other content (first at" in complaint(folder)


def test_empty_corpus_and_torn_gz_are_errors(tmp_path: Path) -> None:
    folder = simple(tmp_path)
    assert "has no document" in complaint(folder)
    whole = gzip.compress(b'{"id": "1", "text": "x"}\n' * 1000)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert "corpus.jsonl.gz: cannot be read to its end" in complaint(folder)
    assert not list(Path(os.environ["QRELKIT_CACHE"]).rglob("building-*"))


def test_a_document_of_one_megabyte_is_read_whole(tmp_path: Path) -> None:
    text = "wörd " * 200_000
    assert load(simple(tmp_path, {"id": "big", "text": text})).document("big").text == text


def test_unknown_things_list_the_near_ones(tmp_path: Path) -> None:
    found = load(simple(tmp_path, {"id": "shoe-1", "text": "x"}))
    with pytest.raises(UnknownName, match=r"unknown document of simple 'shoe1'; did you mean 'shoe-1'"):
        found.document("shoe1")
    with pytest.raises(UnknownName, match="unknown query of simple '2'"):
        found.query("2")
    with pytest.raises(InputError, match="there is no such file or folder"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(UnknownName, match="unknown source 'http'"):
        open_source("http://example.org/corpus")


def test_broken_qrels_do_not_keep_the_collection_from_opening(tmp_path: Path) -> None:
    folder = simple(tmp_path, {"id": "d", "text": "x"})
    write(folder, "qrels.txt", "1 0 d high")
    assert "qrels.txt:1" in facts(load(folder))["qrels"]["qrels"]["error"]
    write(folder, "qrels.txt", "1 0 d 1", "9 0 gone 0")
    told = facts(load(folder))["qrels"]["qrels"]
    assert (told["pairs"], told["unknown_documents"], told["unknown_queries"]) == (2, 1, 1)
    assert told["grades"] == {"0": 1, "1": 1}
