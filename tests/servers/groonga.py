"""A real Groonga server (Debian: groonga-bin) with some documents, on a free port of the loopback interface."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def groonga(documents: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The address of a server that has the documents in the table `Doc`; skips, visibly, where Groonga is not installed."""
    program = shutil.which("groonga")
    if program is None:
        pytest.skip("no Groonga: apt-get install groonga-bin")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = [
        "--protocol",
        "http",
        "--bind-address",
        "127.0.0.1",
        "--port",
        str(port),
        "-s",
        "-n",
        "--log-path",
        str(folder / "log"),
    ]
    with (folder / "out").open("wb") as out:
        server = subprocess.Popen([program, *options, str(folder / "db")], stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        _fill(url, documents)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            _said(f"{url}/d/status")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    pytest.fail("Groonga did not come up")


def _fill(url: str, documents: Mapping[str, str]) -> None:
    lexicon = "flags=TABLE_PAT_KEY&key_type=ShortText&default_tokenizer=TokenBigram&normalizer=NormalizerNFKC130"
    for command in (
        "table_create?name=Doc&flags=TABLE_HASH_KEY&key_type=ShortText",
        "column_create?table=Doc&name=text&flags=COLUMN_SCALAR&type=Text",
        f"table_create?name=Lexicon&{lexicon}",
        "column_create?table=Lexicon&name=doc_text&flags=COLUMN_INDEX%7CWITH_POSITION&type=Doc&source=text",
    ):
        _said(f"{url}/d/{command}")
    rows = json.dumps([{"_key": doc_id, "text": text} for doc_id, text in documents.items()])
    _said(f"{url}/d/load?table=Doc", rows.encode())


def _said(url: str, body: bytes | None = None) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        head = json.loads(answer.read())[0]
    assert head[0] == 0, head
