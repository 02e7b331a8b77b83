"""The stores that every contract is held by: the memory, SQLite, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contract_clock import Clock
from qrelkit.core.doors import Store
from qrelkit.stores.memory import MemoryStore
from qrelkit.stores.sql import SqlStore

MakeStore = Callable[..., Store]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Makes stores of one kind; those in a database share it."""
    where: Any = tmp_path / "store.db"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres")
    with ExitStack() as stack:

        def make(clock: Callable[[], float] | None = None, **options: Any) -> Store:
            options["now"] = clock or Clock()
            return stack.enter_context(MemoryStore(**options) if request.param == "memory" else SqlStore(where, **options))

        yield make


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The place of a store that several may open."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "store.db")


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    """An empty store whose clock goes on by a second at every look."""
    return make_store()
