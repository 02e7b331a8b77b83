"""Writes each query's own part of the guideline: translation, specificity, requirements, notes per grade.

Requirements carry an importance (must_have, approximate_is_okay, nice_to_have), as in arXiv 2409.11860, figure 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.core.guideline import IMPORTANCES, QueryGuideline, Scale
from qrelkit.core.records import Query
from qrelkit.core.wire import Flow, Message, Reply, Request, Schema, Settings, digest_of, text
from qrelkit.judges.read_reply import json_object
from qrelkit.text.leaving import MayLeave, leaving_query
from qrelkit.text.prompt import Prompt


class Guide:
    """Implements the `GuideWriter` door with a language model; `may_leave` as in `text/leaving.py`."""

    def __init__(
        self,
        model: str,
        scale: Scale,
        prompt: Prompt,
        *,
        instructions: str = "",
        sampling: Settings = Settings(),
        may_leave: MayLeave = None,
    ) -> None:
        self.model, self.scale, self.prompt, self.may_leave = model, scale, prompt, may_leave
        self.instructions, self.sampling = instructions, sampling
        self.name = model
        self._words = {"scale": scale, "labels": scale.labels, "instructions": instructions}
        self._schema = guide_schema(scale)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return {
            "kind": "guide",
            "model": self.model,
            "prompt_digest": self.prompt.digest,
            "scale": self.scale.json(),
            "instructions": self.instructions,
            "sampling": self.sampling.json(),
            **({} if self.may_leave is None else {"may_leave": sorted(self.may_leave)}),
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, query: Query) -> Flow[QueryGuideline | None]:
        system = Message("system", (text(self.prompt.render("system", **self._words)),))
        user = Message(
            "user",
            (
                text(self.prompt.render("query", query=leaving_query(query, self.may_leave), **self._words)),
                text(self.prompt.render("ask", **self._words)),
            ),
        )
        (reply,) = yield [self._request(system, user)]
        written, problem = self._read(reply, query)
        if written is None and reply.outcome == "answered":
            again = Message("user", (text(self.prompt.render("again", problem=problem, **self._words)),))
            (reply,) = yield [self._request(system, user, Message("assistant", (text(reply.text),)), again)]
            written, problem = self._read(reply, query)
        return written

    def _request(self, *messages: Message) -> Request:
        return Request(model=self.model, messages=messages, settings=self.sampling, schema=self._schema)

    def _read(self, reply: Reply, query: Query) -> tuple[QueryGuideline | None, str]:
        data = json_object(reply.text.strip()) if reply.outcome in ("answered", "truncated") else None
        if data is None:
            return None, "it is no JSON object"
        wanted = {k: data.get(k) for k in ("translation", "specificity", "requirements", "notes")}
        try:
            notes = wanted["notes"] or {}
            wanted["notes"] = {label: notes[label] for label in self.scale.labels if notes.get(label)}
            return QueryGuideline.read({"query_id": query.query_id, "query": query.text, **wanted}, "the answer"), ""
        except (InputError, AttributeError, TypeError) as error:
            return None, str(error)


def guide_schema(scale: Scale) -> Schema:
    """The JSON schema of a query's guideline for one scale."""
    string = {"type": "string"}
    requirement = {
        "type": "object",
        "properties": {"name": string, "value": string, "importance": {"type": "string", "enum": list(IMPORTANCES)}},
        "required": ["name", "value", "importance"],
        "additionalProperties": False,
    }
    notes = {
        "type": "object",
        "properties": dict.fromkeys(scale.labels, string),
        "required": list(scale.labels),
        "additionalProperties": False,
    }
    properties = {
        "translation": string,
        "specificity": {"type": "string", "enum": ["broad", "medium", "specific"]},
        "requirements": {"type": "array", "items": requirement},
        "notes": notes,
    }
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return Schema.of("guideline", schema)
