"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Azure, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from qrelkit.core.wire import Reply, Request
from qrelkit.models import chat_format
from qrelkit.models.chat_problems import Problem, read_problem
from qrelkit.models.openai_batch import BatchChat

if TYPE_CHECKING:
    from yarl import URL

_AZURE_HOST = re.compile(r"https?://[^/?#]+\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)(:\d+)?([/?#]|$)", re.I)
_DEPLOYMENT = re.compile(r"(?P<root>.*/openai)/deployments/(?P<name>[^/?#]+)")


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
    lacks: Mapping[str, str] = {}

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
        return dataclasses.replace(read_problem(status, data), key_variable=self.keys[0])

    def batch_root(self, base: URL) -> URL:
        return base

    def batch_url(self, base: URL) -> str:
        return "/v1/chat/completions"


class AzureDialect(OpenAIDialect):
    """OpenAI's models at Azure: a key header of its own, and two forms of address.

    `…/openai/v1` is as at OpenAI. In `…/openai/deployments/NAME?api-version=…` the deployment is the model whatever the body
    says, except in a batch, which lies beside the deployments and goes by the body: so its name is what is sent.
    """

    keys: Sequence[str] = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")

    def __init__(self, base_url: str) -> None:
        found = _DEPLOYMENT.search(base_url)
        self.deployment = found["name"] if found else ""

    def headers(self, key: str) -> Mapping[str, str]:
        return {"api-key": key} if key else {}

    def opening(self, model: str, request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes:
        return super().opening(self.deployment or model, request, pictures)

    def batch_root(self, base: URL) -> URL:
        found = _DEPLOYMENT.match(base.path)
        return base.with_path(found["root"], keep_query=True) if found else base

    def batch_url(self, base: URL) -> str:
        return "/chat/completions" if self.deployment else "/v1/chat/completions"


class OpenAICompatible(BatchChat):
    """A model behind an OpenAI-compatible endpoint, Azure's by its address; options as `Chat` says."""

    def __init__(self, name: str = "openai:gpt-4o-mini", *, base_url: str | None = None, **options: Any) -> None:
        base = base_url or os.environ.get(OpenAIDialect.base_variable) or OpenAIDialect.base_url
        azure = _AZURE_HOST.match(base) or _DEPLOYMENT.search(base)
        super().__init__(name, AzureDialect(base) if azure else OpenAIDialect(), base_url=base, **options)
