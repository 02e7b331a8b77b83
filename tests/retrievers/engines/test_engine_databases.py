"""SQLite's FTS5 and PostgreSQL's full text as engines, for real: values are bound, nothing is written, time is limited."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pg_server import database
from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.records import Query
from qrelkit.retrievers.engines.config import engine_config
from qrelkit.retrievers.engines.engine import Engine

TEXTS = {
    "d1": "red running shoe", "d2": "red red shoe", "d3": "blue shoe", "d4": "Fußgänger mit Schuh", "d5": "C++ AND Java",
}  # fmt: skip
FTS = "SELECT id, -bm25(docs) AS score FROM docs WHERE docs MATCH :match ORDER BY score DESC LIMIT :depth"
HOSTILE = [
    "C++ AND (",
    '"',
    "'; DROP TABLE docs; --",
    "中文",
    "",
    "NEAR(a b)",
    "shoe*",
    "text : shoe",
    "%s %(query)s",
    "\\",
    "a' OR '1'='1",
]
PG = """
SELECT id, ts_rank_cd(words, q, :norm) AS score FROM docs, websearch_to_tsquery(:language::regconfig, :query) AS q
WHERE words @@ q ORDER BY score DESC, id DESC LIMIT :depth
"""


def queries(*texts: str) -> list[Query]:
    return [Query(query_id=f"q{n}", text=text) for n, text in enumerate(texts, 1)]


@pytest.fixture
def fts(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("CREATE VIRTUAL TABLE docs USING fts5(id UNINDEXED, text)")
        db.executemany("INSERT INTO docs VALUES (?, ?)", TEXTS.items())
    db.close()
    return tmp_path / "shop.db"


def sqlite(file: Path, template: str = FTS, **more: Any) -> Engine:
    value = {"kind": "sqlite", "file": file.name, "template": template, "wait_s": 0.001, "retries": 0}
    if ":match" in template:
        value["params"] = {"match": "{{ query | fts5 }}"}
    return Engine(engine_config(value | more), folder=file.parent)


def test_fts5_ranks_as_sqlite_does(fts: Path) -> None:
    run = sqlite(fts).search(queries("red shoe", "nothing"), 10)
    assert run.frame["doc_id"].to_list() == ["d2", "d1"]
    with sqlite3.connect(fts) as db:
        best = db.execute("SELECT -bm25(docs) FROM docs WHERE docs MATCH 'red shoe' AND id = 'd2'").fetchone()[0]
    db.close()
    assert run.frame["score"][0] == pytest.approx(best)
    assert run.notes["without_hits"] == ["q2"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_query_breaks_fts5_or_changes_anything(fts: Path, text: str) -> None:
    before = fts.read_bytes()
    found = sqlite(fts).search(queries(text), 10).frame["doc_id"].to_list()
    assert found == {"C++ AND (": ["d5"], "shoe*": ["d3", "d2", "d1"]}.get(text, found)
    any_word = FTS.replace(":match", "fts5_words(:query, 'OR')")
    sqlite(fts, any_word).search(queries(text), 10)
    assert fts.read_bytes() == before


def test_bm25_the_wrong_way_round_is_found(fts: Path) -> None:
    with sqlite3.connect(fts) as db:
        db.executemany("INSERT INTO docs VALUES (?, ?)", [(f"e{n}", "red " + "x " * n) for n in range(6)])
    db.close()
    with pytest.raises(InputError, match=r"-bm25\(docs\) AS score"):
        sqlite(fts, FTS.replace("-bm25", "bm25").replace("DESC", "")).search(queries("red"), 10)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("INSERT INTO docs SELECT :query, 'x' RETURNING id, 1 AS score", "readonly"),
        ("SELECT id, 1 AS score FROM nowhere WHERE :query", "no such table"),
        ("SELECT id FROM docs WHERE :query IS NOT NULL", "no column 'score'; they have id"),
        ("SELECT id, 1 AS score FROM docs WHERE :query <> ''; DROP TABLE docs", "one statement at a time"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_the_first_query(fts: Path, template: str, told: str) -> None:
    with pytest.raises((InputError, Rejected)) as error:
        sqlite(fts, template).search(queries("shoe"), 10)
    assert told in str(error.value)
    assert len(sqlite(fts).search(queries("shoe"), 10)) == 3


def test_sqlite_has_only_so_much_time(fts: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT :query AS id, max(i) AS score FROM n"
    with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
        sqlite(fts, endless, timeout_s=0.1).search(queries("shoe"), 10)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        sqlite(tmp_path / "none.db").search(queries("shoe"), 10)
    assert list(tmp_path.iterdir()) == []


def test_variants_of_rows_are_collapsed(fts: Path) -> None:
    template = "SELECT id, -bm25(docs) AS score, CASE WHEN id < 'd3' THEN 'p' END AS parent FROM docs WHERE docs MATCH :match"
    run = sqlite(fts, template, parent="parent").search(queries("shoe"), 10)
    assert sorted(run.frame["doc_id"]) == ["d3", "p"]
    assert run.notes["without_parent"] == 1


# PostgreSQL


@pytest.fixture(scope="module")
def pg(postgres_server: str) -> Iterator[str]:
    """A database with the texts; no test can change it, which is what some of them are about."""
    import psycopg

    with database(postgres_server) as url:
        with psycopg.connect(url) as db, db.cursor() as cursor:
            cursor.execute("CREATE TABLE docs (id text, text text, words tsvector)")
            rows = [(*one, one[1]) for one in TEXTS.items()]
            cursor.executemany("INSERT INTO docs VALUES (%s, %s, to_tsvector('english', %s))", rows)
        yield url


def engine(where: str, template: str = PG, **more: Any) -> Engine:
    grid = {"language": ["english"], "norm": [0]} if template == PG else {}
    value = {
        "kind": "postgres",
        "database": where,
        "template": template,
        "grid": grid,
        "retries": 0,
        "wait_s": 0.001,
        "tag": "pg",
    }
    return Engine(engine_config(value | more))


def test_postgres_ranks_by_its_full_text(pg: str) -> None:
    run = engine(pg).search(queries("red shoes", "nothing"), 10)  # stemmed: shoes are shoe
    assert run.frame["doc_id"].to_list() == ["d2", "d1"]
    assert run.notes["without_hits"] == ["q2"]
    assert engine(pg).search(queries("shoe"), 2).frame["doc_id"].to_list() == ["d3", "d2"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_query_breaks_postgres(pg: str, text: str) -> None:
    engine(pg).search(queries(text), 10)
    assert len(engine(pg).search(queries("shoe"), 10)) == 3


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("DELETE FROM docs WHERE id <> :query RETURNING id, 1 AS score", "read-only transaction"),
        (
            "SELECT set_config('transaction_read_only', 'off', false) AS id, 1 AS score WHERE :query <> ''; DELETE FROM docs",
            "multiple",
        ),
        ("SELECT id, 1 AS score FROM nowhere WHERE id = :query", "nowhere"),
        ("SELECT id FROM docs WHERE id <> :query", "no column 'score'"),
        ("SELECT id, 'high' AS score FROM docs WHERE id <> :query", "'high', which is no number"),
        ("SELECT id, 1 AS score FROM docs, to_tsquery(:query) q WHERE words @@ q", "syntax error in tsquery"),
    ],
)
def test_a_statement_that_cannot_work_is_a_failure_and_changes_nothing(pg: str, template: str, told: str) -> None:
    with pytest.raises((InputError, Rejected, Unreachable)) as error:
        engine(pg, template).search(queries("red ("), 10)
    assert told in str(error.value)
    assert len(engine(pg).search(queries("shoe"), 10)) == 3


def test_postgres_has_only_so_much_time(pg: str) -> None:
    with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
        engine(pg, "SELECT :query AS id, 1 AS score, pg_sleep(5)", timeout_s=0.1).search(queries("x"), 10)


def test_a_query_that_fails_does_not_harm_the_next(pg: str) -> None:
    template = "SELECT id, 1 / (CASE :query WHEN 'bad' THEN 0 ELSE 1 END) AS score FROM docs"
    failing = Engine(engine_config({"kind": "postgres", "database": pg, "template": template, "at_once": 1}), partial=True)
    run = failing.search(queries("a", "bad", "b"), 10)
    assert list(run.notes["failed"]) == ["q2"]
    assert "division by zero" in run.notes["failed"]["q2"]
    assert run.frame["query_id"].unique(maintain_order=True).to_list() == ["q1", "q3"]


def test_a_password_stays_out_of_the_file_and_a_host_must_be_allowed(pg: str) -> None:
    with pytest.raises(InputError, match="leave the password out") as error:
        engine("postgresql://a:hunter2@127.0.0.1/x")
    assert "hunter2" not in str(error.value)
    value = {"kind": "postgres", "template": PG, "grid": {"language": ["english"], "norm": [0]}}
    for place, told in (
        ("postgresql://a@10.0.0.1/x", "is not allowed"),
        ("postgresql://a@localhost/x", r"write 127\.0\.0\.1"),
        ("postgresql://a@/x", "name the host"),
        ("service=prod", "service file"),
    ):
        with pytest.raises(InputError, match=told):
            Engine(engine_config({**value, "database": place}), allow_hosts=["127.0.0.1"], environment={})
    Engine(engine_config({**value, "database": pg}), allow_hosts=["127.0.0.1"], environment={})  # its socket is on this machine


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="No such file or directory"):
        engine(f"postgresql://qk@/x?host={tmp_path}").search(queries("x"), 10)
