"""Reranking: orders and scores by hand; a plain loop says what the order must be, and a file is read back."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from plain_collection import PlainCollection
from qrelkit.core.errors import InputError, Mismatch, Rejected, UnknownName, Unreachable
from qrelkit.core.records import Document, Query
from qrelkit.core.run import Run
from qrelkit.core.wire import Reply, Request
from qrelkit.formats.trec import read_run, write_run
from qrelkit.judges.labels import Labels
from qrelkit.models.scripted import Scripted
from qrelkit.retrievers.listwise import Listwise
from qrelkit.steps.load import load
from qrelkit.steps.rerank import Asking, Rest, reordered, rerank, rerank_to
from qrelkit.stores.memory import MemoryStore
from verbs.tiny import write_tiny

DOCUMENTS = {letter: letter for letter in "abcdef"}
COLLECTION: Any = PlainCollection(DOCUMENTS, {"1": "one", "2": "two"})


class Table:
    """A reranker that has its scores from a table, or raises what stands there."""

    name = "table"

    def __init__(self, scores: Mapping[str, Mapping[str, float] | Exception]) -> None:
        self.table, self.asked = scores, list[tuple[str, list[str]]]()
        self.settings: Mapping[str, Any] = {"kind": "table", "scores": repr(scores)}

    def scores(self, query: Query, documents: Sequence[Document]) -> Sequence[float]:
        self.asked.append((query.query_id, [document.doc_id for document in documents]))
        known = self.table[query.query_id]
        if isinstance(known, Exception):
            raise known
        return [known[document.doc_id] for document in documents]


def first(**queries: str) -> Run:
    rows = [(q[1:], d, 10.0 - i) for q, docs in queries.items() for i, d in enumerate(docs)]
    return Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "score"], orient="row"), "first")


def orders(run: Run) -> dict[str, str]:
    return dict(run.frame.group_by("query_id", maintain_order=True).agg(pl.col("doc_id").str.join("")).iter_rows())


def test_the_first_documents_are_rescored_and_the_rest_stays_below_in_its_order() -> None:
    table = Table({"1": {"a": 0.1, "b": 0.9, "c": 0.5}})
    run = rerank(COLLECTION, first(q1="abcdef"), table, depth=3)
    assert orders(run) == {"1": "bcadef"}
    assert table.asked == [("1", ["a", "b", "c"])]
    assert run.frame["score"].to_list()[:3] == pytest.approx([0.9, 0.5, 0.1])
    assert run.frame["score"].to_list()[3:] == pytest.approx([0.1] * 3)  # below the lowest by the least steps
    assert run.tag == "first+table"
    assert run.notes["retriever"] == {"name": "table", **table.settings, "depth": 3, "rest": "append"}
    assert run.notes["first"] == {"tag": "first", "queries": 1, "documents": 6}


def test_the_rest_can_be_dropped() -> None:
    table = Table({"1": {"a": 0.1, "b": 0.9, "c": 0.5}})
    assert orders(rerank(COLLECTION, first(q1="abcdef"), table, depth=3, rest="drop")) == {"1": "bca"}


def test_ties_stay_in_the_first_runs_order_whatever_the_ids() -> None:
    table = Table({"1": dict.fromkeys("bfae", 0.0)})
    run = rerank(COLLECTION, first(q1="bfae"), table)
    assert orders(run) == {"1": "bfae"}
    scores = run.frame["score"].to_numpy().astype(np.float32)
    assert (np.diff(scores) < 0).all()


def test_a_query_that_is_not_answered_keeps_order_and_scores_and_is_named() -> None:
    table = Table({"1": Unreachable("it is down"), "2": {"a": 1.0, "b": 2.0}})
    run = rerank(COLLECTION, first(q1="abc", q2="ab"), table, depth=2)
    assert orders(run) == {"1": "abc", "2": "ba"}
    assert run.frame.filter(query_id="1")["score"].to_list() == [10, 9, 8]
    assert run.notes["failed"] == {"1": "it is down"}


def test_where_nobody_answers_it_is_an_error_and_a_wrong_key_is_one_at_once() -> None:
    with pytest.raises(Unreachable, match="none of 2 queries was reranked: it is down"):
        rerank(COLLECTION, first(q1="a", q2="b"), Table({"1": Unreachable("it is down"), "2": Unreachable("down")}))
    with pytest.raises(Rejected, match="wrong key"):
        rerank(COLLECTION, first(q1="a", q2="b"), Table({"1": Rejected("wrong key", fatal=True), "2": {"b": 1.0}}))


def test_a_score_that_is_no_number_fails_its_query() -> None:
    run = rerank(COLLECTION, first(q1="ab", q2="ab"), Table({"1": {"a": 1.0, "b": float("nan")}, "2": {"a": 1.0, "b": 2.0}}))
    assert orders(run) == {"1": "ab", "2": "ba"}
    assert "no finite number" in run.notes["failed"]["1"]


def test_depth_and_rest_and_names_are_checked() -> None:
    table = Table({})
    with pytest.raises(InputError, match="depth must be at least 1"):
        rerank(COLLECTION, first(q1="a"), table, depth=0)
    with pytest.raises(UnknownName, match="did you mean 'append'"):
        rerank(COLLECTION, first(q1="a"), table, rest="apend")  # type: ignore[arg-type]


@pytest.mark.parametrize("at_once", [1, 3])
def test_queries_come_out_in_the_runs_order_however_many_are_asked_at_once(at_once: int) -> None:
    queries = {str(i): "x" for i in range(20)}
    collection: Any = PlainCollection(DOCUMENTS, queries)
    table = Table({q: {"a": 1.0, "b": 2.0} for q in queries})
    run = rerank(collection, first(**{f"q{q}": "ab" for q in queries}), table, at_once=at_once)
    assert list(orders(run).items()) == [(q, "ba") for q in queries]


@pytest.mark.parametrize("rest", ["append", "drop"])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1.0, 1e30])
def test_any_reader_finds_the_order_that_was_meant(rest: Rest, spread: float, tmp_path: Path) -> None:
    """Values with ties, gaps and both signs; the order by sorting in Python, after a file was written and read."""
    draw = random.Random(3)
    ids = [f"d{i:02}" for i in range(30)]
    rows = [(q, d, draw.gauss(0, 5)) for q in ("1", "2", "3") for d in draw.sample(ids, 25)]
    run = Run.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "score"], orient="row"), "first")
    top = run.cut(15).frame
    said = {(q, d): draw.choice([None, 0.0, spread * draw.gauss(0, 1)]) for q, d in top.select("query_id", "doc_id").iter_rows()}
    said |= {key: None for key in said if key[0] == "3"}  # nothing is said of query 3
    values = pl.DataFrame([(*key, v) for key, v in said.items()], schema=["query_id", "doc_id", "value"], orient="row")
    values = values.cast({"value": pl.Float64})
    expected = []
    for (q,), part in run.frame.group_by(["query_id"], maintain_order=True):
        ranked = part["doc_id"].to_list()
        graded = sorted((d for d in ranked[:15] if said[q, d] is not None), key=lambda d: -(said[q, d] or 0.0))
        expected += graded + [d for d in ranked[:15] if said[q, d] is None] + (ranked[15:] if rest == "append" else [])
    write_run(Run.of(reordered(run, values, 15, rest), "new"), tmp_path / "new.trec")
    assert read_run(tmp_path / "new.trec").frame["doc_id"].to_list() == expected


def test_a_score_is_lowered_by_no_more_than_it_must() -> None:
    run = rerank(COLLECTION, first(q1="abcd"), Table({"1": {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.5}}))
    bits = [struct.unpack("<I", struct.pack("<f", score))[0] for score in run.frame["score"]]
    one, half = 0x3F800000, 0x3F000000  # float32 of 1 and of .5; the number below has bits less 1
    assert bits == [one, one - 1, one - 2, half]


# judges and list-makers


def ordering(request: Request) -> str:
    """An order from behind."""
    count = sum(part.text.startswith("<document>") for part in request.messages[1].parts)  # type: ignore[union-attr]
    return " > ".join(f"[{i}]" for i in range(count, 0, -1))


def test_a_list_makers_order_is_the_order_and_twice_is_free() -> None:
    model, store = Scripted(reply=ordering), MemoryStore()
    lister = Listwise(model.name, window=3, step=2)
    for asked in (2, 2):
        asking = Asking(store=store, models={model.name: model})
        run = rerank(COLLECTION, first(q1="abcdef"), lister, depth=5, asking=asking)
        # abcde: the last window cde becomes edc, then abe becomes eba; f was not looked at
        assert orders(run) == {"1": "ebadcf"}
        assert run.notes["counts"] == {"windows": 2}
        assert len(model.asked) == asked


def test_a_list_maker_without_what_to_ask_with_is_refused() -> None:
    with pytest.raises(InputError, match="asking=Asking"):
        rerank(COLLECTION, first(q1="ab"), Listwise("scripted:m"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_tiny(tmp_path)


def test_a_judges_grades_order_a_run_and_what_has_none_stands_below_them(shop: Path) -> None:
    from qrelkit.core.guideline import Scale
    from qrelkit.core.qrels import Qrels

    collection, run = load(str(shop / "shop")), read_run(shop / "runs" / "words.trec")
    # q1: p01 p02 p03 p09; p01 has no label: below all that have one, also below the 0 of p03
    rows = [("q1", "p02", 1), ("q1", "p03", 0), ("q1", "p09", 2)]
    qrels = Qrels.of(pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row"), "people")
    assessor = Labels(qrels, Scale.read("product-3", "scale"), name="people", source="labels")
    made = rerank(collection, run, assessor, depth=4, asking=Asking(store=MemoryStore()))
    found = made.frame.filter(query_id="q1")["doc_id"].to_list()
    assert found == ["p09", "p02", "p03", "p01"]
    assert set(made.notes["failed"]) == {"q2", "q3"}  # nobody said anything of these
    assert orders(made)["q2"] == orders(run)["q2"]
    assert sum(made.notes["counts"].values()) == 9  # all of q2 and q3, and p01


def test_what_is_written_says_what_it_was_made_of_and_is_made_again_only_where_something_failed(shop: Path) -> None:
    collection = load(str(shop / "shop"))
    source, out = shop / "runs" / "words.trec", shop / "new.trec"
    good = {q: {f"p{i:02}": float(i) for i in range(1, 11)} for q in ("q1", "q2", "q3")}
    broken = Table({**good, "q2": Unreachable("it is down")})
    made = rerank_to(out, source, collection, broken, depth=3)
    assert made is not None
    assert made.said["made_of"][0]["tag"] == "words"
    assert len(made.said["made_of"][0]["sha256"]) == 64
    assert made.said["notes"]["failed"] == {"q2": "it is down"}
    again = rerank_to(out, source, collection, broken, depth=3)
    assert again is not None
    assert not again.known  # q2 is asked again
    for known in (False, True):
        found = rerank_to(out, source, collection, Table(good), depth=3)
        assert found is not None
        assert found.known == known


def test_a_run_of_another_collection_is_refused(shop: Path) -> None:
    collection = load(str(shop / "shop"))
    for ids, said in (
        (("q1", "p99"), "1 document not in shop, such as 'p99'"),
        (("q9", "p01"), "1 query not in shop, such as 'q9'"),
    ):
        (shop / "strange.trec").write_text(f"{ids[0]} Q0 {ids[1]} 1 1.0 strange\n", encoding="utf-8")
        with pytest.raises(Mismatch, match=f"run 'strange' has {said}; give the collection that it was made on"):
            rerank_to(shop / "new.trec", shop / "strange.trec", collection, Table({}), depth=3)


def test_the_first_run_is_not_written_over(shop: Path) -> None:
    source = shop / "runs" / "words.trec"
    with pytest.raises(InputError, match=r"words\.trec: is itself one of the runs that go in"):
        rerank_to(source, source, load(str(shop / "shop")), Table({}), depth=3)


class Dear(Scripted):
    """A model whose every reply costs a dollar."""

    def cost_usd(self, reply: Reply) -> float:
        return 1.0


def test_asking_that_stopped_early_writes_nothing(shop: Path) -> None:
    collection = load(str(shop / "shop"))
    model = Dear(reply=ordering)
    asking = Asking(store=MemoryStore(), models={model.name: model}, budget_usd=0.5, at_once=1)
    out = shop / "new.trec"
    assert rerank_to(out, shop / "runs" / "words.trec", collection, Listwise(model.name), asking=asking) is None
    assert asking.tally.stopped == "budget"
    assert not out.exists()
