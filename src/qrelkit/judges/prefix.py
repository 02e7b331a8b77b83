"""How much of what is sent was sent before: the beginnings that requests share, which providers cache and sell cheaper.

    share = Σ tokens of the longest beginning that an earlier request had too / Σ tokens

A beginning ends where a part ends (system text, query, example, document, image): what follows is different from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from qrelkit.core.wire import Message, Request


def prefix_share(requests: Iterable[Request], tokens_in: Callable[[Request], float], *, at_least: int = 0) -> float:
    """Which share of the input tokens is a beginning repeated from an earlier request of the same model.

    Between 0 (nothing is repeated) and 1; NaN without requests. `tokens_in` says how many tokens a request is, as
    `Model.tokens_in` does. Beginnings shorter than `at_least` tokens count as none: providers cache from about 1,024 on.
    """
    repeated = total = 0.0
    seen: set[tuple[str, ...]] = set()
    lengths: dict[tuple[str, ...], float] = {}
    for request in requests:
        begun = beginnings(request)
        known = 0
        while known < len(begun) and begun[known] in seen:
            known += 1
        seen.update(begun[known:])
        total += tokens_in(request)
        if known:
            key = begun[known - 1]
            if key not in lengths:
                lengths[key] = tokens_in(cut_after(request, known))
            repeated += lengths[key] if lengths[key] >= at_least else 0.0
    return repeated / total if total else float("nan")


def beginnings(request: Request) -> list[tuple[str, ...]]:
    """Every beginning of a request, shortest first, by the digests of its parts: equal where the bytes sent are."""
    parts = [f"{message.role}:{part.digest}" for message in request.messages for part in message.parts]
    return [(request.model, *parts[:end]) for end in range(1, len(parts) + 1)]


def cut_after(request: Request, parts: int) -> Request:
    """The request with its first `parts` parts alone."""
    left, messages = parts, []
    for message in request.messages:
        if left > 0:
            messages.append(Message(message.role, message.parts[:left]))
            left -= len(message.parts)
    return replace(request, messages=tuple(messages))
