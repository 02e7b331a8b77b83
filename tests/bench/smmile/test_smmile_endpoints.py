"""The drawn benchmark, images included, through a tiny vision-language model in this process and through a server."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest

from cli.calling import Said, call
from models.tiny_models import tiny_vision
from qrelkit.bench.smmile.demo import drawn
from qrelkit.bench.smmile.flows import Asking
from qrelkit.bench.smmile.running import read_answers, run
from qrelkit.core.errors import ModelError
from qrelkit.models.data_urls import DataUrls
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer, failing, filtered

Capture = pytest.CaptureFixture[str]
IMAGES = sum(len(p.triplets) for p in drawn().problems)  # 54, no two alike


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    monkeypatch.chdir(tmp_path)
    call(capsys, "bench", "smmile", "demo", "-o", "drawn")
    return tmp_path


def ran(capsys: Capture, model: str, *words: str) -> Said:
    return call(capsys, "bench", "smmile", "run", "--folder", "drawn", "--model", model, "--json", *words)


def test_a_tiny_vision_language_model_answers_every_problem(folder: Path, capsys: Capture) -> None:
    """Random weights: what it says is noise, but it reads the pictures as tokens, and it is known afterwards."""
    pytest.importorskip("transformers")
    tiny_vision(folder / "tiny", seed=1, labels=("yes", "no", "blue", "striped", "handbag"))
    words = ("--mode", "icl", "--mode", "blind", "--max-tokens", "4")
    first = ran(capsys, "local:tiny", *words)
    assert first.code == 0, first.err
    assert [one["statuses"] for one in first.json] == [{"answered": 12}] * 2
    shown, blind = (read_answers(folder / "smmile" / one["file"]).frame for one in first.json)
    assert shown["output"].n_unique() > 1
    assert shown["output"].to_list() != blind["output"].to_list()
    tokens = [one["tally"]["tokens_in"] for one in first.json]
    assert tokens[0] - tokens[1] >= 4 * IMAGES  # a token per 28 × 28 px, and no image is made smaller than 56 × 56
    again = ran(capsys, "local:tiny", *words)
    assert [one["tally"]["asked"] for one in again.json] == [0, 0]


def golden(body: dict[str, Any]) -> str:
    """The gold answer, looked up by the pixels of the query's image; the server sees nothing else of which problem it is."""
    part = next(p for p in body["messages"][-1]["content"] if p["type"] == "image_url")
    return GOLD[thumbnail(base64.b64decode(part["image_url"]["url"].partition(",")[2]))]


