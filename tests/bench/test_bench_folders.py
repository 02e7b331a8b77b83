"""Folders of datasets: layouts, checks against what is published, gold pools."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.made_up_sets import CORPUS, QRELS, QUERIES, dataset, lines
from qrelkit.bench.datasets import benchmark
from qrelkit.bench.deviations import blob_id
from qrelkit.bench.folders import Loaded, dataset_folders, load_dataset
from qrelkit.bench.pools import gold_pool, merged_pool
from qrelkit.core.errors import InputError

R2MED, CMIRB = benchmark("r2med"), benchmark("cmirb")


def told(loaded: Loaded) -> list[str]:
    return [str(one) for one in loaded.deviations]


def test_folders_are_found_by_any_spelling_in_the_order_of_the_benchmark(tmp_path: Path) -> None:
    for name in ("CSLRelatedRetrieval", "MedExam", "IIYIPostRetrieval", "published_results"):
        dataset(tmp_path / name)
    assert list(dataset_folders(CMIRB, tmp_path)) == ["MedExam", "IIYiPost", "CSLRel"]
    assert list(dataset_folders(CMIRB, tmp_path, ["CSLRel"])) == ["CSLRel"]
    assert list(dataset_folders(CMIRB, tmp_path / "MedExam")) == ["MedExam"]


def test_a_demo_stands_back_behind_the_dataset_and_two_real_folders_are_refused(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology-demo")
    assert dataset_folders(R2MED, tmp_path)["Biology"].name == "Biology-demo"
    dataset(tmp_path / "Biology")
    assert dataset_folders(R2MED, tmp_path)["Biology"].name == "Biology"
    dataset(tmp_path / "Stack-Biology")
    with pytest.raises(InputError, match="two folders are Biology: Biology and Stack-Biology"):
        dataset_folders(R2MED, tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    with pytest.raises(InputError, match="for MedQA-Diag"):
        dataset_folders(R2MED, tmp_path, ["MedQA-Diag", "Biology"])
    with pytest.raises(InputError, match="no such folder"):
        dataset_folders(R2MED, tmp_path / "nowhere")
    with pytest.raises(InputError, match="a dataset of CMIRB"):
        dataset_folders(CMIRB, tmp_path)


def test_counts_that_are_not_the_published_ones_are_said_and_not_comparable(tmp_path: Path) -> None:
    loaded = load_dataset(R2MED.dataset("Biology"), dataset(tmp_path / "Biology"))
    assert told(loaded) == [
        "Biology: documents 3 where 57,359 are published: not comparable",
        "Biology: queries 2 where 103 are published: not comparable",
        "Biology: pairs of the qrels 2 where 374 are published: not comparable",
    ]
    assert loaded.pool == "published"
    assert loaded.files["corpus.jsonl"] == blob_id(tmp_path / "Biology" / "corpus.jsonl")


def test_a_blob_id_is_gits(tmp_path: Path) -> None:
    """`printf hello | git hash-object --stdin` and of an empty file."""
    (tmp_path / "hello").write_bytes(b"hello")
    (tmp_path / "empty").write_bytes(b"")
    assert blob_id(tmp_path / "hello") == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
    assert blob_id(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_file_whose_id_is_known_and_another_is_said(tmp_path: Path) -> None:
    loaded = load_dataset(CMIRB.dataset("MedExam"), dataset(tmp_path / "MedExam"))
    assert any("corpus.jsonl is not the published file" in text and "f45c2123" in text for text in told(loaded))


def test_no_answer_reaches_a_retriever_and_other_columns_stay(tmp_path: Path) -> None:
    collection = load_dataset(R2MED.dataset("Biology"), dataset(tmp_path / "Biology")).collection
    assert collection.queries.columns == ["query_id", "text", "fingerprint", "body_system"]
    assert dict(collection.query("0").columns) == {"body_system": "nervous"}


@pytest.mark.parametrize("form", ["qrels.txt", "qrels.tsv", "qrels/test.tsv"])
def test_every_layout_of_upstream_is_read(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "Biology"
    lines(folder / "corpus.jsonl", CORPUS)
    (folder / "topics.tsv").write_text("0\tmoths light\n1\tnostril breath\n", encoding="utf-8")
    path = folder / form
    path.parent.mkdir(exist_ok=True)
    head, between = ("query-id\tcorpus-id\tscore\n", "\t") if form.endswith("tsv") else ("", " 0 ")
    path.write_text(head + f"0{between}a\t1\n1{between}b\t1\n", encoding="utf-8")
    loaded = load_dataset(R2MED.dataset("Biology"), folder)
    assert loaded.qrels.frame.select("query_id", "doc_id", "grade").rows() == [("0", "a", 1), ("1", "b", 1)]


def test_bom_blank_lines_and_scores_as_text_are_read(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "Biology", qrels=[{**row, "score": "1"} for row in QRELS])
    text = (folder / "query.jsonl").read_text(encoding="utf-8")
    (folder / "query.jsonl").write_text("\ufeff\n" + text.replace("\n", "\n\n"), encoding="utf-8")
    assert load_dataset(R2MED.dataset("Biology"), folder).collection.queries["query_id"].to_list() == ["0", "1"]


def test_grades_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    qrels = [
        *QRELS,
        {"q_id": "0", "p_id": "gone", "score": 1},
        {"q_id": "9", "p_id": "a", "score": 1},
        {"q_id": "2", "p_id": "a", "score": 0},
    ]
    queries = [*QUERIES, {"id": "2", "text": "nothing"}, {"id": "3", "text": "never judged"}]
    loaded = load_dataset(R2MED.dataset("Biology"), dataset(tmp_path / "Biology", queries, CORPUS, qrels))
    assert told(loaded)[3:] == [
        "Biology: 1 gold document not in the corpus and cannot be found: not comparable",
        "Biology: 1 query only in the qrels: left out: not comparable",
        "Biology: 1 query without a relevant document: left out of the means",
        "Biology: 1 query without qrels: not scored",
    ]
    assert loaded.qrels.frame["query_id"].unique().sort().to_list() == ["0", "1", "2"]


def test_a_document_given_again_is_counted_and_the_last_text_counts(tmp_path: Path) -> None:
    corpus = [*CORPUS, {"id": "a", "text": "phototaxis, newer"}]
    loaded = load_dataset(R2MED.dataset("Biology"), dataset(tmp_path / "Biology", corpus=corpus))
    assert loaded.collection.document("a").text == "phototaxis, newer"
    assert "Biology: 1 document given again with another text: the last one counts" in told(loaded)
    assert "Biology: rows of the corpus 4 where 57,359 are published: not comparable" in told(loaded)


def own_pool_folder(folder: Path, suffix: str) -> Path:
    rows = [{"id": q["id"], "text": q["text"], "doc": f"passage {q['id']} {suffix}"} for q in QUERIES]
    return dataset(folder, rows, None)


def test_the_gold_passages_of_a_dataset_are_a_pool_that_says_so(tmp_path: Path) -> None:
    folder = own_pool_folder(tmp_path / "MedExam", "x")
    pool = gold_pool(folder)
    assert pool is not None
    assert dict(pool.passages) == {"a": "passage 0 x", "b": "passage 1 x"}
    loaded = load_dataset(CMIRB.dataset("MedExam"), folder, pool)
    assert (loaded.pool, loaded.collection.doc_ids.to_list()) == ("own", ["a", "b"])
    assert any(
        "own gold pool of 2 documents where the published corpus has 27,871; never to be compared" in t for t in told(loaded)
    )


def test_a_merged_pool_keeps_equal_ids_of_two_datasets_apart(tmp_path: Path) -> None:
    folders = {name: own_pool_folder(tmp_path / name, name) for name in ("MedExam", "DuBaike")}
    pool = merged_pool({name: gold_pool(folder) for name, folder in folders.items()})  # type: ignore[misc]
    loaded = load_dataset(CMIRB.dataset("DuBaike"), folders["DuBaike"], pool)
    assert loaded.collection.doc_ids.to_list() == ["MedExam/a", "MedExam/b", "DuBaike/a", "DuBaike/b"]
    assert loaded.qrels.frame["doc_id"].to_list() == ["DuBaike/a", "DuBaike/b"]


def test_gold_passages_are_also_found_beside_recorded_generations(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "Medical", [{"id": q["id"], "text": q["text"]} for q in QUERIES], None)
    assert gold_pool(folder) is None
    rows = [{"id": q["id"], "text": q["text"], "rewrite_query": "x", "doc": [f"p{q['id']}"]} for q in QUERIES]
    lines(folder / "qwen" / "query-rewrite.jsonl", rows)
    pool = gold_pool(folder)
    assert pool is not None
    assert dict(pool.passages) == {"a": "p0", "b": "p1"}


def test_a_pool_that_cannot_be_told_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "MedExam", [{"id": "0", "text": "q", "doc": ["one", "two"]}], None, QRELS[:1])
    with pytest.raises(InputError, match=r"query.jsonl:1: query '0' has 2 gold passages and 1 relevant documents"):
        gold_pool(folder)
    rows = [{"id": "0", "text": "q", "doc": "one"}, {"id": "1", "text": "r", "doc": "two"}]
    dataset(folder, rows, None, [QRELS[0], {"q_id": "1", "p_id": "a", "score": 1}])
    with pytest.raises(InputError, match=r"query.jsonl:2: document 'a' has another text"):
        gold_pool(folder)
    with pytest.raises(InputError, match="--pool own"):
        load_dataset(CMIRB.dataset("MedExam"), folder)
