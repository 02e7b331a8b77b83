"""What qrelkit.yaml says of a model that is computed here or on a cluster, and of one behind an address: none takes the keys
of another kind."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from qrelkit.core.errors import InputError
from qrelkit.models.prices import Prices
from qrelkit.project.config import ModelConfig
from qrelkit.project.local_only import refuse_cluster

LOCAL = ("device", "dtype", "batch_size")
RAY = (*LOCAL, "actors", "address")
ADDRESSED = ("base_url", "timeout_s", "connect_timeout_s", "stalled_s", "requests_per_minute", "tokens_per_minute")
ANTHROPIC = (*ADDRESSED, "cache_marks")


def is_local(name: str) -> bool:
    """Whether a model is computed by transformers here or on a cluster."""
    return name.startswith(("local:", "ray:"))


def local_options(
    name: str, own: ModelConfig, *, folder: Path, prices: Prices, allowed: Collection[str] | None
) -> dict[str, Any]:
    """The arguments of `Local` or `Ray`; `allowed` are the hosts that `local_only` leaves, None for all."""
    ray = name.startswith("ray:")
    if ray and allowed is not None and own.address is not None:
        refuse_cluster(name, own.address, allowed)
    options = {key: getattr(own, key) for key in (RAY if ray else LOCAL)}
    common = {"folder": folder, "extra_body": own.extra_body, "prices": prices, "local_only": allowed is not None}
    return options | common | ({"allow_hosts": allowed} if ray else {})


def refuse_idle_keys(name: str, own: ModelConfig) -> None:
    """Raises InputError for a key that is set and means nothing for a model of this kind."""
    used = {"ray": RAY, "local": LOCAL, "anthropic": ANTHROPIC}.get(name.partition(":")[0], ADDRESSED)
    for key in (*RAY, *ANTHROPIC):
        if key in own.model_fields_set and key not in used:
            raise InputError(f"models.{name}.{key} means nothing for {name}; what does: {', '.join((*used, 'extra_body'))}")
