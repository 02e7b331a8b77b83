"""Who is asking what: one session per drive, one row per claim and per failed attempt.

A claim is a row without an error. It is never looked for in the table: every process keeps the claims of all living sessions
in memory and takes in the rows that are newer than the last it saw. Rows of answered requests are deleted in stretches, from
the oldest; the table's last row always stays, so that numbers go on rising.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl

from qrelkit.stores import frames, living
from qrelkit.stores.database import Database
from qrelkit.stores.digests import Digests
from qrelkit.stores.packing import clean, request_blob, request_digest
from qrelkit.stores.schema import attempts, replies, sessions

SWEEP_AT = 2_048  # claims after which those that were answered are deleted
REREAD_AT = 20_000
FAILED_S = 900.0  # a session that tries again does so within this time; then what it failed to get is free
GIVEN_BACK = "error = ''"
A_CLAIM = "(error IS NULL OR error = '')"
NEWER = (
    "SELECT id, session, digest, sent, seconds, error FROM attempts"
    " WHERE id > ? AND session IN (SELECT id FROM sessions WHERE ended IS NULL) ORDER BY id"
)
UNENDED = (
    "SELECT a.id, a.digest, a.session, s.host, s.pid, a.sent, s.beat FROM attempts a JOIN sessions s ON s.id = a.session"
    " WHERE s.ended IS NULL AND a.error IS NULL ORDER BY a.id"
)


class Claims:
    """Sessions and their claims. What changes the table is called inside a transaction, `taken` and `ended` after it."""

    def __init__(self, database: Database, answers: Digests, now: Callable[[], float]) -> None:
        self._database, self._answers, self._now = database, answers, now
        self._last = -1
        self._claims: dict[int, dict[bytes, int]] = {}  # of every session that may live: digest → row
        self._failed: dict[tuple[int, bytes], float] = {}  # when an attempt of a living session failed last
        self._beats: dict[int, float] = {}  # of our own sessions
        self._swept: dict[int, int] = {}
        self._given: dict[int, set[bytes]] = {}  # what our sessions were told that was known
        self.finished: tuple[int, set[bytes]] = (-1, set())  # our session that ended last, and what it was given

    # sessions

    def open(self, what: str) -> int:
        """A new session of this process."""
        now = self._now()
        ms = int(now * 1000)
        ((number,),) = self._database.rows("SELECT coalesce(max(id), 0) + 1 FROM sessions")
        self._database.add(sessions, [(number, living.host(), os.getpid(), clean(what), ms, ms, None)])
        self._beats[number] = now
        return int(number)

    def beat_due(self, session: int) -> bool:
        """Whether it is time to say that a session lives."""
        return self._now() - self._beats.get(session, 0.0) >= living.BEAT_AGAIN_S

    def beat(self, session: int) -> None:
        """Says that a session lives."""
        now = self._now()
        self._database.rows("UPDATE sessions SET beat = ? WHERE id = ?", int(now * 1000), session)
        self._beats[session] = now

    @property
    def at_work(self) -> int | None:
        """The newest of our own sessions."""
        return max(self._beats, default=None)

    def give(self, session: int, digests: Iterable[bytes]) -> None:
        """Remembers which stored replies a session was given: when it settles, they too have become judgments."""
        self._given.setdefault(session, set()).update(digests)

    def finish(self, session: int) -> None:
        """Remembers a session of ours that ended as it should."""
        self.finished = (session, self._given.pop(session, set()))

    def end(self, session: int) -> None:
        """Gives back all claims of a session."""
        below = "id < (SELECT max(id) FROM attempts)"
        self._database.rows(f"DELETE FROM attempts WHERE session = ? AND {A_CLAIM} AND {below}", session)
        self._database.rows("UPDATE sessions SET ended = ? WHERE id = ?", int(self._now() * 1000), session)

    def ended(self, session: int) -> None:
        """The end of a session is committed, or it was seen dead."""
        self._claims.pop(session, None)
        self._beats.pop(session, None)
        self._swept.pop(session, None)
        self._failed = {key: when for key, when in self._failed.items() if key[0] != session}

    def living(self) -> list[int]:
        """The sessions that are alive."""
        rows = self._database.rows("SELECT id, host, pid, beat FROM sessions WHERE ended IS NULL")
        return [number for number, *about in rows if self._until(*about) is not None]

    def dead(self) -> list[tuple[int, str, int, int]]:
        """id, what, started, beat of the sessions that died: they never ended."""
        rows = self._database.rows("SELECT id, what, started, beat, host, pid FROM sessions WHERE ended IS NULL")
        return [(n, what, started, beat) for n, what, started, beat, host, pid in rows if self._until(host, pid, beat) is None]

    def _until(self, host: str, pid: int, beat: int) -> float | None:
        return living.alive_until(beat / 1000, host, pid, self._now())

    # what others are asking

    def refresh(self) -> None:
        """Takes in the claims and failures that others committed since."""
        ((last,),) = self._database.rows("SELECT coalesce(max(id), 0) FROM attempts")
        if last <= self._last:
            return
        for number, session, digest, sent, seconds, error in self._database.rows(NEWER, self._last):
            if error is None:
                self._claims.setdefault(session, {})[digest] = number
            elif error:
                self._failed[session, digest] = sent / 1000 + seconds
        self._last = last
        for session, claims in self._claims.items():
            if len(claims) > REREAD_AT and session not in self._beats:
                still = self._database.rows("SELECT digest, id FROM attempts WHERE session = ? AND error IS NULL", session)
                self._claims[session] = dict(still)

    def held(self, session: int, digests: Iterable[bytes]) -> dict[bytes, float]:
        """Until when each digest is held that another living session is asking."""
        found: dict[bytes, float] = {}
        for other, claims in list(self._claims.items()):
            common = [d for d in digests if d in claims] if other != session and claims else []
            if not common:
                continue
            until = self._alive_until(other)
            if until is None:
                self.ended(other)
                continue
            rows = self._database.matching((attempts.c.id, attempts.c.error), attempts.c.id, [claims[d] for d in common])
            there = {number for number, error in rows if error is None}
            for digest in common:
                failed = self._failed.get((other, digest))
                if claims[digest] in there:
                    found[digest] = until if failed is None else min(until, failed + FAILED_S)
        now = self._now() if found else 0.0
        return {digest: until for digest, until in found.items() if until > now}

    def _alive_until(self, session: int) -> float | None:
        for *about, ended in self._database.rows("SELECT host, pid, beat, ended FROM sessions WHERE id = ?", session):
            return None if ended is not None else self._until(*about)
        return None

    # what we are asking

    def claim(self, session: int, digests: Iterable[bytes]) -> list[tuple[Any, ...]]:
        """Claims digests; those that the session has claimed already stay so."""
        own, now = self._claims.get(session, {}), int(self._now() * 1000)
        rows = [(self._last + i, session, d, now, None, None) for i, d in enumerate((d for d in digests if d not in own), 1)]
        self._database.add(attempts, rows)
        return rows

    def fail(self, session: int, failed: Sequence[tuple[str, float, str]], after: int = 0) -> list[tuple[Any, ...]]:
        """Keeps failed attempts, numbered on from `after` other rows. The claim stays, for it may be tried again."""
        now = self._now()
        rows = [
            (self._last + after + i, session, request_blob(d), int((now - seconds) * 1000), seconds, clean(error) or "failed")
            for i, (d, seconds, error) in enumerate(failed, 1)
        ]
        self._database.add(attempts, rows)
        return rows

    def give_back(self, session: int, digests: Iterable[bytes]) -> None:
        """Claims that will not be tried again."""
        own = self._claims.get(session, {})
        self._database.run(f"UPDATE attempts SET {GIVEN_BACK} WHERE id = ?", [(own[d],) for d in digests if d in own])

    def give_back_everywhere(self, digests: Sequence[bytes]) -> None:
        """Claims of this process that a batch holds from now on."""
        for session in self._beats:
            self.give_back(session, digests)

    def given_back_everywhere(self, digests: Sequence[bytes]) -> None:
        """What `give_back_everywhere` did is committed."""
        for session in self._beats:
            self.taken(session, (), digests)

    def taken(self, session: int, rows: Sequence[tuple[Any, ...]], done: Iterable[bytes] = ()) -> None:
        """The rows of `claim` and `fail` are committed, and `done` are answered or given back."""
        own = self._claims.setdefault(session, {})
        for digest in done:
            own.pop(digest, None)
            self._failed.pop((session, digest), None)
        for number, _, digest, sent, seconds, error in rows:
            if error is None:
                own[digest] = number
            elif digest in own:
                self._failed[session, digest] = sent / 1000 + seconds
        self._last += len(rows)

    def sweep(self, session: int) -> None:
        """Deletes claims from the oldest on that are all answered, when they are many."""
        first = next(iter(self._claims.get(session, {}).values()), self._last)
        swept = self._swept.setdefault(session, first)
        if first - swept >= SWEEP_AT:
            sql = f"DELETE FROM attempts WHERE id >= ? AND id < ? AND session = ? AND {A_CLAIM}"
            self._database.rows(sql, swept, first, session)
            self._swept[session] = first

    # what became of it

    def unanswered(self) -> pl.DataFrame:
        """Claims of dead sessions that the same session has no reply to."""
        lost, _ = self._of_the_dead()
        rows = [
            (request_digest(digest), number, host.partition(" ")[0], pid, sent) for _, digest, number, host, pid, sent in lost
        ]
        return frames.dated(rows, frames.UNANSWERED, "sent")

    def bury(self) -> None:
        """Deletes those claims of dead sessions that were answered, inside a transaction."""
        _, answered = self._of_the_dead()
        self._database.run(f"UPDATE attempts SET {GIVEN_BACK} WHERE id = ?", [(row[0],) for row in answered])

    def _of_the_dead(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """id, digest, session, host, pid, sent of the claims of dead sessions: those without a reply, and those with one."""
        rows = [row[:-1] for row in self._database.rows(UNENDED) if self._until(row[3], row[4], row[6]) is None]
        if not rows:
            return [], []
        self._answers.refresh()
        places = self._answers.find([row[1] for row in rows])
        columns = (replies.c.digest, replies.c.session)
        replied = set(self._database.matching(columns, replies.c.id, list(places.values())))
        return [r for r in rows if (r[1], r[2]) not in replied], [r for r in rows if (r[1], r[2]) in replied]

    def attempts(self) -> pl.DataFrame:
        """All failed attempts."""
        sql = "SELECT digest, session, sent, seconds, error FROM attempts WHERE error <> '' ORDER BY id"
        rows = [(request_digest(digest), *row) for digest, *row in self._database.rows(sql)]
        return frames.dated(rows, frames.ATTEMPTS, "sent")
