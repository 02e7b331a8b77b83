"""Rerank endpoints against servers of both forms, kind and unkind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.doors import Reranker
from qrelkit.core.errors import InputError, ModelError, Rejected, UnknownName, Unreachable
from qrelkit.core.records import Document, Query
from qrelkit.models.rerank_endpoint import RerankEndpoint, read_scores
from servers.rerank import RerankServer, failing, missing

QUERY = Query(query_id="q", text="red summer dress")
DOCUMENTS = [
    Document(doc_id="a", text="Blue dress"),
    Document(doc_id="b", text="Red summer dress", title="Red"),
    Document(doc_id="c", text="Shoes"),
]


@pytest.fixture
def server() -> Iterator[RerankServer]:
    with RerankServer() as running:
        yield running


def asked(server: RerankServer, name: str = "rerank:tiny", documents: list[Document] = DOCUMENTS, **options: Any) -> list[float]:
    endpoint = RerankEndpoint(name, base_url=server.url, **options)
    try:
        return endpoint.scores(QUERY, documents)
    finally:
        endpoint.close()


def test_scores_come_in_the_order_of_the_documents(server: RerankServer) -> None:
    assert asked(server) == [1, 3, 0]
    texts = ["Blue dress", "Red summer dress", "Shoes"]
    assert server.bodies == [{"model": "tiny", "query": "red summer dress", "documents": texts, "top_n": 3}]


def test_what_was_answered_is_on_disk_and_never_paid_for_again(server: RerankServer, tmp_path: Path) -> None:
    first = asked(server, keep=tmp_path)
    assert [asked(server, keep=tmp_path), len(server.bodies)] == [first, 1]  # another process, as after a kill
    assert asked(server, documents=DOCUMENTS[:2], keep=tmp_path) == first[:2]
    assert asked(server, "rerank:other", keep=tmp_path) == first
    assert len(server.bodies) == 3  # other documents and another model are other questions


def test_an_answer_that_is_none_is_not_kept(server: RerankServer, tmp_path: Path) -> None:
    server.next(missing(1))
    with pytest.raises(Rejected):
        asked(server, keep=tmp_path)
    assert asked(server, keep=tmp_path) == [1, 3, 0]
    assert len(server.bodies) == 2


def test_the_form_of_tei_goes_in_lots_that_it_takes() -> None:
    with RerankServer("tei") as server:
        documents = [Document(doc_id=str(i), text="red " * (i % 2)) for i in range(70)]
        assert asked(server, "tei:tiny", documents) == [float(i % 2) for i in range(70)]
        assert [len(body["texts"]) for body in server.bodies] == [32, 32, 6]
        assert server.bodies[0]["raw_scores"] is True


def test_it_is_a_reranker_that_several_threads_may_ask(server: RerankServer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    endpoint = RerankEndpoint("rerank:tiny", base_url=server.url)
    assert isinstance(endpoint, Reranker)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: endpoint.scores(QUERY, DOCUMENTS), range(12))) == [[1, 3, 0]] * 12
    endpoint.close()
    assert endpoint.scores(QUERY, DOCUMENTS) == [1, 3, 0]  # also after it was closed
    endpoint.close()


def test_what_may_come_right_is_asked_again(server: RerankServer) -> None:
    server.next(failing(503), failing(429, **{"Retry-After": "0"}))
    assert asked(server) == [1, 3, 0]
    assert len(server.bodies) == 3


def test_after_so_many_tries_it_is_an_error(server: RerankServer) -> None:
    server.next(failing(500), failing(500))
    with pytest.raises(Unreachable, match="500 not now"):
        asked(server, retries=1)


def test_an_answer_that_misses_a_document_is_no_answer(server: RerankServer) -> None:
    server.next(missing(1))
    with pytest.raises(Rejected, match="answered about 2 of 3 documents") as raised:
        asked(server)
    assert not raised.value.fatal


@pytest.mark.parametrize(
    "rows",
    [
        [{"index": 0, "score": 1.0}, {"index": 0, "score": 2.0}],
        [{"index": 0, "score": 1.0}, {"index": 2, "score": 2.0}],
        [{"index": 0, "score": None}, {"index": 1, "score": 2.0}],
        [{"index": 0, "score": True}, {"index": 1, "score": 2.0}],
        [{"index": "0", "score": 1.0}, {"index": 1, "score": 2.0}],
        "no list",
    ],
)
def test_an_answer_that_is_not_one_number_for_each_is_no_answer(rows: Any) -> None:
    with pytest.raises(Rejected, match="there: answered"):
        read_scores({"results": rows}, 2, "there")


def test_a_wrong_key_concerns_every_query_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with RerankServer(key="right-key-of-the-test") as server:
        monkeypatch.setenv("RERANK_API_KEY", "wrong-key-of-the-test")
        with pytest.raises(Rejected, match="check RERANK_API_KEY") as raised:
            asked(server)
        assert raised.value.fatal
        assert "wrong-key" not in str(raised.value)
        monkeypatch.setenv("RERANK_API_KEY", "right-key-of-the-test")
        assert asked(server) == [1, 3, 0]


def test_only_what_may_leave_leaves(server: RerankServer) -> None:
    asked(server, may_leave=("title",))
    assert server.bodies[0]["documents"] == ["", "Red", ""]
    with pytest.raises(InputError, match="leaves nothing"):
        asked(server, may_leave=("images",))


def test_a_host_that_is_not_allowed_is_not_asked() -> None:
    with pytest.raises(InputError, match="is not allowed"):
        RerankEndpoint("rerank:tiny", base_url="https://rerank.example/v1", allow_hosts=("127.0.0.1",))
    with pytest.raises(InputError, match="set COHERE_API_KEY"):
        RerankEndpoint("rerank:tiny", base_url="https://api.cohere.com/v2")
    with pytest.raises(UnknownName):
        RerankEndpoint("tiny", base_url="http://127.0.0.1:1")


def test_nobody_there_is_said_as_such() -> None:
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):
        RerankEndpoint("rerank:tiny", base_url="http://127.0.0.1:9/v1", retries=0).scores(QUERY, DOCUMENTS)


def test_what_changes_the_scores_is_in_the_settings(server: RerankServer) -> None:
    plain = RerankEndpoint("rerank:tiny", base_url=server.url)
    cut = RerankEndpoint("rerank:tiny", base_url=server.url, extra_body={"truncate_prompt_tokens": 512})
    assert plain.settings["model"] == "tiny"
    assert plain.settings != cut.settings
    assert asked(server, extra_body={"truncate_prompt_tokens": 512}) == [1, 3, 0]
    assert server.bodies[-1]["truncate_prompt_tokens"] == 512
