"""One request on its way: its turn, its price, its tries, and when to give an endpoint up.

    budget? ─▶ hours? ─▶ pace ─▶ model ─▶ reply | asked to slow down: wait, again | broken off: wait, again, `retries` times

Everything here is the driver's own (steps/drive.py); it knows nothing of conversations and stores.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from qrelkit.core.doors import Model
from qrelkit.core.errors import ModelError, OutOfBudget, RateLimited, Rejected, UnknownName, Unreachable
from qrelkit.core.wire import Reply, Request, Text
from qrelkit.models.prices import tokens_of_text
from qrelkit.steps.calls import Calls
from qrelkit.steps.loop import settle
from qrelkit.steps.pace import Pace
from qrelkit.steps.tally import Tally, alike, worst_case_usd
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
        self.given_usd = INFINITE if budget_usd is None else budget_usd
        self.stop, self.note = stop, note
        self.chance = random.Random(terms.seed)
        self.paces: dict[str, Pace] = {}
        self.calls: dict[str, Calls] = {}
        self.sending = 0
        self.reserved_usd = 0.0  # of requests on their way, and of answers whose cost nobody told
        self.queue: list[asyncio.Future[None]] = []  # who waits for room in the budget
        self.stretch: dict[str, float] = {}  # per model: see _learn
        self.priced = False
        self.uncommitted: dict[str, tuple[Pace, float]] = {}  # answered, and not in the store yet: their calls are not over
        self.unreached = self.answered = 0
        self.failures_in_a_row: dict[str, int] = {}  # per model
        self.rejections: dict[str, tuple[str, int]] = {}  # per model: the last one, less its numbers, and how often in a row

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

    def look_at_budget(self) -> None:
        """Takes in what others spent meanwhile from a budget that is not for this drive alone."""
        if self.terms.left_usd is not None and (left := self.terms.left_usd()) is not None:
            self.budget_usd = min(self.given_usd, self.tally.cost_usd + left)
            self._make_room()

    def model(self, name: str) -> Model:
        if name not in self.models:
            raise UnknownName("model", name, self.models)
        return self.models[name]

    async def send(self, request: Request, digest: str) -> Reply:
        """The reply as the ledger keeps it, or a failed one. Raises Ended, OutOfBudget, or an error that no request survives."""
        model, reserve = self.model(request.model), 0.0
        if self.budget_usd is not None:
            reserve = await self._room(model, request)
        if self.halt.is_set():  # the end came while this one was waiting
            raise Ended
        self.sending += 1
        self.reserved_usd += reserve
        try:
            reply = await self._try(model, request, digest)
            if reply.outcome == "failed":
                self.tally.fail(reply.error)
                return replace(reply, request=digest)
            kept = self.taken(model, request, reply, digest)
            if reserve:
                self._learn(model, request, kept)
                if kept.cost_usd is None:  # what it cost nobody told: it counts as what it may have cost
                    self.reserved_usd += reserve
            return kept
        finally:
            self.sending -= 1
            self.reserved_usd -= reserve
            if self.queue:
                self._make_room()

    def committed(self, digest: str) -> None:
        """A reply is in the store: only now may another call take its place, so a crash costs no more than `at_once` replies."""
        found = self.uncommitted.pop(digest, None)
        if found is not None:
            found[0].over(True, found[1])

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
                await self.within_hours()
            if not pace.begins(tokens):
                await pace.turn(tokens)
            answered, started = False, self.loop.time()
            try:
                if self.halt.is_set():
                    raise Ended
                self.tally.asked += 1
                reply = (await model.replies((request,)))[0] if model.at_most == 1 else await self._calls(model).ask(request)
                answered = True
                self.uncommitted[digest] = (pace, self.loop.time() - started)
                if (room := model.room) is not None and room is not pace.room:
                    pace.told(room)
                return reply if tries + slowed == 0 else replace(reply, attempts=tries + slowed + 1)
            except Rejected as error:
                self.note(digest, self.loop.time() - started, str(error))
                self._rejected(model.name, error)
                return Reply(text="", outcome="failed", error=str(error), attempts=tries + slowed + 1)
            except RateLimited as error:
                slowed += 1
                if (error.retry_after_s or 0.0) > LONGEST_TOLD_S:
                    self.stop(Unreachable(f"{error}; that is {(error.retry_after_s or 0) / 3600:.1f} hours: run again later"))
                wait_s = self._delay(min(slowed, pace.rounds_turned_away), error.retry_after_s)
                pace.slow_down(wait_s)
                problem: ModelError = error
            except Unreachable as error:
                tries += 1
                wait_s = self._delay(tries)
                problem = error
            finally:
                if not answered:
                    pace.over(False)
            self.note(digest, self.loop.time() - started, str(problem))
            if tries > self.terms.retries or slowed > SLOWED_AT_MOST or self.halt.is_set():
                self._count_unreached(model.name, str(problem))
                return Reply(text="", outcome="failed", error=str(problem), attempts=tries + slowed)
            self.tally.retried += 1
            await pace.rest(wait_s)

    async def within_hours(self) -> None:
        """Waits until the hours begin in which models may be asked; looks at the clock every minute, for clocks are set."""
        while not self.halt.is_set() and (wait_s := self.terms.wait_s()) > 0:
            self.tally.waits_for = self.terms.between.partition("-")[0].strip()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.halt.wait(), min(wait_s, LOOK_AGAIN_S))
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

    async def _room(self, model: Model, request: Request) -> float:
        """Waits until this request fits into the budget beside those on their way, and returns what it may cost.

        Raises OutOfBudget when nothing is on its way and it still does not fit, and InputError where a model's price is unknown.
        """
        if not self.priced:
            for one in self.models.values():
                worst_case_usd(one, request)
            self.priced = True
        while not self.halt.is_set():
            reserve = self._reserve(model, request)
            assert self.budget_usd is not None
            if self.tally.cost_usd + self.reserved_usd + reserve <= self.budget_usd:
                return reserve
            if not self.sending:
                raise OutOfBudget(f"the next request could exceed the budget of ${self.budget_usd:g}")
            self.queue.append(self.loop.create_future())
            await self.queue[-1]
        return 0.0

    def _reserve(self, model: Model, request: Request) -> float:
        """What a request may cost: its own length, stretched as the server's counts were so far, and the whole output."""
        if (stretch := self.stretch.get(model.name)) is None:
            return worst_case_usd(model, request)
        tokens_in = int(stretch * model.tokens_in(request))
        longest = Reply(text="", tokens_in=tokens_in, tokens_out=request.settings.max_tokens or 4096)
        return model.cost_usd(longest) or 0.0

    def _learn(self, model: Model, request: Request, reply: Reply) -> None:
        """How far the server's counts went beyond ours."""
        if reply.tokens_in is not None:
            ratio = reply.tokens_in / max(model.tokens_in(request), 1)
            self.stretch[model.name] = max(self.stretch.get(model.name, 1.0), ratio)

    def _make_room(self) -> None:
        """Wakes those who wait for room in the budget: there may be some now, or nothing more to wait for."""
        while self.queue:
            settle(self.queue.pop(), None)

    def _count(self, name: str, reply: Reply) -> None:
        tally = self.tally
        self.failures_in_a_row.pop(name, None)
        self.rejections.pop(name, None)
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

    def _rejected(self, name: str, error: Rejected) -> None:
        """A rejection that is about every request ends the drive, and so do many equal ones of a model in a row."""
        self.failures_in_a_row.pop(name, None)
        words = alike(str(error))
        before, count = self.rejections.get(name, ("", 0))
        self.rejections[name] = (words, count + 1 if words == before else 1)
        if error.fatal:
            self.stop(error)
        elif self.rejections[name][1] >= GIVE_UP_AFTER:
            what = f"{GIVE_UP_AFTER} requests in a row were rejected alike"
            self.stop(Rejected(f"{what}; the last one: {error}; what was answered is kept", fatal=True))

    def _count_unreached(self, name: str, error: str) -> None:
        """Gives up an endpoint that answers nobody. (A rejected request was answered: it does not count here.)"""
        self.unreached += 1
        count = self.failures_in_a_row[name] = self.failures_in_a_row.get(name, 0) + 1
        if count >= GIVE_UP_AFTER:
            what = f"{GIVE_UP_AFTER} requests in a row failed; the last said: {error}"
            self.stop(Unreachable(f"{what}; what was answered is kept, run again later"))
