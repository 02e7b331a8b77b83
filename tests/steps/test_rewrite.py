"""rewrite: queries through the driver; what was answered is never asked again, what failed is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import qrelkit as qk
from qrelkit.core.errors import InputError
from qrelkit.core.wire import Request
from qrelkit.rewriters.demonstrations import drawn_from, gold_of
from qrelkit.steps.retrieve import asked
from qrelkit.steps.rewrite import planned
from verbs.tiny import QUERIES, write_tiny


@pytest.fixture
def shop(tmp_path: Path) -> qk.Collection:
    return qk.load(write_tiny(tmp_path) / "shop")


def asked_about(request: Request) -> str:
    return "\n".join(part.text for part in request.messages[-1].parts)  # type: ignore[union-attr]


def writes(request: Request) -> str | qk.Reply:
    if "schwarze" in asked_about(request):
        return qk.Reply(text="I will not", outcome="refused")
    return f"text {request.sample} of {next(q for q, (text, *_) in QUERIES.items() if text in asked_about(request))}"


def hyde(**options: Any) -> qk.Hypothetical:
    return qk.Hypothetical("hyde", "scripted:answers", qk.read_prompt("hyde", "rewrite"), **options)


def queries_of(collection: qk.Collection) -> list[qk.Query]:
    return [collection.query(query_id) for query_id in collection.queries["query_id"]]


def test_every_query_is_rewritten_in_order_and_what_failed_is_said(shop: qk.Collection) -> None:
    model, store = qk.Scripted(reply=writes), qk.MemoryStore()
    done = qk.rewrite(queries_of(shop), hyde(generations=2), store=store, models={model.name: model})
    assert [*done.rewrites] == ["q1", "q2", "q3"]
    assert done.rewrites["q1"].texts == ("text 0 of q1", "text 1 of q1")
    assert done.rewrites["q2"].texts == ()
    assert (done.without, done.counts) == (["q2"], {"refused": 2})
    assert repr(done) == "Rewritten(3 of 3 queries, 4 texts, 1 without one)"
    assert store.spending()["stage"].to_list() == ["rewrite"]


def test_twice_is_free_and_more_generations_ask_only_for_the_new_ones(shop: qk.Collection) -> None:
    model, store = qk.Scripted(reply=writes), qk.MemoryStore()
    given: dict[str, Any] = {"store": store, "models": {model.name: model}}
    before = qk.rewrite(queries_of(shop), hyde(), **given)
    again = qk.rewrite(queries_of(shop), hyde(), **given)
    assert (again.tally.asked, again.rewrites) == (0, before.rewrites)
    assert qk.rewrite(queries_of(shop), hyde(generations=3), **given).tally.asked == 6
    stage = planned(queries_of(shop), hyde(generations=3), **given)
    assert (stage.items, stage.todo) == (3, 0)
    stage = planned(queries_of(shop), hyde(generations=4), **given)
    assert (stage.todo, stage.asks) == (3, True)


def test_rewrites_are_searched_with(shop: qk.Collection) -> None:
    model = qk.Scripted(reply=writes)
    done = qk.rewrite(queries_of(shop), hyde(), store=qk.MemoryStore(), models={model.name: model})
    searched = {query.query_id: query for query in asked(shop, done.rewrites, "r2med")}
    assert searched["q1"].combine is not None
    assert searched["q1"].combine.name == "r2med:hyde"  # the method is that of the rewrites
    words = searched["q1"].combine.words
    assert [piece.text for piece in words.pieces("red dress", searched["q1"].rewrites)] == ["text 0 of q1"]
    assert [piece.text for piece in words.pieces("schwarze stiefel", searched["q2"].rewrites)] == ["schwarze stiefel"]


def test_lamer_shows_what_the_first_run_found(shop: qk.Collection, tmp_path: Path) -> None:
    first = qk.read_run(tmp_path / "runs" / "words.trec")
    model = qk.Scripted(reply=lambda request: "fine")
    lamer = qk.Hypothetical("lamer", model.name, qk.read_prompt("lamer", "rewrite"))
    given: dict[str, Any] = {"store": qk.MemoryStore(), "models": {model.name: model}, "collection": shop}
    qk.rewrite(queries_of(shop), lamer, first=first, **given)
    said = next(asked_about(request) for request in model.asked if "red dress" in asked_about(request).split("What was found")[0])
    places = [said.index(f"number {doc_id}.") for doc_id in ("p01", "p02", "p03", "p09")]  # in order of rank
    assert places == sorted(places)
    assert "[1] Red summer dress" in said
    with pytest.raises(InputError, match="--first RUN"):
        qk.rewrite(queries_of(shop), lamer, **given)


def test_documents_that_are_forgotten_or_unknown_are_not_shown(shop: qk.Collection, tmp_path: Path) -> None:
    from qrelkit.steps.forgotten import remember

    first, store = qk.read_run(tmp_path / "runs" / "words.trec"), qk.MemoryStore()
    remember(store, ["p01"])
    model = qk.Scripted(reply=lambda request: "fine")
    lamer = qk.Hypothetical("lamer", model.name, qk.read_prompt("lamer", "rewrite"))
    given: dict[str, Any] = {"store": store, "models": {model.name: model}, "collection": shop}
    qk.rewrite(queries_of(shop)[:1], lamer, first=first, **given)
    assert "number p01." not in asked_about(model.asked[0])
    (tmp_path / "other.trec").write_text("q1 Q0 x9 1 1 other\n", encoding="utf-8")
    with pytest.raises(InputError, match="'x9'"):
        qk.rewrite(queries_of(shop), lamer, first=qk.read_run(tmp_path / "other.trec"), **given)


def test_demonstrations_from_qrels_are_relevant_and_never_the_query_s_own(shop: qk.Collection, tmp_path: Path) -> None:
    human = qk.read_qrels(tmp_path / "shop" / "qrels.txt")
    pool = drawn_from(shop, human, seed=1)
    assert sorted(one.query for one in pool) == sorted(text for text, *_ in QUERIES.values())  # one of each query
    assert not any("p09." in one.passage or "p06." in one.passage for one in pool)  # graded 0
    shown = qk.Demonstrations(pool, 4, gold_of(shop, [human]))
    for query in queries_of(shop):
        assert query.text not in [one.query for one in shown.of(query)]
        assert len(shown.of(query)) == 2


def test_a_demonstration_whose_passage_answers_another_query_is_not_shown_to_it(shop: qk.Collection) -> None:
    pool = [qk.Demonstration(query="evening wear", passage=shop.document("p01").text)]
    human = qk.Qrels.of(pl_rows([("q1", "p01", 1)]), "ann")
    shown = qk.Demonstrations(pool, 4, gold_of(shop, [human]))
    assert [len(shown.of(query)) for query in queries_of(shop)] == [0, 1, 1]


def pl_rows(rows: list[tuple[str, str, int]]) -> Any:
    import polars as pl

    return pl.DataFrame(rows, schema=["query_id", "doc_id", "grade"], orient="row")


def test_demonstrations_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    path.write_text('{"query": "a", "passage": "b", "more": 1}\n', encoding="utf-8")
    assert qk.read_demonstrations(path) == [qk.Demonstration(query="a", passage="b")]
    path.write_text('{"query": "a", "passage": "b"}\n{"query": "a"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"shots.jsonl:2: a demonstration is"):
        qk.read_demonstrations(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="holds no demonstration"):
        qk.read_demonstrations(path)
