"""One request on its way: its turn, its price, its tries, and when to give an endpoint up.

    budget? ─▶ hours? ─▶ pace ─▶ model ─▶ reply | asked to slow down: wait, again | broken off: wait, again, `retries` times

Everything here is the driver's own (steps/drive.py); it knows nothing of conversations and stores.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from qrelkit.core.doors import Model
from qrelkit.core.errors import ModelError, OutOfBudget, RateLimited, Rejected, UnknownName, Unreachable
from qrelkit.core.wire import Reply, Request, Text
from qrelkit.models.prices import tokens_of_text
from qrelkit.steps.calls import Calls
from qrelkit.steps.loop import settle
from qrelkit.steps.pace import Pace
from qrelkit.steps.tally import Tally, worst_case_usd
from qrelkit.steps.terms import Terms

SLOWED_AT_MOST = 100  # times that one request is asked to slow down before it counts as failed
LONGEST_WAIT_S = 60.0
LONGEST_TOLD_S = 900.0  # an endpoint that asks for a longer pause has closed for the day
GIVE_UP_AFTER = 20  # failures, or equal rejections, in a row without one reply: the endpoint is down, or wants something else
CUT_BELOW = 0.45  # of the tokens we reckon with: the server cut the prompt (our reckoning is right to ± 30 %)
CUT_FROM = 200  # tokens that are reckoned with at least, for so short a text tells nothing
CUT_AT_MOST = 10  # prompts cut in one drive before it stops
LOOK_AGAIN_S = 60.0
SLOW_S = 0.05
INFINITE = float("inf")
_NUMBERS = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")


class Ended(Exception):
    """This drive asks nothing more; the conversation is taken up again by the next one."""


class Sender:
    """Sends requests for a drive and counts what comes of it. `stop` ends the drive, with an error where there is one."""

    def __init__(
        self,
        models: Mapping[str, Model],
        tally: Tally,
        terms: Terms,
        *,
        at_once: int | None,
        budget_usd: float | None,
        stop: Callable[[BaseException | None], None],
        note: Callable[[str, float, str], None],
    ) -> None:
        self.loop, self.halt = asyncio.get_running_loop(), asyncio.Event()
        self.models, self.tally, self.terms = models, tally, terms
        self.at_once, self.budget_usd = at_once, budget_usd
        self.stop, self.note = stop, note
        self.chance = random.Random(terms.seed)
        self.paces: dict[str, Pace] = {}
        self.calls: dict[str, Calls] = {}
        self.sending = 0
        self.queue: list[asyncio.Future[None]] = []  # who waits for room in the budget
        self.dearest: dict[str, float] = {}  # per model, the dearest reply so far: what one more may cost
        self.failures_in_a_row = self.unreached = self.answered = 0
        self.rejections: tuple[str, int] = ("", 0)  # the last rejection, less its numbers, and how often in a row

    def end(self) -> None:
        """Nothing more is asked; whoever waits to try again stops waiting."""
        self.halt.set()
        for pace in self.paces.values():
            pace.wake()
        self._make_room()

    @property
    def allowed(self) -> float:
        """How many conversations are worth holding: what the model with the most room may be asked at once."""
        return max((pace.allowed for pace in self.paces.values()), default=0.0)

    @property
    def slow(self) -> bool:
        """Whether answers take so long that the next requests should be ready when one comes: they come in bursts."""
        return any(SLOW_S < pace.best_s < INFINITE for pace in self.paces.values())

    def model(self, name: str) -> Model:
        if name not in self.models:
            raise UnknownName("model", name, self.models)
        return self.models[name]

    async def send(self, request: Request, digest: str) -> Reply:
        """The reply as the ledger keeps it, or a failed one. Raises Ended, OutOfBudget, or an error that no request survives."""
        model = self.model(request.model)
        if self.budget_usd is not None:
            await self._room(model, request, self.budget_usd)
        if self.halt.is_set():  # the end came while this one was waiting
            raise Ended
        self.sending += 1
        try:
            reply = await self._try(model, request, digest)
            if reply.outcome == "failed":
                self.tally.failed += 1
                self.tally.errors[reply.error] = self.tally.errors.get(reply.error, 0) + 1
                return replace(reply, request=digest)
            return self.taken(model, request, reply, digest)
        finally:
            self.sending -= 1
            if self.queue:
                self._make_room()

    def taken(self, model: Model, request: Request | None, reply: Reply, digest: str) -> Reply:
        """A reply as the ledger keeps it, priced and counted; one to a prompt that the server cut says so."""
        cost_usd = model.cost_usd(reply) if reply.cost_usd is None else reply.cost_usd
        cut = request is not None and reply.outcome == "answered" and self._was_cut(model, request, reply)
        kept = reply.kept(digest, cost_usd, model.price, "truncated_input" if cut else None)
        self._count(model.name, kept)
        return kept

    async def _try(self, model: Model, request: Request, digest: str) -> Reply:
        """One reply, however many tries it takes; `failed` with the last error where none came.

        Being asked to slow down is no failed try: it waits as long as the endpoint said, and asks again.
        """
        tries = slowed = 0
        pace = self._pace(model)
        tokens = model.tokens_in(request) if pace.counts_tokens else 0
        while True:
            if self.terms.between:
                await self._hours(pace)
            if not pace.begins(tokens):
                await pace.turn(tokens)
            answered, started = False, self.loop.time()
            try:
                if self.halt.is_set():
                    raise Ended
                self.tally.asked += 1
                reply = (await model.replies((request,)))[0] if model.at_most == 1 else await self._calls(model).ask(request)
                answered = True
                if (room := model.room) is not None:
                    pace.told(room)
                return reply if tries + slowed == 0 else replace(reply, attempts=tries + slowed + 1)
            except Rejected as error:
                self.note(digest, self.loop.time() - started, str(error))
                self._rejected(error)
                return Reply(text="", outcome="failed", error=str(error), attempts=tries + slowed + 1)
            except RateLimited as error:
                slowed += 1
                if (error.retry_after_s or 0.0) > LONGEST_TOLD_S:
                    self.stop(Unreachable(f"{error}; that is {(error.retry_after_s or 0) / 3600:.1f} hours: run again later"))
                wait_s = self._delay(slowed, error.retry_after_s)
                pace.slow_down(wait_s)
                problem: ModelError = error
            except Unreachable as error:
                tries += 1
                wait_s = self._delay(tries)
                problem = error
            finally:
                pace.over(answered, self.loop.time() - started)
            self.note(digest, self.loop.time() - started, str(problem))
            if tries > self.terms.retries or slowed > SLOWED_AT_MOST or self.halt.is_set():
                self._count_unreached(str(problem))
                return Reply(text="", outcome="failed", error=str(problem), attempts=tries + slowed)
            self.tally.retried += 1
            await pace.rest(wait_s)

    async def _hours(self, pace: Pace) -> None:
        """Waits until the hours begin in which models may be asked; looks at the clock every minute, for clocks are set."""
        while not self.halt.is_set() and (wait_s := self.terms.wait_s()) > 0:
            self.tally.waits_for = self.terms.between.partition("-")[0].strip()
            await pace.rest(min(wait_s, LOOK_AGAIN_S))
        self.tally.waits_for = ""

    def _delay(self, times: int, told_s: float | None = None) -> float:
        """Seconds to wait: what the endpoint said and a little more each, or a random share of a doubling wait."""
        if told_s is not None:
            return told_s * self.chance.uniform(1.0, 1.1)
        return min(self.chance.uniform(0.2, 1.0) * float(2 ** min(times, 10)), LONGEST_WAIT_S)

    def _pace(self, model: Model) -> Pace:
        pace = self.paces.get(model.name)
        if pace is None:
            at_once = self.at_once if model.at_most == 1 else max(self.at_once or 0, 2 * model.at_most)
            pace = self.paces[model.name] = Pace(self.loop, self.halt, at_once, model.limits)
        return pace

    def _calls(self, model: Model) -> Calls:
        if model.name not in self.calls:
            self.calls[model.name] = Calls(model)
        return self.calls[model.name]

    # money

    async def _room(self, model: Model, request: Request, budget_usd: float) -> None:
        """Waits until this request fits into the budget beside those on their way, at the dearest that each may be.

        Raises OutOfBudget when nothing is on its way and it still does not fit.
        """
        while not self.halt.is_set():
            one = self.dearest.get(model.name)
            one = worst_case_usd(model, request) if one is None else one
            if self.tally.cost_usd + (self.sending + 1) * one <= budget_usd:
                return
            if not self.sending:
                raise OutOfBudget(f"the next request could exceed the budget of ${budget_usd:g}")
            self.queue.append(self.loop.create_future())
            await self.queue[-1]

    def _make_room(self) -> None:
        """Wakes those who wait for room in the budget: there may be some now, or nothing more to wait for."""
        while self.queue:
            settle(self.queue.pop(), None)

    def _count(self, name: str, reply: Reply) -> None:
        tally = self.tally
        self.failures_in_a_row = 0
        self.rejections = ("", 0)
        self.answered += 1
        tally.tokens_in += reply.tokens_in or 0
        tally.tokens_out += reply.tokens_out or 0
        tally.tokens_cached += reply.tokens_cached or 0
        tally.tokens_reasoning += reply.tokens_reasoning or 0
        tally.tokens_image += reply.tokens_image or 0
        if reply.cost_usd is None:
            tally.unpriced += 1
        else:
            tally.cost_usd += reply.cost_usd
            if not reply.batch:
                self.dearest[name] = max(reply.cost_usd, self.dearest.get(name, 0.0))
        if reply.served:
            tally.served.setdefault(name, set()).add(reply.served)

    # giving up

    def _was_cut(self, model: Model, request: Request, reply: Reply) -> bool:
        """Whether the server counted far fewer tokens than the texts of the request have: some cut a prompt and say nothing.

        Repeated, that ends the drive: every longer document would be paid for and judged by its beginning.
        """
        if reply.tokens_in is None:
            return False
        texts = [part for message in request.messages for part in message.parts if isinstance(part, Text)]
        chars = sum(part.chars for part in texts)
        if reply.tokens_in * (8 if all(part.ascii for part in texts) else 2) >= chars:  # half of what is reckoned with
            return False
        reckoned = sum(tokens_of_text(part.text) for part in texts)
        if reckoned < CUT_FROM or reply.tokens_in >= CUT_BELOW * reckoned:
            return False
        self.tally.cut += 1
        if self.tally.cut >= CUT_AT_MOST:
            counted = f"the last of about {reckoned:,} tokens was counted as {reply.tokens_in:,}"
            what = f"{model.name} cut {self.tally.cut} prompts without saying so: {counted}"
            self.stop(Rejected(f"{what}; give the server a longer context, or shorten with judge.max_document_chars", fatal=True))
        return True

    def _rejected(self, error: Rejected) -> None:
        """A rejection that is about every request ends the drive, and so do many equal ones in a row."""
        self.failures_in_a_row = 0
        words = _NUMBERS.sub("#", str(error))
        self.rejections = (words, self.rejections[1] + 1 if words == self.rejections[0] else 1)
        if error.fatal:
            self.stop(error)
        elif self.rejections[1] >= GIVE_UP_AFTER:
            what = f"{GIVE_UP_AFTER} requests in a row were rejected alike"
            self.stop(Rejected(f"{what}; the last one: {error}; what was answered is kept", fatal=True))

    def _count_unreached(self, error: str) -> None:
        """Gives up an endpoint that answers nobody. (A rejected request was answered: it does not count here.)"""
        self.unreached += 1
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= GIVE_UP_AFTER:
            what = f"{GIVE_UP_AFTER} requests in a row failed; the last said: {error}"
            self.stop(Unreachable(f"{what}; what was answered is kept, run again later"))
