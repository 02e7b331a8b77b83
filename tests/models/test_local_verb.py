"""judge with `local:`: a tiny vision-language model that says nothing but verdicts grades a pool of products with pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.judged_shop import grades, judged, write_shop
from models.tiny_models import tiny_text, tiny_vision
from qrelkit.core.errors import InputError
from qrelkit.project.project import Project
from verbs.tiny import LABELS, PAIRS

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def assessor(built: Path) -> Path:
    return tiny_vision(built / "assessor", seed=1, labels=LABELS)


@pytest.fixture
def shop(tmp_path: Path, assessor: Path) -> Path:
    return write_shop(tmp_path / "shop", assessor, "local:tiny", own={"batch_size": 4, "device": "cpu"})


def test_every_pair_gets_a_grade_and_is_known_afterwards(shop: Path, capsys: Capture) -> None:
    first = judged(shop, capsys)
    assert first.code == 0
    assert first.json["outcomes"] == {"graded": PAIRS}
    assert grades(shop)["grade"].n_unique() > 1
    again = judged(shop, capsys)
    assert again.json["known"] == PAIRS
    assert " 0 requests" in again.err


def test_an_exchanged_model_asks_anew_and_a_moved_project_does_not(shop: Path, tmp_path: Path, capsys: Capture) -> None:
    judged(shop, capsys)
    moved = shop.rename(tmp_path / "moved")
    assert judged(moved, capsys).json["known"] == PAIRS
    shutil.rmtree(moved / "tiny")
    tiny_vision(moved / "tiny", seed=2, labels=LABELS)
    assert judged(moved, capsys).json["known"] == 0


def test_probabilities_of_the_tokens_become_those_of_the_grades(tmp_path: Path, assessor: Path, capsys: Capture) -> None:
    shop = write_shop(tmp_path / "shop", assessor, "local:tiny", own={"device": "cpu"}, sampling={"token_probabilities": True})
    judged(shop, capsys)
    for grade, probabilities in grades(shop).select("grade", "probabilities").iter_rows():
        assert sum(probabilities) == pytest.approx(1)
        assert probabilities.index(max(probabilities)) == grade


def test_a_model_without_eyes_stops_the_judge_with_the_way_out(tmp_path: Path, built: Path, capsys: Capture) -> None:
    shop = write_shop(tmp_path / "shop", tiny_text(built / "reader"), "local:tiny", own={"device": "cpu"})
    said = judged(shop, capsys)
    assert said.code == 1
    assert "judge.route: described" in said.err


@pytest.mark.parametrize(
    ("name", "own", "says"),
    [
        ("local:tiny", {"base_url": "http://localhost:1"}, "base_url means nothing for local:tiny"),
        ("local:tiny", {"actors": 2}, "actors means nothing"),
        ("local:tiny", {"stalled_s": 2}, "stalled_s means nothing"),
        ("openai:tiny", {"base_url": "http://localhost:1", "batch_size": 2}, "batch_size means nothing for openai:tiny"),
        ("openai:tiny", {"base_url": "http://localhost:1", "cache_marks": False}, "cache_marks means nothing for openai:tiny"),
    ],
)
def test_a_key_that_means_nothing_for_a_model_is_an_error(
    name: str, own: dict[str, object], says: str, tmp_path: Path, assessor: Path
) -> None:
    with Project.open(write_shop(tmp_path / "shop", assessor, name, own=own)) as project, pytest.raises(InputError, match=says):
        project.model(name)
