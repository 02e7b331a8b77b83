"""`local_only: true` fails closed: no socket is opened to a machine that was not named, whatever leads there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from faults.listening import Ear, calls_of_this_process, listening
from qrelkit.core.errors import InputError
from qrelkit.net.hosts import LOOPBACK
from qrelkit.project.config import Config
from qrelkit.project.local_only import refuse_cluster, refuse_source, refuse_store
from qrelkit.project.project import Project
from servers.chat import ChatServer, answering
from verbs.tiny import PAIRS, served, verdict, write_config, write_lines, write_tiny

Capture = pytest.CaptureFixture[str]
PROVIDERS = ("openai", "openrouter", "anthropic", "gemini")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


@pytest.fixture
def ear() -> Iterator[Ear]:
    with listening() as found:
        yield found


def opened(**config: Any) -> Project:
    return Project(Config(local_only=True, **config))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_provider_is_asked_elsewhere(provider: str, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{provider}:tiny"
    for variable in ("OPENAI", "OPENROUTER", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{variable}_API_KEY", "sk-0123456789abcdef")
    with calls_of_this_process() as calls:
        for allow_hosts in ([], ["10.9.9.9"], [f"{ear.host}:1"]):
            for base_url in (ear.url, "http://models.example/v1", None):  # None: the vendor's own
                with pytest.raises(InputError, match="is not allowed"):
                    opened(models={name: {"base_url": base_url}} if base_url else {}, allow_hosts=allow_hosts).model(name)
        if provider in ("openai", "anthropic"):
            monkeypatch.setenv(f"{provider.upper()}_BASE_URL", ear.url)
            with pytest.raises(InputError, match="is not allowed"):
                opened().model(name)
    assert (calls, ear.calls) == ([], [])


def test_a_name_is_no_address_even_where_it_is_allowed(shop: Path, capsys: Capture) -> None:
    with calls_of_this_process() as calls:
        write_config(shop, **served("http://models.example/v1"), local_only=True, allow_hosts=["models.example"])
        assert "neither localhost nor an IP address" in call(capsys, "judge").error
    assert calls == []


def test_a_redirect_is_not_followed(shop: Path, ear: Ear, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        server.next(*[answering(b"", status=307, Location=f"{ear.url}/v1/chat/completions")] * 4)
        write_config(shop, **served(server.url), local_only=True)
        found = call(capsys, "judge")
        assert found.code == 1
        assert "is not followed" in found.err
        assert ear.calls == []
        assert call(capsys, "judge", "--json").json["outcomes"] == {"graded": PAIRS}


def test_a_proxy_of_the_environment_is_not_used(shop: Path, ear: Ear, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, ear.url)
    with ChatServer(answer=verdict) as server, calls_of_this_process() as calls:
        write_config(shop, **served(server.url), local_only=True)
        assert call(capsys, "judge").code == 0
    assert {*calls} <= {"127.0.0.1"}
    assert ear.calls == []


def test_localhost_is_this_machine_without_anybody_being_asked(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server, calls_of_this_process() as calls:
        write_config(shop, **served(f"http://localhost:{server.port}/v1"), local_only=True)
        assert call(capsys, "judge").code == 0
    assert {*calls} <= {*LOOPBACK}


def test_an_address_that_is_named_is_asked(shop: Path, ear: Ear, capsys: Capture) -> None:
    write_config(shop, **served(f"{ear.url}/v1"), local_only=True, allow_hosts=[ear.host])
    with Project.open(shop) as project:
        assert list(project.judge_models()) == ["openai:tiny"]


# what is no model


def test_a_collection_is_not_fetched(shop: Path, ear: Ear, capsys: Capture) -> None:
    with calls_of_this_process() as calls:
        for spec in ("irds:vaswani", "hub:somebody/something"):
            write_config(shop, collection=spec, local_only=True)
            assert "may be fetched from another machine" in call(capsys, "judge").error
        corpus = shop / "shop" / "corpus.jsonl"
        rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
        write_lines(corpus, [row | {"image": f"{ear.url}/{row['id']}.png"} for row in rows])
        write_config(shop, local_only=True)
        found = call(capsys, "judge", "--route", "shown", "--model", "lexical")
        assert "10 remote images" in found.err
    assert (calls, ear.calls) == ([], [])


def test_a_folder_called_like_a_source_is_a_folder(shop: Path) -> None:
    if os.name == "nt":
        pytest.skip("no colons in names there")
    (shop / "shop").rename(shop / "irds:shop")
    write_config(shop, collection="irds:shop", local_only=True)
    with Project.open(shop) as project:
        assert len(project.collection) == 10
    with pytest.raises(InputError, match="may be fetched"):
        refuse_source("irds:shop")


def test_a_store_on_another_machine_is_refused(shop: Path, ear: Ear, capsys: Capture) -> None:
    with calls_of_this_process() as calls:
        write_config(shop, store=f"postgresql://qk:secret@{ear.host}:{ear.port}/qk", local_only=True)
        found = call(capsys, "judge")
        assert f"store: the host {ear.host} is not allowed" in found.error
        assert "secret" not in found.err
    assert (calls, ear.calls) == ([], [])


@pytest.mark.parametrize(
    ("url", "environment", "says"),
    [
        ("postgresql://db.example/qk", {}, "is not allowed"),
        ("postgresql://localhost/qk", {}, "write 127.0.0.1"),
        ("postgresql:///qk", {}, "names no host"),
        ("postgresql:///qk?host=db.example", {}, "is not allowed"),
        ("postgresql:///qk?host=127.0.0.1&host=10.1.1.1", {}, "is not allowed"),
        ("postgresql://127.0.0.1/qk?hostaddr=10.1.1.1", {}, "is not allowed"),
        ("postgresql://127.0.0.1/qk", {"PGHOSTADDR": "10.1.1.1"}, "is not allowed"),
        ("postgresql://127.0.0.1/qk", {"PGSERVICE": "far"}, "service file"),
        ("postgresql://127.0.0.1/qk?service=far", {}, "service file"),
    ],
)
def test_whatever_leads_to_another_database_is_seen(url: str, environment: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        refuse_store(url, LOOPBACK, environment)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("postgresql://127.0.0.1:5433/qk", LOOPBACK),
        ("postgresql://[::1]/qk", LOOPBACK),
        ("postgresql://qk@/qk?host=/run/postgresql", LOOPBACK),
        ("postgresql://qk@/qk?host=10.1.1.1:5432", ["10.1.1.1"]),
        ("postgresql://10.1.1.1:5432/qk", ["10.1.1.1:5432"]),
    ],
)
def test_a_database_here_or_at_an_allowed_address_is_opened(url: str, allowed: list[str]) -> None:
    refuse_store(url, allowed, {})
    with pytest.raises(InputError):  # the same at an address that is not allowed
        refuse_store("postgresql://10.9.9.9:1/qk", allowed, {})


def test_a_cluster_is_named_by_its_address() -> None:
    for place in ("ray://10.1.1.1:10001", "10.1.1.1:6379", "[fd00::1]:6379", "auto", "head.example:6379"):
        with pytest.raises(InputError, match=r"models\.ray:m\.address"):
            refuse_cluster("ray:m", place, LOOPBACK)
    for place in ("local", "127.0.0.1:6379", "ray://127.0.0.1:10001"):
        refuse_cluster("ray:m", place, LOOPBACK)
    refuse_cluster("ray:m", "10.1.1.1:6379", ["10.1.1.1"])


def test_weights_are_not_fetched(shop: Path, ear: Ear) -> None:
    pytest.importorskip("transformers")
    write_config(shop, judge={"model": "local:somebody/no-such-model"}, local_only=True)
    environment = os.environ | {"HF_ENDPOINT": ear.url, "HF_HOME": str(shop / "hub"), "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    said = subprocess.run(
        [sys.executable, "-m", "qrelkit", "judge"], cwd=shop, env=environment, capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 1, said.stderr
    assert ear.calls == []
