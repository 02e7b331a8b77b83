"""A clock that the tests turn."""

from __future__ import annotations

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Clock:
    """Seconds since 1970 that go on by `step` at every look."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = START, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now - self.step
