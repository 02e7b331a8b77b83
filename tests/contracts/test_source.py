"""What every `Source` promises, over every one we have: the same small collection in each of their forms."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Source
from qrelkit.core.errors import UnknownName
from qrelkit.core.records import Document, Query
from qrelkit.sources.irds import Irds
from qrelkit.sources.spec import open_source

DOCS = [
    {"id": "007", "title": "Shoe", "text": "red and flat", "color": "red"},
    {"id": "7", "title": "", "text": "grün", "color": "green"},
    {"id": "a/b.c", "title": "Boot", "text": "", "color": "blue"},
]
QUERIES = [{"id": "01", "text": "red shoes"}, {"id": "1", "text": "grüne Stiefel"}]
QRELS = [("01", "007", 2), ("01", "7", 0), ("1", "a/b.c", 1)]


def lines(rows: list[dict[str, str]], id_name: str = "id") -> bytes:
    return "".join(json.dumps({id_name if name == "id" else name: r[name] for name in r}) + "\n" for r in rows).encode()


def beir(folder: Path) -> Source:
    (folder / "corpus.jsonl").write_bytes(lines(DOCS, "_id"))
    (folder / "queries.jsonl").write_bytes(lines(QUERIES, "_id"))
    (folder / "qrels").mkdir()
    rows = "".join(f"{q}\t{d}\t{g}\n" for q, d, g in QRELS)
    (folder / "qrels" / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows, encoding="utf-8")
    return open_source(folder)


def simple(folder: Path) -> Source:
    (folder / "corpus.jsonl").write_bytes(lines(DOCS))
    (folder / "topics.tsv").write_text("".join(f"{q['id']}\t{q['text']}\n" for q in QUERIES), encoding="utf-8")
    (folder / "qrels.txt").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in QRELS), encoding="utf-8")
    return open_source(folder)


def packed(folder: Path) -> Source:
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(lines(DOCS)))
    (folder / "query.jsonl.gz").write_bytes(gzip.compress(lines(QUERIES)))
    qrels = "".join(json.dumps({"q_id": q, "p_id": d, "score": g}) + "\n" for q, d, g in QRELS)
    (folder / "qrels.jsonl.gz").write_bytes(gzip.compress(qrels.encode()))
    return open_source(folder)


def tables(suffix: str) -> Callable[[Path], Source]:
    def make(folder: Path) -> Source:
        frames = {
            "products": pl.DataFrame(DOCS).rename({"id": "sku", "title": "name"}),
            "q": pl.DataFrame(QUERIES),
            "qrels": pl.DataFrame(QRELS, schema=["query_id", "doc_id", "grade"], orient="row"),
        }
        for name, frame in frames.items():
            frame.write_csv(folder / f"{name}.csv") if suffix == ".csv" else frame.write_parquet(folder / f"{name}.parquet")
        return open_source(
            folder / f"products{suffix}",
            queries=folder / f"q{suffix}",
            qrels=folder / f"qrels{suffix}",
            columns={"doc_id": "sku", "title": "name"},
        )

    return make


class Doc(NamedTuple):
    doc_id: str
    title: str
    text: str
    color: str


class Question(NamedTuple):
    query_id: str
    text: str


class Judged(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int


class Dataset:
    """ir_datasets' interface over the same rows."""

    def has_docs(self) -> bool:
        return True

    has_queries = has_qrels = has_docs

    def docs_iter(self) -> Any:
        return (Doc(d["id"], d["title"], d["text"], d["color"]) for d in DOCS)

    def queries_iter(self) -> Any:
        return (Question(q["id"], q["text"]) for q in QUERIES)

    def qrels_iter(self) -> Any:
        return (Judged(*row) for row in QRELS)

    def docs_count(self) -> int:
        return len(DOCS)

    def queries_count(self) -> int:
        return len(QUERIES)


SOURCES: dict[str, Callable[[Path], Source]] = {
    "beir": beir,
    "simple": simple,
    "packed": packed,
    "csv": tables(".csv"),
    "parquet": tables(".parquet"),
    "irds": lambda _: Irds("tiny", Dataset()),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    folder = tmp_path / "tiny"
    folder.mkdir()
    return SOURCES[request.param](folder)


def test_it_is_a_source_and_gives_the_same_collection_twice(source: Source) -> None:
    assert isinstance(source, Source)
    first, second = source.collection(), source.collection()
    assert isinstance(first, Collection)
    assert first.fingerprint == second.fingerprint
    assert first.doc_ids.to_list() == second.doc_ids.to_list() == ["007", "7", "a/b.c"]


def test_documents_and_queries_are_those_of_the_files(source: Source) -> None:
    found = source.collection()
    assert [found.document(d["id"]) for d in DOCS] == [
        Document(doc_id="007", title="Shoe", text="Shoe red and flat", fingerprint=found.document("007").fingerprint),
        Document(doc_id="7", title="", text="grün", fingerprint=found.document("7").fingerprint),
        Document(doc_id="a/b.c", title="Boot", text="Boot", fingerprint=found.document("a/b.c").fingerprint),
    ]
    assert [d.columns["color"] for d in found.documents(found.doc_ids)] == ["red", "green", "blue"]
    assert [(found.query(q["id"]).query_id, found.query(q["id"]).text) for q in QUERIES] == [
        (q["id"], q["text"]) for q in QUERIES
    ]
    assert isinstance(found.query("01"), Query)


def test_qrels_are_found_and_keep_their_grades(source: Source) -> None:
    qrels = source.collection().qrels["qrels"]
    assert qrels.frame.select("query_id", "doc_id", "grade").rows() == QRELS


def digest(value: Any) -> str:
    """SHA-256 over canonical JSON by the standard library, first 32 digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()[:32]


def test_fingerprints_follow_from_contents_alone_and_never_change(source: Source) -> None:
    """By hand: ["d1", title, text, columns, images] per document, ["q1", text, images] per query; the collection's is that of
    "c1:", the documents' 16-byte keys in order, their fingerprints in the same order, and "id fingerprint" per query."""
    found = source.collection()
    texts = {"007": "Shoe red and flat", "7": "grün", "a/b.c": "Boot"}
    expected = {d["id"]: digest(["d1", d["title"], texts[d["id"]], {"color": d["color"]}, []]) for d in DOCS}
    assert found.fingerprints(pl.Series("doc_id", list(expected))).to_list() == list(expected.values())
    queries = {q["id"]: digest(["q1", q["text"], []]) for q in QUERIES}
    assert dict(found.queries.select("query_id", "fingerprint").iter_rows()) == queries
    keys = sorted((hashlib.blake2b(i.encode(), digest_size=16).digest(), i) for i in expected)
    content = b"c1:" + b"".join(k for k, _ in keys) + b"".join(bytes.fromhex(expected[i]) for _, i in keys)
    content += "\n".join(f"{i} {queries[i]}" for i in sorted(queries)).encode()
    assert found.fingerprint == hashlib.sha256(content).hexdigest()[:32]


def test_unknown_ids_are_refused(source: Source) -> None:
    found = source.collection()
    with pytest.raises(UnknownName):
        found.document("07")
    with pytest.raises(UnknownName):
        found.query("001")
    assert found.contains(pl.Series(["7", "07"])).to_list() == [True, False]
