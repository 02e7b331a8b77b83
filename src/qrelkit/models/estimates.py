"""What is still to be asked, in tokens, money and hours, each as a range (low, high).

    requests of the first round ─▶ guess ─▶ Use ─▶ refit (after twenty replies) ─▶ money, seconds

All pure: no model is asked, no clock is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qrelkit.core.wire import Limits, Reply, Request, Text
from qrelkit.models.price import Price
from qrelkit.models.prices import TOKENS_PER_MESSAGE, Size, characters, longest, tokens_of_picture, tokens_of_request

Range = tuple[float, float]
AT_LEAST = 20  # replies before they are believed more than the guess
# measured with OpenAI's o200k and cl100k, beside `tokens_of_text`: 90 % of English texts 0.69–1.09, of Chinese ones 0.78–1.62
NARROW_DOUBT: Range = (0.65, 1.25)
WIDE_DOUBT: Range = (0.75, 1.7)
RULE_DOUBT: Range = (0.95, 1.1)  # of a picture by the model's own rule
PICTURE_DOUBT: Range = (0.5, 2.0)  # and where none is known; a few models are far beyond it
WORDS_OUT: Range = (40, 400)  # tokens of a reply, where its schema asks for reasoning
ROUNDS: Range = (1.0, 1.2)  # requests per first one: what cannot be read is asked once more
FITTED_DOUBT = 0.03  # even twenty replies alike say no more than this
LATENCY_DOUBT: Range = (0.7, 2.0)  # of a call, from a few of them
FITTED_LATENCY: Range = (0.9, 1.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What one request takes. `estimated` is the mean of our own count of its input tokens and `error` that mean's standard
    error; `cached` is the share of the input that comes from the provider's cache, `pictures` their number. `replies` says how
    many replies it was fitted to, 0 for a guess."""

    tokens_in: Range
    tokens_out: Range
    estimated: float
    error: float = 0.0
    cached: Range = (0.0, 0.0)
    pictures: float = 0.0
    latency_s: Range | None = None
    replies: int = 0

    def times(self, requests: Range) -> tuple[Range, Range]:
        """Tokens in and out of so many requests."""
        low, high = requests
        return (low * self.tokens_in[0], high * self.tokens_in[1]), (low * self.tokens_out[0], high * self.tokens_out[1])


def guess(requests: Sequence[Request], price: Price | None = None, size: Size = longest, latency_s: float | None = None) -> Use:
    """What requests like these take, before any reply: at least one. `latency_s` is that of a call, where some were made."""
    ends = [_between(request, price, size) for request in requests]
    counts = [float(tokens_of_request(request, price, size)) for request in requests]
    mean, error = _mean(counts)
    doubt = 2 * error / mean if mean else 0.0
    most = requests[0].settings.max_tokens or WORDS_OUT[1]
    pictures = sum(not isinstance(part, Text) for r in requests for m in r.messages for part in m.parts) / len(requests)
    low, high = (sum(end) / len(ends) for end in zip(*ends, strict=True))
    return Use(
        tokens_in=(low * max(0.0, 1 - doubt), high * (1 + doubt)),
        tokens_out=(min(WORDS_OUT[0], most), min(WORDS_OUT[1], most)),
        estimated=mean,
        error=error,
        pictures=pictures,
        latency_s=None if latency_s is None else (LATENCY_DOUBT[0] * latency_s, LATENCY_DOUBT[1] * latency_s),
    )


def refit(use: Use, seen: Sequence[tuple[float, Reply]]) -> Use:
    """The same after replies came: `seen` is our own count of a request's input tokens, and its reply.

    The input becomes our mean count times Σ counted / Σ ours, the output and the latency their means, each ± two standard
    errors. Fewer than `AT_LEAST` replies with counted tokens change nothing.
    """
    told = [(ours, reply) for ours, reply in seen if reply.tokens_in is not None and reply.tokens_out is not None]
    if len(told) < AT_LEAST or not sum(ours for ours, _ in told):
        return use
    n, ours = len(told), sum(ours for ours, _ in told)
    ratio = sum(reply.tokens_in or 0 for _, reply in told) / ours
    residuals = [(reply.tokens_in or 0) - ratio * count for count, reply in told]
    ratio_error = math.sqrt(sum(r * r for r in residuals) / (n - 1) / n) / (ours / n)
    relative = math.hypot(ratio_error / ratio if ratio else 0.0, use.error / use.estimated if use.estimated else 0.0)
    latencies = [reply.latency_s for _, reply in told if reply.latency_s is not None and not reply.batch]
    low, high = _around(latencies) if len(latencies) >= AT_LEAST else (0.0, 0.0)
    share = sum(reply.tokens_cached or 0 for _, reply in told) / max(1, sum(reply.tokens_in or 0 for _, reply in told))
    return replace(
        use,
        tokens_in=_widened(use.estimated * ratio, use.estimated * ratio * relative),
        tokens_out=_around([float(reply.tokens_out or 0) for _, reply in told]),
        cached=(0.9 * share, share),
        latency_s=(FITTED_LATENCY[0] * low, FITTED_LATENCY[1] * high) if high else use.latency_s,
        replies=n,
    )


