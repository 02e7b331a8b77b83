"""What a drive did, in numbers; and what one more request may cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from qrelkit.core.doors import Model
from qrelkit.core.errors import InputError
from qrelkit.core.wire import Reply, Request

COUNTS = ("asked", "known", "joined", "failed", "unpriced")
TOKENS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "tokens_image")
NUMBERS = (*COUNTS, *TOKENS, "cost_usd", "saved_usd", "seconds", "busy_s")
_OWN = re.compile(r"\b\w*\d\w*\b|'[^']*'|\"[^\"]*\"")
Stopped = Literal["", "budget", "interrupted"]


@dataclass(slots=True)
class Tally:
    """What a drive did: `asked` requests left the house, `known` came from the ledger (and had cost `saved_usd`), `joined`
    shared one in flight, `waiting` conversations wait for a batch, `cut` prompts were cut by the server. `seconds` is by the
    clock, `busy_s` of the processor: the share of it that was not spent waiting. `waits_for` is the hour it waits for now.
    """

    done: int = 0
    asked: int = 0
    known: int = 0
    joined: int = 0
    failed: int = 0
    retried: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    tokens_image: int = 0
    cost_usd: float = 0.0
    saved_usd: float = 0.0
    unpriced: int = 0  # replies whose price is unknown: not free
    waiting: int = 0
    cut: int = 0
    seconds: float = 0.0
    busy_s: float = 0.0
    waits_for: str = ""
    batches: list[str] = field(default_factory=list)  # what became of batches, in words
    notes: list[str] = field(default_factory=list)  # what a server would not have and was no longer sent
    stopped: Stopped = ""
    served: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    wordings: dict[str, str] = field(default_factory=dict, repr=False)

    def fail(self, error: str) -> None:
        """Counts a failed request; errors that differ only in numbers and quoted words are one, worded like the first."""
        self.failed += 1
        wording = self.wordings.setdefault(alike(error), error)
        self.errors[wording] = self.errors.get(wording, 0) + 1

    def numbers(self) -> dict[str, float]:
        """What is kept of it in the store."""
        return {name: getattr(self, name) for name in NUMBERS}

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results must know."""
        out = [
            f"{model} answered as several models: {', '.join(sorted(names))}"
            for model, names in self.served.items()
            if len(names) > 1
        ]
        if self.cut:
            out.append(f"{self.cut} prompts were cut by the server: its context is too short for them")
        out += self.notes
        return out + [f"{count} × {error}" for error, count in sorted(self.errors.items())]


def alike(error: str) -> str:
    """An error less what is a single request's own in it: words with a digit, and quoted ones."""
    return _OWN.sub("#", error)


def worst_case_usd(model: Model, request: Request, *, batch: bool = False) -> float:
    """What a request may cost at most, before anything is known: twice the tokens we reckon with, and the whole output.

    Raises InputError where the model's price is unknown: a budget cannot be kept then.
    """
    dearest = Reply(text="", tokens_in=2 * model.tokens_in(request), tokens_out=request.settings.max_tokens or 4096, batch=batch)
    cost = model.cost_usd(dearest)
    if cost is None:
        raise InputError(f"a budget needs prices and none is known for {model.name}: add it under `prices:`")
    return cost
