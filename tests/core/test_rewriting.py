"""How a query and its rewrites are joined. The R2MED rows are those of the table in its released code (see the research notes:
HyDE is the text alone, query2doc repeats the query twice without a blank); the others follow from the rules' own words."""

from __future__ import annotations

import pytest

from qrelkit.core.errors import InputError, UnknownName
from qrelkit.core.rewriting import METHODS, PRESETS, Combine, Piece

TWO = ("one text", "another")


def words(rule: str, rewrites: tuple[str, ...] = TWO, method: str = "") -> list[str]:
    return [piece.text for piece in Combine.of(rule, method).words.pieces("red dress", rewrites)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("query", ["red dress"]),
        ("rewrite", ["one text another"]),
        ("query+rewrite", ["red dress one text another"]),
        ("3*query+rewrite", ["red dress red dress red dress one text another"]),
        ("mean", ["red dress one text another"]),
        ("r2med:hyde", ["one text another"]),
        ("r2med:query2doc", ["red dressred dress one text another"]),
        ("r2med:lamer", ["red dress one text another"]),
        ("r2med:reasoning", ["one text another"]),
        ("original:query2doc", ["red dress red dress red dress red dress red dress one text another"]),
        ("original:lamer", ["red dress one text red dress another"]),
        ("sl-hyde:hyde", ["red dress one text another"]),
    ],
)
def test_what_a_lexical_retriever_is_asked(rule: str, expected: list[str]) -> None:
    assert words(rule) == expected


def test_a_query_without_rewrites_is_asked_as_it_is_by_every_rule() -> None:
    names = ["query", "rewrite", "query+rewrite", "5*query+rewrite", "mean", *(f"{p}:{m}" for p in PRESETS for m in METHODS)]
    assert {name: words(name, ()) for name in names} == {name: ["red dress"] for name in names}


def test_weighted_texts_are_counted_apart() -> None:
    pieces = Combine.of("weights:2").words.pieces("red dress", TWO)
    assert pieces == (Piece(text="red dress"), Piece(text="one text", weight=2.0), Piece(text="another", weight=2.0))


def test_vectors_of_the_presets() -> None:
    assert Combine.of("r2med", "query2doc").vectors.of == "text"
    assert Combine.of("r2med", "query2doc").vectors.separator == "[SEP]"
    assert {Combine.of("r2med", m).vectors.of for m in ("hyde", "lamer", "reasoning")} == {"mean"}
    assert {Combine.of("sl-hyde", m).vectors.instructed for m in METHODS} == {False}
    assert Combine.of("rewrite").vectors.of == "rewrite"


def test_a_preset_takes_the_method_of_the_rewrites_and_asks_for_it_where_nobody_said() -> None:
    assert Combine.of("r2med", "lamer").name == "r2med:lamer"
    assert Combine.of("r2med:hyde", "lamer").name == "r2med:hyde"
    with pytest.raises(InputError, match="do not say theirs: say r2med:hyde"):
        Combine.of("r2med")
    with pytest.raises(InputError, match="say 'HyDE', which is none of hyde, "):
        Combine.of("r2med", "HyDE")


@pytest.mark.parametrize("name", ["meen", "r2med:hide", "query*5+rewrite", "0*query+rewrite", ""])
def test_an_unknown_rule_is_named(name: str) -> None:
    with pytest.raises(UnknownName, match="rule to combine"):
        Combine.of(name)


def test_a_rule_is_recorded_whole() -> None:
    assert Combine.of("5*query+rewrite").json() == {
        "name": "5*query+rewrite",
        "words": {"repeat": 5, "between": " ", "rewrites": True, "before": " ", "again": False, "weight": None},
        "vectors": {"of": "text", "separator": " ", "instructed": None, "unit": None},
    }
