"""Batches: requests handed over whole, answered within a day at about half the price, collected by any later drive.

    add ─▶ intent and tag in the store ─▶ submit ─▶ ticket in the store        (a crash between the two: the provider's own
                                                        │                      list is searched for the tag by the next drive)
    later: collect ─▶ running: wait on │ ended: replies into the ledger, what failed may be asked again

A request that waits in a batch is asked by nobody; its conversation is taken up again by a later drive, which finds its reply
in the ledger.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

from qrelkit.core.doors import BatchModel, BatchRow, Model, Store
from qrelkit.core.errors import InputError, ModelError, OutOfBudget, RateLimited, Rejected
from qrelkit.core.wire import Reply, Request, Text
from qrelkit.steps.sending import Sender
from qrelkit.steps.tally import worst_case_usd
from qrelkit.steps.terms import Terms

EXPIRED_S = 47 * 3600.0  # a batch ends within a day
UPLOADING_S = 900.0  # so long another process may be at handing it over
IMAGE_MB = 0.3  # what an encoded picture is reckoned with


class Batching:
    """What is to be handed over in this drive, per model, and what earlier ones handed over."""

    def __init__(self, store: Store, sender: Sender, terms: Terms) -> None:
        self.store, self.sender, self.terms, self.tally = store, sender, terms, sender.tally
        self.wanted, self.submitting = terms.batch, False
        self.waiting: dict[str, list[Request]] = {}
        self.mb: dict[str, float] = {}
        self.collected: set[str] = set()  # requests whose replies this drive has brought
        self.expected_usd = 0.0
        if self.wanted:
            for model in sender.models.values():
                batch_model(model)

    @property
    def takes_more(self) -> bool:
        """False once a model's batch is full: more conversations would only fill the memory."""
        return not any(self._full(name) for name in self.waiting)

    def _full(self, name: str) -> bool:
        model = batch_model(self.sender.model(name))
        return len(self.waiting[name]) >= model.batch_at_most or self.mb[name] >= model.batch_mb

    def add(self, request: Request) -> None:
        """Takes a request in; OutOfBudget where the batch would probably cost more than is left."""
        model = batch_model(self.sender.model(request.model))
        if (budget_usd := self.sender.budget_usd) is not None:
            self.expected_usd += worst_case_usd(model, request, batch=True)
            if self.tally.cost_usd + self.expected_usd > budget_usd:
                raise OutOfBudget(f"one more request could take the batch over the budget of ${budget_usd:g}")
        self.waiting.setdefault(request.model, []).append(request)
        self.mb[request.model] = self.mb.get(request.model, 0.0) + megabytes(request)

    async def submit(self) -> None:
        """Hands over what was added; each batch's intent is in the store before the provider hears of it."""
        await self.sender.within_hours()
        handing: list[tuple[BatchModel, str, Sequence[Request]]] = []
        for name in [*self.waiting]:
            model = batch_model(self.sender.model(name))
            self.mb.pop(name)
            handing += [(model, f"qk{secrets.token_hex(8)}", part) for part in portions(self.waiting.pop(name), model)]
        for _, tag, requests in handing:  # all of them first: the last may have to wait longer than a claim is good for
            self.store.add_batch(tag, requests)
        try:
            while handing:
                await self._hand_over(*handing.pop(0))
        except BaseException:  # whatever broke it off: what has not left is free again
            for _, tag, _ in handing:
                self.store.end_batch(tag)
            raise

    async def _hand_over(self, model: BatchModel, tag: str, requests: Sequence[Request]) -> None:
        try:
            ticket = await model.submit(requests, tag)
        except (InputError, Rejected, RateLimited):  # refused: no batch was made, and its requests are free again
            self.store.end_batch(tag)
            raise
        self._left_out(model, tag)
        if not ticket:  # none of them could be written
            self.store.end_batch(tag)
            return
        self.store.set_ticket(tag, ticket)
        self.tally.asked += len(requests)
        self.tally.batches.append(f"{len(requests):,} requests handed over to {model.name} as batch {ticket}")

    def _left_out(self, model: BatchModel, tag: str) -> None:
        """Requests that could not be written (a picture that cannot be read) have failed; the others are on their way."""
        unreadable: Mapping[str, str] = getattr(model, "unreadable", {})
        failed = {digest: Reply(text="", outcome="failed", error=error) for digest, error in unreadable.items()}
        if failed:
            self.store.add_batch_replies(tag, failed)
            for error in unreadable.values():
                self.tally.fail(error)

    async def collect(self) -> None:
        """What became of the batches that were handed over to the models of this drive."""
        for row in sorted(self.store.batches(), key=lambda row: row.ticket == ""):  # a known ticket is no candidate for a tag
            model = self.sender.models.get(row.model)
            if not row.ended and model is not None:
                await self._collect(batch_model(model), row)

    async def _collect(self, model: BatchModel, row: BatchRow) -> None:
        try:
            ticket = row.ticket or await self._found(model, row)
            if not ticket:
                return
            batch = await model.collect(ticket)
        except ModelError as error:
            name = row.ticket or row.tag
            if isinstance(error, Rejected) and (not row.ticket or time.time() - row.created > EXPIRED_S):
                self.store.end_batch(row.tag)  # there is none, or no longer: its requests are free again
                self.tally.batches.append(f"batch {name} of {row.requests:,} requests is given up: {error}")
                return
            self.tally.batches.append(f"batch {name} of {row.requests:,} requests could not be asked about: {error}")
            return
        if not batch.ended:
            counts = ", ".join(f"{count:,} {name}" for name, count in batch.counts.items())
            self.tally.batches.append(f"batch {ticket} of {row.requests:,} requests is on its way ({counts or 'no counts yet'})")
            return
        replies = {digest: self._taken(model, digest, reply) for digest, reply in batch.replies.items()}
        self.store.add_batch_replies(row.tag, replies)
        self.store.end_batch(row.tag)
        self.collected.update(replies)
        answered = sum(reply.outcome != "failed" for reply in replies.values())
        left = f"; {row.requests - answered:,} were not answered and are asked again" if answered < row.requests else ""
        self.tally.batches.append(f"batch {ticket}: {answered:,} of {row.requests:,} requests answered{left}")

    async def _found(self, model: BatchModel, row: BatchRow) -> str:
        """The ticket of a batch whose drive ended between intent and ticket; "" where it was never submitted."""
        ticket = await model.find(row.tag)
        if ticket is None and time.time() - row.created < UPLOADING_S:
            self.tally.batches.append(
                f"batch {row.tag} of {row.requests:,} requests may be on its way to {model.name}: look again"
            )
            return ""
        if ticket is None:
            self.store.end_batch(row.tag)
            self.tally.batches.append(
                f"batch {row.tag} never reached {model.name}: its {row.requests:,} requests are asked again"
            )
            return ""
        self.store.set_ticket(row.tag, ticket)
        return ticket

    def _taken(self, model: Model, digest: str, reply: Reply) -> Reply:
        if reply.outcome == "failed":
            self.tally.fail(reply.error)
            return reply
        return self.sender.taken(model, None, reply, digest)


def batch_model(model: Model) -> BatchModel:
    """The model as one that takes batches; InputError where it does not."""
    if not isinstance(model, BatchModel):
        raise InputError(f"{model.name} takes no batches; leave --batch out, or take a model of openai:, anthropic: or gemini:")
    return model


def portions(requests: Sequence[Request], model: BatchModel) -> list[list[Request]]:
    """The requests cut where a batch would hold too many, or too many megabytes."""
    out: list[list[Request]] = [[]]
    mb = 0.0
    for request in requests:
        one = megabytes(request)
        if out[-1] and (len(out[-1]) >= model.batch_at_most or mb + one > model.batch_mb):
            out.append([])
            mb = 0.0
        out[-1].append(request)
        mb += one
    return out


def megabytes(request: Request) -> float:
    """About how large a request is on its way, escapes included."""
    parts = [part for message in request.messages for part in message.parts]
    return sum(p.chars * (1.1 if p.ascii else 4.0) / 1e6 if isinstance(p, Text) else IMAGE_MB for p in parts) + 0.001
