"""Every exception that qrelkit raises on purpose.

    QrelkitError
    ├── InputError            the user gave something that cannot be used; says where and what to do
    │   ├── UnknownName       a name that nobody knows; lists the near ones
    │   └── Mismatch          two things that do not belong together (scale and qrels, run and qrels)
    ├── MissingExtra          an optional package is not installed; carries the pip line
    ├── PluginError           a plugin was found and does not keep its promise
    ├── StoreError            the store cannot be used
    │   ├── StoreBusy         another process holds it for too long
    │   └── StoreTooNew       written by a newer qrelkit
    └── ModelError            no reply came
        ├── Unreachable       the endpoint did not answer, or broke off; may be tried again
        ├── RateLimited       asked to slow down; carries `retry_after_s`
        ├── Rejected          the endpoint refused this request or this key; trying again is pointless
        └── OutOfBudget       the money given is spent

A refusal or an unreadable reply is no exception but a judgment's outcome.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QrelkitError(Exception):
    """Base of all errors here; its text is meant for a person and needs no traceback."""


class InputError(QrelkitError):
    """What the user gave cannot be used; the text says where (file:line) and what to do."""


class UnknownName(InputError):
    """A name that is not known; lists the near ones, or all where they are few."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
        elif names:
            hint = "known: " + ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
        else:
            hint = "none is known"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.kind, self.name, self.near = kind, name, near


class Mismatch(InputError):
    """Two inputs that are each right and do not belong together."""


class MissingExtra(QrelkitError):
    """An optional package is needed for this and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an optional package: pip install "qrelkit[{extra}]"')
        self.extra = extra


class PluginError(QrelkitError):
    """A plugin was found and cannot be used."""


class StoreError(QrelkitError):
    """The store cannot be used."""


class StoreBusy(StoreError):
    """Another process held the store for longer than we wait."""


class StoreTooNew(StoreError):
    """The store was written by a newer qrelkit than this one."""


class ModelError(QrelkitError):
    """No reply came."""


class Unreachable(ModelError):
    """The endpoint did not answer or broke off; worth another try."""


class RateLimited(ModelError):
    """The endpoint asked to slow down; `retry_after_s` is what it said, None if it did not."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Rejected(ModelError):
    """The endpoint refused; `fatal` when every other request would be refused too (key, model)."""

    def __init__(self, text: str, *, fatal: bool = False) -> None:
        super().__init__(text)
        self.fatal = fatal


class OutOfBudget(ModelError):
    """The money given is spent."""
