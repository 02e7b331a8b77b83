"""Endpoints that stall, refuse, break off, lie or are not there: the table is the same, or the error says what to do."""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from cli.calling import call
from faults.many import expected, fine, judged, judging, pair_of, point, sometimes, verdict, write_many
from servers.chat import ChatServer, Fault, answering, cut_off, dripping, dropped, failing, failure, quota_spent, rate_limited
from verbs.tiny import write_config

Capture = pytest.CaptureFixture[str]
QUERIES, DOCUMENTS = 2, 30
PAIRS = QUERIES * DOCUMENTS
WHOLE = orjson.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {}})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_many(tmp_path, queries=QUERIES, documents=DOCUMENTS))
    return tmp_path


@dataclass(frozen=True)
class Ended:
    """How a process ended that waited for somebody who is not there: it starts with the first test, and the last ones look."""

    folder: Path
    code: int
    words: str


@pytest.fixture(scope="module", autouse=True)
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, subprocess.Popen[str]]]]:
    """`judge` with a server that goes away after 20 replies, and with none, of many pairs and of few."""
    sizes = {"goes": DOCUMENTS, "many": DOCUMENTS, "few": 2}
    folders = {n: write_many(tmp_path_factory.mktemp(n), queries=QUERIES, documents=size) for n, size in sizes.items()}
    with ChatServer() as server:
        closed = server.url
    with ChatServer(answer=verdict) as server, ExitStack() as running:
        server.next(*[fine(server)] * 20, *[dropped] * 1000)
        for name, folder in folders.items():
            point(folder, server.url if name == "goes" else closed, 30)
        yield {name: (folder, running.enter_context(judging(folder))) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def gone(waiting: dict[str, tuple[Path, subprocess.Popen[str]]]) -> dict[str, Ended]:
    """How they ended."""
    words = {name: process.communicate(timeout=60)[1] for name, (_, process) in waiting.items()}
    return {name: Ended(folder, process.returncode, words[name]) for name, (folder, process) in waiting.items()}


def table(folder: Path) -> bool:
    return judged(folder) == expected(QUERIES, DOCUMENTS)


TROUBLE: list[Fault] = [
    dropped,
    cut_off,
    answering(WHOLE[:40]),  # truncated JSON
    answering(b""),
    answering(b"<html>Bad gateway</html>", content_type="text/html"),
    answering(WHOLE, content_type="text/html"),
    answering(b'"a string"'),
    answering(b'{"hello": "world"}'),
    answering(b'{"choices": []}'),
    answering(b'{"error": {"message": "Overloaded", "code": 503}}'),  # 200 with an error
    answering(b"\xff\xfe{", content_type="application/octet-stream"),
    failing(500, "Internal error"),
    failing(503, "Loading model"),
    failing(503, "Loading model", headers={"Retry-After": "0.1"}),
    rate_limited("0.1"),
]


def test_all_kinds_of_trouble_cost_nothing(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        sometimes(server, TROUBLE, 4, 4 * len(TROUBLE))
        point(shop, server.url, 30)
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (0, {"graded": PAIRS}), found.err
        assert len(server.bodies) == PAIRS + len(TROUBLE)
    assert table(shop)


def test_an_endpoint_that_drips_its_answers_is_left_and_asked_again(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        sometimes(server, [dripping(0.1)], 20, PAIRS)
        models = {"openai:tiny": {"base_url": server.url, "timeout_s": 1}}
        write_config(shop, runs=["all.trec"], depth=500, at_once=30, judge={"model": "openai:tiny"}, models=models)
        started = time.monotonic()
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (0, {"graded": PAIRS}), found.err
        assert len(server.bodies) == PAIRS + 3
        assert 1.0 <= time.monotonic() - started < 20
    assert table(shop)


def test_five_percent_of_the_connections_are_dropped(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        sometimes(server, [dropped], 20, PAIRS)
        point(shop, server.url, 30)
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) == PAIRS + 3
    assert table(shop)


def test_every_request_of_the_first_seconds_is_turned_away(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        server.next(*[rate_limited("0.1")] * 60)
        point(shop, server.url, 20)
        started = time.monotonic()
        found = call(capsys, "judge", "--json")
        assert found.code == 0, found.err
        assert time.monotonic() - started >= 3 * 0.1  # three rounds of 20 waited as they were told to
    assert table(shop)


class Limited:
    """At most `most` requests in `window_s`; the others are told when the next window begins."""

    def __init__(self, server: ChatServer, most: int, window_s: float) -> None:
        self.server, self.most, self.window_s = server, most, window_s
        self.times: deque[float] = deque()
        self.turned_away = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        while self.times and self.times[0] <= now - self.window_s:
            self.times.popleft()
        if len(self.times) >= self.most:
            self.turned_away += 1
            wait = self.times[0] + self.window_s - now
            return failure(429, "Rate limit reached", headers={"Retry-After": f"{wait:.3f}"})
        self.times.append(now)
        return await fine(self.server)(request)


def test_far_more_at_once_than_the_endpoint_allows(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        limited = Limited(server, most=6, window_s=0.3)
        server.next(*[limited] * 10_000)
        point(shop, server.url, 50)
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (0, {"graded": PAIRS}), found.err
        assert limited.turned_away < 5 * PAIRS
    assert table(shop)


# refused for good


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (failing(401, "Incorrect API key provided: sk-wr***ng.", code="invalid_api_key"), "check OPENAI_API_KEY"),
        (failing(403, "Project has no access"), "may not use this model"),
        (failing(404, "The model `tiny` does not exist", code="model_not_found"), "check the model's name"),
        (quota_spent(), "no money left"),
        (failing(402, "Payment required"), "no money left"),
        (failing(301, "Moved", headers={"Location": "https://elsewhere"}), "https://elsewhere"),
    ],
)
def test_what_no_request_can_pass_stops_it_at_once(shop: Path, capsys: Capture, fault: Fault, advice: str) -> None:
    with ChatServer(answer=verdict) as server:
        server.next(*[fault] * 1000)
        point(shop, server.url, 4)
        found = call(capsys, "judge")
        assert found.code == 1
        assert len(server.bodies) <= 4
        last = found.err.splitlines()[-1]
        assert last.startswith("qrelkit: openai:tiny at 127.0.0.1:")
        assert advice in last


def test_a_wrong_key_is_never_printed(shop: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
    with ChatServer(answer=verdict, key="sk-right") as server:
        point(shop, server.url, 4)
        found = call(capsys, "judge")
        assert (found.code, len(server.bodies) <= 4) == (1, True)
        assert "check OPENAI_API_KEY" in found.err
        assert "sk-wrong" not in found.err + found.out
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
        assert call(capsys, "judge").code == 0
    assert b"sk-right" not in (shop / ".qrelkit" / "store.db").read_bytes()
    assert table(shop)


def test_one_pair_that_is_refused_does_not_stop_the_others(shop: Path, capsys: Capture) -> None:
    async def odd(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if pair_of(body)[1] == "d007":
            return failure(400, "This document makes no sense to me")
        return await fine(server)(request)

    with ChatServer(answer=verdict) as server:
        server.next(*[odd] * 1000)
        point(shop, server.url, 8)
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (4, {"failed": QUERIES, "graded": PAIRS - QUERIES})
        assert "makes no sense to me" in found.err


def test_fields_that_a_server_will_not_have_are_left_out(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict, refuse=("temperature", "max_tokens", "response_format")) as server:
        point(shop, server.url, 4)
        found = call(capsys, "judge", "--json")
        assert (found.code, found.json["outcomes"]) == (0, {"graded": PAIRS}), found.err
        assert not {"temperature", "max_tokens", "response_format"} & set(server.bodies[-1])
        assert server.bodies[-1]["max_completion_tokens"] == 1024
        assert len(server.bodies) <= PAIRS + 3 * 4


# nobody there


def test_nobody_there(gone: dict[str, Ended]) -> None:
    assert gone["many"].code == 1
    assert "is the server running" in gone["many"].words.splitlines()[-1]


def test_nobody_there_for_a_few_pairs(gone: dict[str, Ended]) -> None:
    assert gone["few"].code == 1
    assert "is the server running" in gone["few"].words.splitlines()[-1]


def test_it_goes_away_in_the_middle(gone: dict[str, Ended], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = gone["goes"]
    assert ended.code == 1
    last = ended.words.splitlines()[-1]
    assert last.startswith("qrelkit: 20 requests in a row failed")
    assert "what was answered is kept" in last
    assert len(judged(ended.folder)) == 20
    monkeypatch.chdir(ended.folder)
    with ChatServer(answer=verdict) as server:  # at another address, and the judge is the same
        point(ended.folder, server.url, 30)
        assert call(capsys, "judge").code == 0
        assert len(server.bodies) == PAIRS - 20
    assert table(ended.folder)
