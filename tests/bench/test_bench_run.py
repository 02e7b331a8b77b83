"""A retriever on the datasets of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.made_up_sets import CORPUS, QRELS, QUERIES, dataset, lines
from qrelkit.bench import retrievers
from qrelkit.bench.benched import Benched
from qrelkit.bench.datasets import Dataset, benchmark
from qrelkit.bench.folders import load_dataset
from qrelkit.bench.generations import Generations, gar
from qrelkit.bench.protocol import Protocol
from qrelkit.bench.run import Bench, bench
from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.records import Query
from qrelkit.core.run import Run


class Fixed:
    """A retriever that knows its answers, and counts how often it is asked."""

    name = "fixed"

    def __init__(self, answers: Mapping[str, Sequence[str]], failed: Mapping[str, str] | None = None) -> None:
        self.answers, self.failed, self.searches = answers, failed or {}, 0
        self.settings: dict[str, Any] = {"answers": {name: list(ids) for name, ids in answers.items()}}

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        self.searches += 1
        rows = [(q.query_id, doc, -float(i)) for q in queries for i, doc in enumerate(self.answers.get(q.query_id, ()))]
        frame = pl.DataFrame(rows, schema={"query_id": pl.String, "doc_id": pl.String, "score": pl.Float64}, orient="row")
        return Run(Run.of(frame, self.name).frame, self.name, {"failed": dict(self.failed)})

    def __call__(self, collection: Collection, dataset: Dataset) -> Fixed:
        return self


def measured(folder: Path, retriever: Any, datasets: Sequence[str] = (), name: str = "r2med", **options: Any) -> Benched:
    return bench(name, folder, Bench(retriever=retriever, out=folder / "out", **options), datasets)


def value(found: Benched, dataset: str, measure: str = "nDCG@10") -> float:
    return {result.dataset.name: result for result in found.results}[dataset].estimates[measure].value


def texts(found: Benched) -> list[str]:
    return [str(one) for one in found.all_deviations]


def test_scores_by_hand(tmp_path: Path) -> None:
    """Query 0 finds its document at rank 2: nDCG 1 / log2(3) = .6309, AP 1/2; query 1 at rank 1."""
    dataset(tmp_path / "Biology")
    found = measured(tmp_path, Fixed({"0": ["c", "a"], "1": ["b"]}))
    assert value(found, "Biology") == pytest.approx((0.63093 + 1) / 2, abs=1e-5)
    assert (value(found, "Biology", "AP@10"), value(found, "Biology", "R@1"), value(found, "Biology", "RR")) == (0.75, 0.5, 0.75)
    assert found.mean.called == "mean over 1 of 8, no average"
    assert found.json()["average"] is None


def test_equal_query_ids_of_two_datasets_are_never_joined(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    dataset(tmp_path / "PMC-Clinical", QUERIES, CORPUS, [QRELS[0]])
    found = measured(tmp_path, Fixed({"0": ["a"], "1": ["c"]}))
    assert (value(found, "Biology"), value(found, "PMC-Clinical")) == (0.5, 1.0)
    macro, by_query = (
        dict(zip(found.measures, e, strict=True))["nDCG@10"].value for e in (found.mean.macro, found.mean.by_query)
    )
    assert (macro, by_query) == (0.75, pytest.approx(2 / 3))
    table = pl.read_csv(tmp_path / "out" / "per_query.tsv", separator="\t", schema_overrides={"query_id": pl.String})
    rows = table.filter(pl.col("measure") == "nDCG@10").select("dataset", "query_id", "value").rows()
    assert rows == [("Biology", "0", 1.0), ("Biology", "1", 0.0), ("PMC-Clinical", "0", 1.0)]
    assert list(found.groups("task")) == ["Q&A reference", "clinical case"]


def test_a_hit_that_is_the_query_itself_is_dropped_and_counted(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology", corpus=[*CORPUS, {"id": "0", "text": "moths light"}])
    answers = {"0": ["0", "a"], "1": ["b"]}
    found = measured(tmp_path, Fixed(answers))
    assert (value(found, "Biology"), found.results[0].dropped) == (1.0, 1)
    assert "Biology: 1 hit with the id of its query dropped" in texts(found)
    kept = measured(tmp_path, Fixed(answers), protocol=Protocol(ignore_identical=False))
    assert value(kept, "Biology") < 1
    assert "hits with the id of their query are kept, which the authors drop" in texts(kept)


def test_a_second_call_searches_nothing_and_another_setting_does(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    retriever = Fixed({"0": ["a"]})
    first, again = measured(tmp_path, retriever), measured(tmp_path, retriever)
    assert retriever.searches == 1
    assert (again.results[0].made.known, first.json()) == (True, again.json())
    measured(tmp_path, retriever, protocol=Protocol(depth=50))
    assert retriever.searches == 2
    assert json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["protocol"]["depth"] == 50


def test_a_query_that_was_not_answered_is_not_scored_as_empty(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    found = measured(tmp_path, Fixed({"0": ["a"]}, {"1": "timed out"}))
    assert value(found, "Biology") == 1.0
    assert "Biology: 1 query not answered, and not scored: not comparable" in texts(found)


def test_a_query_that_found_nothing_counts_0_even_where_none_did(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    assert value(measured(tmp_path, Fixed({"0": ["a"]})), "Biology") == 0.5
    assert value(measured(tmp_path, Fixed({})), "Biology") == 0.0


def test_queries_without_a_relevant_document_are_left_out_of_the_mean(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology", [*QUERIES, {"id": "2", "text": "x"}], CORPUS, [*QRELS, {"q_id": "2", "p_id": "a", "score": 0}])
    found = measured(tmp_path, Fixed({"0": ["a"], "1": ["b"], "2": ["c"]}))
    assert (value(found, "Biology"), found.results[0].estimates["nDCG@10"].n) == (1.0, 2)


def test_means_by_a_column_of_the_queries(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    found = measured(tmp_path, Fixed({"0": ["a"]}), protocol=Protocol(by="body_system"))
    by = found.json()["by"]
    assert {name: one["macro"]["nDCG@10"]["value"] for name, one in by["values"].items()} == {"nervous": 1.0, "respiratory": 0.0}
    assert any(row[0].startswith("body_system nervous, macro") for row in found.table()[1])


def test_a_column_that_no_query_has_is_an_error(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    with pytest.raises(UnknownName, match="column of the queries 'body_systm'; did you mean 'body_system'"):
        measured(tmp_path, Fixed({"0": ["a"]}), protocol=Protocol(by="body_systm"))


def test_a_depth_above_the_headlines_cut_is_comparable_and_one_below_is_not(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    for depth, said in ((10, "10 documents per query where the authors retrieve 100"), (9, ": not comparable")):
        found = measured(tmp_path, Fixed({"0": ["a"]}), protocol=Protocol(depth=depth))
        assert any(text.endswith(said) and text.startswith(f"{depth} documents") for text in texts(found))


def test_gold_pools_of_every_dataset_are_still_no_average(tmp_path: Path) -> None:
    """CSLCite and CSLRel are the whole task literature."""
    for name in ("CSLCite", "CSLRel"):
        dataset(tmp_path / name, [{"id": "0", "text": "moths", "doc": "moths in the light"}], None, [QRELS[0]])
    found = measured(tmp_path, Fixed({"0": ["a"]}), name="cmirb")
    assert found.groups("task")["literature"].called == "mean over 2 of 2 in gold pools, no average"
    assert found.mean.called == "mean over 2 of 10 in gold pools, no average"


def test_a_dataset_that_cannot_be_searched_is_left_out_and_said_unless_it_was_named(tmp_path: Path) -> None:
    dataset(tmp_path / "MedExam")
    dataset(tmp_path / "Cmedqa", corpus=None)
    found = measured(tmp_path, Fixed({"0": ["a"]}), name="cmirb")
    assert [result.dataset.name for result in found.results] == ["MedExam"]
    assert "Cmedqa: left out: has no corpus.jsonl, and no gold passages to make a pool of" in texts(found)
    with pytest.raises(InputError, match="Cmedqa: has no corpus"):
        measured(tmp_path, Fixed({}), ["Cmedqa"], name="cmirb")
    with pytest.raises(UnknownName, match="pool"):
        measured(tmp_path, Fixed({}), name="cmirb", protocol=Protocol(pool="owm"))


def test_r2meds_bm25_is_the_preset_and_others_deviate(tmp_path: Path) -> None:
    dataset(tmp_path / "Biology")
    whole = measured(tmp_path, retrievers.bm25("r2med"))
    assert [text for text in texts(whole) if text.startswith("BM25")] == []
    other = measured(tmp_path, retrievers.bm25("r2med", analyzer="standard", k1=1.2))
    assert [text for text in texts(other) if text.startswith("BM25")] == [
        "BM25 with k1 1.2 where the authors have 0.9",
        "BM25 with analyzer standard where the authors have english",
    ]


def test_recorded_generations_are_searched_with_by_the_rule_of_their_method(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "Biology")
    rows = [
        {"id": "0", "text": "moths light", "hy_doc": "<think>giants</think>phototaxis moves"},
        {"id": "1", "text": "other", "hy_doc": "x"},
    ]
    lines(folder / "hyde" / "r1_qwen_32b" / "query_with_hydoc.jsonl", rows)
    found = measured(tmp_path, retrievers.bm25("r2med"), rewrites=gar("hyde", "r1-qwen-32b"))
    said = found.results[0].json()["rewrites"]
    assert (said["combine"]["name"], said["family"], said["name"]) == ("r2med:reasoning", "r1", "hyde/r1-qwen-32b")
    assert "Biology: query_with_hydoc.jsonl: 1 rewrite made for another text of its query" in texts(found)
    assert any("1 rewrite fall backs" in text for text in texts(found))
    own = measured(
        tmp_path, retrievers.bm25("r2med"), rewrites=Generations(files=gar("hyde", "r1-qwen-32b").files, combine="mean")
    )
    assert "rewrites joined by 'mean' where the authors have 'r2med'" in texts(own)
    with pytest.raises(InputError, match=r"has no recorded generations; looked for hyde/gpt4/query_with_hydoc.jsonl"):
        measured(tmp_path, retrievers.bm25("r2med"), rewrites=gar("hyde", "gpt4"))


@pytest.mark.parametrize(
    ("method", "llm", "combine", "family"),
    [
        ("hyde", "gpt4", "r2med:hyde", ""),
        ("query2doc", "o3-mini", "r2med:query2doc", ""),
        ("lamer", "qwen-72b", "r2med:lamer", ""),
        ("lamer", "qwq_32b", "r2med:reasoning", "qwq"),
        ("hyde", "huatuo-o1-70b", "r2med:reasoning", "huatuo"),
        ("search-o1", "qwen3-32b", "r2med:reasoning", "qwen3"),
        ("search-r1", "qwen-7b-ins", "r2med:reasoning", "search-r1"),
    ],
)
def test_which_language_models_reason(method: str, llm: str, combine: str, family: str) -> None:
    found = gar(method, llm)
    assert (found.combine, found.family) == (combine, family)


def test_unknown_generations_are_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'hyde'"):
        gar("hyd", "gpt4")
    with pytest.raises(UnknownName, match="language model"):
        gar("hyde", "gpt5")
    with pytest.raises(InputError, match="only published with a reasoning model"):
        gar("search-o1", "gpt4")


def test_an_encoder_is_told_the_task_of_its_dataset(tmp_path: Path) -> None:
    """An endpoint that is never asked, used as E5-Mistral is: R2MED's task sentence for each dataset."""
    make = retrievers.dense("r2med", "openai:mine", like="e5", base_url="http://127.0.0.1:9/v1")
    prefixes = {}
    for name in ("Biology", "IIYi-Clinical"):
        one = benchmark("r2med").dataset(name)
        settings = make(load_dataset(one, dataset(tmp_path / name)).collection, one).settings
        prefixes[name] = settings["encoder"]["query"]["prefix"]
        assert settings["similarity"] == "cos"
    assert prefixes["Biology"] == "Instruct: Given a Biology post, retrieve relevant passages that help answer the post\nQuery: "
    assert "retrieve similar cases that help diagnose the case" in prefixes["IIYi-Clinical"]


