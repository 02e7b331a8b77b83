"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Azure, OpenRouter, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from qrelkit.core.wire import Reply, Request
from qrelkit.models import chat_format
from qrelkit.models.chat import Chat
from qrelkit.models.chat_problems import Problem, read_problem


class OpenAIDialect:
    """Chat completions as OpenAI writes them."""

    provider = "openai"
    keys: Sequence[str] = ("OPENAI_API_KEY",)
    base_url = "https://api.openai.com/v1"
    base_variable = "OPENAI_BASE_URL"
    instead: Mapping[str, str] = {
        "max_tokens": "max_completion_tokens is sent instead",
        "response_format": "replies come as plain text, which the prompt asks to be JSON",
    }

    def path(self, model: str) -> str:
        return "/chat/completions"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def opening(self, model: str, request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes:
        return b'{"model":%b,"messages":%b' % (orjson.dumps(model), chat_format.messages(request, pictures))

    def tail(self, request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> tuple[bytes, frozenset[str]]:
        return chat_format.tail(request, refused, extra)

    def image(self, media_type: str, data: bytes) -> orjson.Fragment:
        return chat_format.image_part(media_type, data)

    def read(self, data: Mapping[str, Any], latency_s: float | None) -> Reply:
        return chat_format.read_reply(data, latency_s)

    def problem(self, status: int, data: Any) -> Problem:
        return read_problem(status, data)


class OpenAICompatible(Chat):
    """A model behind an OpenAI-compatible endpoint; options as `Chat` says."""

    def __init__(self, name: str = "openai:gpt-4o-mini", **options: Any) -> None:
        super().__init__(name, OpenAIDialect(), **options)
