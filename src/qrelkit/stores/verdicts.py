"""Judges and judgments in a database: rows of small numbers, given out as frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
from sqlalchemy import Connection, Table, bindparam, func, literal_column, select

from qrelkit.core.records import OUTCOMES, Judgment
from qrelkit.stores import frames
from qrelkit.stores.database import Database
from qrelkit.stores.packing import clean, details_json, request_blob, request_digest
from qrelkit.stores.schema import documents, judges, judgments, queries

NO_GRADE = -(2**31)
Same = tuple[Any, ...]  # query, document, sample, outcome, grade, request of a verdict
REQUEST_OF_SAME = 5
NEWER = "SELECT id, query, document, sample, outcome, grade, request FROM judgments WHERE judge = ? AND id > ? ORDER BY id"
KEPT_AT_MOST = 200_000
_KNOWN = (
    judgments.c.query,
    judgments.c.document,
    func.coalesce(judgments.c.grade, literal_column(str(NO_GRADE))),
    judgments.c.outcome,
    judgments.c.sample,
)
_ALL = tuple(judgments.columns)
_NOT_WHOLE = {n: frames.JUDGMENTS[n] for n in ("grade", "cost_usd", "request", "guideline", "reason", "probabilities", "details")}


class Numbers:
    """Small numbers for (id, key), the same ones for ever."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database, self._table = database, table
        self._kept: dict[tuple[str, str], int] = {}

    def of(self, values: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The number of each value, given now where it has none."""
        distinct = dict.fromkeys(values)
        found = {v: self._kept[v] for v in distinct if v in self._kept}
        missing = [v for v in distinct if v not in found]
        if missing:
            self._database.add(self._table, missing, once=True)
            number, name, key = self._table.columns
            ids = list(dict.fromkeys(v[0] for v in missing))
            wanted = set(missing)
            for n, i, k in self._database.matching((number, name, key), name, ids):
                if (i, k) in wanted:
                    found[i, k] = n
        return found

    def keep(self, numbers: dict[tuple[str, str], int]) -> None:
        """Remembers numbers that are on disk."""
        if len(self._kept) > KEPT_AT_MOST:
            self._kept.clear()
        self._kept.update(numbers)

    def frame(self) -> pl.DataFrame:
        """All of them."""
        names = self._table.columns.keys()
        rows = _columns(self._database.rows(self._database.text(self._table.name, lambda: select(self._table))), 3)
        return pl.DataFrame(
            [pl.Series(n, values, dtype=t) for n, values, t in zip(names, rows, (pl.Int64, pl.String, pl.String), strict=True)]
        )


class Verdicts:
    """Judgments of all assessors, append-only."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now
        self._queries, self._documents = Numbers(database, queries), Numbers(database, documents)
        self._judges: dict[str, int] = {}
        self._seen: dict[int, int] = {}  # per judge, up to which row is known what others stored
        self._others: dict[int, set[Same]] = {}  # what others stored since `known` was asked

    def add_judge(self, key: str, name: str, settings: Mapping[str, Any]) -> None:
        """Makes an assessor known; of one that is known already only a new name is taken."""
        written = orjson.dumps(dict(settings), option=orjson.OPT_SORT_KEYS).decode()
        value = {"key": key, "name": name, "settings": written, "created": int(self._now() * 1000)}
        with self._database.writing():
            self._database.put(judges, value, "key", ["name"])

    def judges(self) -> pl.DataFrame:
        """judge_key, assessor, settings (JSON), created; in order of appearance."""
        with self._database.reading() as connection:
            columns = (judges.c.key, judges.c.name, judges.c.settings, judges.c.created)
            rows = connection.execute(select(*columns).order_by(judges.c.id)).all()
        return frames.dated(rows, frames.JUDGES)

    def add(self, judge_key: str, rows: Sequence[Judgment]) -> None:
        """Stores judgments in their order, in one transaction; a verdict that another process has stored of the same reply since
        this one looked (`known`) is left out."""
        if not rows:
            return
        created = int(self._now() * 1000)
        with self._database.writing() as connection:
            judge = self._judge(connection, judge_key)
            of_query = self._queries.of([(j.query_id, j.query_key) for j in rows])
            of_document = self._documents.of([(j.doc_id, j.doc_key) for j in rows])
            values = [_row(j, judge, of_query[j.query_id, j.query_key], of_document[j.doc_id, j.doc_key], created) for j in rows]
            if any(j.request for j in rows):
                others = self._stored_by_others(judge)
                values = [row for row in values if _same(row) not in others]
            self._database.add(judgments, values)
            last = self._last(judge)
        self._seen[judge] = last
        self._queries.keep(of_query)
        self._documents.keep(of_document)

    def _stored_by_others(self, judge: int) -> set[Same]:
        """The verdicts with a request that others stored since `known` was asked."""
        others = self._others.setdefault(judge, set())
        newer = self._database.rows(NEWER, judge, self._seen.get(judge, 0))
        others.update(tuple(same) for _, *same in newer if same[REQUEST_OF_SAME] is not None)
        return others

    def _last(self, judge: int) -> int:
        """The number of a judge's last row."""
        ((last,),) = self._database.rows("SELECT coalesce(max(id), 0) FROM judgments WHERE judge = ?", judge)
        return int(last)

    def _judge(self, connection: Connection, key: str) -> int:
        if key not in self._judges:
            number = connection.scalar(select(judges.c.id).where(judges.c.key == key))
            if number is None:
                raise self._database.refuse(f"there is no judge {key!r}; add_judge comes before add_judgments")
            self._judges[key] = number
        return self._judges[key]

    def known(self, judge_key: str) -> pl.DataFrame:
        """The row that counts of each pair, as `Store` says; only numbers are read per row."""
        sql = self._database.text(
            "known", lambda: select(*_KNOWN).where(judgments.c.judge == bindparam("judge")).order_by(judgments.c.id)
        )
        with self._database.reading() as connection:
            judge = connection.scalar(select(judges.c.id).where(judges.c.key == judge_key))
            if judge is None:
                return pl.DataFrame(schema=frames.KNOWN)
            self._seen[judge] = self._last(judge)  # before the rows are read: what comes between is looked at again
            self._others.pop(judge, None)
            flat = itertools.chain.from_iterable(self._database.rows(sql, judge))
            numbers = np.fromiter(flat, dtype=np.int64).reshape(-1, len(_KNOWN))
            of_query, of_document = self._queries.frame(), self._documents.frame()
        rows = pl.DataFrame(numbers, schema=["query", "document", "grade", "outcome", "sample"])
        rows = rows.with_columns(_outcome(), grade=pl.when(pl.col("grade") != NO_GRADE).then("grade").cast(pl.Int32))
        counting = frames.newest(rows, ["query", "document"])
        return _named(counting, of_query, of_document).select(list(frames.KNOWN))

    def judgments(self, judge_key: str | None) -> pl.DataFrame:
        """All rows of one judge or of all, as `Store` says."""
        every = select(*_ALL).order_by(judgments.c.id)
        of_one = every.where(judgments.c.judge == bindparam("judge"))
        with self._database.reading() as connection:
            about = connection.execute(select(judges.c.id, judges.c.key, judges.c.name)).all()
            asked = () if judge_key is None else (next((n for n, key, _ in about if key == judge_key), 0),)
            sql = self._database.text(("all judgments", len(asked)), lambda: of_one if asked else every)
            columns = _columns(self._database.rows(sql, *asked), len(_ALL))
            of_query, of_document = self._queries.frame(), self._documents.frame()
        rows = pl.DataFrame(_series(dict(zip((c.name for c in _ALL), columns, strict=True))))
        of_judge = pl.DataFrame(about, schema={"judge": pl.Int64, "judge_key": pl.String, "assessor": pl.String}, orient="row")
        rows = _named(rows, of_query, of_document).join(of_judge, on="judge", how="left", maintain_order="left")
        return rows.with_columns(_outcome(), frames.moment("created")).select(list(frames.JUDGMENTS))


def _row(judgment: Judgment, judge: int, query: int, document: int, created: int) -> tuple[Any, ...]:
    """The columns of `judgments` after `id`."""
    return (
        judge,
        query,
        document,
        judgment.grade,
        OUTCOMES.index(judgment.outcome),
        judgment.sample,
        judgment.replaces,
        judgment.cost_usd,
        created,
        request_blob(judgment.request) if judgment.request else None,
        judgment.guideline,
        clean(judgment.reason),
        None if judgment.probabilities is None else orjson.dumps(judgment.probabilities).decode(),
        details_json(judgment.details) or None,
    )


def _same(row: tuple[Any, ...]) -> Same:
    """What two rows of one judge have in common that are the same verdict; of the columns of `judgments` after `id`."""
    _, query, document, grade, outcome, sample, _, _, _, request, *_ = row
    return query, document, sample, outcome, grade, request


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Rows turned into columns."""
    return list(zip(*rows, strict=True)) or [()] * width


def _series(columns: dict[str, Sequence[Any]]) -> list[pl.Series]:
    """The columns _ALL as they go into a frame."""
    columns["request"] = ["" if r is None else request_digest(r) for r in columns["request"]]
    columns["details"] = [d or "" for d in columns["details"]]
    columns["probabilities"] = orjson.loads("[" + ",".join(p or "null" for p in columns["probabilities"]) + "]")
    return [pl.Series(name, values, dtype=_NOT_WHOLE.get(name, pl.Int64)) for name, values in columns.items()]


def _outcome() -> pl.Expr:
    return pl.col("outcome").replace_strict(list(range(len(OUTCOMES))), list(OUTCOMES), return_dtype=pl.String)


def _named(rows: pl.DataFrame, of_query: pl.DataFrame, of_document: pl.DataFrame) -> pl.DataFrame:
    """Rows with ids and keys beside the numbers of query and document."""
    with_query = rows.join(of_query, left_on="query", right_on="id", how="left", maintain_order="left")
    return with_query.join(of_document, left_on="document", right_on="id", how="left", maintain_order="left")
