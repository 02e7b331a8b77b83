"""Encoders behind /v1/embeddings, against a server of ours that behaves like the real ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from qrelkit.core.errors import InputError, RateLimited, Rejected, Unreachable
from qrelkit.models.embeddings import Embeddings
from qrelkit.models.encoders_table import Recipe, recipe_of
from servers.embeddings import EmbeddingsServer, vector_of

PLAIN = Recipe(model="openai:tiny", query="", document="")


def of(server: EmbeddingsServer, folder: Path, recipe: Recipe = PLAIN, **options: object) -> Embeddings:
    return Embeddings(recipe, folder, **{"base_url": server.url, "wait_s": 0.01, **options})  # type: ignore[arg-type]


def same(rows: np.ndarray, texts: list[str], dimensions: int = 8) -> bool:
    return bool(np.array_equal(rows, np.stack([vector_of(text, dimensions) for text in texts])))


@pytest.mark.parametrize("options", [{}, {"backwards": True}, {"packed": True}])
def test_rows_come_in_the_order_of_the_texts(tmp_path: Path, options: dict[str, bool]) -> None:
    texts = [f"text {i}" for i in range(25)]
    with EmbeddingsServer(**options) as server:
        assert same(of(server, tmp_path, batch=4).encode(texts, "document"), texts)


def test_no_text_is_asked_for_twice_in_this_process_or_the_next(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        first = of(server, tmp_path).encode(["a", "b", "a"], "document")
        again = of(server, tmp_path).encode(["b", "c", "a"], "query")
        assert sorted(server.inputs) == ["a", "b", "c"]
        assert np.array_equal(first[[0, 1, 2]], again[[2, 0, 2]])


def test_what_was_answered_before_an_error_is_not_paid_again(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(40)]
    with EmbeddingsServer() as server:
        encoder = of(server, tmp_path, batch=4, at_once=1)
        server.next((200, {}), *[(401, {})] * 3)  # the first "200" is an answer without vectors: sent again
        with pytest.raises(Rejected, match="check OPENAI_API_KEY"):
            encoder.encode(texts, "document")
        server._faults.clear()
        server.next(*[(500, {})] * 2)
        assert same(of(server, tmp_path, batch=4).encode(texts, "document"), texts)
        assert sorted(server.answered) == sorted(texts)


def test_a_request_is_sent_again_after_what_the_server_says(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        server.next((429, {"Retry-After": "0"}), (503, {}), (500, {}))
        assert same(of(server, tmp_path).encode(["a"], "query"), ["a"])
        assert len(server.bodies) == 4


@pytest.mark.parametrize(("status", "error"), [(429, RateLimited), (500, Unreachable)])
def test_a_server_that_never_answers_is_an_error(tmp_path: Path, status: int, error: type[Exception]) -> None:
    with EmbeddingsServer() as server:
        server.next(*[(status, {"Retry-After": "0"})] * 20)
        with pytest.raises(error):
            of(server, tmp_path, wait_s=0.001).encode(["a"], "query")
        assert len(server.bodies) == 6


def test_a_batch_that_is_too_large_is_halved_and_a_text_that_is_too_long_cut(tmp_path: Path) -> None:
    texts = ["short", "x" * 700, "also short"]
    with EmbeddingsServer(longest=400, most=2) as server:
        encoder = of(server, tmp_path)
        rows = encoder.encode(texts, "document")
    assert same(rows, ["short", "x" * 393, "also short"])  # 700 · ¾ = 525, · ¾ = 393
    assert encoder.cut == 2


def test_a_text_is_cut_at_the_estimate_of_its_tokens(tmp_path: Path) -> None:
    recipe = Recipe(model="openai:tiny", query="", document="", document_tokens=100)  # about four characters of English a token
    with EmbeddingsServer() as server:
        encoder = of(server, tmp_path, recipe)
        encoder.encode(["y" * 1000, "short"], "document")
        assert sorted(map(len, server.inputs)) == [5, 400]
        assert encoder.cut == 1


def test_prefixes_line_ends_and_empty_texts_as_sent(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        of(server, tmp_path, Recipe(model="openai:m", query="ask:\n", document="doc: ")).encode(["a\nb", ""], "query")
        of(server, tmp_path, recipe_of("openai:text-embedding-3-large")).encode(["a\nb", ""], "document")
        assert server.inputs == ["ask:\na\nb", "ask:\n", "a b", " "]


def test_dimensions_and_the_side_as_each_provider_has_them(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        voyage = of(server, tmp_path, recipe_of("voyage"), dimensions=4)
        assert [voyage.encode(["a"], side).shape for side in ("query", "document", "rewrite")] == [(1, 4)] * 3
        of(server, tmp_path, dimensions=5).encode(["a"], "query")
        told = [(body.get("input_type"), body.get("output_dimension"), body.get("dimensions")) for body in server.bodies]
    assert told == [("query", 4, None), ("document", 4, None), (None, None, 5)]  # a rewrite is a document, and that was kept


def test_requests_go_out_side_by_side_and_no_more(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        of(server, tmp_path, batch=1, at_once=3).encode([str(i) for i in range(12)], "document")
        assert server.most_at_once == 3


def test_it_works_where_a_loop_runs_already(tmp_path: Path) -> None:
    async def notebook(encoder: Embeddings) -> np.ndarray:
        return encoder.encode(["a"], "query")

    with EmbeddingsServer() as server:
        assert same(asyncio.run(notebook(of(server, tmp_path))), ["a"])


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="set OPENAI_API_KEY"):
        Embeddings(PLAIN, tmp_path)
    with pytest.raises(InputError, match="openai:NAME, voyage:NAME"):
        Embeddings(Recipe(model="cohere:x"), tmp_path)
    with pytest.raises(InputError, match="not allowed"):
        Embeddings(PLAIN, tmp_path, base_url="http://example.org/v1", allow_hosts=("localhost",))


def test_an_unknown_model_is_told_and_a_stated_prefix_is_not(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        assert len(of(server, tmp_path, Recipe(model="openai:m")).notes) == 2
        assert of(server, tmp_path, Recipe(model="openai:m").stated(query="", document="")).notes == ()


def test_settings_differ_by_what_changes_a_vector(tmp_path: Path) -> None:
    with EmbeddingsServer() as server:
        plain = of(server, tmp_path).settings
        assert plain == of(server, tmp_path, batch=2, at_once=1).settings
        assert plain != of(server, tmp_path, dimensions=4).settings
        assert plain != of(server, tmp_path, PLAIN.stated(document="d: ")).settings
        assert "sk-very-secret-key" not in str(of(server, tmp_path, api_key="sk-very-secret-key").settings)
