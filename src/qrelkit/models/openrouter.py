"""OpenRouter: one address for the models of many providers, in OpenAI's format, with what each reply cost.

It hands a request to whoever serves the model just then, at whatever precision; `extra_body: {provider: {order: […],
allow_fallbacks: false}}` keeps it to one. Who answered is part of the served name. https://openrouter.ai/docs
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from qrelkit.core.wire import Reply
from qrelkit.models.chat import Chat
from qrelkit.models.chat_problems import SAID, Problem
from qrelkit.models.counts import fields
from qrelkit.models.openai_compatible import OpenAIDialect


class OpenRouterDialect(OpenAIDialect):
    """OpenAI's format with `usage.cost`, `provider`, and errors that quote the provider behind."""

    provider = "openrouter"
    keys: Sequence[str] = ("OPENROUTER_API_KEY",)
    base_url = "https://openrouter.ai/api/v1"
    base_variable = ""

    def read(self, data: Mapping[str, Any], latency_s: float | None) -> Reply:
        reply = super().read(data, latency_s)
        served = f"{reply.served} via {data['provider']}" if data.get("provider") else reply.served
        return dataclasses.replace(reply, served=served, cost_usd=_cost(fields(data.get("usage"))))

    def problem(self, status: int, data: Any) -> Problem:
        """A 403 that names what was flagged is a refusal of the text, no matter of the key."""
        problem = super().problem(status, data)
        error = data.get("error") if isinstance(data, dict) else None
        metadata = error.get("metadata") if isinstance(error, dict) else None
        if not isinstance(metadata, dict):
            return problem
        flagged = problem.status == 403 and bool(metadata.keys() & {"reasons", "flagged_input"})
        raw = metadata.get("raw")
        said = f"{problem.said}: {' '.join(raw.split())}"[:SAID] if isinstance(raw, str) else problem.said
        return dataclasses.replace(problem, said=said, filtered=problem.filtered or flagged)


class OpenRouter(Chat):
    """A model behind OpenRouter, `openrouter:vendor/name`; options as `Chat` says. It takes no batches."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, OpenRouterDialect(), **options)


def _cost(usage: Mapping[str, Any]) -> float | None:
    """Dollars as billed; with a key of one's own the provider's bill comes on top of OpenRouter's fee."""
    cost = usage.get("cost")
    if not isinstance(cost, int | float):
        return None
    if not usage.get("is_byok"):
        return float(cost)
    upstream = fields(usage.get("cost_details")).get("upstream_inference_cost")
    return float(cost + upstream) if isinstance(upstream, int | float) else None