def test_what_the_published_tables_call_a_configuration() -> None:
    hyde = Generations(files=("qwen/query-rewrite.jsonl",))
    assert retrievers.config_of("r2med", "bge", None) == "bge"
    assert retrievers.config_of("r2med", "bm25", gar("hyde", "gpt4")) == "gar/hyde/gpt4/bm25"
    assert retrievers.config_of("r2med", "contriever", gar("hyde", "gpt4")) == ""
    assert retrievers.config_of("cmirb", "bge-zh", None) == "bge-large-zh-v1.5"
    assert retrievers.config_of("cmirb", "bge-zh", hyde) == "hyde/qwen2-7b/bge"
    assert retrievers.config_of("cmirb", "bm25", hyde) == ""
    with pytest.raises(UnknownName, match="did you mean 'bm25'"):
        retrievers.plugged("bm52")


@pytest.mark.parametrize(
    ("file", "combine", "expected"),
    [
        ("", "", (85.5, 73.6, 77.7, 86.2)),
        ("qwen/query-rewrite.jsonl", "query+rewrite", (90.7, 84.0, 77.3, 79.4)),
        ("qwen/query-rewrite.jsonl", "5*query+rewrite", (90.4, 85.6, 79.0, 85.1)),
    ],
)
def test_the_gold_pools_of_four_tasks_of_cmirb(
    data: Path, tmp_path: Path, file: str, combine: str, expected: tuple[float, ...]
) -> None:
    """BM25 on Han bigrams; the figures of the data's index, ± 1."""
    rewrites = Generations(files=(file,), combine=combine) if file else None
    asked = Bench(retriever=retrievers.bm25("cmirb"), out=tmp_path, rewrites=rewrites, protocol=Protocol(resamples=50))
    found = bench("cmirb", data / "automir", asked)
    assert [result.dataset.name for result in found.results] == ["MedExam", "DuBaike", "CSLCite", "CSLRel"]
    values = [100 * value(found, name) for name in ("MedExam", "DuBaike", "CSLCite", "CSLRel")]
    assert values == pytest.approx(expected, abs=0.1)
    assert found.json()["average"] is None
    assert sum("never to be compared with the published tables" in text for text in texts(found)) == 4


def test_the_demo_of_r2med_loads_and_says_what_is_wrong_with_it(data: Path, tmp_path: Path) -> None:
    """Two queries, two documents, two grades of one query: both of documents that are not there."""
    asked = Bench(retriever=retrievers.bm25("r2med"), out=tmp_path, rewrites=gar("hyde", "qwen-7b"))
    found = bench("r2med", data / "r2med", asked)
    assert value(found, "Biology") == 0.0
    assert "Biology: 2 gold documents not in the corpus and cannot be found: not comparable" in texts(found)
    assert "Biology: 1 query without qrels: not scored" in texts(found)
