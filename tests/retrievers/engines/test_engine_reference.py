"""docs/reference/engines.md has every key with its default."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from qrelkit.retrievers.engines.config import KEYS, AuthConfig, EngineConfig, PagingConfig

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "engines.md"
INNER: dict[str, type[BaseModel]] = {"auth": AuthConfig, "paging": PagingConfig}


def keys(model: type[BaseModel], before: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, spec in model.model_fields.items():
        if name in INNER:
            found |= keys(INNER[name], f"{name}.")
        else:
            found[before + name] = "needed" if spec.default is PydanticUndefined else spec.default
    return found


def test_every_key_is_on_the_page_with_its_default() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` \| `?([^`|]*?)`? \|", PAGE.read_text(encoding="utf-8").partition("## All keys")[2], re.MULTILINE
    )
    told = {key: default if default == "needed" else yaml.safe_load(default) for key, default in rows}
    assert told == keys(EngineConfig)


def test_every_key_means_something_for_some_kind() -> None:
    assert set(EngineConfig.model_fields) == {key for kind in KEYS.values() for key in kind}
