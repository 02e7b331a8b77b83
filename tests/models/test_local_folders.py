"""How a local model is named, and how requests become batches: without any model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from qrelkit.core.errors import InputError, Mismatch, MissingExtra, Rejected, UnknownName
from qrelkit.core.wire import Settings
from qrelkit.models.local import needs, template_of
from qrelkit.models.local_batches import batches, by_halves
from qrelkit.models.local_requests import PlainRequest
from qrelkit.models.local_weights import SAMPLE_BYTES, SAMPLES, find_weights, folder_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like a model: only names, sizes and bytes count here."""
    folder = tmp_path / "models" / "qwen"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 10)
    return folder


def test_a_folder_is_named_by_its_last_part_and_its_content(folder: Path) -> None:
    weights = find_weights("models/qwen", folder.parents[1])
    assert weights.name == f"qwen@{folder_digest(folder)}"
    assert find_weights(str(folder)) == weights


def test_a_moved_folder_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "qwen")
    assert find_weights(str(moved)).name == find_weights(str(folder)).name


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_other_content_of_the_same_size_is_another_name(folder: Path, name: str) -> None:
    before = folder_digest(folder)
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    assert folder_digest(folder) != before


def test_large_weights_are_told_apart_by_samples(folder: Path) -> None:
    """A fine-tuned model differs nearly everywhere, so in the last block too, which is one of the samples."""
    data = bytearray(4 * SAMPLES * SAMPLE_BYTES)
    (folder / "model.safetensors").write_bytes(data)
    before = folder_digest(folder)
    data[-1] = 1
    (folder / "model.safetensors").write_bytes(data)
    assert folder_digest(folder) != before


def test_what_lies_beside_the_model_does_not_count(folder: Path) -> None:
    before = folder_digest(folder)
    (folder / "README.md").write_text("words", encoding="utf-8")
    (folder / "checkpoint-10").mkdir()
    assert folder_digest(folder) == before


def test_a_name_with_the_digest_of_another_model_is_refused(folder: Path) -> None:
    assert find_weights(f"{folder}@{folder_digest(folder)}").name == find_weights(str(folder)).name
    with pytest.raises(Mismatch, match="not @00000000"):
        find_weights(f"{folder}@00000000")


def test_names_of_the_hub_are_taken_as_they_are(tmp_path: Path) -> None:
    weights = find_weights("Qwen/Qwen2.5-VL-7B-Instruct@main", tmp_path)
    assert (weights.source, weights.revision, weights.digest) == ("Qwen/Qwen2.5-VL-7B-Instruct", "main", "")
    assert weights.name == "Qwen/Qwen2.5-VL-7B-Instruct@main"
    assert find_weights("gpt2", tmp_path).name == "gpt2"


@pytest.mark.parametrize("name", ["models/of/mine", "../qwen", "./qwen", "a b"])
def test_what_is_neither_folder_nor_hub_name_is_said_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of that name"):
        find_weights(name, tmp_path)


def test_a_folder_without_a_model_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config\.json"):
        find_weights("empty", tmp_path)


def row(weight: int, *, temperature: float = 0.0, image: bool = False, seed: int | None = None) -> PlainRequest:
    content = ("text", b"image") if image else ("text",)
    settings = Settings(temperature=temperature, seed=seed)
    return PlainRequest(messages=(("user", content),), settings=settings, seed=0, weight=weight)


def test_batches_are_of_about_one_length_the_longest_first() -> None:
    rows = [row(weight) for weight in (5, 100, 7, 90, 6)]
    assert list(batches(rows, 2)) == [[1, 3], [2, 4], [0]]


def test_only_alike_requests_share_a_batch() -> None:
    """By temperature, and with or without images; a seed is each row's own."""
    rows = [row(1), row(1, temperature=1.0), row(1, image=True), row(1, seed=3), row(1, temperature=1.0)]
    assert sorted(map(sorted, batches(rows, 8))) == [[0, 3], [1, 4], [2]]


@pytest.mark.parametrize("room", [1, 2, 3, 8])
def test_a_batch_that_fails_is_halved_and_a_row_that_fails_alone_is_left_out(room: int) -> None:
    """`room` is what memory holds at a time; 9 alone is too large for any."""
    calls = []

    def work(rows: Sequence[int]) -> list[int]:
        calls.append(len(rows))
        if len(rows) > room or 9 in rows:
            raise MemoryError(f"no room for {len(rows)}")
        return [10 * r for r in rows]

    found = by_halves([1, 2, 3, 9, 4], work)
    assert [one if isinstance(one, int) else str(one) for one in found] == [10, 20, 30, "no room for 1", 40]
    assert calls[0] == 5


def test_an_error_of_ours_is_about_all_of_them() -> None:
    def work(rows: Sequence[int]) -> list[int]:
        raise Rejected("no")

    with pytest.raises(Rejected):
        by_halves([1, 2], work)


def test_the_chat_template_is_told_what_vllm_would_be_told() -> None:
    assert template_of({"chat_template_kwargs": {"enable_thinking": False}}) == {"enable_thinking": False}
    assert template_of(None) == {}
    with pytest.raises(UnknownName, match="chat_template_kwargs"):
        template_of({"chat_template_kwarg": {}})


def test_an_absent_package_is_told_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra, match=r'pip install "qrelkit\[local\]"'):
        needs("local models", "local", "json", "no_package_of_this_name")
