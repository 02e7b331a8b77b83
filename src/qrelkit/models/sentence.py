"""Encoders that run in this process: sentence-transformers models from the hub or a folder.

    text ─▶ prefix + text ─▶ tokens, cut at the side's length ─▶ the model's modules (transformer, pooling, …) ─▶ vector

Tokens are made here, as the recipe says (`encoders.yaml`); the rest is the model's own modules, or its transformer with the
pooling that the recipe names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from qrelkit.core.doors import Side
from qrelkit.core.errors import InputError, QrelkitError, Rejected
from qrelkit.models.encoders_kept import Kept
from qrelkit.models.encoders_table import Recipe
from qrelkit.models.encoders_weights import encoder_weights
from qrelkit.models.local import needs
from qrelkit.models.local_engine import without_bars
from qrelkit.models.local_prompts import unheard, whereabouts
from qrelkit.models.local_weights import Weights

Rows = NDArray[np.float32]
POOLED = {"cls": "cls", "mean": "mean", "last": "lasttoken"}


class Sentence:
    """A model of this process, loaded when a text is first encoded; with a `document_model` there are two of them.

    `device` is "auto" (a CUDA device where there is one) or a name. Vectors of queries and rewrites are kept in the folder `keep`
    if one is given. A folder never touches the network; `offline` takes from the hub only what is on this machine. `notes` has
    what was taken for granted. The recipe's `remote_code` runs Python code that comes with the model: only if `trust` says so.

    Raises MissingExtra without sentence-transformers; InputError for what is neither folder nor name of the hub, and for code
    that is needed and not trusted.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: str = "auto",
        batch_size: int = 32,
        offline: bool = False,
        trust: bool = False,
        keep: Path | None = None,
    ) -> None:
        needs(f"encoding with {recipe.model}", "dense", "sentence_transformers", "torch")
        if recipe.remote_code and not trust:
            raise InputError(f"{recipe.model} comes with Python code of its own, which it needs; run it with --trust-remote-code")
        self._weights = {"query": encoder_weights(recipe.model, offline=offline)}
        self._weights["document"] = (
            encoder_weights(recipe.document_model, offline=offline) if recipe.document_model else self._weights["query"]
        )
        self.name, self._trust = self._weights["query"].name, trust
        self.recipe, self.notes = _completed(recipe, self._weights["query"])
        self.similarity = self.recipe.similarity
        self._device, self._batch_size = device, batch_size
        self._models: dict[str, Any] = {}
        self._kept = None if keep is None else Kept(keep, self.name, self.settings)

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that changes a vector."""
        said = self.recipe.json()
        said["document"]["model"] = self._weights["document"].name
        return {"kind": "sentence-transformers", **said, "query": {**said["query"], "model": self.name}}

    def encode(self, texts: Sequence[str], side: Side) -> Rows:
        """Vectors of texts × dimensions, in order. Raises Rejected where the model cannot be loaded."""
        kept = self._kept
        if kept is None or side == "document" or not texts:
            return self._encoded(texts, side)

        def ask(some: list[str]) -> Rows:
            rows = self._encoded([text.partition("\0")[2] for text in some], side)
            kept.add(some, rows)
            return rows

        return kept.through([f"{side}\0{text}" for text in texts], ask)

    def _encoded(self, texts: Sequence[str], side: Side) -> Rows:
        """Batches of about one length, the longest first, so that what memory does not hold is known at once."""
        import torch

        model = self._loaded("document" if side == "document" else "query")
        prefix = self.recipe.prefix(side) or ""
        whole = [prefix + text for text in texts]
        order = np.argsort([-len(text) for text in whole], kind="stable")
        out: list[Rows] = [np.zeros(0, np.float32)] * len(whole)
        with torch.inference_mode():
            for begin in range(0, len(whole), self._batch_size):
                batch = order[begin : begin + self._batch_size].tolist()
                features = self._features(model.tokenizer, [whole[i] for i in batch], side)
                if prefix and not self.recipe.pooled_prefix:
                    features["prompt_length"] = _length(model.tokenizer, prefix)
                moved = {k: v.to(model.device) if hasattr(v, "to") else v for k, v in features.items()}
                rows = model(moved)["sentence_embedding"].float().cpu().numpy()
                for i, row in zip(batch, rows, strict=True):
                    out[i] = row
        rows = np.stack(out).astype(np.float32, copy=False) if out else np.zeros((0, 0), np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) if self.recipe.unit else rows

    def _features(self, tokenizer: Any, texts: list[str], side: Side) -> dict[str, Any]:
        """Tokens as tensors: ids and mask, padded to the longest."""
        tokens = self.recipe.document_tokens if side == "document" else self.recipe.query_tokens
        limit = min(tokens or tokenizer.model_max_length, tokenizer.model_max_length)
        if self.recipe.eos:
            ids = tokenizer(texts, truncation=True, max_length=limit - 1, return_attention_mask=False)["input_ids"]
            ended = {"input_ids": [[*row, tokenizer.eos_token_id] for row in ids]}
            return dict(tokenizer.pad(ended, padding=True, return_attention_mask=True, return_tensors="pt"))
        given = ([""] * len(texts), texts) if self.recipe.pair and side == "document" else (texts,)
        return dict(tokenizer(*given, padding=True, truncation="longest_first", max_length=limit, return_tensors="pt"))

    def _loaded(self, side: str) -> Any:
        weights = self._weights[side]
        if weights.name not in self._models:
            try:
                with unheard(weights), without_bars():
                    self._models[weights.name] = _model(weights, self.recipe, self._device, trust=self._trust)
            except QrelkitError:
                raise
            except Exception as error:  # whatever their readers of files raise
                said = str(error).strip().partition("\n")[0] or type(error).__name__
                raise Rejected(f"{weights.name} cannot be loaded: {said}", fatal=True) from error
        return self._models[weights.name]


def _model(weights: Weights, recipe: Recipe, device: str, *, trust: bool) -> Any:
    """The model: as it comes, or its transformer with the recipe's pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    where = {"revision": weights.revision or None, "local_files_only": bool(whereabouts(weights)["local_files_only"])}
    more: dict[str, Any] = {"trust_remote_code": trust, **where}
    number = {"dtype": recipe.dtype}
    if recipe.pooling == "own":
        model = SentenceTransformer(weights.source, device=None if device == "auto" else device, model_kwargs=number, **more)
    else:
        body = Transformer(weights.source, model_kwargs={**more, **number}, processor_kwargs=more, config_kwargs=more)
        pooling = Pooling(body.get_embedding_dimension(), POOLED[recipe.pooling])
        model = SentenceTransformer(modules=[body, pooling], device=None if device == "auto" else device)
    if not recipe.pooled_prefix:
        model.set_pooling_include_prompt(False)
    if model.tokenizer.pad_token is None:  # decoders: padded at the left with their end token, as their authors do
        model.tokenizer.pad_token, model.tokenizer.padding_side = model.tokenizer.eos_token, "left"
    return model.eval()


