"""Know the server: at most twelve tiny calls that find out what a model can do, and what its server does to what it is sent.

    questions ─▶ conversation, one call at a time ─▶ findings

Some servers cut a long prompt, drop a picture or answer out of a cache, and say 200. Nobody sees it in the grades.
The calls go through `drive` with a store of their own: nothing is read from a project's ledger, and nothing is kept in it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qrelkit.core.doors import Model
from qrelkit.core.errors import InputError, ModelError, RateLimited, Rejected
from qrelkit.core.wire import Flow, Limits, Reply, Request, Room
from qrelkit.steps.drive import drive
from qrelkit.steps.examination import COLOURS, Question, questions
from qrelkit.steps.findings import Finding, findings
from qrelkit.steps.heard import NOT_ASKED, Heard, Needs, Seen
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms

AT_MOST = 12
FIRST_TAKES = 5  # calls of the first question, where a server refuses schema, probabilities, temperature and max_tokens
CONTEXT_TOKENS = 8_000  # that are looked for where nobody says how long prompts will be
PICTURES = 3
PATIENCE_S = 60.0  # that a server may ask us to wait
ORDER = ("schema", "copy", "pictures", "context", "length", "again", "other", "picture", "half", "another")
ONLY_AFTER = {"picture": "pictures", "half": "context"}  # asked where the larger one was not taken


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found out of a model, in how many calls and for how much (None: the price is unknown). `stopped` is
    "interrupted" after Ctrl-C; there are no findings then."""

    model: str
    findings: tuple[Finding, ...]
    calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    seconds: float
    stopped: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing is WRONG. What is absent and not needed is no fault."""
        return not any(one.verdict == "WRONG" for one in self.findings)

    def finding(self, name: str) -> Finding:
        """The finding of that name."""
        return next(one for one in self.findings if one.name == name)

    def json(self) -> dict[str, Any]:
        """The stable form scripts rely on."""
        numbers = {name: getattr(self, name) for name in ("calls", "tokens_in", "tokens_out", "cost_usd", "seconds")}
        told = [{"what": one.name, "verdict": one.verdict, "found": one.words} for one in self.findings]
        return {"model": self.model, "sound": self.sound, "findings": told, **numbers}

    def __repr__(self) -> str:
        wrong = sum(one.verdict == "WRONG" for one in self.findings)
        return f"Examination({self.model}: {wrong} wrong of {len(self.findings)} findings, {self.calls} calls)"


class Metered:
    """The model, for at most `most` calls. What would end a whole drive, a refusal of pictures say, ends only its question."""

    def __init__(self, model: Model, most: int) -> None:
        self.model, self.most, self.calls = model, most, 0
        self.name, self.at_most, self.limits = model.name, model.at_most, Limits()

    @property
    def price(self) -> str:
        return self.model.price

    @property
    def room(self) -> Room | None:
        return None  # what is left is looked at in the end; a dozen calls need not wait for it

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        if self.calls >= self.most:
            raise Rejected(NOT_ASKED)
        before = self._refused()
        self.calls += 1
        try:
            return await self.model.replies(requests)
        except Rejected as error:
            raise Rejected(str(error)) from error
        except RateLimited as error:
            if (error.retry_after_s or 0.0) > PATIENCE_S:
                raise Rejected(str(error)) from error
            raise
        finally:
            self.calls += self._refused() - before

    def cost_usd(self, reply: Reply) -> float | None:
        return self.model.cost_usd(reply)

    def tokens_in(self, request: Request) -> int:
        return self.model.tokens_in(request)

    async def close(self) -> None:
        await self.model.close()

    def _refused(self) -> int:
        """Fields that the server would not have: each time the request was sent once more, without it."""
        return sum(" refused " in note for note in notes_of(self.model))


def examine(
    model: Model,
    *,
    at_most: int = AT_MOST,
    context_tokens: int | None = None,
    needs: Needs | None = None,
    nonce: str = "",
) -> Examination:
    """Asks a model up to ten questions in at most `at_most` calls and says what it and its server do right and wrong.

    `context_tokens` is how long its longest prompt will be, by our own count; a context that is shorter is then a fault. `needs`
    says what else must be there. All words, colours and numbers that are asked for come from the `nonce` (drawn where none is
    given): equal ones give equal questions. A server that cannot be reached is a finding. Raises InputError below
    5 calls, which the first question may take alone.
    """
    if at_most < FIRST_TAKES:
        raise InputError(f"an examination needs at least {FIRST_TAKES} calls, not {at_most}")
    needs = needs or Needs()
    needs = needs if context_tokens is None else replace(needs, context_tokens=context_tokens)
    pictures = max(PICTURES, min(needs.images, len(COLOURS)))
    asked = questions(
        model.name, nonce or secrets.token_hex(8), context_tokens=needs.context_tokens or CONTEXT_TOKENS, pictures=pictures
    )
    metered, tally, started = Metered(model, at_most), Tally(), time.perf_counter()
    heard = _held(metered, asked, tally)
    found = [] if tally.stopped else findings(Seen(model=model, heard=heard, needs=needs, notes=notes_of(model)))
    return Examination(
        model=model.name,
        findings=tuple(found),
        calls=metered.calls,
        tokens_in=tally.tokens_in,
        tokens_out=tally.tokens_out,
        cost_usd=None if tally.unpriced else tally.cost_usd,
        seconds=time.perf_counter() - started,
        stopped=tally.stopped,
    )


def conversation(asked: Mapping[str, Question]) -> Flow[dict[str, Heard]]:
    """One question after the other, the more important ones first; over when the first two were both not answered."""
    heard: dict[str, Heard] = {}
    for name in ORDER:
        larger = ONLY_AFTER.get(name)
        if larger and (heard[larger].came or heard[larger].reply.error == NOT_ASKED):
            continue
        (reply,) = yield (asked[name].request,)
        heard[name] = Heard(question=asked[name], reply=reply)
        if name == "copy" and not any(one.came for one in heard.values()):
            break
    return heard


def notes_of(model: Model) -> tuple[str, ...]:
    """What a model says that it does without."""
    return tuple(getattr(model, "notes", ()))


def _held(metered: Metered, asked: Mapping[str, Question], tally: Tally) -> dict[str, Heard]:
    """The conversation, held. Where not one answer came, why stands in place of the first."""
    from qrelkit.stores.memory import MemoryStore

    ends: list[dict[str, Heard]] = []
    terms = Terms(retries=1, what="doctor")
    try:
        drive(
            [conversation(asked)],
            models={metered.name: metered},
            store=MemoryStore(),
            done=ends.append,
            at_once=1,
            terms=terms,
            tally=tally,
        )
    except ModelError as error:
        if not ends:
            failed = Reply(text="", outcome="failed", error=str(error))
            return {"schema": Heard(question=asked["schema"], reply=failed)}
    return ends[0] if ends else {}
