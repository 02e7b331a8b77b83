"""Conversations as the tensors that a model reads, through its own chat template.

Control tokens inside a text (`<|im_end|>`, an image's placeholder) are read as plain text: no document can end its turn.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from qrelkit.core.errors import Rejected
from qrelkit.models.local_requests import Content, PlainRequest
from qrelkit.models.local_weights import Weights


class Prompts:
    """Tokenizer, and where the model `sees` image processor, of some weights; `template` goes to the chat template.

    `folds_system` says that the template knows no system message, so that it is put in front of the first one.
    Raises Rejected where there is no chat template (a base model).
    """

    def __init__(self, weights: Weights, config: Any, template: Mapping[str, Any]) -> None:
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

        self.template = dict(template)
        self.sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        where = whereabouts(weights)
        self.encoder = _processor(weights.source, config, where) if self.sees else _tokenizer(weights.source, where)
        self.tokenizer = self.encoder.tokenizer if self.sees else self.encoder
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        if not self.encoder.chat_template:
            raise Rejected(
                f"{weights.name} has no chat template: it is no model to talk to; take its instruct version", fatal=True
            )
        ids = (getattr(self.encoder, "image_token_id", None), getattr(config, "image_token_id", None))
        self.image_id: int | None = next((i for i in ids if i is not None), None) if self.sees else None
        self.folds_system = False
        self.folds_system = self._knows_no_system()

    def tensors(self, rows: Sequence[PlainRequest]) -> Any:
        """The rows as one batch, padded on the left: input_ids, attention_mask, and what else the model wants."""
        pad = {"padding": True, "padding_side": "left"}
        return self.encoder.apply_chat_template(
            [self._chat(row.messages) for row in rows],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=True,
            **({"processor_kwargs": pad} if self.sees else {"padding": True}),
            **self.template,
        )

    def _chat(self, messages: Sequence[tuple[str, Content]]) -> list[dict[str, Any]]:
        if self.folds_system and len(messages) > 1 and messages[0][0] == "system":
            (_, told), (role, said) = messages[:2]
            messages = [(role, _joined(told, said)), *messages[2:]]
        return [{"role": role, "content": self._content(content)} for role, content in messages]

    def _content(self, content: Content) -> str | list[dict[str, Any]]:
        if not self.sees:
            return "\n\n".join(part for part in content if isinstance(part, str))
        return [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image", "image": _raster(p)} for p in content]

    def _knows_no_system(self) -> bool:
        """Some templates (Gemma's) raise an error for a system message."""
        from jinja2 import TemplateError

        try:
            self.encoder.apply_chat_template(self._chat([("system", ("a",)), ("user", ("b",))]), tokenize=False, **self.template)
        except TemplateError:
            return True
        return False


def whereabouts(weights: Weights) -> dict[str, Any]:
    """The arguments of `from_pretrained` that say where things come from; a folder never reaches for the network."""
    where: dict[str, Any] = {"local_files_only": bool(weights.digest) or weights.offline}
    return where | ({"revision": weights.revision} if weights.revision else {})


@contextmanager
def unheard(weights: Weights) -> Iterator[None]:
    """No telemetry; and where nothing may come from the network, the hub's library opens no connection.

    `local_files_only` alone is not enough: for the headers of a request that it will not make it fetches a list of agents.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_OFFLINE
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_OFFLINE = before[1] or whereabouts(weights)["local_files_only"]
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_OFFLINE = before


def _tokenizer(source: str, where: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, **where)


def _processor(source: str, config: Any, where: Mapping[str, Any]) -> Any:
    """The model's processor; without torchvision, which only its part for videos needs, one that has no such part."""
    from transformers import AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    try:
        return AutoProcessor.from_pretrained(source, **where)
    except ImportError as error:
        if "torchvision" not in str(error).lower():
            raise
    return _image_only(PROCESSOR_MAPPING[type(config)]).from_pretrained(source, **where)


def _image_only(whole: Any) -> Any:
    """A processor class less its video part: which parts are loaded is read off the signature of `__init__`."""

    class ImageOnly(whole):  # type: ignore[misc]
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **more: Any) -> None:
            self.video_processor = None
            super().__init__(image_processor, tokenizer, video_processor=None, chat_template=chat_template, **more)

    return ImageOnly


def _joined(told: Content, said: Content) -> Content:
    if isinstance(told[-1], str) and isinstance(said[0], str):
        return (*told[:-1], f"{told[-1]}\n\n{said[0]}", *said[1:])
    return (*told, *said)


def _raster(data: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")
