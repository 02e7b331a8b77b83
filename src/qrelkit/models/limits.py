"""How long to wait, as a server says it. (What we wait when it says nothing is the driver's own: steps/drive.py.)"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from qrelkit.core.wire import Room

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LIMITS = ("requests", "tokens")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait as the response says, at least 0; None where it does not say.

    `now` is in seconds since 1970. Read are `retry-after-ms`; `Retry-After` (seconds or an HTTP date, RFC 9110 §10.2.3);
    `x-ratelimit-reset-requests|-tokens` (`1s`, `6m0s`, `120ms`): the longest among the limits with nothing remaining, or
    among all where none is said to be used up; and `x-ratelimit-reset` (seconds, or a moment in seconds or milliseconds).
    """
    said = {name.lower(): value.strip() for name, value in headers.items()}
    waits = (
        _scaled(_number(said.get("retry-after-ms", "")), 0.001),
        _number(said.get("retry-after", "")),
        _date(said.get("retry-after", ""), now),
        _resets(said),
        _moment(_number(said.get("x-ratelimit-reset", "")), now),
    )
    return next((max(0.0, wait) for wait in waits if wait is not None), None)


def room_of(headers: Mapping[str, str], now: float) -> Room | None:
    """What a response says is left of its limits; None where it says nothing.

    Read are OpenAI's `x-ratelimit-remaining-requests|-tokens` with `x-ratelimit-reset-…` (durations) and Anthropic's
    `anthropic-ratelimit-requests-remaining`, `…-input-tokens-remaining`, `…-tokens-remaining` with `…-reset` (RFC 3339).
    """
    if not any("ratelimit" in name or "RateLimit" in name for name in headers):
        return None
    said = {name.lower(): value.strip() for name, value in headers.items()}
    found: dict[str, Any] = {}
    for kind in _LIMITS:
        found[kind] = _whole(said.get(f"x-ratelimit-remaining-{kind}", ""))
        found[f"{kind}_reset_s"] = _duration(said.get(f"x-ratelimit-reset-{kind}", ""))
        for name in ("input-tokens", "tokens") if kind == "tokens" else (kind,):
            if found[kind] is None and (left := _whole(said.get(f"anthropic-ratelimit-{name}-remaining", ""))) is not None:
                found[kind] = left
                found[f"{kind}_reset_s"] = _instant(said.get(f"anthropic-ratelimit-{name}-reset", ""), now)
    return None if found["requests"] is None and found["tokens"] is None else Room(**found)


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _instant(text: str, now: float) -> float | None:
    """Seconds until an RFC 3339 moment."""
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp() - now)
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _date(text: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _moment(value: float | None, now: float) -> float | None:
    """A number that is a wait if it is small, else a moment in seconds or in milliseconds."""
    if value is None or value < 1e9:
        return value
    return (value / 1000 if value > 1e11 else value) - now


def _resets(said: Mapping[str, str]) -> float | None:
    waits = {kind: _duration(said.get(f"x-ratelimit-reset-{kind}", "")) for kind in _LIMITS}
    used_up = [kind for kind in _LIMITS if said.get(f"x-ratelimit-remaining-{kind}") == "0"]
    found = [wait for kind in used_up or _LIMITS if (wait := waits[kind]) is not None]
    return max(found, default=None)


def _duration(text: str) -> float | None:
    """`6m0s` → 360.0; a bare number is seconds."""
    if _DURATION.sub("", text) == "" and text:
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    return _number(text)
