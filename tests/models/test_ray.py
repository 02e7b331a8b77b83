"""`ray:`, through Ray Data on a local cluster of two CPUs: the same judgments as without it."""

from __future__ import annotations

import asyncio
import gc
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from models.judged_shop import grades, judged, write_shop
from models.tiny_models import tiny_text, tiny_vision
from qrelkit.core.doors import Model
from qrelkit.core.errors import InputError
from qrelkit.core.wire import Message, Reply, Request, Settings, text
from qrelkit.models.local import Local
from qrelkit.models.local_requests import PlainRequest
from qrelkit.models.local_weights import find_weights
from qrelkit.models.ray import Keeper, Ray, connected, refuse_hosts
from verbs.tiny import LABELS, PAIRS

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all tests here, whichever of them needs it; it outlives the thread that asked for it."""
    pytest.importorskip("ray")
    before = dict(os.environ)
    os.environ["RAY_AUTH_MODE"] = "disabled"  # read when Ray is imported; without, it keeps a token in ~/.ray
    with ThreadPoolExecutor(1) as thread:
        ray = thread.submit(connected, None, num_cpus=2, object_store_memory=200 * 2**20).result()
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def assessor(built: Path) -> Path:
    return tiny_vision(built / "cluster-assessor", seed=1, labels=LABELS)


def test_judgments_are_the_same_with_and_without_a_cluster(
    cluster: None, tmp_path: Path, assessor: Path, capsys: Capture
) -> None:
    sampling = {"token_probabilities": True}
    own = {"device": "cpu", "batch_size": 4}
    here = write_shop(tmp_path / "here", assessor, "local:tiny", own=own, sampling=sampling)
    there = write_shop(tmp_path / "there", assessor, "ray:tiny", own=own, sampling=sampling)
    for shop in (here, there):
        said = judged(shop, capsys)
        assert (said.code, said.json["outcomes"]) == (0, {"graded": PAIRS})
    one, other = grades(here), grades(there)
    assert one.drop("probabilities").equals(other.drop("probabilities"))
    for mine, theirs in zip(one["probabilities"], other["probabilities"], strict=True):
        assert list(mine) == pytest.approx(list(theirs), abs=1e-4)
    assert one["grade"].n_unique() > 1
    assert judged(there, capsys).json["known"] == PAIRS


def asking(model: Model, number: int) -> Request:
    """Greedy ones and drawn ones, of different lengths."""
    said = "a small red dress " * (number % 7) + str(number)
    settings = Settings(max_tokens=6, temperature=float(number % 2), seed=number)
    return Request(model=model.name, messages=(Message("user", (text(said),)),), settings=settings)


def answers(model: Model, *requests: Request) -> list[Reply]:
    return list(asyncio.run(model.replies(requests)))  # type: ignore[arg-type]


def test_two_engines_reply_as_one_does_here(cluster: None, text_model: Path) -> None:
    gc.collect()  # the engines of another test's project go, and leave their CPUs
    here = Local(f"local:{text_model}", device="cpu", batch_size=4)
    there = Ray(f"ray:{text_model}", device="cpu", batch_size=4, actors=2)
    assert isinstance(there, Model)
    assert there.name == here.name.replace("local:", "ray:")
    assert there.at_most == 512
    mine, theirs, again = (answers(model, *(asking(model, n) for n in range(40))) for model in (here, there, there))
    told = [replace(reply, latency_s=None) for reply in mine]
    assert [replace(reply, latency_s=None) for reply in theirs] == told
    assert [replace(reply, latency_s=None) for reply in again] == told
    asyncio.run(there.close())


def test_an_engine_that_cannot_be_loaded_says_why(built: Path) -> None:
    """It says so in its reply: an error raised there would come back as one of Ray's."""
    folder = tiny_text(built / "broken-on-cluster")
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    said, sees = Keeper(find_weights(str(folder)), {"device": "cpu"}).load()
    assert "cannot be loaded" in said
    assert not sees


def test_a_rejected_batch_has_failed_and_takes_no_other_with_it(vision_model: Path) -> None:
    """Qwen's processor wants an aspect ratio below 200."""
    out = io.BytesIO()
    Image.new("RGB", (700, 2)).save(out, "PNG")
    row = PlainRequest(messages=(("user", (out.getvalue(),)),), settings=Settings(max_tokens=2), seed=0, weight=1)
    (reply,) = Keeper(find_weights(str(vision_model)), {"device": "cpu"}).replies([row])
    assert reply.outcome == "failed"
    assert "aspect ratio" in reply.error


def test_every_machine_of_the_cluster_must_be_allowed() -> None:
    refuse_hosts(["10.0.0.5", "Node-2"], {"10.0.0.5", "node-2"})
    with pytest.raises(InputError, match=r"10\.0\.0\.6 of the Ray cluster is not allowed"):
        refuse_hosts(["10.0.0.5", "10.0.0.6"], {"10.0.0.5"})
