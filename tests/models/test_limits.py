"""How long to wait: headers of several providers, and our own back-off."""

from __future__ import annotations

import pytest

from qrelkit.models.limits import retry_after

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
