from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import pytrec_eval

from plain_collection import PlainCollection, read_folder
from qrelkit.core.doors import Retriever
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Query
from qrelkit.core.run import Run
from qrelkit.formats.rewrites import read_rewrites
from qrelkit.formats.trec import read_qrels
from qrelkit.retrievers.bm25 import Bm25
from qrelkit.steps.retrieve import retrieve


def ask(*texts: str) -> list[Query]:
    return [Query(query_id=f"q{i}", text=text) for i, text in enumerate(texts)]


def docs(run: Run, query_id: str = "q0") -> list[str]:
    return run.frame.filter(query_id=query_id)["doc_id"].to_list()


def test_ranks_documents_that_share_a_term_and_no_others() -> None:
    bm25 = Bm25({"a": "red dress", "b": "blue shoe", "c": "red red shoe"})
    assert isinstance(bm25, Retriever)
    run = bm25.search(ask("red shoe", "violet"), 10)
    assert docs(run) == ["c", "b", "a"]  # c has both terms; b is as a (one term, equal length, equal df), so doc_id descending
    assert run.notes["without_hits"] == ["q1"]
    assert run.tag == "bm25"


def test_ties_at_the_cut_are_decided_as_a_run_decides_them() -> None:
    run = Bm25({str(i): "red" for i in range(20)} | {"x": "red shoe"}).search(ask("red"), 3)
    assert docs(run) == ["9", "8", "7"]  # equal scores: doc_id descending, as strings
    assert run.frame["rank"].to_list() == [1, 2, 3]


def test_a_deeper_search_begins_with_the_shallower_one() -> None:
    words = ["red", "blue", "shoe", "dress", "lace"]
    catalogue = {f"d{i}": " ".join(words[j] for j in range(5) if i >> j & 1) for i in range(1, 64)}
    bm25 = Bm25(catalogue)
    queries = ask("red shoe", "blue lace dress", "lace")
    deep = bm25.search(queries, 50)
    for depth in (1, 5, 17):
        assert bm25.search(queries, depth).frame.equals(deep.cut(depth).frame)


def test_fields_choose_what_is_searched() -> None:
    shop = PlainCollection({"1": {"title": "Dress", "text": "summer", "colour": "red"}, "2": {"text": "red wine"}}, {})
    assert docs(Bm25(shop).search(ask("red"), 5)) == ["2"]
    assert docs(Bm25(shop, fields=("colour",)).search(ask("red"), 5)) == ["1"]
    assert sorted(docs(Bm25(shop, fields=("title", "text", "colour")).search(ask("red"), 5))) == ["1", "2"]


def test_a_field_that_no_document_has_is_an_error() -> None:
    shop = PlainCollection({"1": {"text": "summer", "colour": "red"}}, {})
    with pytest.raises(UnknownName, match="'color'; did you mean 'colour'"):
        Bm25(shop, fields=("color", "colour")).search(ask("red"), 1)
    with pytest.raises(InputError, match="fields need a collection"):
        Bm25({"1": "red"}, fields=("colour",))


def test_extra_texts_make_a_document_findable() -> None:
    plain, described = Bm25({"1": "dress"}), Bm25({"1": "dress"}, extra_texts={"1": "striped in red"})
    assert docs(plain.search(ask("striped"), 5)) == []
    assert docs(described.search(ask("striped"), 5)) == ["1"]
    assert described.settings["extra_texts"]["documents"] == 1
    assert described.settings != Bm25({"1": "dress"}, extra_texts={"1": "striped in blue"}).settings


def test_nothing_to_search_and_no_depth_are_errors() -> None:
    with pytest.raises(InputError, match="no document"):
        Bm25({})
    with pytest.raises(InputError, match="depth"):
        Bm25({"1": "red"}).search(ask("red"), 0)


def test_no_queries_give_an_empty_run() -> None:
    assert len(Bm25({"1": "red"}).search([], 10)) == 0


