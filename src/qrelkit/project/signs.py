"""The signs of a sick study, read from the store: nothing is wrong with it, but somebody should look.

Each is (what, whether it is worth a look, what was found). Nothing is asked of a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import polars as pl

from qrelkit.core.doors import Store
from qrelkit.core.errors import QrelkitError
from qrelkit.core.records import counted
from qrelkit.judges.several import models_of
from qrelkit.project.line import excluded
from qrelkit.project.project import Project
from qrelkit.steps.pool import pool

Sign = tuple[str, bool, str]
Look = tuple[bool, str]
PAIR = ["query_id", "doc_id"]
BUSY = 0.5  # of the wall time: a drive that computes more than it waits is held up by us, or by its store
BUSY_FROM_S = 10.0
QUERIES = 3  # with the lowest agreement that are named
PAIRS_AT_LEAST = 3  # of a query, to be named
TOLD = 5
REPLIES_AT_A_TIME = 20_000
_NUMBERS = re.compile(r"\d{4,}|[0-9a-f]{12,}")  # ports, ids; no status


def signs(project: Project) -> list[Sign]:
    """All of them, in order; one that cannot be read says why."""
    try:
        store = project.store
    except QrelkitError:  # which is wrong, and said to be
        return []
    looks: dict[str, Callable[[], Look]] = {
        "sent and never answered": lambda: _unanswered(store),
        "batches on their way": lambda: _batches(store),
        "cache of replies": lambda: _known(store),
        "provider's prompt cache": lambda: _cached(store),
        "time not spent waiting": lambda: _busy(store),
        "two grades for one pair": lambda: _two_grades(store),
        "lowest agreement": lambda: _lowest(project),
        "served models": lambda: _served(store),
        "failed attempts": lambda: _failed(store),
    }
    found: list[Sign] = []
    for name, look in looks.items():
        try:
            found.append((name, *look()))
        except QrelkitError as error:
            found.append((name, True, f"cannot be read: {error}"))
    return found


def _unanswered(store: Store) -> Look:
    """Claims of sessions that died: what was asked at once and, where answers take long, what was held ready."""
    rows = store.unanswered()
    if rows.height:
        sessions = rows["session"].n_unique()
        named = ", ".join(rows["digest"].head(3)) + (" …" if rows.height > 3 else "")
        when = str(rows["sent"].max())
        what = f"{counted(rows.height, 'request')} of {counted(sessions, 'session')} that died, the last sent {when}"
        return True, f"{what}; they may have been paid, and are asked again: {named}"
    return False, "none"


def _batches(store: Store) -> Look:
    waiting = [row for row in store.batches() if not row.ended]
    each = (f"{row.ticket or row.tag + ' (not confirmed)'} of {row.model}: {counted(row.requests, 'request')}" for row in waiting)
    return any(not row.ticket for row in waiting), "; ".join(each) or "none"


def _known(store: Store) -> Look:
    """known / (known + asked), by stage."""
    return False, _shares(store, pl.col("known"), pl.col("known") + pl.col("asked"), "of {:,} requests were known")


def _cached(store: Store) -> Look:
    """tokens_cached / tokens_in, by stage."""
    return False, _shares(store, pl.col("tokens_cached"), pl.col("tokens_in"), "of {:,} input tokens")


def _shares(store: Store, part: pl.Expr, whole: pl.Expr, words: str) -> str:
    rows = store.spending().group_by("stage", maintain_order=True).agg(part=part.sum(), whole=whole.sum())
    some = rows.filter(pl.col("whole") > 0)
    return "; ".join(f"{stage} {n / m:.0%} {words.format(m)}" for stage, n, m in some.iter_rows()) or "nothing asked yet"


def _busy(store: Store) -> Look:
    """busy_s / seconds, by stage."""
    rows = store.spending().group_by("stage", maintain_order=True).agg(pl.col("busy_s", "seconds").sum())
    some = rows.filter(pl.col("seconds") > 0)
    sick = some.filter((pl.col("seconds") >= BUSY_FROM_S) & (pl.col("busy_s") > BUSY * pl.col("seconds"))).height > 0
    told = "; ".join(f"{stage} {busy / seconds:.0%} of {seconds:,.0f} s" for stage, busy, seconds in some.iter_rows())
    return sick, told or "nothing asked yet"


def _two_grades(store: Store) -> Look:
    """Pairs that one judge graded differently under the same keys and sample: it was asked the same, or its ledger changed."""
    rows = store.judgments().filter(
        pl.col("grade").is_not_null() & pl.col("replaces").is_null() & ~pl.col("judge_key").str.starts_with("human:")
    )
    keys = ["judge_key", "assessor", *PAIR, "query_key", "doc_key", "sample"]
    twice = rows.group_by(keys, maintain_order=True).agg(pl.col("grade").unique().sort()).filter(pl.col("grade").list.len() > 1)
    each = (f"{name}: {q} {d} {grades}" for name, q, d, grades in twice.select("assessor", *PAIR, "grade").head(TOLD).iter_rows())
    return twice.height > 0, f"{counted(twice.height, 'pair')}: {'; '.join(each)}" if twice.height else "none"


def _lowest(project: Project) -> Look:
    """The queries on which each judge agrees least with people (share of equal grades), examples left out."""
    people = next(iter(project.human().values()), None)
    if people is None:
        return False, "nobody graded anything"
    graded = people.graded.select(*PAIR, people="grade")
    shown = excluded(project, pool(project.runs(), project.config.depth))
    graded = graded if shown is None else graded.join(shown, on=PAIR, how="anti")
    judges = project.store.judges().filter(~pl.col("judge_key").str.starts_with("human:"))
    named = judges.select("judge_key", "assessor").iter_rows()
    told = [said for key, name in named if (said := _least(project, key, name, graded))]
    return any(alone for alone, _ in told), "; ".join(words for _, words in told) or "no query has enough pairs of both"


def _least(project: Project, key: str, name: str, graded: pl.DataFrame) -> tuple[bool, str] | None:
    """Whether it agrees with nobody on some query, and the words; None where too few pairs have both grades."""
    said = project.store.known(key).filter(pl.col("grade").is_not_null()).unique(PAIR, keep="last", maintain_order=True)
    both = graded.join(said.select(*PAIR, "grade"), on=PAIR)
    each = both.group_by("query_id").agg(equal=(pl.col("grade") == pl.col("people")).mean(), pairs=pl.len())
    some = each.filter(pl.col("pairs") >= PAIRS_AT_LEAST).sort("equal", "query_id").head(QUERIES)
    if some.is_empty():
        return None
    words = ", ".join(f"{query} {equal:.0%} of {pairs}" for query, equal, pairs in some.iter_rows())
    return float(some["equal"][0]) == 0.0, f"{name}: {words}"


def _served(store: Store) -> Look:
    """Judges of one model whose replies came from several, over all sessions."""
    told = []
    for key, name, settings in store.judges().select("judge_key", "assessor", "settings").iter_rows():
        if len(models_of(orjson.loads(settings))) == 1:
            names = _served_names(store, key)
            if len(names) > 1:
                told.append(f"{name} was served by {', '.join(f'{served} ({n:,})' for served, n in sorted(names.items()))}")
    return bool(told), "; ".join(told) or "each judge by one"


def _served_names(store: Store, key: str) -> dict[str, int]:
    digests: list[Any] = store.judgments(key).filter(pl.col("request") != "")["request"].unique(maintain_order=True).to_list()
    names: dict[str, int] = {}
    for start in range(0, len(digests), REPLIES_AT_A_TIME):
        for reply in store.replies(digests[start : start + REPLIES_AT_A_TIME]).values():
            if reply.served:
                names[reply.served] = names.get(reply.served, 0) + 1
    return names


def _failed(store: Store) -> Look:
    """Attempts by error, long numbers aside."""
    rows = store.attempts()
    kinds = pl.Series("error", [_NUMBERS.sub("#", error) for error in rows["error"]], dtype=pl.String)
    counts = kinds.value_counts(sort=True).sort("count", "error", descending=[True, False]).head(TOLD)
    each = "; ".join(f"{count:,} × {error}" for error, count in counts.iter_rows())
    return rows.height > 0, each or "none"
