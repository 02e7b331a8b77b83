"""What stages took, in a database: a row per call, only ever added up.

A drive that was killed never says what it took. Whoever opens the next session says it in its place, by its replies: a session
is called by its stage and key ("judge 3f2a…"), and `meta` keeps what was said of it, so that it is said once, and is taken back
where the session was only silent and ends after all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import polars as pl
from sqlalchemy import select

from qrelkit.stores import frames
from qrelkit.stores.claims import Claims
from qrelkit.stores.database import Database
from qrelkit.stores.schema import meta, spending

TAKEN_OVER = "spent by the session "
COUNTED = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "tokens_image", "cost_usd")
OF_SESSION = (
    "SELECT count(*), sum(CASE WHEN cost_usd IS NULL THEN 1 ELSE 0 END), "
    + ", ".join(f"sum({name})" for name in COUNTED)
    + " FROM replies WHERE session = ?"
)


class Spending:
    """The table `spending`; what changes it is called inside a transaction."""

    def __init__(self, database: Database, claims: Claims, now: Callable[[], float]) -> None:
        self._database, self._claims, self._now = database, claims, now

    def add(self, stage: str, key: str, numbers: Mapping[str, float]) -> None:
        """Keeps what one call took; numbers that are not named are 0."""
        row = frames.spent(numbers) | {"stage": stage, "key": key, "created": int(self._now() * 1000)}
        self._database.add(spending, [tuple(row[c.name] for c in spending.columns)])

    def sums(self, keys: Sequence[str] | None) -> pl.DataFrame:
        """What all calls together took, per stage and key; with `keys`, only theirs."""
        chosen = select(*(spending.c[name] for name in frames.SPENDING))
        with self._database.reading() as connection:
            return frames.summed(connection.execute(chosen if keys is None else chosen.where(spending.c.key.in_(keys))).all())

    def take_over(self) -> None:
        """Says what sessions took that died before they said it."""
        for session, what, started, beat in self._claims.dead():
            stage, _, key = what.partition(" ")
            if key and self._said(session) is None:
                numbers = self._of_replies(session) | {"seconds": (beat - started) / 1000}
                self._database.put(meta, _said_row(session, [stage, key, numbers]), "name", ["value"])
                self.add(stage, key, numbers)

    def give_back(self, session: int) -> None:
        """Takes back what was said of a session that lives, for it says it itself."""
        said = self._said(session)
        if said is not None:
            stage, key, numbers = said
            self.add(stage, key, {name: -number for name, number in numbers.items()})
            self._database.rows("DELETE FROM meta WHERE name = ?", f"{TAKEN_OVER}{session}")

    def _said(self, session: int) -> list[Any] | None:
        for (value,) in self._database.rows("SELECT value FROM meta WHERE name = ?", f"{TAKEN_OVER}{session}"):
            return list(orjson.loads(value))
        return None

    def _of_replies(self, session: int) -> dict[str, float]:
        ((asked, unpriced, *sums),) = self._database.rows(OF_SESSION, session)
        counted = {name: float(number or 0) for name, number in zip(COUNTED, sums, strict=True)}
        return {"asked": int(asked), "unpriced": int(unpriced or 0), **counted}


def _said_row(session: int, said: list[Any]) -> dict[str, Any]:
    return {"name": f"{TAKEN_OVER}{session}", "value": orjson.dumps(said).decode()}
