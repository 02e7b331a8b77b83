"""The store that is gone when the program ends: plain Python objects, for tests, for the demo, and beside plain files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import TracebackType
from typing import Any, Self

import orjson
import polars as pl

from qrelkit.core.errors import StoreError
from qrelkit.core.guideline import QueryGuideline
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Part, Reply, Request, Schema, Text, canonical, picture, text
from qrelkit.stores import frames
from qrelkit.stores.packing import clean


class MemoryStore:
    """The `Store` door without a database; keeps every promise of it except that anything lasts."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._asked: dict[str, tuple[Request, Reply]] = {}
        self._costs: list[float] = []
        self._judges: dict[str, tuple[str, str, int]] = {}
        self._judgments: list[dict[str, Any]] = []
        self._guidelines: list[tuple[str, str, str, str, str, int]] = []
        self._descriptions: dict[str, dict[str, str]] = {}
        self._spending: list[tuple[str | float, ...]] = []

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._asked)} replies, {len(self._judgments)} judgments)"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to let go of."""

    def replies(self, digests: Sequence[str]) -> dict[str, Reply]:
        return {d: self._asked[d][1] for d in digests if d in self._asked}

    def add_replies(self, rows: Sequence[tuple[Request, Reply]]) -> None:
        for request, reply in rows:
            if reply.outcome != "failed":
                digest = request.digest
                self._asked.setdefault(digest, (request, replace(reply, request=digest, known=True, error="")))
                self._costs.append(reply.cost_usd or 0.0)

    def conversation(self, digest: str) -> tuple[dict[str, Any], Reply] | None:
        if digest not in self._asked:
            return None
        request, reply = self._asked[digest]
        messages = [{"role": m.role, "parts": [_shown(p) for p in m.parts]} for m in request.messages]
        schema = request.schema and {"name": request.schema.name, "schema": request.schema.schema}
        return orjson.loads(request.envelope()) | {"messages": messages, "schema": schema}, reply

    def spent_usd(self) -> float:
        return sum(self._costs)

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
        for number, judgment in enumerate(judgments, len(self._judgments) + 1):
            row = {f.name: getattr(judgment, f.name) for f in fields(judgment)}
            row |= {"id": number, "judge_key": judge_key, "created": created, "reason": clean(judgment.reason)}
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
        self._spending.append((stage, key, *frames.spent(numbers)))

    def spending(self, keys: Sequence[str] | None = None) -> pl.DataFrame:
        return frames.summed([row for row in self._spending if keys is None or row[1] in keys])

    def verify(self) -> list[str]:
        wrong = []
        for digest, (request, _) in self._asked.items():
            parts: list[Part | Schema] = [p for m in request.messages for p in m.parts]
            for part in [*parts, request.schema] if request.schema else parts:
                if (found := _made_again(part).digest) != part.digest:
                    wrong.append(f"part {part.digest}: its content has the digest {found}")
            if request.digest != digest:
                wrong.append(f"request {digest}: its envelope has the digest {request.digest}")
        return wrong

    def _ms(self) -> int:
        return int(self._now() * 1000)


def _shown(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image", "digest": part.image.digest, "shrink": part.shrink.key}


def _made_again(part: Part | Schema) -> Part | Schema:
    """The same part with its digest computed anew."""
    if isinstance(part, Text):
        return text(part.text)
    return Schema.of(part.name, part.schema) if isinstance(part, Schema) else picture(part.image, part.shrink)
