"""An engine's file is strict, its grid is spelt out, and its templates paste nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.errors import InputError
from qrelkit.core.records import Query
from qrelkit.core.rewriting import Combine
from qrelkit.retrievers.engines.config import engine_config
from qrelkit.retrievers.engines.engine import Engine, read_engine
from qrelkit.retrievers.engines.grid import points
from qrelkit.retrievers.engines.paths import JsonPath, single
from qrelkit.retrievers.engines.sql import for_psycopg, named
from qrelkit.retrievers.engines.template import Params, Template, as_pairs, fts5, lucene, words_of

HOSTILE = [
    "C++ AND (",
    '"',
    "o'brien",
    "Fußgängerübergänge",
    "中文檢索 \\",
    "",
    "a: b* [x TO y] {!lucene}",
    "-- ; DROP TABLE docs",
    "{{7*7}}",
]


def said(**more: Any) -> dict[str, Any]:
    return {"kind": "opensearch", "url": "http://127.0.0.1:9200", "index": "i", "template": "{}", **more}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"templat": "x"}, "unknown key 'templat'; did you mean 'template'"),
        ({"paging": {"sise": 3}}, "did you mean 'paging.size'"),
        ({"auth": {"bearer": "x"}}, "did you mean 'auth.bearer_env'"),
        ({"kind": "opensaerch"}, "kind: "),
        ({"index": ""}, "an engine of kind opensearch needs `index:`"),
        ({"database": "x"}, "`database:` means nothing for the kind opensearch"),
        ({"paging": {"by": "page"}}, "opensearch has none, offset, after, not 'page'"),
        ({"headers": {"Authorization": "Bearer x"}}, "secrets stay out of the file"),
        ({"headers": {"X-Algolia-API-Key": "x"}}, "secrets stay out of the file"),
        ({"params": {"api_key": "x"}}, "params.api_key may be a secret"),
        ({"params": {"token": "x"}}, "params.token may be a secret"),
        ({"auth": {"user": "a", "password_env": "P", "bearer_env": "B"}}, "two ways"),
        ({"auth": {"password_env": "P"}}, "needs auth.user"),
        ({"timeout_s": 0}, "timeout_s"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=r"^engine\.yaml: ") as error:
        engine_config(said(**changes), "engine.yaml")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "http://reader:secret@127.0.0.1"}, "leave name and password out"),
        ({"url": "http://127.0.0.1/?api_key=secret"}, "may be a secret"),
        ({"url": "ftp://127.0.0.1"}, "is no address"),
        ({"template": "{% if %}"}, "opensearch: template, line 1"),
        ({"id": "a..b["}, "cannot be read from"),
        ({"params": {"a": "{{ "}}, "params.a"),
    ],
)
def test_what_is_wrong_with_an_engine_is_said_before_anything_is_asked(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as error:
        Engine(engine_config(said(**changes)))
    assert told in str(error.value)
    assert "secret@" not in str(error.value)
    assert "=secret" not in str(error.value)


def test_parameters_that_only_sound_like_a_secret_are_none() -> None:
    names = {"keywords": "x", "token_count": 1, "sort_keys": "x", "author": "x"}
    assert engine_config(said(params=names)).params == names
    sql = {"kind": "sqlite", "file": "x.db", "template": "SELECT :token", "params": {"token": "{{ query }}"}}
    assert engine_config(sql).params == {"token": "{{ query }}"}


def test_a_file_that_is_no_yaml_says_its_line(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("kind: solr\nurl: [\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"e\.yaml:3: cannot be read as YAML"):
        read_engine(path)
    with pytest.raises(InputError, match="no such file"):
        read_engine(tmp_path / "none.yaml")


def test_a_host_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(InputError, match=r"the host 10\.0\.0\.1 is not allowed"):
        Engine(engine_config(said(url="http://10.0.0.1:9200")), allow_hosts=["localhost"])


def test_settings_hold_what_changes_answers_and_no_secret() -> None:
    plain = Engine(engine_config(said())).settings
    same = said(timeout_s=3, retries=0, at_once=9, auth={"bearer_env": "TOKEN"}, ca_file="x.pem", give_up_after=2)
    assert Engine(engine_config(same), environment={"TOKEN": "top-secret"}).settings == plain
    for other in (said(version="2"), said(template='{"a": 1}'), said(paging={"size": 5}), said(index="j")):
        assert Engine(engine_config(other)).settings != plain


# grids


def test_a_grid_is_every_combination_in_order() -> None:
    config = engine_config(said(grid={"alpha": [0, 0.5], "b": ["x", "y"]}, tag="h-{alpha}-{b}"))
    assert points(config) == [
        ("h-0-x", {"alpha": 0, "b": "x"}), ("h-0-y", {"alpha": 0, "b": "y"}),
        ("h-0.5-x", {"alpha": 0.5, "b": "x"}), ("h-0.5-y", {"alpha": 0.5, "b": "y"}),
    ]  # fmt: skip


def test_three_weights_in_tenths_that_sum_to_one_are_66() -> None:
    tenths = [n / 10 for n in range(11)]
    config = engine_config(said(grid={"a": tenths, "b": tenths}, where="a + b <= 1.0001", name="w"))
    found = points(config)
    assert len(found) == 66  # 11 + 10 + … + 1
    assert found[-1] == ("w-a1.0-b0.0", {"a": 1.0, "b": 0.0})


def test_a_list_of_points_is_a_grid_too() -> None:
    config = engine_config(said(grid=[{"m": "small", "k": 10}, {"m": "large", "k": 5}], tag="{m}"))
    assert [tag for tag, _ in points(config)] == ["small", "large"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"grid": {"a": [1, 2]}, "tag": "same"}, "2 configurations have the tag 'same'"),
        ({"grid": {"a": ["x", "X"]}, "tag": "{a}"}, "2 configurations have the tag 'x'"),
        ({"grid": {"query": [1]}}, "cannot be a variable's name"),
        ({"grid": {"a": [1]}, "tag": "{b}"}, "unknown variable 'b'"),
        ({"grid": {"a": ["x/y"]}, "tag": "{a}"}, "no single word"),
        ({"grid": {"a": [1]}, "where": "a > 2"}, "no configuration that `where` lets through"),
        ({"grid": {"a": [1]}, "where": "b > 2"}, "'b' is undefined"),
        ({"grid": [{"a": 1}, {"b": 1}]}, "must all have the same variables"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as error:
        points(engine_config(said(**changes)))
    assert told in str(error.value)


# templates


@pytest.mark.parametrize("query", HOSTILE)
def test_a_query_stays_one_string_of_json(query: str) -> None:
    import orjson

    body = Template('{"q": {{ query | tojson }}, "on": {{ flag }}, "n": {{ n }}}', "t", json=True)
    assert orjson.loads(body.render({"query": query, "flag": True, "n": 0.5})) == {"q": query, "on": True, "n": 0.5}


def test_a_text_pasted_into_json_is_an_error() -> None:
    with pytest.raises(InputError, match="would be pasted into JSON"):
        Template('{"q": "{{ query }}"}', "t", json=True).render({"query": "shoe"})


def test_a_template_cannot_leave_the_sandbox_and_names_what_it_does_not_know() -> None:
    with pytest.raises(InputError, match="unsafe"):
        Template("{{ query.__class__.__mro__ }}", "t").render({"query": "x"})
    with pytest.raises(InputError, match="'qeury' is undefined"):
        Template("{{ qeury }}", "t").render({"query": "x"})


def test_parameters_are_texts_numbers_and_lists() -> None:
    params = Params({"q": "{{ query }}", "n": 3, "fq": ["a:{{ n }}", "b"], "on": True}, "t").render({"query": "x y", "n": 1})
    assert as_pairs(params) == [("q", "x y"), ("n", "3"), ("fq", "a:1"), ("fq", "b"), ("on", "true")]


def test_words_for_fts5_are_quoted() -> None:
    assert fts5("C++ AND (red)") == '"C"  "AND"  "red"'
    assert fts5("red shoe", "OR") == '"red" OR "shoe"'
    assert fts5(' "( ') == '""'
    with pytest.raises(InputError, match="AND or OR"):
        fts5("x", "NEAR")


def test_words_for_lucene_are_escaped() -> None:
    assert lucene('C++ AND (a:"b") <x>') == 'C\\+\\+ \\AND \\(a\\:\\"b\\"\\)  x '
    assert lucene("Fußgänger 中文") == "Fußgänger 中文"


def test_rewrites_are_joined_by_the_rule_for_words() -> None:
    query = Query(query_id="1", text="q", rewrites=("d1", "d2"), combine=Combine.of("5*query+rewrite"))
    assert words_of(query) == "q q q q q d1 d2"
    with pytest.raises(InputError, match="weights the terms"):
        words_of(Query(query_id="1", text="q", rewrites=("d",), combine=Combine.of("weights:2")))


# paths and SQL


def test_a_path_goes_by_keys_places_and_slices() -> None:
    value = {"a": {"b.c": [10, 20, [30]]}, "l": [[0, 1], [2, 3, 4]]}
    assert JsonPath('a["b.c"][2][0]', "t").take(value) == 30
    assert JsonPath("a.b", "t").take(value) is None
    assert JsonPath("l[-1][1:]", "t").take(value) == [3, 4]
    assert JsonPath("l[7]", "t").take(value) is None
    assert JsonPath("", "t").take(value) is value
    assert single(["x"]) == "x"
    assert single(["x", "y"]) == ["x", "y"]


def test_only_names_outside_of_quotes_and_comments_are_bound() -> None:
    sql = (
        "SELECT ':no', \":no\", x::text, $$:no$$, a[1:2] -- :no\n/* :no */ FROM t WHERE y LIKE '%' AND z = :query AND :query % 2"
    )
    assert named(sql) == ["query"]
    assert for_psycopg(sql).count("%(query)s") == 2
    assert "LIKE '%%'" in for_psycopg(sql)
    assert "%(query)s %% 2" in for_psycopg(sql)


def test_sql_names_what_it_does_not_know_and_must_use_the_query() -> None:
    sqlite = {"kind": "sqlite", "file": "x.db"}
    with pytest.raises(InputError, match="unknown value ':deph'; did you mean ':depth'"):
        Engine(engine_config({**sqlite, "template": "SELECT :query LIMIT :deph"}))
    with pytest.raises(InputError, match="does not use the query"):
        Engine(engine_config({**sqlite, "template": "SELECT 1 LIMIT :depth"}))
