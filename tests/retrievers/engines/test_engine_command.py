"""A program as an engine: once for all queries, or once for each; what fails is a failure, whatever was printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.records import Query
from qrelkit.retrievers.engines.config import engine_config
from qrelkit.retrievers.engines.engine import Engine

ALL = """
import sys
for line in sys.stdin.buffer.read().decode("utf-8").splitlines():
    query_id, query = line.split("\\t")
    for n, word in enumerate(query.split()):
        print(query_id, "Q0", f"{len(word)}-letters{n}", n + 1, 9 - n, "x")
"""
EACH = """
import sys
depth, query_id, query = sys.argv[1:]
if query == "bad":
    print(query_id, "Q0 half 1 1 x"); print("the index is gone", file=sys.stderr); sys.exit(3)
for n in range(min(int(depth), len(query))):
    print(query_id, "Q0", f"d{ord(query[n])}-{n}", n + 1, -n, "x")
"""
HOSTILE = ["$(touch pwned)", "; rm -rf x", "\"quoted\" 'words'", "-n --help", "中文 Fuß", "a\tb\nc", "", "{depth}"]


def queries(*texts: str) -> list[Query]:
    return [Query(query_id=f"q{n}", text=text) for n, text in enumerate(texts, 1)]


def engine(folder: Path, code: str, *words: str, partial: bool = False, **more: Any) -> Engine:
    (folder / "search.py").write_text(code, encoding="utf-8")
    argv = [sys.executable, "-X", "utf8", "search.py", *words]
    return Engine(
        engine_config({"kind": "command", "argv": argv, "wait_s": 0.001, "retries": 0, **more}), folder=folder, partial=partial
    )


def test_one_call_answers_all_queries(tmp_path: Path) -> None:
    run = engine(tmp_path, ALL).search(queries("a bc def", "", "x"), 2)
    assert run.frame.select("query_id", "doc_id").rows() == [("q1", "1-letters0"), ("q1", "2-letters1"), ("q3", "1-letters0")]
    assert run.notes["without_hits"] == ["q2"]


def test_queries_come_as_json_lines_where_that_is_asked(tmp_path: Path) -> None:
    code = (
        "import sys, json\nfor l in sys.stdin:\n    q = json.loads(l); print(q['query_id'], 'Q0', q['query'].upper(), 1, 1, 'x')"
    )
    assert engine(tmp_path, code, input="jsonl").search(queries("ab"), 2).frame["doc_id"].to_list() == ["AB"]


def test_a_program_that_prints_nothing_for_any_query_has_not_answered(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"command: .*printed nothing for 2 queries; does it read them from its standard input"):
        engine(tmp_path, "").search(queries("a", "b"), 2)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_query_is_more_than_an_argument_or_a_line(tmp_path: Path, text: str) -> None:
    run = engine(tmp_path, EACH, "{depth}", "{query_id}", "{query}").search(queries(text), 3)
    assert run.frame["doc_id"].to_list() == [f"d{ord(c)}-{n}" for n, c in enumerate(text[:3])]
    engine(tmp_path, ALL).search(queries(text), 3)
    assert [p.name for p in tmp_path.iterdir()] == ["search.py"]


def test_an_exit_code_is_a_failure_whatever_was_printed(tmp_path: Path) -> None:
    one = engine(tmp_path, EACH, "{depth}", "{query_id}", "{query}", partial=True)
    run = one.search(queries("ab", "bad"), 5)
    assert "exit code 3: the index is gone" in run.notes["failed"]["q2"]
    assert run.frame["query_id"].unique().to_list() == ["q1"]
    with pytest.raises(Rejected, match="exit code 7: it said nothing"):
        engine(tmp_path, "import sys; print('q1 Q0 d 1 1 x'); sys.exit(7)").search(queries("ab"), 5)


def test_a_program_has_only_so_much_time(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"not done within 0\.3 s"):
        engine(tmp_path, "import time; time.sleep(9)", timeout_s=0.3).search(queries("ab"), 5)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('q1 Q0 d1')", "what "),
        ("print('q1 Q0 d1 1 high x')", "high"),
        ("print('q9 Q0 d1 1 1.5 x')", "query 'q9' was not asked"),
    ],
)
def test_what_is_no_trec_line_is_said(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        engine(tmp_path, code).search(queries("ab"), 5)
    assert told in str(error.value)


def test_a_program_that_is_not_there_or_a_variable_that_nobody_knows_is_said(tmp_path: Path) -> None:
    config = engine_config({"kind": "command", "argv": ["./none-such", "{query}"]})
    with pytest.raises(InputError, match=r"\./none-such cannot be started"):
        Engine(config, folder=tmp_path).search(queries("ab"), 5)
    with pytest.raises(InputError, match="what a command reaches cannot be known"):
        Engine(config, folder=tmp_path, allow_hosts=["localhost"])
    with pytest.raises(InputError, match="unknown variable 'qeury'"):
        Engine(engine_config({"kind": "command", "argv": ["x", "{qeury}"]}))
