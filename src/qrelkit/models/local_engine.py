"""A transformers model in this process: conversations in, replies out, in batches of about one length.

    asked ─▶ batches (alike, by length) ─▶ chat template ─▶ generate ─▶ replies

The same engine answers for `local:` here and for `ray:` on every machine of a cluster. It opens no files but the model's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from qrelkit.core.errors import QrelkitError, Rejected
from qrelkit.core.wire import Reply
from qrelkit.models.local_batches import batches, by_halves
from qrelkit.models.local_prompts import Prompts, unheard, whereabouts
from qrelkit.models.local_requests import PlainRequest, refuse_pictures
from qrelkit.models.local_sampling import Chooser, Draw
from qrelkit.models.local_weights import Weights

if TYPE_CHECKING:
    import torch

CONTEXT = 4096  # tokens, of a model that does not say how many it takes


class Engine:
    """A loaded model. `device` is "auto" (a CUDA device where there is one), "cpu", "cuda", "cuda:1" …; `dtype` is "auto" (what
    the weights are in, on a CPU float32) or a name such as "bfloat16".

    `served` is what replies name as their model: weights with commit or digest, and the number format, which changes answers.
    Raises Rejected where it cannot be loaded, Mismatch where the folder's content is not what its name says.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        import torch

        weights.check()
        self.batch_size = batch_size
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        if dtype == "auto":
            dtype = "float32" if self.device.type == "cpu" else "auto"
        try:
            with unheard(weights):
                self.config, self.model = _loaded(weights, dtype)
                self.model.to(self.device)
                self.prompts = Prompts(weights, self.config, template or {})
        except QrelkitError:
            raise
        except Exception as error:  # whatever their readers of files raise
            raise Rejected(f"{weights.name} cannot be loaded: {_first_line(error)}", fatal=True) from error
        self.name = weights.name
        commit = getattr(self.config, "_commit_hash", None)
        at = self.name if weights.digest or not commit else f"{weights.source}@{commit}"
        self.served = f"{at} {str(self.model.dtype).removeprefix('torch.')}"
        self.context = getattr(self.config.get_text_config(), "max_position_embeddings", None) or CONTEXT
        self.halved = 0  # batches that memory did not hold

    def replies(self, rows: Sequence[PlainRequest], halted: Callable[[], bool] = bool) -> list[Reply]:
        """One reply per row, in order. `halted` is looked at after every token: once it is true, all that is left to answer comes
        back as failed.

        A prompt that is longer than the model's context, does not fit into memory even alone, or has an image that the model's
        processor will not have, fails alone. Raises Rejected where all fail, and for images where the model reads text only.
        """
        if not self.prompts.sees:
            refuse_pictures(rows, self.name)
        out: list[Reply | Exception] = [RuntimeError()] * len(rows)
        for batch in batches(rows, self.batch_size):
            for at, reply in zip(batch, by_halves([rows[i] for i in batch], lambda some: self._tried(some, halted)), strict=True):
                out[at] = reply
        errors = [f"{self.name}: {_first_line(reply)}" for reply in out if isinstance(reply, Exception)]
        if errors and len(errors) == len(rows):
            raise Rejected(errors[0])
        return [reply if isinstance(reply, Reply) else _failed(f"{self.name}: {_first_line(reply)}") for reply in out]

    def _tried(self, rows: Sequence[PlainRequest], halted: Callable[[], bool]) -> list[Reply]:
        import torch

        try:
            return self._batch(rows, halted)
        except torch.OutOfMemoryError:
            self.halved += len(rows) > 1
            raise

    def _batch(self, rows: Sequence[PlainRequest], halted: Callable[[], bool]) -> list[Reply]:
        """The replies to rows of equal settings. Rows with too little room behind them for a whole reply are asked alone, so that
        they shorten nobody else's."""
        if halted():
            return [_failed("stopped before it was answered")] * len(rows)
        tensors = self.prompts.tensors(rows)
        counts = [int(count) for count in tensors["attention_mask"].sum(dim=1)]
        wanted = rows[0].settings.max_tokens
        short = [count + (wanted or 1) > self.context for count in counts]
        if len(rows) > 1 and any(short):
            rest = iter(self._batch([row for row, s in zip(rows, short, strict=True) if not s], halted) if not all(short) else [])
            return [self._batch([row], halted)[0] if s else next(rest) for row, s in zip(rows, short, strict=True)]
        room = self.context - max(counts)
        if room < 1:
            return [_failed(f"the prompt has {counts[0]:,} tokens, and {self.name} takes {self.context:,}")]
        return self._generated(rows, tensors, counts, min(wanted or room, room), halted)

    def _generated(
        self, rows: Sequence[PlainRequest], tensors: Any, counts: Sequence[int], max_new: int, halted: Callable[[], bool]
    ) -> list[Reply]:
        import torch

        start = time.perf_counter()
        draw = Draw.of(rows[0].settings, self.model.generation_config)
        chooser = Chooser(draw, [self._generator(row) for row in rows], record=rows[0].settings.token_probabilities)
        images = (tensors["input_ids"] == self.prompts.image_id).sum(dim=1) if self.prompts.image_id is not None else None
        with torch.inference_mode():
            ids = self.model.generate(
                **_moved(tensors, self.device, self.model.dtype),
                generation_config=self._configuration(max_new),
                logits_processor=[chooser],
                stopping_criteria=[lambda ids, scores: torch.full((len(ids),), halted(), device=ids.device)],
            )
        if halted():
            return [_failed("stopped before it was answered")] * len(rows)
        chooser.took(ids)
        said = ids[:, tensors["input_ids"].shape[1] :].cpu()
        seconds = time.perf_counter() - start
        return [
            self._reply(said[i].tolist(), counts[i], int(images[i]) if images is not None else 0, chooser.of(i), seconds)
            for i in range(len(rows))
        ]

    def _reply(
        self, ids: list[int], tokens_in: int, tokens_image: int, near: Sequence[Mapping[int, float]] | None, seconds: float
    ) -> Reply:
        end = next((at for at, one in enumerate(ids) if one in self._ends), None)
        said = ids if end is None else ids[:end]
        decode = self.prompts.tokenizer.decode
        return Reply(
            text=decode(said, skip_special_tokens=True),
            outcome="truncated" if end is None else "answered",
            served=self.served,
            finish="length" if end is None else "stop",
            tokens_in=tokens_in,
            tokens_out=len(said) + (end is not None),
            tokens_image=tokens_image,
            latency_s=seconds,
            token_probabilities=None if near is None else tuple(_named(decode, *one) for one in zip(said, near, strict=False)),
        )

    def _generator(self, row: PlainRequest) -> torch.Generator:
        import torch

        return torch.Generator(self.device).manual_seed(row.seed)

    @property
    def _ends(self) -> set[int]:
        """The tokens that end a reply."""
        own = self.model.generation_config.eos_token_id
        ends = own if isinstance(own, list) else [own]
        return {end for end in (*ends, self.prompts.tokenizer.eos_token_id) if end is not None}

    def _configuration(self, max_new: int) -> Any:
        """The model's own generation configuration, greedy: drawing is the chooser's work."""
        config = deepcopy(self.model.generation_config)
        config.update(
            max_new_tokens=max_new, max_length=None, do_sample=False, num_beams=1, num_return_sequences=1,
            temperature=None, top_k=None, top_p=None, min_p=None, typical_p=None,
            eos_token_id=sorted(self._ends) or None, pad_token_id=self.prompts.tokenizer.pad_token_id,
            return_dict_in_generate=False,
        )  # fmt: skip
        return config


def _loaded(weights: Weights, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    where = whereabouts(weights)
    config = AutoConfig.from_pretrained(weights.source, **where)
    kind = AutoModelForImageTextToText if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING else AutoModelForCausalLM
    with without_bars():
        return config, kind.from_pretrained(weights.source, config=config, dtype=dtype, **where).eval()


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bar of theirs between ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _moved(tensors: Any, device: Any, dtype: Any) -> dict[str, Any]:
    """The tensors on the device, pixels in the model's number format."""
    return {name: t.to(device, dtype) if t.is_floating_point() else t.to(device) for name, t in tensors.items()}


def _named(decode: Callable[..., str], taken: int, near: Mapping[int, float]) -> tuple[str, dict[str, float]]:
    """A token and the log probabilities of the alternatives, by their texts; of tokens with one text the likeliest counts."""
    out: dict[str, float] = {}
    for one, log_probability in near.items():
        text = decode([one])
        out[text] = max(log_probability, out.get(text, log_probability))
    return decode([taken]), out


def _failed(error: str) -> Reply:
    return Reply(text="", outcome="failed", error=error)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
