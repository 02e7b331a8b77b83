"""Encoded pictures on their way are bounded in bytes."""

from __future__ import annotations

import asyncio

from qrelkit.models.data_urls import Freight


def carried_at_most(sizes: list[int], most: int) -> int:
    """The most bytes that were on their way together, when all want to go at once."""

    async def work() -> int:
        freight, peak = Freight(most), 0

        async def go(size: int) -> None:
            nonlocal peak
            await freight.load(size)
            peak = max(peak, freight.carried)
            await asyncio.sleep(0)
            freight.unload(size)

        await asyncio.gather(*map(go, sizes))
        assert freight.carried == 0
        return peak

    return asyncio.run(work())


def test_no_more_than_the_bound_goes_together() -> None:
    assert carried_at_most([30] * 20, 100) == 90


def test_one_that_is_larger_than_the_bound_goes_alone() -> None:
    assert carried_at_most([10, 250, 10], 100) == 250
