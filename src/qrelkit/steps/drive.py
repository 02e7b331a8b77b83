"""The driver: runs conversations against models. The only place that waits.

    flows ─▶ talks, `at_once` ─▶ turn ─▶ sender (hours, budget, pace, tries) ─▶ model
                 ▲                │ ▲                                            │
                 └── known, kept ─┘ └──────────────── replies ───────────────────┘

A flow (see core/wire.py) yields a round of requests and is sent their replies. What happens in a few turns of the event loop
shares one *turn* here, and one transaction of the store: the replies that came are stored, and of the requests that flows
want asked some are known, some are being asked by another process, and the rest are claimed, and only then sent. So whatever
a model answered is on disk before its flow goes on, a crash at any moment costs at most the replies that were still on their
way, those are listed, and two processes never pay for the same request. Equal requests in flight are asked once. Running the
same flows again asks nothing: the ledger answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from qrelkit.core.doors import Model, Store
from qrelkit.core.errors import InputError, OutOfBudget, StoreBusy, Unreachable
from qrelkit.core.wire import Flow, Reply, Request
from qrelkit.steps.batching import Batching
from qrelkit.steps.loop import on_interrupt, rare_collections, run_alone
from qrelkit.steps.pace import FIRST_AT_ONCE
from qrelkit.steps.sending import Ended, Sender
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

T = TypeVar("T")
LOOPS_PER_TURN = 3  # turns of the event loop that share a commit: 64 replies instead of 32, 4 % more replies a second
LONGEST_TURN_S = 0.2
BEAT_S = 10.0  # a session that says nothing for longer than 45 s is taken for dead
ASK_AGAIN_S = (0.1, 2.0)  # how soon it is looked again what another process is asking; the first time, and at most
A_WHILE_S = 60.0  # what is held for longer waits in a batch: a claim is good for 45 s
STORED_AGAIN = 5  # times that a store is asked at the end to take what it would not
HELD_AT_MOST = 20_000  # conversations that wait for other processes


def drive(
    flows: Iterable[Flow[T]],
    *,
    models: Mapping[str, Model],
    store: Store,
    done: Callable[[T], None],
    at_once: int | None = 16,
    budget_usd: float | None = None,
    progress: Callable[[Tally], None] | None = None,
    tally: Tally | None = None,
    terms: Terms = Terms(),
) -> Tally:
    """Runs every flow to its end and hands each result to `done`, in order of completion.

    `at_once` requests are on their way to a model at a time (None: as many as turn out to be worth it), and flows are pulled
    lazily; where answers take long, some conversations more are held ready. Stops cleanly on Ctrl-C and when the next request
    might exceed `budget_usd` (`Tally.stopped` says which); raises ModelError when no request can succeed. A `tally` that is
    given is filled, so that what was spent is known also then. Can be called from inside a running event loop (a notebook): it
    then works in a thread of its own.
    """
    driver: Driver[T] = Driver(models, store, done, progress, tally if tally is not None else Tally())
    return run_alone(driver.run(iter(flows), at_once, budget_usd, terms), driver.interrupt)


class Talk(Generic[T]):
    """A conversation: its flow, and what has come of the replies of its round."""

    __slots__ = ("closed", "flow", "missing", "parked", "replies")

    def __init__(self, flow: Flow[T]) -> None:
        self.flow = flow
        self.replies: list[Reply] | None = None
        self.missing = 0
        self.parked = self.closed = False


class Driver(Generic[T]):
    """The state of one drive; used once."""

    def __init__(
        self,
        models: Mapping[str, Model],
        store: Store,
        done: Callable[[T], None],
        progress: Callable[[Tally], None] | None,
        tally: Tally,
    ) -> None:
        self.models, self.store, self.done, self.progress, self.tally = models, store, done, progress, tally
        self.stopping = False
        self.fatal: BaseException | None = None
        self.flying: dict[str, list[tuple[Talk[T], int]]] = {}  # requests not answered yet, and who waits for each
        self.asking: dict[str, Request] = {}  # wanted, to be looked up and claimed in the next turn
        self.arrived: list[tuple[str, Request, Reply]] = []
        self.failed: list[tuple[str, float, str]] = []
        self.held: dict[str, Request] = {}  # asked by another process just now
        self.sends: set[asyncio.Task[None]] = set()
        self.talking = self.parked = 0
        self.turns_due = self.exhausted = False
        self.said_at = self.turned_at = 0.0

    async def run(self, flows: Iterator[Flow[T]], at_once: int | None, budget_usd: float | None, terms: Terms) -> Tally:
        if at_once is not None and at_once < 1:
            raise InputError(f"at_once must be at least 1, not {at_once}")
        terms.wait_s()  # says now whether it can be read
        self.loop = asyncio.get_running_loop()
        self.flows, self.over = flows, self.loop.create_future()
        self.sender = Sender(
            self.models, self.tally, terms, at_once=at_once, budget_usd=budget_usd, stop=self._stop, note=self._note
        )
        self.at_once = max([at_once or FIRST_AT_ONCE, *(2 * m.at_most for m in self.models.values() if m.at_most > 1)])
        self.finding = at_once is None
        started, cpu = self.loop.time(), time.process_time()
        self.batching = Batching(self.store, self.sender, terms)
        self.session = self.store.open_session(terms.what)
        beat = asyncio.ensure_future(self._beat())
        try:
            with on_interrupt(self.loop, self._interrupt), rare_collections():
                await self.batching.collect()
                self._soon()
                await self.over
                if not self.fatal and self.tally.stopped != "interrupted":
                    await self.batching.submit()
        finally:
            beat.cancel()
            await self._close()
            self.tally.seconds, self.tally.busy_s = self.loop.time() - started, time.process_time() - cpu
        return self._ended()

    async def _close(self) -> None:
        try:
            await self._keep_the_rest()
        finally:
            for model in self.models.values():
                self.tally.notes += getattr(model, "notes", ())
                await model.close()

    async def _keep_the_rest(self) -> None:
        """Stores what came and could not be stored; a store that somebody else holds is waited for."""
        try:
            for _ in range(STORED_AGAIN if self.arrived or self.failed else 0):
                try:
                    self._exchange([], self.arrived)
                    break
                except StoreBusy:
                    await asyncio.sleep(1)
        finally:
            self.store.end_session(self.session)

    def _ended(self) -> Tally:
        if self.fatal:
            raise self.fatal
        if self.sender.unreached > 1 and not self.sender.answered and not self.tally.stopped:
            error = max(self.tally.errors, key=lambda e: self.tally.errors[e])
            raise Unreachable(f"none of {self.tally.asked} requests was answered: {error}")
        if self.progress:
            self.progress(self.tally)
        return self.tally

    # stopping

    def interrupt(self) -> None:
        """What Ctrl-C does, from any thread."""
        if hasattr(self, "sender"):
            self.loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        """First Ctrl-C: ask nothing more and wait for what is on its way. Second: do not wait."""
        if self.stopping and self.tally.stopped == "interrupted":
            for send in self.sends:
                send.cancel()
        self.tally.stopped = "interrupted"
        self._stop()

    def _stop(self, fatal: BaseException | None = None) -> None:
        """Nothing more is asked. What was paid for is waited for and kept."""
        self.stopping, self.fatal = True, self.fatal or fatal
        self.sender.end()
        self._soon()

    def _note(self, digest: str, seconds: float, error: str) -> None:
        """An attempt that failed goes into the ledger with the next turn."""
        self.failed.append((digest, seconds, error))

    # turns

    def _soon(self) -> None:
        """A turn, when the loop has gone round a few times: what arrives meanwhile shares it, and nothing waits idly."""
        if not self.turns_due:
            self.turns_due = True
            self.loop.call_soon(self._after, LOOPS_PER_TURN)

    def _after(self, loops: int) -> None:
        if loops > 1:
            self.loop.call_soon(self._after, loops - 1)
        else:
            self.turns_due = False
            self._turn()

    def _turn(self) -> None:
        """Stores what came, looks up and claims what is wanted, lets flows go on, sends."""
        self.turned_at = self.loop.time()
        arrived, self.arrived = self.arrived, []
        wanted = {} if self.stopping else self.asking
        self.asking = {}
        try:
            found = self._exchange([*wanted], arrived)
        except BaseException as error:
            self.arrived[:0] = arrived  # paid for: tried again when the drive ends
            self._stop(error)
            arrived, wanted, found = [], {}, {}
        try:
            for digest, _, reply in arrived:
                self.sender.committed(digest)
                self._deliver(digest, reply)
            for digest, request in wanted.items():
                self._ask(digest, request, found.get(digest))
            while not self.stopping and not self.exhausted and self._room_for_talks():
                self._take_up()
                if self.loop.time() - self.turned_at > LONGEST_TURN_S:  # Ctrl-C and replies on their way have their turn too
                    self._soon()
                    break
            if self.progress and self.turned_at - self.said_at > 0.1:
                self.said_at = self.turned_at
                self.progress(self.tally)
        except BaseException as error:
            self._stop(error)
        if self.asking and not self.stopping:
            self._soon()
        elif not (self.sends or (self.arrived and not self.fatal) or self.over.done()) and self._at_an_end():
            self.over.set_result(None)

    def _at_an_end(self) -> bool:
        return self.stopping or (self.exhausted and not self.flying)

    def _exchange(self, asking: Sequence[str], arrived: Sequence[tuple[str, Request, Reply]] = ()) -> Mapping[str, Reply | float]:
        answered = [(request, reply) for _, request, reply in arrived]  # a failed one gives its claim back
        found = self.store.exchange(self.session, asking, answered, self.failed)
        self.failed = []
        return found

    async def _beat(self) -> None:
        """Says that this session lives, and looks again after what others are asking."""
        (again, most), looked_at = ASK_AGAIN_S, self.loop.time()
        while True:
            await asyncio.sleep(again if self.held else ASK_AGAIN_S[0])
            if self.loop.time() - looked_at >= BEAT_S:
                looked_at = self.loop.time()
                try:
                    self.sender.look_at_budget()
                except Exception as error:
                    self._stop(error)
            if self.held:
                count = len(self.held)
                self.asking |= self.held
                self.held = {}
                self._turn_now()
                again = ASK_AGAIN_S[0] if len(self.held) < count else min(again * 1.5, most)
            elif self.loop.time() - self.turned_at >= BEAT_S - 1:
                self._soon()

    def _turn_now(self) -> None:
        if not self.turns_due:
            self._turn()

    # conversations

    def _room_for_talks(self) -> bool:
        at_once = max(self.at_once, int(self.sender.allowed) + 1) if self.finding else self.at_once
        if self.sender.slow:
            at_once += at_once // 2
        return self.talking < at_once and self.parked < HELD_AT_MOST and self.batching.takes_more

    def _take_up(self) -> None:
        flow = next(self.flows, None)
        if flow is None:
            self.exhausted = True
            return
        self.talking += 1
        self._advance(Talk(flow))

    def _advance(self, talk: Talk[T]) -> None:
        """Lets a conversation go on with the replies of its round; what it wants asked next waits for the next turn."""
        if talk.parked:
            talk.parked = False
            self.parked, self.talking = self.parked - 1, self.talking + 1
        flow = talk.flow
        try:
            asked = next(flow) if talk.replies is None else flow.send(talk.replies)
            while not asked:
                asked = flow.send(())
        except StopIteration as end:
            self.talking -= 1
            self.tally.done += 1
            self.done(end.value)
            return
        talk.replies = [None] * len(asked)  # type: ignore[list-item]
        talk.missing = len(asked)
        for place, request in enumerate(asked):
            digest = request.digest
            waiting = self.flying.get(digest)
            if waiting is None:
                self.flying[digest] = [(talk, place)]
                self.asking[digest] = request
            else:
                waiting.append((talk, place))
                self.tally.joined += 1

    def _deliver(self, digest: str, reply: Reply) -> None:
        for talk, place in self.flying.pop(digest):
            if talk.closed:
                continue
            assert talk.replies is not None
            talk.replies[place] = reply
            talk.missing -= 1
            if not talk.missing:
                self._advance(talk)

    def _ask(self, digest: str, request: Request, found: Reply | float | None) -> None:
        """A request that was looked up: known, held by somebody else, waiting in a batch, or ours to ask."""
        if found is None:
            if self.batching.wanted:
                self._hand_over(digest, request)
            else:
                self.sends.add(self.loop.create_task(self._send(digest, request)))
        elif isinstance(found, Reply):
            ours = digest in self.batching.collected  # brought and paid for by this drive
            if not ours:
                self.tally.known += 1
                self.tally.saved_usd += found.cost_usd or 0.0
            self._deliver(digest, replace(found, known=not ours, request=digest))
        elif found - time.time() > A_WHILE_S:
            self._let_go(digest)
        else:
            self.held[digest] = request
            for talk, _ in self.flying[digest]:
                if not (talk.parked or talk.closed):
                    talk.parked = True
                    self.parked, self.talking = self.parked + 1, self.talking - 1

    def _hand_over(self, digest: str, request: Request) -> None:
        """Puts a request into the batch of its model, which is submitted once it is full."""
        try:
            self.batching.add(request)
            self._let_go(digest)
        except OutOfBudget:
            self.tally.stopped = "budget"
            self._stop()
        if not (self.batching.takes_more or self.batching.submitting):
            self.batching.submitting = True
            self.sends.add(self.loop.create_task(self._submit()))

    async def _submit(self) -> None:
        try:
            while not (self.fatal or self.batching.takes_more):  # more may have come while the last one was on its way
                await self.batching.submit()
        except BaseException as error:
            self._stop(error)
        finally:
            self.batching.submitting = False
            self.sends.discard(asyncio.current_task())
            self._soon()

    def _let_go(self, digest: str) -> None:
        """Ends the conversations that wait for a request which goes into a batch: a later drive takes them up again."""
        for talk, _ in self.flying.pop(digest):
            if not talk.closed:
                talk.closed = True
                talk.flow.close()
                self.talking -= not talk.parked
                self.parked -= talk.parked
                self.tally.waiting += 1

    async def _send(self, digest: str, request: Request) -> None:
        try:
            reply = await self.sender.send(request, digest)
            self.arrived.append((digest, request, reply))
        except OutOfBudget:
            self.tally.stopped = self.tally.stopped or "budget"
            self._stop()
        except Ended:
            pass  # taken up again by the next drive
        except asyncio.CancelledError:
            if not self.stopping:  # not by the second Ctrl-C, which does not wait
                self._stop(Unreachable(f"a call to {request.model} was cancelled by the model itself"))
        except BaseException as error:
            self._stop(error)
        finally:
            self.sends.discard(asyncio.current_task())
            self._soon()
