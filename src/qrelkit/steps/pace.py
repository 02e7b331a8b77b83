"""How fast a model may be asked: as fast as the caller likes, until it asks to slow down.

Being slowed down halves the calls in flight (once for all that were on their way together) and makes everybody wait as long
as the endpoint said; each answer then allows a little more again.
"""

from __future__ import annotations

import asyncio
from collections import deque

from qrelkit.steps.loop import settle

UNBOUND = float("inf")


class Pace:
    """One model's calls in flight: `allowed` is their bound (inf: none), `resume_at` a time of the loop nobody asks before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, halt: asyncio.Event) -> None:
        self.loop, self.halt = loop, halt
        self.calling, self.allowed, self.resume_at = 0, UNBOUND, 0.0
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> bool:
        """Nobody was ever asked to slow down: a call needs no turn."""
        return self.allowed == UNBOUND

    async def turn(self) -> None:
        """Returns when one more call may be made, or when the drive stops."""
        while not self.halt.is_set():
            if (wait_s := self.resume_at - self.loop.time()) > 0:
                await self.rest(wait_s)
            elif self.calling < self.allowed:
                break
            else:
                self.waiting.append(self.loop.create_future())
                await self.waiting[-1]
        self.calling += 1

    def over(self, answered: bool) -> None:
        """A call has ended; an answer allows a little more."""
        self.calling -= 1
        if answered and self.allowed < UNBOUND:
            self.allowed += 1 / self.allowed
        free = self.allowed - self.calling
        while self.waiting and free > 0:  # each looks again for itself whether there is room
            settle(self.waiting.popleft(), None)
            free -= 1

    def slow_down(self, wait_s: float) -> None:
        """The endpoint asked for it: nobody asks for so long, and then half as many."""
        now = self.loop.time()
        if now >= self.resume_at:
            self.allowed = max(1.0, self.calling / 2)
        self.resume_at = max(self.resume_at, now + wait_s)

    def wake(self) -> None:
        """Lets everybody go who waits for a turn: the drive has stopped."""
        while self.waiting:
            settle(self.waiting.popleft(), None)

    async def rest(self, wait_s: float) -> None:
        """Waits, unless the drive stops meanwhile."""
        try:
            await asyncio.wait_for(self.halt.wait(), wait_s)
        except TimeoutError:
            return
