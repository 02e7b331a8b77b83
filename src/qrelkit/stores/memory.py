"""The store that is gone when the program ends: plain Python objects, for tests, for the demo, and beside plain files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import TracebackType
from typing import Any, Self

import polars as pl

from qrelkit.core.doors import BatchRow, Keep
from qrelkit.core.errors import StoreError
from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Reply, Request, canonical
from qrelkit.stores import frames
from qrelkit.stores.memory_ledger import MemoryLedger
from qrelkit.stores.packing import clean, details_json


class MemoryStore:
    """The `Store` door without a database; keeps every promise of it except that anything lasts."""

    def __init__(self, *, keep: Keep = "full", now: Callable[[], float] = time.time) -> None:
        self.keep, self._now = keep, now
        self._ledger = MemoryLedger(keep, now)
        self._judges: dict[str, tuple[str, str, int]] = {}
        self._judgments: list[dict[str, Any]] = []
        self._said: set[tuple[Any, ...]] = set()  # judgments that came of a request
        self._guidelines: list[tuple[str, str, str, str, str, int]] = []
        self._descriptions: dict[str, dict[str, str]] = {}
        self._spending: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._ledger)} replies, {len(self._judgments)} judgments)"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to let go of."""

    # the ledger

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
        return self._ledger.replies(digests)

    def add_replies(self, rows: Sequence[tuple[Request, Reply]]) -> None:
        self._ledger.add(rows)

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        return self._ledger.conversation(digest)

    def spent_usd(self, since: float | None = None) -> float:
        return self._ledger.spent_usd(since)

    def verify(self) -> list[str]:
        return self._ledger.verify()

    def open_session(self, what: str) -> int:
        return self._ledger.open()

    def exchange(
        self,
        session: int,
        asking: Sequence[str],
        answered: Sequence[tuple[Request, Reply]] = (),
        failed: Sequence[tuple[str, float, str]] = (),
    ) -> dict[str, Reply | float]:
        return self._ledger.exchange(session, asking, answered, failed)

    def end_session(self, session: int) -> None:
        self._ledger.end(session)

    def unanswered(self) -> pl.DataFrame:
        return self._ledger.unanswered()

    def attempts(self) -> pl.DataFrame:
        return self._ledger.attempts()

    def add_batch(self, tag: str, requests: Sequence[Request]) -> None:
        self._ledger.add_batch(tag, requests)

    def set_ticket(self, tag: str, ticket: str) -> None:
        batch = self._ledger.batch(tag)
        batch.row = replace(batch.row, ticket=ticket)

    def batches(self) -> list[BatchRow]:
        return self._ledger.batches()

    def batched(self, tag: str) -> list[str]:
        return sorted(self._ledger.batch(tag).requests)

    def add_batch_replies(self, tag: str, replies: Mapping[str, Reply]) -> None:
        self._ledger.add_batch_replies(tag, replies)

    def end_batch(self, tag: str) -> None:
        self._ledger.end_batch(tag)

    def settle(self) -> None:
        if self.keep == "grades":
            self._ledger.settle({row["request"] for row in self._judgments if row["outcome"] != "failed"})
            self._judgments = [row | {"reason": ""} if row["request"] else row for row in self._judgments]

    def forget(self, doc_ids: Sequence[str], image_digests: Sequence[str], texts: Sequence[str]) -> dict[str, int]:
        """Erases what holds one of these documents; grades and costs stay. See `Store`."""
        ids, images = set(doc_ids), set(image_digests)
        own = {row["request"] for row in self._judgments if row["doc_id"] in ids and row["request"]}
        others = {row["request"] for row in self._judgments if row["doc_id"] not in ids and row["request"]}
        described = [said for texts in self._descriptions.values() for image, said in texts.items() if image in images]
        counts, asked = self._ledger.forget(own, others, image_digests, [*texts, *described])
        told = [row for row in self._judgments if row["doc_id"] in ids and (row["reason"] or row["details"])]
        for row in told:
            row |= {"reason": "", "details": ""}
        quoting = [row for row in self._judgments if row["reason"] and row["request"] in asked]
        for row in quoting:  # of other documents, from a reply that saw these too
            row["reason"] = ""
        for said in self._descriptions.values():
            for image in images & said.keys():
                del said[image]
        return counts | {"judgments": len(told) + len(quoting), "descriptions": len(described)}

    # assessors

    def add_judge(self, key: str, name: str, settings: Mapping[str, Any]) -> None:
        _, written, created = self._judges.get(key, ("", canonical(dict(settings)).decode(), self._ms()))
        self._judges[key] = (name, written, created)

    def judges(self) -> pl.DataFrame:
        return frames.dated([(key, *about) for key, about in self._judges.items()], frames.JUDGES)

    def known(self, judge_key: str) -> pl.DataFrame:
        rows = self.judgments(judge_key).select(list(frames.KNOWN))
        return frames.newest(rows, ["query_id", "doc_id", "query_key", "doc_key"])

    def judgments(self, judge_key: str | None = None) -> pl.DataFrame:
        chosen = [row for row in self._judgments if judge_key is None or row["judge_key"] == judge_key]
        named = [row | {"assessor": self._judges[row["judge_key"]][0]} for row in chosen]
        frame = pl.DataFrame(named, schema={**frames.JUDGMENTS, "created": pl.Int64})
        return frame.with_columns(frames.moment("created"))

    def add_judgments(self, judge_key: str, judgments: Sequence[Judgment]) -> None:
        if judgments and judge_key not in self._judges:
            raise StoreError(f"memory: there is no judge {judge_key!r}; add_judge comes before add_judgments")
        created = self._ms()
        for judgment in judgments:
            about = (judge_key, *(getattr(judgment, name) for name in frames.SAME_VERDICT))
            if judgment.request and about in self._said:
                continue
            if judgment.request:
                self._said.add(about)
            row = {f.name: getattr(judgment, f.name) for f in fields(judgment)}
            row |= {"id": len(self._judgments) + 1, "judge_key": judge_key, "created": created, "reason": clean(judgment.reason)}
            row["details"] = details_json(judgment.details)
            self._judgments.append(row)

    def guidelines(self) -> pl.DataFrame:
        return frames.dated(self._guidelines, frames.GUIDELINES)

    def add_guidelines(self, guidelines: Iterable[QueryGuideline], origin: str) -> int:
        newest = {query_id: (version, approved) for query_id, version, _, approved, _, _ in self._guidelines}
        before, created = len(self._guidelines), self._ms()
        for one in guidelines:
            if newest.get(one.query_id) != (one.version, one.approved):
                newest[one.query_id] = (one.version, one.approved)
                content = canonical(one.content()).decode()
                self._guidelines.append((one.query_id, one.version, content, one.approved, origin, created))
        return len(self._guidelines) - before

    def descriptions(self, describer_key: str) -> dict[str, str]:
        return dict(self._descriptions.get(describer_key, {}))

    def add_descriptions(self, describer_key: str, texts: Mapping[str, str]) -> None:
        self._descriptions.setdefault(describer_key, {}).update({image: clean(said) for image, said in texts.items()})

    def add_spending(self, stage: str, key: str, numbers: Mapping[str, float]) -> None:
        self._spending.append({"stage": stage, "key": key, **frames.spent(numbers)})

    def spending(self, keys: Sequence[str] | None = None) -> pl.DataFrame:
        return frames.summed([tuple(row.values()) for row in self._spending if keys is None or row["key"] in keys])

    def _ms(self) -> int:
        return int(self._now() * 1000)
