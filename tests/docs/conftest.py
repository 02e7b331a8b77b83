"""The pages are read once in a session, whoever needs their folders."""

from __future__ import annotations

import pytest

from docs.library import Library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("docs"))
