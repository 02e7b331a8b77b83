"""Cross-encoders: query and document read together by one model, which gives a score (sentence-transformers, extra `dense`).

    bge-reranker    BAAI/bge-reranker-v2-m3                    512 tokens
    monobert        castorini/monobert-large-msmarco           512 tokens, the second of its two logits
    rankllama       castorini/rankllama-v1-7b-lora-passage     1024 tokens, float16, "query: " and "document: " before the texts

These three are those of R2MED (arXiv 2505.14558, its released code). A hub id, or a folder that is called as the id ends, has
the same settings; any other model its own. RankLLaMA is an adapter of meta-llama/Llama-2-7b-hf: loading it by its id needs the
package `peft`; weights that were merged lie in a folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from qrelkit.core.errors import InputError, MissingExtra, Rejected
from qrelkit.core.records import Document, Query
from qrelkit.models.local_weights import find_weights


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a model is to be used: `max_length` in tokens of query and document together (None: as the model says), `logit` which
    of its numbers is the score (None: it has one), the texts before query and document, and the number format ("auto": the
    model's own, on a CPU float32)."""

    hub: str = ""
    max_length: int | None = None
    logit: int | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    dtype: str = "auto"


RECIPES: Mapping[str, Recipe] = {
    "bge-reranker": Recipe(hub="BAAI/bge-reranker-v2-m3", max_length=512),
    "monobert": Recipe(hub="castorini/monobert-large-msmarco", max_length=512, logit=1),
    "rankllama": Recipe(
        hub="castorini/rankllama-v1-7b-lora-passage",
        max_length=1024,
        query_prefix="query: ",
        document_prefix="document: ",
        dtype="float16",
    ),
}


def recipe_of(named: str) -> Recipe:
    """The recipe of a name of the table, a hub id, or a folder; the plain one for a model that is not listed."""
    last = Path(named.partition("@")[0]).name
    for name, recipe in RECIPES.items():
        if named == name or last == recipe.hub.rpartition("/")[2]:
            return recipe
    return Recipe()


class CrossEncoder:
    """Implements the `Reranker` door. `named` is a name of the table, a hub id (with @revision) or a folder.

    Its `recipe` is that of the table; a `max_length` or `logit` that is given counts before the recipe's. The score is the
    model's own number, before any activation: a sigmoid would make the best of them alike. It is loaded when it is first asked.
    With `offline` nothing is fetched. Raises InputError where it is neither folder nor id, and for a `logit` that the model does
    not have.
    """

    def __init__(
        self,
        named: str,
        *,
        recipe: Recipe | None = None,
        max_length: int | None = None,
        logit: int | None = None,
        folder: Path | str = "",
        offline: bool = False,
        device: str = "auto",
        batch_size: int = 32,
    ) -> None:
        listed = recipe or recipe_of(named)
        longest = listed.max_length if max_length is None else max_length
        self.recipe = replace(listed, max_length=longest, logit=listed.logit if logit is None else logit)
        self._weights = find_weights(RECIPES[named].hub if named in RECIPES else named, folder, offline=offline)
        self.name = self._weights.name
        self.device, self.batch_size = device, batch_size
        self._loading = Lock()

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        said = {name: getattr(self.recipe, name) for name in Recipe.__slots__ if name != "hub"}
        return {"kind": "cross-encoder", "model": self._weights.name, **said}

    def scores(self, query: Query, documents: Sequence[Document]) -> list[float]:
        """One number per document, in order. Raises Rejected where the model cannot be loaded."""
        recipe = self.recipe
        asked = recipe.query_prefix + query.text
        pairs = [(asked, recipe.document_prefix + document.text) for document in documents]
        if not pairs:
            return []
        with self._loading:
            model, same = self._model
        numbers = np.asarray(
            model.predict(pairs, batch_size=self.batch_size, activation_fn=same, show_progress_bar=False), dtype=np.float64
        ).reshape(len(pairs), -1)
        return [float(number) for number in numbers[:, self._column(numbers.shape[1])]]

    def _column(self, width: int) -> int:
        logit = self.recipe.logit
        if (logit is None and width == 1) or (logit is not None and 0 <= logit < width):
            return logit or 0
        raise InputError(
            f"{self.name} gives {width} numbers for a pair; say which is the score: logit 0 to {width - 1} (--logit)"
            if width > 1
            else f"{self.name} gives one number for a pair, and logit {logit} was asked for; leave it out"
        )

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        """The model, and the activation that changes nothing."""
        try:
            import sentence_transformers
            import torch
        except ImportError:
            raise MissingExtra("a cross-encoder", "dense") from None
        from qrelkit.models.local_prompts import unheard, whereabouts

        weights, recipe = self._weights, self.recipe
        weights.check()
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        dtype = "float32" if device == "cpu" and recipe.dtype == "auto" else recipe.dtype
        options: dict[str, Any] = {"device": device, "max_length": recipe.max_length, "model_kwargs": {"dtype": dtype}}
        try:
            with unheard(weights):
                model = sentence_transformers.CrossEncoder(weights.source, **whereabouts(weights), **options)
        except Exception as error:  # whatever their readers of files raise
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            raise Rejected(f"{weights.name} cannot be loaded: {said}", fatal=True) from error
        if model.tokenizer.pad_token is None:  # LLaMA's: without one there is no batch
            model.tokenizer.pad_token = model.tokenizer.eos_token
            model.model.config.pad_token_id = model.tokenizer.pad_token_id
        return model, torch.nn.Identity()

    def __repr__(self) -> str:
        return f"CrossEncoder({self.name})"
