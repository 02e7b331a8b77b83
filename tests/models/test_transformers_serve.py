"""Our client against a real OpenAI-compatible server: `transformers serve` with a LLaVA built here that says only verdicts."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.judged_shop import grades, judged, write_shop
from models.tiny_models import tiny_llava
from qrelkit.core.errors import Rejected
from qrelkit.core.wire import Message, Request, Schema, Settings, text
from qrelkit.models.openai_compatible import OpenAICompatible
from verbs.tiny import LABELS, PAIRS

Capture = pytest.CaptureFixture[str]
READY_WITHIN_S = 120


@pytest.fixture(scope="module")
def assessor(built: Path) -> Path:
    return tiny_llava(built / "served-assessor", labels=LABELS)


@pytest.fixture(scope="module")
def url(assessor: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, which knows the model by the path of its folder and reaches for no network."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    home = tmp_path_factory.mktemp("hub")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    words = ["serve", str(assessor), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-c", program, *words], env=os.environ | quiet, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/health", server, home / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(20)


def _wait(health: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def test_it_judges_through_the_server_as_in_this_process(url: str, assessor: Path, tmp_path: Path, capsys: Capture) -> None:
    """The same weights, the same prompts and pictures, once behind HTTP and once as `local:`: the same grades and reasons."""
    own = {"base_url": url, "extra_body": {"model": str(assessor)}}
    there = write_shop(tmp_path / "there", assessor, "openai:tiny", own=own)
    here = write_shop(tmp_path / "here", assessor, "local:tiny", own={"device": "cpu"})
    for shop in (there, here):
        said = judged(shop, capsys)
        assert (said.code, said.json["outcomes"]) == (0, {"graded": PAIRS})
    assert grades(there).equals(grades(here))
    assert grades(there)["grade"].n_unique() > 1
    assert judged(there, capsys).json["known"] == PAIRS


def test_tokens_and_the_served_name_are_those_of_the_server(url: str, assessor: Path) -> None:
    from transformers import AutoTokenizer

    model = OpenAICompatible("openai:tiny", base_url=url, extra_body={"model": str(assessor)})
    messages = (Message("system", (text("Judge."),)), Message("user", (text("red dress"),)))
    schema = Schema.of("verdict", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})
    settings = Settings(max_tokens=5)
    (reply,) = _answered(model, Request(model=model.name, messages=messages, settings=settings, schema=schema))
    chat = [{"role": "system", "content": "Judge."}, {"role": "user", "content": "red dress"}]
    ids = AutoTokenizer.from_pretrained(assessor).apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert reply.tokens_in == len(ids)
    assert reply.text in LABELS  # the schema was taken, and ignored
    assert (reply.outcome, reply.finish) == ("answered", "stop")
    assert reply.tokens_out in (1, 2)  # with or without the token that ends it
    assert reply.served == f"{assessor}@main"


def test_another_name_than_the_server_knows_is_a_rejection_in_its_words(url: str) -> None:
    model = OpenAICompatible("openai:tiny", base_url=url)
    with pytest.raises(Rejected, match="pinned"):
        _answered(model, Request(model=model.name, messages=(Message("user", (text("x"),)),)))


def _answered(model: OpenAICompatible, request: Request) -> list[object]:
    async def talk() -> list[object]:
        try:
            return list(await model.replies([request]))
        finally:
            await model.close()

    return asyncio.run(talk())
