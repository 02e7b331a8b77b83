"""qrelkit retrieve engine: runs saved with their sidecars, skipped when they are there, gone on with when they were cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import qrelkit as qk
from qrelkit.cli.main import main
from qrelkit.core.doors import Retriever
from qrelkit.core.errors import InputError
from qrelkit.core.records import Query
from qrelkit.retrievers.engines.engine import read_engine
from qrelkit.retrievers.engines.kept import part_of
from servers.search_engines import SearchServer, timed_out

TEXTS = {f"d{n:02}": {"text": "shoe " * (n % 4 + 1), "title": "red-shoe" if n % 3 else "blue"} for n in range(20)}
QUERIES = {f"q{n}": f"shoe {word}" for n, word in enumerate(("red", "blue", "green", "black", "white"))}
WEIGHTS = """{"query": {"multi_match": {"query": {{ query | tojson }}, "fields": ["title^{{ a }}", "text^{{ b }}"]}}}"""


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with SearchServer(TEXTS) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, server: SearchServer) -> Path:
    """A collection, and an engine that has its documents."""
    (tmp_path / "shop").mkdir()
    lines = [json.dumps({"id": doc_id, "text": fields["text"]}) for doc_id, fields in TEXTS.items()]
    (tmp_path / "shop" / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "shop" / "topics.tsv").write_text("".join(f"{k}\t{v}\n" for k, v in QUERIES.items()), encoding="utf-8")
    described(tmp_path, server)
    return tmp_path


def described(folder: Path, server: SearchServer, **more: Any) -> Path:
    template = WEIGHTS.replace("{{ a }}", "1").replace("{{ b }}", "1")
    value = {"kind": "elasticsearch", "url": server.url, "index": "shop", "template": template, "name": "es"}
    path = folder / "engine.yaml"
    path.write_text(yaml.safe_dump(value | {"retries": 0, "at_once": 1} | more), encoding="utf-8")
    return path


def called(folder: Path, *words: str) -> int:
    argv = ["retrieve", "engine", str(folder / "shop"), "--engine", str(folder / "engine.yaml"), "--depth", "5", *words]
    try:
        main(argv)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_run_is_saved_with_its_sidecar_and_not_made_twice(folder: Path, server: SearchServer, capsys: Any) -> None:
    out = folder / "es.trec"
    assert called(folder, "-o", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out)["known"] is False
    said = json.loads((folder / "es.trec.json").read_text(encoding="utf-8"))
    assert said["retriever"]["index"] == "shop"
    assert len(server.asked) == len(QUERIES)
    assert called(folder, "-o", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out)["known"] is True
    assert len(server.asked) == len(QUERIES)
    assert not part_of(out).exists()
    assert qk.read_run(out).tag == "es"


def test_a_run_with_failures_is_saved_only_on_request_and_completed_later(
    folder: Path, server: SearchServer, capsys: Any
) -> None:
    out = folder / "es.trec"
    server.whenever = lambda text: timed_out() if "green" in text else None
    assert called(folder, "-o", str(out)) == 1
    assert "1 of 5 queries not answered: query q2" in capsys.readouterr().err
    assert not out.exists()
    assert len(part_of(out).read_text(encoding="utf-8").splitlines()) == 1 + 4
    assert called(folder, "-o", str(out), "--partial") == 4
    assert "no answer to 1 query, such as q2" in capsys.readouterr().err
    assert sorted(set(qk.read_run(out).frame["query_id"])) == ["q0", "q1", "q3", "q4"]
    server.whenever, before = (lambda text: None), len(server.asked)
    assert called(folder, "-o", str(out)) == 0
    assert len(server.asked) == before + 1
    assert sorted(set(qk.read_run(out).frame["query_id"])) == sorted(QUERIES)
    assert not part_of(out).exists()


def test_a_killed_run_goes_on_where_it_stopped(folder: Path, server: SearchServer) -> None:
    server.delay_s = 0.3
    out = folder / "es.trec"
    words = ["retrieve", "engine", str(folder / "shop"), "--engine", str(folder / "engine.yaml"), "--depth", "5", "-o", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "qrelkit", *words], env=os.environ)
    until = time.monotonic() + 20
    while time.monotonic() < until and (not part_of(out).exists() or part_of(out).read_bytes().count(b"\n") < 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait(10)
    kept = part_of(out).read_bytes().count(b"\n") - 1
    with part_of(out).open("ab") as file:
        file.write(b'{"query": "torn')  # the line that it was writing
    server.delay_s, before = 0.0, len(server.asked)
    assert kept >= 2
    assert called(folder, "-o", str(out)) == 0
    assert len(server.asked) - before == len(QUERIES) - kept
    assert len(qk.read_run(out)) == 25


def test_answers_kept_for_other_settings_are_not_used(folder: Path, server: SearchServer) -> None:
    out = folder / "es.trec"
    server.whenever = lambda text: timed_out() if "white" in text else None
    called(folder, "-o", str(out))
    described(folder, server, version="after the reindexing")
    server.whenever, before = (lambda text: None), len(server.asked)
    called(folder, "-o", str(out))
    assert len(server.asked) - before == len(QUERIES)


def test_66_configurations_make_66_runs_and_one_pool(folder: Path, server: SearchServer, capsys: Any) -> None:
    tenths = [n / 10 for n in range(11)]
    grid = {"a": tenths, "b": tenths}
    described(folder, server, template=WEIGHTS, grid=grid, where="a + b <= 1.0001", tag="hybrid-{a}-{b}", at_once=4)
    assert called(folder, "-o", f"{folder / 'runs'}/", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert len({one["digest"] for one in said}) == 66
    runs = [qk.read_run(path) for path in sorted((folder / "runs").glob("*.trec"))]
    assert len({run.tag for run in runs}) == 66
    pool = qk.pool(runs, depth=5)
    assert set(pool.frame["query_id"]) == set(QUERIES)
    assert 25 <= len(pool) <= 100
    before = len(server.asked)
    assert called(folder, "-o", f"{folder / 'runs'}/") == 0
    assert len(server.asked) == before
    assert called(folder, "-o", str(folder / "one.trec"), "--only", "hybrid-0.3-0.7") == 0
    assert qk.read_run(folder / "one.trec").tag == "hybrid-0.3-0.7"


def test_configurations_that_were_made_are_said_before_one_that_fails(folder: Path, server: SearchServer, capsys: Any) -> None:
    described(folder, server, template=WEIGHTS.replace("{{ a }}", "{{ 1 / a }}").replace("{{ b }}", "1"), grid={"a": [1, 0]})
    assert called(folder, "-o", f"{folder / 'runs'}/") == 1
    said = capsys.readouterr().err
    assert "Run(es-a1: " in said
    assert "es-a0: elasticsearch: template: division by zero" in said


def test_a_file_that_has_changed_since_a_run_was_made_is_told(folder: Path, server: SearchServer, capsys: Any) -> None:
    program = folder / "say.py"
    program.write_text("for n in range(5): print(f'q{n} Q0 d0{n} 1 1 x')", encoding="utf-8")
    own = {"kind": "command", "argv": [sys.executable, "say.py"], "tag": "own"}
    (folder / "engine.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    for later_s, told in ((None, False), (-60, False), (60, True)):
        if later_s is not None:
            os.utime(program, times=(time.time() + later_s, time.time() + later_s))
        assert called(folder, "-o", str(folder / "own.trec")) == 0
        assert ("own: say.py has changed since; --again" in capsys.readouterr().err) == told


def test_a_grid_needs_a_folder_and_knows_its_tags(folder: Path, server: SearchServer, capsys: Any) -> None:
    described(folder, server, grid={"boost": [1, 2]}, tag="b{boost}")
    assert called(folder, "-o", str(folder / "one.trec")) == 1
    assert "2 configurations: give a folder" in capsys.readouterr().err
    assert called(folder, "-o", str(folder / "one.trec"), "--only", "b3") == 1
    assert "did you mean 'b" in capsys.readouterr().err


def test_documents_that_the_collection_does_not_have_are_told(folder: Path, server: SearchServer, capsys: Any) -> None:
    described(folder, server, id="_source.title", score="rank", template=WEIGHTS.replace("{{ a }}", "1").replace("{{ b }}", "1"))
    assert called(folder, "-o", str(folder / "es.trec")) == 0
    assert "2 of 2 documents found are not in the collection" in capsys.readouterr().err


def test_hosts_are_allowed_by_name_where_that_is_asked(folder: Path, server: SearchServer, capsys: Any) -> None:
    assert called(folder, "-o", str(folder / "es.trec"), "--allow-host", "10.0.0.7") == 1
    assert "the host 127.0.0.1 is not allowed" in capsys.readouterr().err
    assert server.asked == []
    assert called(folder, "-o", str(folder / "es.trec"), "--local-only") == 0


def test_engines_from_python_have_the_files_folder(folder: Path) -> None:
    (engine,) = read_engine(folder / "engine.yaml")
    assert isinstance(engine, Retriever)
    assert repr(engine) == "Engine(es: elasticsearch)"
    run = qk.retrieve(qk.load(folder / "shop"), engine, depth=3)
    assert len(run) == 15
    with pytest.raises(InputError, match="depth must be at least 1"):
        engine.search([Query(query_id="q", text="x")], 0)
