"""ir_datasets behind our door, with a dataset registered here: the real ones need the network."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import pytest

from qrelkit.core.errors import InputError, MissingExtra, UnknownName
from qrelkit.sources.irds import Irds
from qrelkit.steps.load import load


class Doc(NamedTuple):
    doc_id: str
    title: str
    text: str
    body: bytes


class Question(NamedTuple):
    query_id: str
    text: str


class Judged(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int


class Tiny:
    """Three kinds of rows under ir_datasets' method names."""

    docs = (Doc("007", "Shoe", "red", b"<html>"), Doc("8", "", "boot", b""))
    queries = (Question("q1", "shoes"),)
    qrels = (Judged("q1", "007", 2), Judged("q1", "8", 0))

    def has_docs(self) -> bool:
        return True

    def has_queries(self) -> bool:
        return bool(self.queries)

    def has_qrels(self) -> bool:
        return bool(self.qrels)

    def docs_iter(self) -> Any:
        return iter(self.docs)

    def queries_iter(self) -> Any:
        return iter(self.queries)

    def qrels_iter(self) -> Any:
        return iter(self.qrels)

    def docs_count(self) -> int:
        return len(self.docs)

    def queries_count(self) -> int:
        return len(self.queries)


def test_a_dataset_is_a_collection() -> None:
    found = Irds("tiny/test", Tiny()).collection()
    assert found.document("007").text == "Shoe red"
    assert found.document("007").columns == {}
    assert found.query("q1").text == "shoes"
    assert found.qrels["qrels"].frame["grade"].to_list() == [2, 0]
    assert repr(found) == "Collection(tiny/test: 1 queries, 2 documents)"
    assert list(Irds("tiny/test", Tiny()).collection().texts()) == [(["007", "8"], ["Shoe red", "boot"])]


def test_the_real_package_is_asked_by_its_own_interface() -> None:
    ir_datasets = pytest.importorskip("ir_datasets")
    formats = ir_datasets.formats

    class Docs(formats.BaseDocs):  # type: ignore[name-defined,misc]
        def docs_iter(self) -> Any:
            return iter([formats.GenericDoc("d1", "hello")])

        def docs_count(self) -> int:
            return 1

        def docs_cls(self) -> Any:
            return formats.GenericDoc

    if "qrelkit-tiny" not in ir_datasets.registry:
        ir_datasets.registry.register("qrelkit-tiny", ir_datasets.Dataset(Docs()))
    found = load("irds:qrelkit-tiny")
    assert (found.document("d1").text, found.queries.height, len(found.qrels)) == ("hello", 0, 0)
    with pytest.raises(UnknownName, match=r"unknown dataset of ir_datasets 'vaswanii'; did you mean .*'vaswani'"):
        load("irds:vaswanii")


def test_a_dataset_without_documents_is_refused() -> None:
    class Bare(Tiny):
        def has_docs(self) -> bool:
            return False

    with pytest.raises(InputError, match="irds:bare: has no documents"):
        Irds("bare", Bare())


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)  # what an absent package looks like to an import
    with pytest.raises(MissingExtra, match=r'pip install "qrelkit\[irds\]"'):
        load("irds:vaswani")