def money(use: Use, requests: Range, cost: Callable[[Reply], float | None], *, batch: bool = False) -> Range | None:
    """Dollars for so many requests; None where the price is unknown."""
    share_low, share_high = use.cached

    def at(end: int, share: float) -> float | None:
        reply = Reply(
            text="",
            tokens_in=round(use.tokens_in[end]),
            tokens_out=round(use.tokens_out[end]),
            tokens_cached=round(share * use.tokens_in[end]),
            tokens_image=None if use.pictures else 0,
            batch=batch,
        )
        one = cost(reply)
        return None if one is None else requests[end] * one

    low, high = at(0, share_high), at(1, share_low)
    return None if low is None or high is None else (low, high)


def hours_of_work(use: Use, requests: Range, at_once: int, limits: Limits = Limits()) -> Range | None:
    """Seconds that so many requests take: by latency with `at_once` at a time, by requests and by tokens per minute, whichever
    is slowest. None where not even the latency of a call is known."""
    if use.latency_s is None:
        return None
    tokens_in, tokens_out = use.times(requests)

    def at(end: int, latency_s: float) -> float:
        count = requests[end]
        by_latency = max(count / max(1.0, min(at_once, count)), 1.0 if count else 0.0) * latency_s
        by_requests = 60 * count / limits.requests_per_minute if limits.requests_per_minute else 0.0
        by_tokens = 60 * (tokens_in[end] + tokens_out[end]) / limits.tokens_per_minute if limits.tokens_per_minute else 0.0
        return max(by_latency, by_requests, by_tokens)

    return at(0, use.latency_s[0]), at(1, use.latency_s[1])


def share_of(count: int, n: int) -> Range:
    """A share counted in n, ± two standard errors; where all or none were counted, what three of n would change."""
    share = count / n
    reach = max(2 * math.sqrt(share * (1 - share) / n), 3 / n if count in (0, n) else 0.0)
    return max(0.0, share - reach), min(1.0, share + reach)


def outlook(done: int, todo: int, usd: float, seconds: float) -> tuple[float, float] | None:
    """Dollars and seconds that the rest of a drive takes at the rate of what is done; None before `AT_LEAST` are."""
    if done < AT_LEAST:
        return None
    rest = max(0, todo - done) / done
    return usd * rest, seconds * rest


def _between(request: Request, price: Price | None, size: Size) -> Range:
    """The least and the most input tokens of a request, by what its text is written in and whether its pictures have a rule."""
    doubt = PICTURE_DOUBT if price is None or price.images is None else RULE_DOUBT
    low = high = float(TOKENS_PER_MESSAGE * len(request.messages))
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Text):
                narrow, wide = characters(part.text)
                low += NARROW_DOUBT[0] * narrow / 4 + WIDE_DOUBT[0] * wide
                high += NARROW_DOUBT[1] * narrow / 4 + WIDE_DOUBT[1] * wide
            else:
                tokens = tokens_of_picture(part, price, size)
                low, high = low + doubt[0] * tokens, high + doubt[1] * tokens
    return low, high


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error (0 for one value)."""
    n, mean = len(values), sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(spread / (n - 1) / n) if n > 1 else 0.0


def _around(values: Sequence[float]) -> Range:
    return _widened(*_mean(values))


def _widened(mean: float, error: float) -> Range:
    """The mean ± two standard errors, and never less than `FITTED_DOUBT` of it."""
    reach = max(2 * error, FITTED_DOUBT * mean)
    return max(0.0, mean - reach), mean + reach
