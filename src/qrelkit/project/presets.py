"""Judges that a name stands for: `judge: {preset: article, model: …}`. A key that is said beside it counts instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrelkit.core.errors import UnknownName

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "article": {  # case-based retrieval of articles, after the final configuration of arXiv 2506.17782
        "prompt": "article@1",
        "route": "shown",
        "guided": False,
        "examples": {"n": 1, "rule": "same_query", "grades": [1], "missing": "fail"},
        "images": 8,
        "max_document_chars": 60_000,
        "max_side_px": 768,
        "sampling": {"max_tokens": 100},
    },
}


def with_preset(said: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a judge with those of its preset; of a key that holds keys itself, each counts by itself.

    Raises UnknownName for an unknown preset.
    """
    name = said.get("preset") or ""
    if not isinstance(name, str):  # the configuration says so
        return dict(said)
    if name and name not in PRESETS:
        raise UnknownName("preset of a judge", name, PRESETS)
    out: dict[str, Any] = dict(PRESETS.get(name, {}))
    for key, value in said.items():
        under = out.get(key)
        out[key] = {**under, **value} if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return out