def thumbnail(data: bytes) -> bytes:
    """What a picture is known by after it was made a JPEG: the brightest and darkest of 8 × 10 fields."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return bytes(round(v / 32) for v in image.convert("L").resize((8, 10), Image.Resampling.BOX).tobytes())


GOLD = {thumbnail(p.query.image.read()): p.query.answer for p in drawn().problems if p.query.image}


class Near(dict[bytes, str]):
    """The answer of the nearest thumbnail: JPEG moves a value by one now and then."""

    def __missing__(self, key: bytes) -> str:
        return self[min(self, key=lambda known: sum(abs(a - b) for a, b in zip(known, key, strict=True)))]


GOLD = Near(GOLD)


def test_a_server_is_sent_every_image_and_its_answers_are_scored(folder: Path, capsys: Capture, monkeypatch: Any) -> None:
    with ChatServer(golden) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        said = ran(capsys, "openai:tiny")
    assert said.code == 0, said.err
    assert said.json[0]["counts"]["exact_strict"] == 12
    assert said.json[0]["served"] == ["tiny-2025-01-01"]
    sent = [part for body in server.bodies for m in body["messages"] for part in m["content"] if isinstance(part, dict)]
    assert sum(part["type"] == "image_url" for part in sent) == IMAGES
    roles = [m["role"] for m in server.bodies[0]["messages"]]
    assert roles[0] == "system"
    assert roles[1:] == ["user", "assistant"] * ((len(roles) - 2) // 2) + ["user"]


def test_blind_sends_no_image_and_a_wrong_image_loses_the_answer(folder: Path, capsys: Capture, monkeypatch: Any) -> None:
    with ChatServer(lambda body: "blue" if "image_url" not in str(body) else golden(body)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        blind, wrong = ran(capsys, "openai:tiny", "--mode", "blind", "--mode", "wrong-image").json
    assert all("image_url" not in str(body) for body in server.bodies[:12])
    assert blind["counts"]["exact_strict"] == sum(p.query.answer == "blue" for p in drawn().problems)
    assert wrong["counts"]["exact_strict"] < 6


def test_refusals_and_oversize_images_have_statuses_and_the_next_run_asks_only_what_failed(tmp_path: Path) -> None:
    with ChatServer(golden) as server, SqlStore(str(tmp_path / "store.db")) as store:
        server.next(filtered(), failing(413, "Request Entity Too Large"), failing(400, "what is this?"))
        model = OpenAICompatible("openai:tiny", base_url=server.url)
        asking, models = Asking(model=model.name), {model.name: model}
        first = run(drawn(), asking, store=store, models=models, at_once=1)
        again = run(drawn(), asking, store=store, models=models, at_once=1)
    assert first.statuses == {"answered": 9, "refused": 1, "oversize_image": 1, "api_error": 1}
    assert first.counts["completed"] == {"n": 9, "exact_flexible": 9, "exact_strict": 9}
    assert again.statuses == {"answered": 11, "refused": 1}
    assert len(server.bodies) == 14


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """The key is withdrawn after five answers: those are kept, and paid for once."""
    with ChatServer(golden) as server, SqlStore(str(tmp_path / "store.db")) as store:
        model = OpenAICompatible("openai:tiny", base_url=server.url)
        asking, models = Asking(model=model.name), {model.name: model}
        answered = 0

        def answer(body: dict[str, Any]) -> str:
            nonlocal answered
            answered += 1
            if answered == 5:
                server.next(failing(401, "no such key"))
            return golden(body)

        server.answer = answer
        with pytest.raises(ModelError, match="no such key"):
            run(drawn(), asking, store=store, models=models, at_once=1)
        ended = run(drawn(), asking, store=store, models=models, at_once=1)
        assert (ended.missing, ended.tally.known, ended.tally.asked) == (0, 5, 7)
        spent = store.spending().filter(stage="bench")
    assert spent["asked"].sum() == 13


def test_a_budget_stops_the_run_and_more_money_goes_on(folder: Path, capsys: Capture, monkeypatch: Any) -> None:
    prices = "prices={'openai:tiny': {input: 1000, output: 1000}}"
    with ChatServer(golden) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        words = ("--set", prices, "--set", "at_once=1", "--max-tokens", "10")
        planned = ran(capsys, "openai:tiny", *words, "--dry-run").json[0]
        first = ran(capsys, "openai:tiny", *words, "--budget-usd", str(planned["usd"][1]))
        assert (first.code, first.json[0]["missing"] > 0) == (5, True)
        again = ran(capsys, "openai:tiny", *words)
    assert (again.code, again.json[0]["missing"], again.json[0]["counts"]["n"]) == (0, 0, 12)
    assert len(server.bodies) == 12


def test_every_image_is_encoded_once_however_many_requests_show_it(tmp_path: Path) -> None:
    """Wrong images are query images of other problems, and all modes share what was encoded."""
    made: list[str] = []

    class Counting(DataUrls):
        def _keep(self, key: str, making: Any) -> None:
            made.append(key)
            super()._keep(key, making)

    with ChatServer(golden) as server, SqlStore(str(tmp_path / "store.db")) as store:
        model = OpenAICompatible("openai:tiny", base_url=server.url)
        model._data_urls = Counting()
        for mode in ("icl", "wrong-image", "zero-shot"):
            run(drawn(), Asking(model=model.name, mode=mode), store=store, models={model.name: model})  # type: ignore[arg-type]
    assert len(made) == len(set(made)) == IMAGES
