"""Order and noise of a judge's examples: what is shown where, what is refused, and that nothing changes unless asked."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from plain_collection import PlainCollection
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.qrels import Qrels
from qrelkit.judges.examples import Draw, draw_examples, in_order, pairs_shown

DOCUMENTS = {"d1": "red dress", "d2": "red", "d3": "boots", "e1": "green umbrella", "e2": "umbrella"}
QUERIES = {"q": "red dress", "other": "umbrella"}
ROWS = [("q", "d1", 1), ("q", "d2", 2), ("q", "d3", 0), ("other", "e1", 1), ("other", "e2", 2)]


class Held(PlainCollection):
    """Says which documents it has, as drawing asks."""

    def contains(self, doc_ids: pl.Series) -> pl.Series:
        return doc_ids.is_in(self.doc_ids.implode())


COLLECTION = Held(DOCUMENTS, QUERIES)
JUDGED = Qrels.of(pl.DataFrame(ROWS, schema=["query_id", "doc_id", "grade"], orient="row"), "ann")
DRAW = Draw(n=3, rule="same_query")


def shown(draw: Draw) -> str:
    examples = draw_examples(JUDGED, COLLECTION, ["q"], draw)["q"]  # type: ignore[arg-type]
    return " ".join(example.document.doc_id for example in examples)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("similar_last", "d3 d2 d1"),
        ("similar_first", "d2 d1 d3"),
        ("relevant_first", "d2 d1 d3"),
        ("relevant_last", "d3 d1 d2"),
        ("as_drawn", "d2 d1 d3"),
    ],
)
def test_examples_stand_in_the_order_asked_for(order: str, expected: str) -> None:
    """Drawn are the grades from the top: d2 d1 d3. Words of the query and the document beside {red, dress}: d1 and d2 have just
    these, cosine 1, d3 has {red, dress, boots}, 2/√(2·3) = .82; equal ones stay as drawn."""
    assert shown(dataclasses.replace(DRAW, order=order)) == expected  # type: ignore[arg-type]


def test_unless_asked_the_most_similar_stands_last_and_there_is_no_noise() -> None:
    assert shown(DRAW) == shown(dataclasses.replace(DRAW, order="similar_last", noise=0))


def test_noise_is_of_other_queries_and_is_left_out_of_agreement_too() -> None:
    draw = dataclasses.replace(DRAW, noise=2, order="as_drawn")
    assert sorted(shown(draw).split()[3:]) == ["e1", "e2"]
    found = draw_examples(JUDGED, COLLECTION, ["q"], draw)  # type: ignore[arg-type]
    assert pairs_shown(found).height == 5
    assert [e.query.query_id for e in found["q"]] == ["q", "q", "q", "other", "other"]


def test_noise_has_whatever_grade_and_queries_have_noise_of_their_own() -> None:
    only = dataclasses.replace(DRAW, grades=(1,), noise=2, order="as_drawn")
    assert sorted(shown(only).split()) == ["d1", "e1", "e2"], "e2 has grade 2"
    names = [f"q{i}" for i in range(40)]
    qrels = Qrels.of(pl.DataFrame({"query_id": names, "doc_id": ["d1"] * 40, "grade": [1] * 40}), "ann")
    collection = Held(DOCUMENTS, dict.fromkeys(names, "red dress"))
    draw = Draw(n=1, rule="same_query", noise=1, order="as_drawn")
    found = draw_examples(qrels, collection, names, draw)  # type: ignore[arg-type]
    drawn = {name: examples[1].query.query_id for name, examples in found.items()}
    assert all(name != other for name, other in drawn.items())
    assert len(set(drawn.values())) > 10
    fewer = draw_examples(qrels, collection, names, dataclasses.replace(draw, seed=1))  # type: ignore[arg-type]
    assert drawn != {name: examples[1].query.query_id for name, examples in fewer.items()}


def test_noise_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="take same_query"):
        shown(Draw(n=1, noise=1))
    with pytest.raises(Mismatch, match="other queries have 2"):
        shown(dataclasses.replace(DRAW, noise=3))
    with pytest.raises(UnknownName, match="did you mean 'similar_last'"):
        in_order("red", [], "similar_lst")  # type: ignore[arg-type]


def test_a_query_without_an_example_of_its_own_has_none_by_noise() -> None:
    only = Qrels.of(JUDGED.frame.filter(query_id="other"), "ann")
    found = draw_examples(only, COLLECTION, ["q"], dataclasses.replace(DRAW, noise=1, missing="fail"))  # type: ignore[arg-type]
    assert found["q"] == []


def test_the_configuration_says_all_of_a_draw() -> None:
    from qrelkit.project.config import ExamplesConfig

    assert list(ExamplesConfig.model_fields) == [field.name for field in dataclasses.fields(Draw)]
    assert Draw(**ExamplesConfig(n=2).model_dump() | {"grades": ()}) == Draw(n=2)
