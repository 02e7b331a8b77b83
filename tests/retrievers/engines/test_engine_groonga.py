"""A real engine over HTTP that nobody wrote for us: Groonga, as the kind `http`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from qrelkit.core.errors import Unreachable
from qrelkit.core.records import Query
from qrelkit.retrievers.engines.config import engine_config
from qrelkit.retrievers.engines.engine import Engine
from servers.groonga import groonga

TEXTS = {
    "d1": "red shoe", "d2": "red red shoe", "zh": "中文信息检索系统", "de": "Fußgängerübergänge in Köln", "c": "C++ AND (Java)",
    **{f"s{n:02}": "sock" for n in range(30)},
}  # fmt: skip
PARAMS = {
    "table": "Doc", "match_columns": "text", "query": "{{ query | lucene }}", "output_columns": "_key,_score",
    "sort_keys": "-_score,_key", "limit": "{{ size }}", "offset": "{{ offset }}",
}  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with groonga(TEXTS, tmp_path_factory.mktemp("groonga")) as running:
        yield running


def engine(url: str, **more: Any) -> Engine:
    where = {"hits": "[1][0][2:]", "id": "[0]", "score": "[1]", "total": "[1][0][0][0]", "paging": {"by": "offset", "size": 10}}
    return Engine(engine_config({"kind": "http", "url": f"{url}/d/select", "params": PARAMS, "retries": 0, **where, **more}))


def test_groonga_answers_in_any_language(url: str) -> None:
    texts = {"en": "red", "zh": "检索", "de": "Fußgängerübergänge", "none": "umbrella"}
    run = engine(url).search([Query(query_id=k, text=v) for k, v in texts.items()], 5)
    assert run.frame.select("query_id", "doc_id").rows() == [("en", "d2"), ("en", "d1"), ("zh", "zh"), ("de", "de")]
    assert run.notes["without_hits"] == ["none"]


def test_its_many_ties_are_broken_by_the_run_and_its_pages_are_turned(url: str) -> None:
    run = engine(url).search([Query(query_id="q", text="sock")], 25)
    assert run.frame["doc_id"].to_list() == [f"s{n:02}" for n in range(29, -1, -1)][:25]
    assert run.notes["cut_in_ties"] == 1


@pytest.mark.parametrize("text", ["C++ AND (", '"', "red)", "a:b OR -c", "\\", '中文 "检索'])
def test_no_query_breaks_it(url: str, text: str) -> None:
    run = engine(url).search([Query(query_id="q", text=text)], 5)
    assert "failed" not in run.notes or not run.notes["failed"]


def test_its_own_errors_are_failures(url: str) -> None:
    with pytest.raises(Unreachable, match="HTTP 400"):
        engine(url, params={**PARAMS, "table": "Nowhere"}).search([Query(query_id="q", text="red")], 5)
