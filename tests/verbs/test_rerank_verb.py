"""retrieve fuse and retrieve rerank as they are typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from qrelkit.formats.trec import read_run
from servers.chat import ChatServer
from servers.chat import failing as failing_chat
from servers.embeddings import EmbeddingsServer
from servers.rerank import RerankServer, failing, missing
from verbs.tiny import TRUTH, served, texts_of, write_config, write_tiny

RERANK = ("retrieve", "rerank", "shop", "--run", "runs/words.trec")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def order(body: Mapping[str, Any]) -> str:
    """What a good list-maker answers."""
    said = texts_of(body)
    query = {"red dress": "q1", "schwarze": "q2", "striped": "q3"}[re.findall(r"<query>\n(red dress|schwarze|striped)", said)[0]]
    documents = re.findall(r"number (p\d\d)\.", said)
    best = sorted(range(len(documents)), key=lambda i: -TRUTH[query].get(documents[i], 0))
    return " > ".join(f"[{i + 1}]" for i in best)


def ids(path: Path, query_id: str = "q1") -> list[str]:
    return read_run(path).frame.filter(query_id=query_id)["doc_id"].to_list()


def test_fuse_takes_several_runs_and_says_what_it_made(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("retrieve", "fuse", "--runs", "runs/words.trec", "runs/sight.trec", "-o", "fused.trec")
    said = call(capsys, *line, "--json")
    assert said.json["tag"] == "rrf"
    assert said.json["retriever"] == {"rule": "rrf", "weights": [1, 1], "k": 60}
    # p01: 1/61 + 1/62; p02 and p09: ranks 2 and 4, 4 and 1
    assert ids(shop / "fused.trec") == ["p01", "p09", "p02", "p10", "p03"]
    assert "lay there already" in call(capsys, *line).err
    said = call(capsys, *line[:-1], "-", "--rule", "sum", "--weights", "1,0", "--tag", "mine")
    assert said.out.splitlines()[0] == "q1 Q0 p01 1 1.0 mine"


def test_fuse_says_which_queries_only_some_runs_have_and_what_is_wrong(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "one.trec").write_text("q1 Q0 p01 1 1 one\n", encoding="utf-8")
    said = call(capsys, "retrieve", "fuse", "--runs", "runs/words.trec", "one.trec", "-o", "fused.trec")
    assert "warning: only some of the runs have 2 queries, such as q2: fused from those" in said.err
    assert "at least two runs" in call(capsys, "retrieve", "fuse", "--runs", "one.trec", "-o", "x").error
    wrong = call(capsys, "retrieve", "fuse", "--runs", "one.trec", "runs/words.trec", "--weights", "1;2", "-o", "x")
    assert "no list of numbers" in wrong.error


def test_the_lexical_judge_reranks_without_a_model(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, *RERANK, "--model", "judge:lexical", "--depth", "3", "-o", "new.trec", "--json")
    assert said.code == 0, said.err
    assert said.json["tag"] == "words+lexical"
    sidecar = json.loads((shop / "new.trec.json").read_text(encoding="utf-8"))
    assert sidecar["made_of"][0]["file"] == "words.trec"
    assert sidecar["rest"] == "append"
    assert ids(shop / "new.trec")[-1] == "p09"  # the fourth is not looked at


def test_a_list_maker_is_asked_once_and_what_failed_is_asked_again(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(order) as server:
        write_config(shop, **{**served(server.url), "at_once": 1})
        line = (*RERANK, "--model", "listwise:openai:tiny", "-o", "new.trec")
        server.next(failing_chat(400, "not this one"))
        said = call(capsys, *line)
        assert said.code == 4, said.err
        assert "no answer to 1 query, such as q1" in said.err
        assert ids(shop / "new.trec") == ids(shop / "runs" / "words.trec")
        assert ids(shop / "new.trec", "q2") == ["p04", "p05", "p06", "p10"]
        asked = len(server.bodies)
        assert call(capsys, *line).code == 0
        assert len(server.bodies) == asked + 1  # q1 alone
        assert ids(shop / "new.trec") == ["p01", "p02", "p03", "p09"]
        assert "lay there already" in call(capsys, *line).err
        (shop / "new.trec").unlink()
        assert call(capsys, *line).code == 0
        assert len(server.bodies) == asked + 1  # the ledger answers


def test_a_killed_list_maker_asks_again_only_what_was_on_its_way(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(order, delay_s=0.2) as server:
        write_config(shop, **{**served(server.url), "at_once": 1})
        line = (*RERANK, "--model", "listwise:openai:tiny", "-o", "new.trec")
        with subprocess.Popen([sys.executable, "-m", "qrelkit", *line], stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 20
            while len(server.bodies) < 2 and time.monotonic() < until:
                time.sleep(0.01)
            process.kill()
        assert not (shop / "new.trec").exists()
        assert call(capsys, *line).code == 0
        asked = [json.dumps(body) for body in server.bodies]
        assert len(set(asked)) == 3
        assert len(asked) <= 4  # the second was on its way
        assert ids(shop / "new.trec", "q2") == ["p04", "p05", "p06", "p10"]


def test_what_a_list_maker_would_ask_is_said_and_nothing_is_asked(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(order) as server:
        write_config(shop, **served(server.url))
        line = (
            *RERANK,
            "--model",
            "listwise:openai:tiny",
            "--window",
            "2",
            "--step",
            "1",
            "-o",
            "new.trec",
            "--dry-run",
            "--json",
        )
        said = call(capsys, *line)
        assert said.code == 0
        (stage,) = said.json
        assert stage["items"] == 3
        assert stage["models"][0]["requests"][0] == 9  # three windows for four documents, of three queries
        (stage,) = call(capsys, *RERANK, "--model", "judge:openai:tiny", "-o", "new.trec", "--dry-run", "--json").json
        assert stage["todo"] == 12
        assert server.bodies == []
        assert not (shop / "new.trec").exists()


def test_a_budget_stops_it_and_no_half_is_written(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(order) as server:
        prices = {"date": "2026-01-01", "source": "here", "models": {"openai:tiny": {"input": 1000, "output": 1000}}}
        write_config(shop, **served(server.url), prices=prices)
        said = call(capsys, *RERANK, "--model", "listwise:openai:tiny", "--budget-usd", "0.0001", "-o", "new.trec")
        assert said.code == 5, said.err
        assert "new.trec was not written" in said.err
        assert not (shop / "new.trec").exists()


def test_an_endpoint_reranks_and_what_it_leaves_out_is_no_zero(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RerankServer() as server:
        line = (*RERANK, "--model", "rerank:tiny", "--base-url", server.url, "-o", "new.trec")
        server.next(failing(503), missing(1))
        write_config(shop, at_once=1)
        said = call(capsys, *line)
        assert said.code == 4
        assert "answered about 3 of 4 documents" in said.err
        assert ids(shop / "new.trec") == ids(shop / "runs" / "words.trec")
        assert call(capsys, *line).code == 0
        # how many of "red dress" each has: p01 and p02 both, p03 and p09 one; ties stay as they were
        assert ids(shop / "new.trec") == ["p01", "p02", "p03", "p09"]
        asked = len(server.bodies)
        assert "lay there already" in call(capsys, *line).err
        assert len(server.bodies) == asked


def test_local_only_and_may_leave_hold_for_endpoints(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(shop, local_only=True)
    said = call(capsys, *RERANK, "--model", "rerank:tiny", "--base-url", "https://rerank.example/v1", "-o", "new.trec")
    assert "is not allowed" in said.error
    said = call(capsys, *RERANK, "--model", "listwise:openai:tiny", "-o", "new.trec")
    assert "is not allowed" in said.error
    with RerankServer("tei") as server:
        models = {"tei:tiny": {"base_url": server.url}}
        write_config(shop, local_only=True, may_leave=["title"], models=models)
        assert call(capsys, *RERANK, "--model", "tei:tiny", "-o", "new.trec").code == 0
        assert {text for body in server.bodies for text in body["texts"]} & {"Red summer dress"}
        assert not any("number" in text for body in server.bodies for text in body["texts"])


def test_an_encoder_behind_an_endpoint_is_sent_what_may_leave_and_what_it_assumes_is_told(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config(shop, local_only=True, may_leave=["title"])
    with EmbeddingsServer() as server:
        line = (*RERANK, "--model", "encoder:openai:tiny", "--base-url", server.url, "-o", "new.trec")
        said = call(capsys, *line)
        assert said.code == 0
        assert "its query side is sent without any prefix" in said.err
        assert "Red summer dress" in server.inputs
        assert not any("number" in text for text in server.inputs)
        assert json.loads((shop / "new.trec.json").read_text(encoding="utf-8"))["retriever"]["may_leave"] == ["title"]
        stated = call(capsys, *line, "--query-prefix", "Q: ", "--document-prefix", "")
        assert (stated.code, "without any prefix" in stated.err) == (0, False)
        assert "Q: red dress" in server.inputs


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "corss:x"), "unknown way of reranking 'corss'; did you mean 'cross' or 'encoder'?"),
        (("--model", "cross"), "say which, as in cross:MODEL"),
        (("--model", "judge", "--window", "5"), "--window is for listwise"),
        (("--model", "rerank:tiny"), "where is it? Give --base-url"),
        (("--model", "encoder:e5"), "what e5 is told depends on the task: name one (--task r2med/Biology"),
        (("--model", "encoder:nv", "--task", "r2med/Biology"), "run it with --trust-remote-code"),
        (("--model", "judge", "--task", "x"), "--task is for encoder"),
        (("--model", "rerank:tiny", "--base-url", "http://127.0.0.1:9", "--budget-usd", "1"), "is for judge and listwise"),
        (("--model", "judge", "--rest", "keep"), "unknown way with the rest of a run"),
    ],
)
def test_what_cannot_be_is_said(shop: Path, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in call(capsys, *RERANK, "-o", "new.trec", *options).error
