"""An encoder from its name: a key of the table, a name of the hub, a folder, or `openai:NAME` of an endpoint."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from qrelkit.core.cache import cache_folder
from qrelkit.core.errors import InputError
from qrelkit.models.embeddings import PROVIDERS, Embeddings
from qrelkit.models.encoders_table import recipe_of
from qrelkit.models.sentence import Sentence


def encoder(
    named: str,
    *,
    task: str = "",
    like: str = "",
    stated: dict[str, Any] | None = None,
    base_url: str = "",
    dimensions: int | None = None,
    at_once: int = 4,
    device: str = "auto",
    offline: bool = False,
    trust: bool = False,
    allow_hosts: Collection[str] | None = None,
) -> Embeddings | Sentence:
    """The encoder that `named` means, as the table knows it (or the one it is `like`), for a `task` such as r2med/Biology.

    `stated` overrides fields of its recipe (`query`, `document`, `pooling`, `query_tokens` …; None leaves one). The vectors of
    queries, and of all that an endpoint was paid for, are kept in the cache's folder `vectors`.

    Raises InputError and UnknownName for what cannot be meant, MissingExtra without sentence-transformers.
    """
    recipe = recipe_of(named, like).stated(**(stated or {})).for_task(task)
    keep = cache_folder("vectors")
    if recipe.model.partition(":")[0] in PROVIDERS:
        options: dict[str, Any] = {"base_url": base_url, "dimensions": dimensions, "at_once": at_once, "allow_hosts": allow_hosts}
        return Embeddings(recipe, keep, **options)
    for name, given in (("base_url", base_url), ("dimensions", dimensions)):
        if given:
            raise InputError(f"{name} is for an encoder behind an endpoint (openai:NAME); {named} runs in this process")
    return Sentence(recipe, device=device, offline=offline or allow_hosts is not None, trust=trust, keep=keep)
