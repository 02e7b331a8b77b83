"""How fast one model may be asked.

calls in flight   as many as allowed: given, or found out. While it is found out, each answer allows one call more (so the
                  number doubles with every round trip) until the endpoint asks to slow down, or answers get slower
asked to slow down   19 of 20 of the calls that were not turned away stay allowed; after that, one more per round trip
                  (additive increase, multiplicative decrease). Where most calls were turned away, everybody waits as long
                  as the endpoint said, and the way back up to half of what it was is quick
per minute        requests and tokens are spread evenly where their limits are known
room              an endpoint that says that nothing is left of its limit is not asked before it begins anew
"""

from __future__ import annotations

import asyncio
from collections import deque

from qrelkit.core.wire import Limits, Room
from qrelkit.steps.loop import settle

FIRST_AT_ONCE = 32
FOUND_AT_MOST = 2_000
DECREASE = 0.95
CROWDED = 1.5  # answers so much slower than at best: more calls at once would only wait longer
LOOKED_AT = 32  # answers at least, before their mean says something
BURST_S = 1.0  # what may be asked ahead of an even spread over the minute


class Pace:
    """One model's calls in flight: `allowed` is their bound, `resume_at` a time of the loop nobody asks before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, halt: asyncio.Event, at_once: int | None, limits: Limits) -> None:
        self.loop, self.halt = loop, halt
        self.at_most, self.finding = at_once or FOUND_AT_MOST, at_once is None
        self.allowed = float(at_once or FIRST_AT_ONCE)
        self.quick_below = float(self.at_most)  # below this, each answer allows one call more
        self.calling, self.resume_at = 0, 0.0
        self.turned_away = 0  # calls since the last answer
        self.before, self.decreased_until = self.allowed, 0.0
        self.settling_until = 0.0
        self.best_s, self.crowded = float("inf"), False
        self.answers, self.answers_s = 0, 0.0
        self.full = False  # whether as many as allowed were in flight since the last look: only then more may be of use
        self.every_s = 60 / limits.requests_per_minute if limits.requests_per_minute else 0.0
        self.token_s = 60 / limits.tokens_per_minute if limits.tokens_per_minute else 0.0
        self.request_at = self.token_at = 0.0
        self.room: Room | None = None
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def rounds_turned_away(self) -> int:
        """How many times over the calls in flight were turned away since the last answer, and one."""
        return 1 + self.turned_away // max(1, self.calling)

    @property
    def counts_tokens(self) -> bool:
        """Whether `turn` needs to know how many tokens a request has."""
        return bool(self.token_s)

    def begins(self, tokens: int = 0) -> bool:
        """Takes a call where one may be made now, without waiting."""
        if self.calling >= self.allowed or self.waiting or (self.resume_at and self.loop.time() < self.resume_at):
            return False
        if (self.every_s or self.token_s) and self._early_s() > 0:
            return False
        self._take(tokens)
        return True

    async def turn(self, tokens: int = 0) -> None:
        """Returns when one more call may be made, or when the drive stops."""
        while not self.halt.is_set():
            if (wait_s := max(self.resume_at - self.loop.time(), self._early_s())) > 0:
                await self.rest(wait_s)
            elif self.calling < self.allowed:
                break
            else:
                self.waiting.append(self.loop.create_future())
                await self.waiting[-1]
        self._take(tokens)

    def _take(self, tokens: int) -> None:
        self.calling += 1
        self.full = self.full or self.calling + 1 > self.allowed
        if self.every_s or self.token_s:
            now = self.loop.time()
            self.request_at = max(self.request_at, now - BURST_S) + self.every_s
            self.token_at = max(self.token_at, now - BURST_S) + tokens * self.token_s

    def _early_s(self) -> float:
        """How much too early the next call would be for the limits per minute."""
        if not (self.every_s or self.token_s):
            return 0.0
        return max(self.request_at, self.token_at) - self.loop.time()

    def over(self, answered: bool, took_s: float = 0.0) -> None:
        """A call has ended; an answer that came as fast as ever allows a little more."""
        self.calling -= 1
        if answered:
            self.turned_away = 0
            self._time(took_s)
            if self.full and self.allowed < self.at_most and not self.crowded:
                self.allowed = min(self.at_most, self.allowed + (1 if self.allowed < self.quick_below else 1 / self.allowed))
        free = self.allowed - self.calling
        while self.waiting and free > 0:  # each looks again for itself whether there is room
            settle(self.waiting.popleft(), None)
            free -= 1

    def _time(self, took_s: float) -> None:
        """Compares the mean of the last answers with the best one: where calls only wait for each other, fewer do as well."""
        if self.loop.time() < self.settling_until:  # these were asked when there were more
            return
        self.answers, self.answers_s = self.answers + 1, self.answers_s + took_s
        if self.answers >= max(LOOKED_AT, self.allowed / 2):
            mean_s = self.answers_s / self.answers
            self.best_s = min(self.best_s, mean_s)
            self.crowded = self.finding and mean_s > CROWDED * self.best_s
            if self.crowded:  # calls in flight = rate × latency, and the rate will be the same at the best latency
                self.allowed = max(FIRST_AT_ONCE, self.allowed * CROWDED * self.best_s / mean_s)
                self.settling_until = self.loop.time() + 1.5 * mean_s
                self.quick_below = 0.0
            self.answers, self.answers_s, self.full = 0, 0.0, self.calling + 1 > self.allowed

    def slow_down(self, wait_s: float) -> None:
        """The endpoint turned a call away (which is still counted as in flight) and asked for a pause of `wait_s`."""
        now = self.loop.time()
        self.turned_away += 1
        if now >= self.decreased_until:
            self.before = self.allowed
            self.decreased_until = now + (self.best_s if self.best_s < float("inf") else wait_s)
        self.allowed = max(1.0, min(self.allowed, DECREASE * (self.calling - 1)))
        self.quick_below = max(self.before / 2, self.allowed)
        if self.turned_away >= max(4, self.calling):
            self.resume_at = max(self.resume_at, now + wait_s)

    def told(self, room: Room) -> None:
        """What the endpoint says is left: where it is nothing, nobody asks before it begins anew."""
        self.room = room
        waits = [
            reset_s
            for left, reset_s in ((room.requests, room.requests_reset_s), (room.tokens, room.tokens_reset_s))
            if left == 0 and reset_s is not None
        ]
        if waits:
            self.resume_at = max(self.resume_at, self.loop.time() + max(waits))

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