def _length(tokenizer: Any, prefix: str) -> int:
    """How many tokens of a text are its prefix's."""
    ids = tokenizer(prefix)["input_ids"]
    return len(ids) - (bool(ids) and ids[-1] in tokenizer.all_special_ids)


def _completed(recipe: Recipe, weights: Weights) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with what the model's own files say, and what the user should know was taken for granted.

    Raises InputError where nobody knows how its tokens are pooled.
    """
    if recipe.pooling == "own" and _own(weights, "modules.json") is None:
        raise InputError(
            f"{weights.source} does not say how its tokens become one vector: state it (--pooling cls, mean or last), or which "
            "known encoder it is like (--like KEY)"
        )
    notes = []
    if recipe.key and weights.digest:
        notes.append(f"{weights.name} is used as {recipe.key} of the table of encoders ({recipe.source})")
    own = _own(weights, "config_sentence_transformers.json")
    prompts = (orjson.loads(own.read_bytes()) if own else {}).get("prompts") or {}
    for side, names in (("query", ("query",)), ("document", ("document", "passage"))):
        if getattr(recipe, side) is None:
            found = next((prompts[name] for name in names if name in prompts), None)
            recipe = recipe.stated(**{side: found or ""})
            if found is None:
                notes.append(
                    f"{weights.name} is not in the table of encoders: its {side} side is encoded without any prefix; if that is "
                    f"right, say so (--{side}-prefix ''), else state it"
                )
    return recipe, tuple(notes)


def _own(weights: Weights, name: str) -> Path | None:
    """A file that comes with the model; None where there is none."""
    if weights.digest:
        path = Path(weights.source) / name
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with unheard(weights):
        try:
            return Path(hf_hub_download(weights.source, name, revision=weights.revision, local_files_only=weights.offline))
        except EntryNotFoundError:  # also where the hub cannot be asked
            return None
