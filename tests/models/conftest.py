"""Tiny models of real architectures, built once in a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.tiny_models import tiny_llava, tiny_text, tiny_vision


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all of them; skips, visibly, where transformers are not installed."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session")
def text_model(built: Path) -> Path:
    return tiny_text(built / "tiny-text")


@pytest.fixture(scope="session")
def vision_model(built: Path) -> Path:
    return tiny_vision(built / "tiny-vision")


@pytest.fixture(scope="session")
def llava_model(built: Path) -> Path:
    return tiny_llava(built / "tiny-llava")
