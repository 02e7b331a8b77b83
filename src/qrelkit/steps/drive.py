"""The driver: runs conversations against models. The only place that waits.

    flows ─▶ worker × at_once ─▶ ledger? ─▶ in flight? ─▶ budget? ─▶ model (retries) ─▶ store ─▶ back into the flow

A flow (see core/wire.py) yields a round of requests and is sent their replies. Whatever a model answered is on disk before
its flow goes on, so a crash at any moment costs at most the replies that were still on their way. Replies that arrive in
one turn of the event loop are committed together, from the loop itself: a writer thread measured slower. Equal requests
in flight are asked once. Running the same flows again asks nothing: the ledger answers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from qrelkit.core.doors import Model, Store
from qrelkit.core.errors import InputError, ModelError, OutOfBudget, RateLimited, Rejected, UnknownName, Unreachable
from qrelkit.core.wire import Flow, Reply, Request, Round
from qrelkit.steps.calls import Calls
from qrelkit.steps.loop import on_interrupt, rare_collections, run_alone, settle, spoil
from qrelkit.steps.pace import Pace
from qrelkit.steps.tally import Tally, worst_case_usd

T = TypeVar("T")
TURNS_PER_COMMIT = 3  # measured: 64 replies share a commit instead of 32, 4 % more replies a second
SLOWED_AT_MOST = 100  # times that one request is asked to slow down before it counts as failed
LONGEST_WAIT_S = 60.0
LONGEST_TOLD_S = 900.0  # an endpoint that asks for a longer pause has closed for the day
GIVE_UP_AFTER = 20  # failures in a row, without one reply, that mean the endpoint is down


def drive(
    flows: Iterable[Flow[T]],
    *,
    models: Mapping[str, Model],
    store: Store,
    done: Callable[[T], None],
    at_once: int = 16,
    budget_usd: float | None = None,
    retries: int = 4,
    progress: Callable[[Tally], None] | None = None,
    seed: int = 0,
    tally: Tally | None = None,
) -> Tally:
    """Runs every flow to its end and hands each result to `done`, in order of completion.

    `at_once` conversations are held at a time and flows are pulled lazily. Stops cleanly on Ctrl-C and when the next
    request might exceed `budget_usd` (`Tally.stopped` says which); raises ModelError when no request can succeed. A `tally`
    that is given is filled, so that what was spent is known also then. Can
    be called from inside a running event loop (a notebook): it then works in a thread of its own.
    """
    driver: Driver[T] = Driver(
        models, store, done, at_once=at_once, budget_usd=budget_usd, retries=retries, progress=progress, seed=seed, tally=tally
    )
    return run_alone(driver.run(iter(flows), at_once), driver.interrupt)


class _Ended(Exception):
    """This drive asks nothing more; the conversation is taken up again by the next one."""


class Driver(Generic[T]):
    """The state of one drive; used once."""

    def __init__(
        self,
        models: Mapping[str, Model],
        store: Store,
        done: Callable[[T], None],
        *,
        at_once: int,
        budget_usd: float | None,
        retries: int,
        progress: Callable[[Tally], None] | None,
        seed: int,
        tally: Tally | None,
    ) -> None:
        if at_once < 1:
            raise InputError(f"at_once must be at least 1, not {at_once}")
        self.models, self.store, self.done = models, store, done
        self.budget_usd, self.retries, self.progress = budget_usd, retries, progress
        self.tally = tally if tally is not None else Tally()
        self.workers: list[asyncio.Future[None]] = []
        self.chance = random.Random(seed)
        self.stopping = False
        self.fatal: BaseException | None = None
        self.failures_in_a_row = self.unreached = self.answered = 0
        self.paces: dict[str, Pace] = {}
        self.flying: dict[str, list[asyncio.Future[Reply]]] = {}  # requests on their way, and who else waits for each
        self.sending = 0
        self.queue: list[asyncio.Future[None]] = []  # who waits for room in the budget
        self.dearest: dict[str, float] = {}  # per model, the dearest reply so far: what one more may cost
        self.calls: dict[str, Calls] = {}
        self.lookups: list[tuple[str, asyncio.Future[Reply | None]]] = []
        self.unsaved: list[tuple[Request, Reply, asyncio.Future[None]]] = []
        self.said_at = 0.0

    async def run(self, flows: Iterator[Flow[T]], at_once: int) -> Tally:
        self.loop = asyncio.get_running_loop()
        self.halt = asyncio.Event()
        started = self.loop.time()
        workers = self.workers = [asyncio.ensure_future(self._work(flows)) for _ in range(at_once)]
        try:
            with on_interrupt(self.loop, partial(self._interrupt, workers)), rare_collections():
                ended = await asyncio.gather(*workers, return_exceptions=True)
        finally:
            self._save()
            for model in self.models.values():
                await model.close()
            self.tally.seconds = self.loop.time() - started
        failed = [e for e in ended if isinstance(e, BaseException) and not isinstance(e, asyncio.CancelledError)]
        if self.fatal or failed:
            raise self.fatal or failed[0]
        if self.unreached > 1 and not self.answered and not self.tally.stopped:
            error = max(self.tally.errors, key=lambda e: self.tally.errors[e])
            raise Unreachable(f"none of {self.tally.asked} requests was answered: {error}")
        if self.progress:
            self.progress(self.tally)
        return self.tally

    def interrupt(self) -> None:
        """What Ctrl-C does, from any thread."""
        if self.workers:
            self.loop.call_soon_threadsafe(self._interrupt, self.workers)

    def _interrupt(self, workers: Sequence[asyncio.Future[None]]) -> None:
        """First Ctrl-C: ask nothing more and wait for what is on its way. Second: do not wait."""
        if self.stopping and self.tally.stopped == "interrupted":
            for worker in workers:
                worker.cancel()
        self.tally.stopped = "interrupted"
        self._stop()

    def _stop(self, fatal: BaseException | None = None) -> None:
        """Nothing more is asked; whoever waits to try again stops waiting."""
        self.stopping, self.fatal = True, self.fatal or fatal
        self.halt.set()
        for pace in self.paces.values():
            pace.wake()
        self._make_room()

    def _make_room(self) -> None:
        """Wakes those who wait for room in the budget: there may be some now, or nothing more to wait for."""
        while self.queue:
            settle(self.queue.pop(), None)

    async def _work(self, flows: Iterator[Flow[T]]) -> None:
        while not self.stopping:
            flow = next(flows, None)
            if flow is None:
                return
            try:
                await self._converse(flow)
            except OutOfBudget:
                self.tally.stopped = self.tally.stopped or "budget"
                self._stop()
            except _Ended:
                return
            except BaseException:
                self._stop()  # the others end their turn; what they paid for is kept
                raise
            finally:
                flow.close()

    async def _converse(self, flow: Flow[T]) -> None:
        try:
            asked = next(flow)
            while True:
                if len(asked) == 1:
                    asked = flow.send((await self._ask(asked[0]),))
                else:
                    asked = flow.send(await self._ask_together(asked))
        except StopIteration as end:
            self.done(end.value)
            self.tally.done += 1
            if self.progress and (now := self.loop.time()) - self.said_at > 0.1:
                self.said_at = now
                self.progress(self.tally)

    async def _ask_together(self, asked: Round) -> list[Reply]:
        """The replies of a round. Where one cannot be had, the others are waited for first: they are paid for."""
        found = await asyncio.gather(*map(self._ask, asked), return_exceptions=True)
        replies = [reply for reply in found if isinstance(reply, Reply)]
        if len(replies) < len(found):
            raise next(error for error in found if isinstance(error, BaseException))
        return replies

    async def _ask(self, request: Request) -> Reply:
        """The reply to a request: one in flight, one of the ledger, or a new one, which is on disk when it returns."""
        digest = request.digest
        if digest in self.flying:
            return await self._join(digest)
        self.flying[digest] = []
        try:
            known = await self._look_up(digest)
            if known is not None:
                self.tally.known += 1
                reply = replace(known, known=True, request=digest)
            else:
                reply = await self._send(request, digest)
        except BaseException as error:
            for waiting in self.flying.pop(digest):
                spoil(waiting, error if isinstance(error, Exception) else _Ended())
            raise
        for waiting in self.flying.pop(digest):
            settle(waiting, reply)
        return reply

    def _join(self, digest: str) -> asyncio.Future[Reply]:
        """The reply to an equal request that is on its way."""
        self.tally.joined += 1
        waiting: asyncio.Future[Reply] = self.loop.create_future()
        self.flying[digest].append(waiting)
        return waiting

    # the ledger: what is looked up, or answered, in one turn of the loop goes to the store together

    def _look_up(self, digest: str) -> asyncio.Future[Reply | None]:
        found: asyncio.Future[Reply | None] = self.loop.create_future()
        if not self.lookups:
            self.loop.call_soon(self._look_up_all)
        self.lookups.append((digest, found))
        return found

    def _look_up_all(self) -> None:
        batch, self.lookups = self.lookups, []
        try:
            known = self.store.replies([digest for digest, _ in batch])
        except Exception as error:
            for _, found in batch:
                spoil(found, error)
            return
        for digest, found in batch:
            settle(found, known.get(digest))

    def _keep(self, request: Request, reply: Reply) -> asyncio.Future[None]:
        saved: asyncio.Future[None] = self.loop.create_future()
        if not self.unsaved:
            self._save_after(TURNS_PER_COMMIT)
        self.unsaved.append((request, reply, saved))
        return saved

    def _save_after(self, turns: int) -> None:
        """Commits when the loop has gone round so often: what arrives meanwhile shares the commit, and nothing waits idly."""
        if turns > 1:
            self.loop.call_soon(self._save_after, turns - 1)
        else:
            self.loop.call_soon(self._save)

    def _save(self) -> None:
        batch, self.unsaved = self.unsaved, []
        if not batch:
            return
        try:
            self.store.add_replies([(request, reply) for request, reply, _ in batch])
        except Exception as error:
            self._stop(error)
            for _, _, saved in batch:
                spoil(saved, error)
            return
        for _, _, saved in batch:
            settle(saved, None)

    # the endpoint

    async def _send(self, request: Request, digest: str) -> Reply:
        model = self._model(request.model)
        if self.budget_usd is not None:
            await self._room(model, request, self.budget_usd)
        if self.stopping:  # another worker met the end while this one was looking up
            raise _Ended
        self.sending += 1
        try:
            reply = await self._try(model, request)
            if reply.outcome == "failed":
                self.tally.failed += 1
                self.tally.errors[reply.error] = self.tally.errors.get(reply.error, 0) + 1
                return replace(reply, request=digest)
            cost_usd = model.cost_usd(reply) if reply.cost_usd is None else reply.cost_usd
            reply = reply.kept(digest, cost_usd, reply.attempts)
            self._count(request.model, reply)
        finally:
            self.sending -= 1
            self._make_room()
        await self._keep(request, reply)
        return reply

    async def _try(self, model: Model, request: Request) -> Reply:
        """One reply, however many tries it takes; `failed` with the last error where none came.

        Being asked to slow down is no failed try: everybody waits as long as the endpoint said, and asks again.
        """
        tries = slowed = 0
        pace = self._pace(model.name)
        while True:
            if pace.free:
                pace.calling += 1
            else:
                await pace.turn()
            answered = False
            try:
                if self.stopping:
                    raise _Ended
                self.tally.asked += 1
                reply = (await model.replies((request,)))[0] if model.at_most == 1 else await self._calls(model).ask(request)
                answered = True
                return reply if tries + slowed == 0 else replace(reply, attempts=tries + slowed + 1)
            except Rejected as error:
                self.failures_in_a_row = 0
                if error.fatal:
                    self._stop(error)
                return Reply(text="", outcome="failed", error=str(error), attempts=tries + slowed + 1)
            except RateLimited as error:
                slowed += 1
                if (error.retry_after_s or 0.0) > LONGEST_TOLD_S:
                    self._stop(Unreachable(f"{error}; that is {(error.retry_after_s or 0) / 3600:.1f} hours: run again later"))
                pace.slow_down(self._delay(slowed, error.retry_after_s))
                problem: ModelError = error
            except Unreachable as error:
                tries += 1
                problem = error
            finally:
                pace.over(answered)
            if tries > self.retries or slowed > SLOWED_AT_MOST or self.stopping:
                self._count_unreached(str(problem))
                return Reply(text="", outcome="failed", error=str(problem), attempts=tries + slowed)
            self.tally.retried += 1
            if isinstance(problem, Unreachable):
                await pace.rest(self._delay(tries))

    def _delay(self, times: int, told_s: float | None = None) -> float:
        """Seconds to wait: what the endpoint said and a little more each, or a random share of a doubling wait."""
        if told_s is not None:
            return told_s * self.chance.uniform(1.0, 1.1)
        return min(self.chance.uniform(0.2, 1.0) * float(2**times), LONGEST_WAIT_S)

    def _model(self, name: str) -> Model:
        if name not in self.models:
            raise UnknownName("model", name, self.models)
        return self.models[name]

    def _pace(self, name: str) -> Pace:
        if name not in self.paces:
            self.paces[name] = Pace(self.loop, self.halt)
        return self.paces[name]

    def _calls(self, model: Model) -> Calls:
        if model.name not in self.calls:
            self.calls[model.name] = Calls(model)
        return self.calls[model.name]

    async def _room(self, model: Model, request: Request, budget_usd: float) -> None:
        """Waits until this request fits into the budget beside those on their way, at the dearest that each may be.

        Raises OutOfBudget when nothing is on its way and it still does not fit.
        """
        while not self.stopping:
            one = self.dearest.get(model.name)
            one = worst_case_usd(model, request) if one is None else one
            if self.tally.cost_usd + (self.sending + 1) * one <= budget_usd:
                return
            if not self.sending:
                raise OutOfBudget(f"the next request could exceed the budget of ${budget_usd:g}")
            self.queue.append(self.loop.create_future())
            await self.queue[-1]

    def _count(self, name: str, reply: Reply) -> None:
        tally = self.tally
        self.failures_in_a_row = 0
        self.answered += 1
        tally.tokens_in += reply.tokens_in or 0
        tally.tokens_out += reply.tokens_out or 0
        tally.tokens_cached += reply.tokens_cached or 0
        if reply.cost_usd is None:
            tally.unpriced += 1
        else:
            tally.cost_usd += reply.cost_usd
            self.dearest[name] = max(reply.cost_usd, self.dearest.get(name, 0.0))
        if reply.served:
            tally.served.setdefault(name, set()).add(reply.served)

    def _count_unreached(self, error: str) -> None:
        """Gives up an endpoint that answers nobody. (A rejected request was answered: it does not count here.)"""
        self.unreached += 1
        self.failures_in_a_row += 1
        if self.failures_in_a_row >= GIVE_UP_AFTER and self.fatal is None:
            what = f"{GIVE_UP_AFTER} requests in a row failed; the last said: {error}"
            self._stop(Unreachable(f"{what}. What was answered is kept; run again later"))
