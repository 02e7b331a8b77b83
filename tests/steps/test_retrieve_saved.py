"""Runs that are saved with how they were made, and made only once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plain_collection import PlainCollection
from qrelkit.core.errors import InputError
from qrelkit.core.records import Query
from qrelkit.core.rewriting import Rewrite
from qrelkit.core.run import SCHEMA, Run
from qrelkit.formats.rewrites import read_rewrites
from qrelkit.formats.sidecars import read_sidecar, sidecar_of, write_sidecar
from qrelkit.steps.retrieve import retrieve, retrieve_to


class Counting:
    """Answers every query with document a, and counts how often it is asked."""

    name = "counting"

    def __init__(self, **settings: Any) -> None:
        self.settings: Mapping[str, Any] = settings
        self.asked: list[Sequence[Query]] = []

    def search(self, queries: Sequence[Query], depth: int) -> Run:
        self.asked.append(queries)
        frame = pl.DataFrame({"query_id": [q.query_id for q in queries], "doc_id": ["a"] * len(queries)})
        return Run.of(frame.with_columns(score=1.0), self.name)


@pytest.fixture
def shop() -> PlainCollection:
    return PlainCollection({"a": "red", "b": "blue"}, {"q1": "red dress", "q2": "blue"})


def test_a_run_is_made_once_and_says_how(tmp_path: Path, shop: PlainCollection) -> None:
    engine, path = Counting(k1=0.9), tmp_path / "a.trec"
    first = retrieve_to(path, shop, engine, 10, tag="mine")
    second = retrieve_to(path, shop, engine, 10, tag="mine")
    assert (first.known, second.known, len(engine.asked)) == (False, True, 1)
    assert second.run.frame.equals(first.run.frame)
    assert second.run.tag == "mine"
    said = json.loads(sidecar_of(path).read_text(encoding="utf-8"))
    assert said["retriever"] == {"name": "counting", "k1": 0.9}
    assert said["collection"]["documents"] == 2
    assert said["found"] == {"queries": 2, "documents": 2}
    assert "polars" in said["made_with"]


@pytest.mark.parametrize("change", ["settings", "depth", "tag", "rewrites", "queries", "again", "edited", "cut"])
def test_what_changes_the_run_makes_it_anew(tmp_path: Path, shop: PlainCollection, change: str) -> None:
    engine, path = Counting(k1=0.9), tmp_path / "a.trec"
    retrieve_to(path, shop, engine, 10, tag="mine")
    options: dict[str, Any] = {"depth": 10, "tag": "mine"}
    if change == "settings":
        engine.settings = {"k1": 1.2}
    elif change == "rewrites":
        options["rewrites"] = {"q1": Rewrite(query_id="q1", texts=("a garment",))}
    elif change == "queries":
        shop = PlainCollection({"a": "red", "b": "blue"}, {"q1": "red dresses", "q2": "blue"})
    elif change == "edited":
        path.write_text(path.read_text(encoding="utf-8").replace("mine", "mime"), encoding="utf-8", newline="\n")
    elif change == "cut":
        path.write_text(path.read_text(encoding="utf-8")[:-8], encoding="utf-8", newline="\n")
    else:
        options |= {"depth": {"depth": 5}, "tag": {"tag": "other"}, "again": {"again": True}}[change]
    again = retrieve_to(path, shop, engine, **options)
    assert (again.known, len(engine.asked)) == (False, 2)
    assert read_sidecar(path) == json.loads(sidecar_of(path).read_text(encoding="utf-8"))


def test_queries_carry_their_rewrites_and_those_without_are_named(tmp_path: Path, shop: PlainCollection) -> None:
    engine = Counting()
    written = {
        "q1": Rewrite(query_id="q1", texts=("a garment",), method="hyde"),
        "elsewhere": Rewrite(query_id="x", texts=("y",)),
    }
    made = retrieve_to(tmp_path / "a.trec", shop, engine, rewrites=written, combine="r2med")
    ((first, second),) = engine.asked
    assert (first.rewrites, second.rewrites) == (("a garment",), ())
    assert first.combine is not None
    assert first.combine.name == "r2med:hyde"
    assert made.said["rewrites"]["without"] == ["q2"]


def test_rewrites_of_another_collection_are_refused(shop: PlainCollection) -> None:
    with pytest.raises(InputError, match="do the ids match"):
        retrieve(shop, Counting(), rewrites={"77": Rewrite(query_id="77", texts=("y",))})


def test_a_run_that_found_nothing_is_known_too(tmp_path: Path, shop: PlainCollection) -> None:
    class Nothing(Counting):
        def search(self, queries: Sequence[Query], depth: int) -> Run:
            self.asked.append(queries)
            return Run(Run.of(pl.DataFrame(schema=SCHEMA), self.name).frame, self.name, {"without_hits": ["q1", "q2"]})

    engine = Nothing()
    assert not retrieve_to(tmp_path / "a.trec", shop, engine).known
    again = retrieve_to(tmp_path / "a.trec", shop, engine)
    assert (again.known, len(again.run), again.run.tag, len(engine.asked)) == (True, 0, "counting", 1)
    assert again.run.notes == {"without_hits": ["q1", "q2"]}


def test_no_place_for_a_run_is_said_before_it_is_made(tmp_path: Path, shop: PlainCollection) -> None:
    engine = Counting()
    with pytest.raises(InputError, match="there is no folder"):
        retrieve_to(tmp_path / "no" / "a.trec", shop, engine)
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        retrieve_to(tmp_path, shop, engine)
    assert engine.asked == []


def test_the_sidecar_says_whose_rewrites_they_are_and_which_are_of_another_text(tmp_path: Path, shop: PlainCollection) -> None:
    lines = [
        {
            "id": "q1",
            "text": "Red  dress!",
            "method": "hyde",
            "model": "m:1",
            "rewrites": ["a gown"],
            "counts": {"fall_backs": 1},
        },
        {"id": "q2", "text": "green", "method": "hyde", "model": "m:1", "rewrites": ["a hat"], "counts": {"fall_backs": 2}},
    ]
    file = tmp_path / "r.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write_sidecar(file, {"rewriter": {"prompt": "hyde@1"}})
    said = retrieve_to(tmp_path / "a.trec", shop, Counting(), rewrites=read_rewrites(file)).said["rewrites"]
    assert (said["methods"], said["models"], said["counts"]) == (["hyde"], ["m:1"], {"fall_backs": 3})
    assert said["of_another_text"] == ["q2"]  # letters are compared, not blanks, case and points
    assert (said["source"]["file"], said["source"]["made"]["rewriter"]) == ("r.jsonl", {"prompt": "hyde@1"})
    assert len(said["source"]["sha256"]) == 64


def test_a_rule_without_rewrites_and_a_preset_for_two_methods_are_refused(shop: PlainCollection) -> None:
    with pytest.raises(InputError, match="rule to combine 'mean' joins queries with rewrites, and there are none"):
        retrieve(shop, Counting(), combine="mean")
    both = {name: Rewrite(query_id=name, texts=("y",), method=method) for name, method in (("q1", "hyde"), ("q2", "lamer"))}
    with pytest.raises(InputError, match="are of hyde and lamer: say r2med:hyde, …"):
        retrieve(shop, Counting(), rewrites=both, combine="r2med")
    assert len(retrieve(shop, Counting(), rewrites=both, combine="r2med:lamer")) == 2
