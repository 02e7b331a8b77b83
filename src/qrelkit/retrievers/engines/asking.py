"""How an engine is asked many things: politely, again where that may help, and not for ever.

    ask_all ─▶ `at_once` workers ─▶ answer(query) ─▶ Manners.ask(request): its turn ─▶ the request ─▶ again, or the answer

What an engine is asked at once, and how often, is its file's to say.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from qrelkit.core.errors import ModelError, RateLimited, Rejected, Unreachable
from qrelkit.core.records import counted
from qrelkit.retrievers.engines.config import EngineConfig

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class Manners:
    """When the next request may go, and what is asked once more.

    Requests begin at most `requests_per_second`; after each one its worker rests for `pause_s`. A request that was not answered,
    or turned away, is sent again up to `retries` times: after `wait_s`, then twice as long each time, at least as long as the
    engine asked for (Retry-After, which holds for everybody), and at most `wait_at_most_s`.
    """

    def __init__(self, config: EngineConfig, sleep: Sleep = asyncio.sleep) -> None:
        self._config, self._sleep = config, sleep
        self._every_s = 1 / config.requests_per_second if config.requests_per_second else 0.0
        self._next_at = 0.0

    async def ask(self, once: Callable[[], Awaitable[T]]) -> T:
        """What `once` gives; raises its ModelError where it was asked often enough."""
        wait_s = self._config.wait_s
        for left in range(self._config.retries, -1, -1):
            await self._turn()
            try:
                return await once()
            except (Unreachable, RateLimited) as error:
                if not left:
                    raise
                asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
                rest_s = min(max(wait_s, asked_s or 0.0), self._config.wait_at_most_s)
                if asked_s is not None:
                    self._next_at = max(self._next_at, asyncio.get_running_loop().time() + rest_s)
                wait_s *= 2
            finally:
                if self._config.pause_s:
                    await self._sleep(self._config.pause_s)
            await self._sleep(rest_s)
        raise AssertionError("every way out of the loop is inside it")

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_at)
        self._next_at = at + self._every_s
        if at > now:
            await self._sleep(at - now)


@dataclass(slots=True)
class Asked:
    """How it went: `failed` says why for each query that has no answer, `gave_up` why the rest was not asked."""

    failed: dict[str, str] = field(default_factory=dict)
    gave_up: str = ""
    in_a_row: int = 0


async def ask_all(
    query_ids: Iterable[str], answer: Callable[[str], Awaitable[None]], *, at_once: int, give_up_after: int
) -> Asked:
    """Has every query answered; after so many failures in a row, as they come in, no more is asked.

    Raises what would go wrong with every query: InputError, and Rejected where it is `fatal`.
    """
    asked, waiting = Asked(), list(query_ids)[::-1]

    async def work() -> None:
        while waiting and not asked.gave_up:
            query_id = waiting.pop()
            try:
                await answer(query_id)
                asked.in_a_row = 0
            except ModelError as error:
                if isinstance(error, Rejected) and error.fatal:
                    raise
                asked.failed[query_id] = str(error)
                asked.in_a_row += 1
                if asked.in_a_row == give_up_after:
                    asked.gave_up = f"gave up after {counted(asked.in_a_row, 'failure')} in a row, the last: {error}"

    workers = [asyncio.ensure_future(work()) for _ in range(min(at_once, len(waiting)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    asked.failed |= dict.fromkeys(waiting[::-1], f"not asked: {asked.gave_up}")
    return asked


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end; in a thread of its own where this one already runs an event loop (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    box: list[Any] = []

    def alone() -> None:
        try:
            box.append((asyncio.run(work), None))
        except BaseException as error:  # handed over to the caller's thread, which raises it
            box.append((None, error))

    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
    result, error = box[0]
    if error is not None:
        raise error
    value: T = result
    return value
