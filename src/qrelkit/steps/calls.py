"""Calls to a model that takes several requests at once (a local model, a cluster)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qrelkit.core.doors import Model
from qrelkit.core.errors import PluginError
from qrelkit.core.wire import Reply, Request
from qrelkit.steps.loop import settle, spoil


class Calls:
    """Gathers the requests of one turn of the loop into calls of at most `model.at_most`."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self.calls: set[asyncio.Task[None]] = set()

    async def ask(self, request: Request) -> Reply:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        if not self.waiting:
            loop.call_soon(self._call)
        self.waiting.append((request, answer))
        return await answer

    def _call(self) -> None:
        batch, self.waiting = self.waiting, []
        for start in range(0, len(batch), self.model.at_most):
            call = asyncio.ensure_future(self._answer(batch[start : start + self.model.at_most]))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)

    async def _answer(self, batch: Sequence[tuple[Request, asyncio.Future[Reply]]]) -> None:
        try:
            replies = await self.model.replies([request for request, _ in batch])
            if len(replies) != len(batch):
                raise PluginError(f"{self.model.name} gave {len(replies)} replies to {len(batch)} requests")
        except BaseException as error:  # also one that nobody foresaw: whoever waits must not wait for ever
            for _, answer in batch:
                spoil(answer, error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, answer), reply in zip(batch, replies, strict=True):
            settle(answer, reply)
