"""How long to wait and what is left of the limits: headers of several providers."""

from __future__ import annotations

import pytest

from qrelkit.core.wire import Room
from qrelkit.models.limits import retry_after, room_of

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": "Tue, 14 Nov 2023 22:14:00 GMT"}, 40.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),  # past: now
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "9s"}, 9.0),
        # only the requests are used up, so the tokens need not be waited for
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "9s"}, 1.0),
        ({"X-RateLimit-Reset": "1700000012"}, 12.0),
        ({"X-RateLimit-Reset": "1700000012000"}, 12.0),
        ({"X-RateLimit-Reset": "3"}, 3.0),
    ],
)
def test_what_a_server_says_about_waiting(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == (seconds if seconds is None else pytest.approx(seconds))


# published examples: https://platform.openai.com/docs/guides/rate-limits, https://docs.anthropic.com/en/api/rate-limits


@pytest.mark.parametrize(
    ("headers", "room"),
    [
        ({}, None),
        ({"Content-Type": "application/json", "Retry-After": "7"}, None),
        ({"x-ratelimit-limit-requests": "60"}, None),  # a limit, and not what is left of it
        ({"x-ratelimit-remaining-requests": "soon"}, None),
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-remaining-tokens": "149984",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            Room(requests=59, tokens=149_984, requests_reset_s=1.0, tokens_reset_s=360.0),
        ),
        ({"X-RateLimit-Remaining-Tokens": "0"}, Room(tokens=0)),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, Room(requests=0, requests_reset_s=0.12)),
        (
            {
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:50Z",
                "anthropic-ratelimit-tokens-remaining": "48000",
                "anthropic-ratelimit-tokens-reset": "2023-11-14T22:14:20Z",
                "anthropic-ratelimit-input-tokens-remaining": "40000",
                "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:30Z",
            },
            Room(requests=49, tokens=40_000, requests_reset_s=30.0, tokens_reset_s=10.0),  # of the input comes first
        ),
        (
            {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2023-11-14T22:00:00Z"},
            Room(requests=0, requests_reset_s=0.0),  # past: now
        ),
        (
            {"anthropic-ratelimit-tokens-remaining": "1000", "anthropic-ratelimit-tokens-reset": "soon"},
            Room(tokens=1000),
        ),
    ],
)
def test_what_a_server_says_is_left(headers: dict[str, str], room: Room | None) -> None:
    assert room_of(headers, NOW) == room
