"""How the next token is chosen, and what is written down of it.

A drawn token is the largest of score / temperature + Gumbel noise, which is a draw from the softmax. Each row of a batch takes
its noise from a generator of its own, so that nobody's answer depends on who is beside him in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qrelkit.core.wire import Settings

if TYPE_CHECKING:
    import torch

TOP = 20  # alternatives per token, as chat endpoints give at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """How tokens are drawn; greedily at temperature 0. `top_k` and `top_p` are None where nothing is cut off."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    @staticmethod
    def of(settings: Settings, own: Any) -> Draw:
        """What was asked for; where nothing was, what the model's own generation configuration says."""
        usual = (1.0 if own.temperature is None else float(own.temperature)) if own.do_sample else 0.0
        temperature = usual if settings.temperature is None else settings.temperature
        top_p = own.top_p if settings.top_p is None else settings.top_p
        return Draw(temperature=temperature, top_k=own.top_k or None, top_p=top_p) if temperature > 0 else Draw()


class Chooser:
    """One batch's choices, called with the ids so far and the scores of the next token, before `generate` takes the largest.

    With `record`, the log probabilities before temperature of the 20 likeliest tokens, and of the one taken, are kept per step.
    """

    def __init__(self, draw: Draw, generators: Sequence[torch.Generator], *, record: bool) -> None:
        self.draw, self.generators, self.record = draw, generators, record
        self._near: list[tuple[torch.Tensor, torch.Tensor]] = []  # per step the ids and log probabilities of a row's likeliest
        self._before: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.record:
            self.took(input_ids)
            self._before = scores.float().log_softmax(-1)
        return scores if not self.draw.temperature else self._drawn(input_ids, scores.float() / self.draw.temperature)

    def took(self, input_ids: torch.Tensor) -> None:
        """The last of these ids was taken in the step before: known only in the next one, or at the end."""
        import torch

        if self._before is None:
            return
        values, ids = self._before.topk(min(TOP, self._before.shape[-1]), dim=-1)
        taken = input_ids[:, -1:]
        ids, values = torch.cat([ids, taken], 1), torch.cat([values, self._before.gather(1, taken)], 1)
        self._near.append((ids.cpu(), values.cpu()))

    def of(self, row: int) -> list[dict[int, float]] | None:
        """A row's log probabilities by token, one mapping per step, the token taken included; None where nothing is recorded."""
        if not self.record:
            return None
        return [dict(zip(ids[row].tolist(), values[row].tolist(), strict=True)) for ids, values in self._near]

    def _drawn(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch
        from transformers import TopKLogitsWarper, TopPLogitsWarper

        if self.draw.top_k:
            scores = TopKLogitsWarper(self.draw.top_k)(input_ids, scores)
        if self.draw.top_p is not None and self.draw.top_p < 1:
            scores = TopPLogitsWarper(self.draw.top_p)(input_ids, scores)
        noise = [torch.empty_like(row).exponential_(generator=g) for row, g in zip(scores, self.generators, strict=True)]
        return scores - torch.stack(noise).log()