def test_scifact_has_its_published_values(data: Path) -> None:
    # BEIR, Lucene with k1 .9, b .4, title and text joined: nDCG@10 .679, R@100 .925 (shared/data/INDEX.md)
    collection, qrels = read_folder(data / "scifact")
    run = retrieve(collection, Bm25(collection), depth=1000)
    assert run.notes["retriever"]["analyzer"] == "english"
    means = trec_eval(run, qrels.frame, {"ndcg_cut.10", "recall.100"})
    assert means["ndcg_cut_10"] == pytest.approx(0.679, abs=0.004)
    assert means["recall_100"] == pytest.approx(0.925, abs=0.005)


@pytest.mark.parametrize(("task", "ndcg"), [("MedExam", 85.5), ("DuBaike", 73.6), ("CSLCite", 77.7), ("CSLRelated", 86.2)])
def test_chinese_bigrams_have_their_known_values(data: Path, task: str, ndcg: float) -> None:
    # BM25 on Han bigrams, k1 .9, b .4, own pool per task, nDCG@10 (shared/data/INDEX.md)
    rows = pl.read_ndjson(data / "automir" / f"{task}Retrieval" / "query.jsonl", infer_schema_length=None)
    rows = rows.with_columns(pl.col("id").cast(pl.String), doc_id=pl.col("doc").rank("dense").cast(pl.String))
    documents = dict(rows.select("doc_id", "doc").iter_rows())
    queries = [Query(query_id=q, text=text) for q, text in rows.select("id", "text").iter_rows()]
    run, chosen = (Bm25(documents, analyzer=analyzer).search(queries, 10) for analyzer in ("cjk", "auto"))
    assert chosen.notes["retriever"]["analyzer"] == "cjk"
    gold = rows.select(query_id="id", doc_id="doc_id", grade=pl.lit(1))
    found, helped = (100 * trec_eval(one, gold, {"ndcg_cut.10"})["ndcg_cut_10"] for one in (run, chosen))
    assert found == pytest.approx(ndcg, abs=0.2)
    assert found - 1e-9 <= helped < found + 0.5  # `auto` asks by characters where a query would find nothing


@pytest.mark.parametrize(("passages", "ndcg"), [(0, 0.465), (1, 0.559), (8, 0.695)])
def test_recorded_hypothetical_passages_have_their_known_values(data: Path, passages: int, ndcg: float) -> None:
    # BM25 over the judged passages, term weights: query tf + Σ 2 · tf / length of each passage (shared/data/INDEX.md)
    lines = (data / "trec_dl19" / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    topics = (line.split("\t") for line in (data / "trec_dl19" / "topics.tsv").read_text(encoding="utf-8").splitlines())
    collection = PlainCollection({d["id"]: d["text"] for d in map(json.loads, lines)}, dict(topics))
    recorded = read_rewrites(data / "hyde_dl19" / "hyde_gpt3_generations.jsonl")
    some = {query_id: replace(rewrite, texts=rewrite.texts[:passages]) for query_id, rewrite in recorded.items()}
    bm25 = Bm25(collection, analyzer="english-ascii")
    run = retrieve(collection, bm25, rewrites=some, combine="weights:2")
    qrels = read_qrels(data / "trec_dl19" / "qrels.human.txt")
    assert trec_eval(run, qrels.frame, {"ndcg_cut.10"})["ndcg_cut_10"] == pytest.approx(ndcg, abs=0.001)


def trec_eval(run: Run, qrels: pl.DataFrame, measures: set[str]) -> dict[str, float]:
    """Means over the queries of the qrels, by trec_eval itself; a query without documents counts 0."""

    def nested(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
        out: dict[str, dict[str, Any]] = {}
        for query_id, doc_id, value in frame.iter_rows():
            out.setdefault(query_id, {})[doc_id] = value
        return out

    truth = nested(qrels.select("query_id", "doc_id", "grade"))
    values = pytrec_eval.RelevanceEvaluator(truth, measures).evaluate(nested(run.frame.select("query_id", "doc_id", "score")))
    names = [m.replace(".", "_") for m in measures]
    return {name: sum(v[name] for v in values.values()) / len(truth) for name in names}
