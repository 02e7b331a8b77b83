"""Several at once on one project and one collection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

import qrelkit as qk
from faults.many import write_many
from qrelkit.core.errors import StoreError
from qrelkit.stores.sql import SqlStore


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_many(tmp_path)


def test_many_open_a_collection_for_the_first_time(shop: Path) -> None:
    def open_and_read(_: int) -> str:
        (document,) = qk.load(shop / "shop").documents(["d007"])
        return document.text

    with ThreadPoolExecutor(8) as workers:
        assert set(workers.map(open_and_read, range(24))) == {"Thing d007."}


def test_two_make_the_store_at_the_same_moment(tmp_path: Path) -> None:
    problems = []

    def make(file: Path, together: Barrier) -> None:
        together.wait()
        try:
            SqlStore(file).close()
        except StoreError as error:
            problems.append(str(error))

    for number in range(120):
        together = Barrier(4)
        with ThreadPoolExecutor(4) as workers:
            for _ in range(4):
                workers.submit(make, tmp_path / f"{number}.db", together)
    assert problems == []
