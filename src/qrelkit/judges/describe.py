"""Turns an image into text with a multimodal model: once per image and settings, whatever the number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from qrelkit.core.records import Image
from qrelkit.core.wire import Flow, Message, Request, Settings, Shrink, digest_of, picture, text
from qrelkit.text.prompt import Prompt


class Describe:
    """Implements the `Describer` door with a language model that sees images."""

    def __init__(
        self, model: str, prompt: Prompt, *, shrink: Shrink = Shrink(), sampling: Settings = Settings(), instructions: str = ""
    ) -> None:
        self.model, self.prompt, self.shrink, self.sampling = model, prompt, shrink, sampling
        self.instructions, self.name = instructions, model
        self._system = Message("system", (text(prompt.render("system", instructions=instructions)),))
        self._ask = text(prompt.render("ask", instructions=instructions))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        return {
            "kind": "describe",
            "model": self.model,
            "prompt_digest": self.prompt.digest,
            "instructions": self.instructions,
            "shrink": self.shrink.key,
            "sampling": self.sampling.json(),
        }

    @cached_property
    def key(self) -> str:
        return digest_of(self.settings)

    def flow(self, image: Image) -> Flow[str | None]:
        user = Message("user", (picture(image, self.shrink), self._ask))
        (reply,) = yield [Request(model=self.model, messages=(self._system, user), settings=self.sampling)]
        described = reply.text.strip() if reply.outcome == "answered" else ""
        return described or None
