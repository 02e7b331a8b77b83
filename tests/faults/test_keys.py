"""A key is never in the store, in what is printed, or in an exception, however the server gives it back."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from qrelkit.core.errors import QrelkitError
from qrelkit.core.wire import Message, Request, text
from qrelkit.project.config import Config
from qrelkit.project.project import Project
from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer
from verbs.tiny import served, write_config, write_tiny

Capture = pytest.CaptureFixture[str]
KEY = "sk-Quintelpfau0123456789abcdefABCDEF"
VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
SAID = f"Incorrect API key provided: {KEY}."
ERROR = {"error": {"message": SAID, "type": "invalid_request_error", "code": "invalid_api_key", "status": SAID}}
FAR = "x" * 275 + KEY  # where a message is cut for people, in the middle of the key
WAYS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "401": (401, {}, json.dumps(ERROR).encode()),
    "403 in plain words": (403, {"Content-Type": "text/plain"}, SAID.encode()),
    "400": (400, {}, json.dumps(ERROR).encode()),
    "400 cut in the key": (400, {}, json.dumps({"error": {"message": FAR}}).encode()),
    "404": (404, {}, json.dumps({"detail": SAID}).encode()),
    "429": (429, {"Retry-After": "1"}, json.dumps(ERROR).encode()),
    "500": (500, {"Content-Type": "text/html"}, f"<h1>{KEY}</h1>".encode()),
    "redirect": (307, {"Location": f"http://127.0.0.1:9/?api_key={KEY}"}, b""),
    "200 with an error": (200, {}, json.dumps(ERROR).encode()),
    "200 that is no JSON": (200, {"Content-Type": "text/html"}, f"{'y' * 175}{KEY}".encode()),
    "200 of another kind": (200, {}, json.dumps({"choices": KEY, "content": KEY, "candidates": KEY}).encode()),
    "200 with a half": (200, {"Content-Length": "5000"}, f'{{"choices": "{KEY}'.encode()),
}


class Repeating(http.server.BaseHTTPRequestHandler):
    """Answers every request in the way that the server was told."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert KEY in str(self.headers)  # it was sent where it belongs
        status, headers, body = self.server.way  # type: ignore[attr-defined]
        self.send_response(status, SAID)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def repeating() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repeating)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, KEY)


def halves(key: str) -> list[str]:
    """The key, and any eighteen of its characters: a part of it is too much."""
    return [key[start : start + 18] for start in range(len(key) - 17)]


def shows(words: str) -> bool:
    return any(half in words for half in halves(KEY))


def said_by(model: Any) -> str:
    """All that a failing call says: the exception with its causes and its reply, and what the model says of itself."""
    request = Request(model=model.name, messages=(Message("user", (text("Is this red?"),)),))

    async def ask() -> str:
        try:
            return repr(await model.replies([request]))
        except QrelkitError as error:
            return "".join(traceback.format_exception(error)) + repr(error)
        finally:
            await model.close()

    return f"{asyncio.run(ask())} {model!r} {model.notes} {vars(model)}".replace(repr(model._endpoint.secret), "")


@pytest.mark.parametrize("provider", VARIABLES)
def test_no_way_of_failing_shows_it(provider: str, repeating: Any) -> None:
    name = f"{provider}:tiny"
    base_url = f"http://127.0.0.1:{repeating.server_address[1]}/v1"
    for way, answer in WAYS.items():
        repeating.way = answer
        model = Project(Config(models={name: {"base_url": base_url}})).model(name)
        assert not shows(said_by(model)), way
    away = Project(Config(models={name: {"base_url": "http://127.0.0.1:9/v1"}})).model(name)
    assert not shows(said_by(away))


def files_with_it(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and shows(path.read_bytes().decode("latin-1"))]


@pytest.mark.parametrize("way", ["401", "redirect", "400", "404", "403 in plain words", "200 that is no JSON"])
def test_neither_store_nor_screen_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, repeating: Any, way: str
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path))
    repeating.way = WAYS[way]
    base_url = f"http://127.0.0.1:{repeating.server_address[1]}/v1"
    if way.startswith("200"):  # tried again, for seconds: the attempt is stored at once
        with SqlStore(tmp_path / "store.db") as store:
            said = said_by(Project(Config(models={"openai:tiny": {"base_url": base_url}})).model("openai:tiny"))
            session = store.open_session("judge")
            store.exchange(session, [], [], [("r1:" + "0" * 32, 0.1, said)])
            store.end_session(session)
    else:
        write_config(tmp_path, **served(base_url))
        found = call(capsys, "judge")
        assert found.code in (1, 4)
        assert not shows(found.out + found.err)
        told = call(capsys, "doctor")
        assert not shows(told.out + told.err)
    assert files_with_it(tmp_path) == []


def test_a_model_that_repeats_it_in_its_answer_is_kept_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path))
    with ChatServer() as server:
        server.answer = lambda body: json.dumps({"reasoning": server.headers[-1]["Authorization"], "verdict": "irrelevant"})
        write_config(tmp_path, **served(server.url))
        assert call(capsys, "judge").code == 0
    (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
    assert row["reason"] == "Bearer ***"
    found = call(capsys, "show", "reply", row["request"])
    assert not shows(found.out)
    call(capsys, "report")
    shown = call(capsys, "show", "outbound", "--sample", 1, "--json")
    assert not shows(shown.out + shown.err)
    assert files_with_it(tmp_path) == []


def test_a_word_that_stands_for_no_key_is_left_in_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(write_tiny(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with ChatServer(answer=lambda body: json.dumps({"reasoning": "none of it fits", "verdict": "irrelevant"})) as server:
        write_config(tmp_path, **served(server.url))
        call(capsys, "judge")
    (row,) = call(capsys, "show", "judgment", "q1", "p01", "--json").json
    assert row["reason"] == "none of it fits"
