"""show outbound: what would leave and what has left, for somebody who must answer for it. Nobody is asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.calling import call
from faults.listening import calls_of_this_process
from servers.chat import ChatServer
from verbs.tiny import PAIRS, served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=verdict) as found:
        yield found


def test_before_and_after(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url, route="shown", max_side_px=64))
    with calls_of_this_process() as calls:
        before = call(capsys, "show", "outbound", "--sample", 2, "--json").json
    assert calls == []
    assert server.bodies == []
    (stage,) = before["to_send"]
    # q1: p01 p02 p03 p09 p10, q2: p03 p04 p05 p06 p10, q3: p03 p07 p08 p09 p10 are ten documents, a picture each
    assert {k: stage[k] for k in ("stage", "model", "host", "this_machine", "queries", "documents", "images")} == {
        "stage": "judge",
        "model": "openai:tiny",
        "host": f"127.0.0.1:{server.port}",
        "this_machine": True,
        "queries": 3,
        "documents": 10,
        "images": 10,
    }
    assert stage["requests"][0] == PAIRS
    assert stage["fields"] == [
        "text of queries",
        "title and text of documents (at most 40,000 characters)",
        "images (at most 64 px, without metadata), with captions",
    ]
    assert before["sent"] == []

    assert call(capsys, "judge", "--limit", 5).code == 4
    assert json.loads(before["samples"][0]["body"]) in server.bodies
    after = call(capsys, "show", "outbound", "--json").json
    (left,), (still,) = after["sent"], after["to_send"]
    assert (left["stage"], left["models"], left["requests"], left["queries"]) == ("judge", ["openai:tiny"], 5, 1)
    assert (left["documents"], left["images"], still["queries"]) == (5, 5, 2)
    assert still["requests"][0] == PAIRS - 5


def test_the_sample_is_what_is_sent_word_for_word(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url))
    shown = call(capsys, "show", "outbound", "--sample", 1)
    call(capsys, "judge", "--limit", 1)
    (body,) = server.bodies
    told = [body["messages"][0]["content"], *body["messages"][1]["content"].split("\n\n")]
    assert all(line in shown.out for words in told for line in words.splitlines())
    assert shown.out.count("── user ──") == 1


def test_every_stage_has_its_row_and_what_stays_here_says_so(shop: Path, server: ChatServer, capsys: Capture) -> None:
    (shop / "judge.yaml").write_text("- {say: {verdict: irrelevant}}\n", encoding="utf-8")
    write_config(
        shop,
        guide={"model": "openai:tiny"},
        describe={"model": "openai:tiny", "max_side_px": 100},
        judge={"cascade": [{"model": "scripted:judge.yaml", "route": "described"}, {"model": "openai:tiny", "name": "dear"}]},
        models={"openai:tiny": {"base_url": server.url.replace("127.0.0.1", "10.1.1.1")}},
        no_retention=True,
    )
    found = call(capsys, "show", "outbound", "--sample", 1, "--json").json
    rows = [(row["stage"], row["host"].partition(":")[0], row["this_machine"]) for row in found["to_send"]]
    away, here = ("10.1.1.1", False), ("this machine", True)
    assert rows == [("guide", *away), ("describe", *away), ("judge", *here), ("judge", *away)]
    fields = [row["fields"] for row in found["to_send"]]
    assert fields[0] == ["text of queries"]
    assert fields[1] == ["images (at most 100 px, without metadata)"]
    assert "descriptions of images, with captions" in fields[2]
    assert "guidelines of queries" in fields[3]
    assert [row["images"] for row in found["to_send"]] == [0, 10, 0, 0]
    assert found["to_send"][3]["requests"] == [0.0, PAIRS * 1.2]  # nobody knows yet how often the first is unsure
    assert [one["stage"] for one in found["samples"]] == ["guide", "describe", "judge", "judge"]
    assert "still to be written" in json.dumps(found["samples"][2]["asked"])
    assert found["samples"][2]["body"] is None
    assert "batches are refused" in found["retention"]


def test_the_list_of_what_may_leave_is_shown_in_what_leaves(shop: Path, server: ChatServer, capsys: Capture) -> None:
    (shop / "mine.jinja").write_text(
        "{% block system %}s{% endblock %}{% block query %}{{ query.text }} {{ query.columns.language }}{% endblock %}"
        "{% block document %}{{ document.doc_id }} {{ document.text }} {{ document.columns['brand']|default('') }}{% endblock %}"
        "{% block ask %}?{% endblock %}{% block again %}?{% endblock %}",
        encoding="utf-8",
    )
    write_config(shop, **served(server.url, prompt="mine.jinja"))
    used = ["document.columns.brand", "document.doc_id", "query.columns.language"]
    assert call(capsys, "show", "outbound", "--json").json["to_send"][0]["fields"][-3:] == used
    write_config(shop, **served(server.url, prompt="mine.jinja"), may_leave=["text", "language"])
    found = call(capsys, "show", "outbound", "--json").json
    assert found["to_send"][0]["fields"][1:] == ["text of documents (at most 40,000 characters)", "query.columns.language"]
    assert found["may_leave"] == ["text", "language"]


def test_a_judge_without_a_model_sends_nothing(shop: Path, capsys: Capture) -> None:
    found = call(capsys, "show", "outbound", "--sample", 3, "--json").json
    assert (found["to_send"], found["sent"], found["samples"]) == ([], [], [])


def test_the_tables_for_people(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url), local_only=True)
    call(capsys, "judge", "--limit", 2)
    rows = call(capsys, "show", "outbound").rows
    assert ["to send", "model", "host", "queries", "documents", "images", "requests"] in rows
    assert ["sent so far", "by", "model", "queries", "documents", "images", "requests"] in rows
    assert ["local_only", "True"] in rows
    assert ["may_leave", "everything that is used"] in rows
    assert rows[-1][0].startswith("retention: ")
