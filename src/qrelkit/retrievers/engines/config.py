"""An engine is described by a YAML file: where it is, what it is asked, and where the hits are in what it answers.

    kind: opensearch
    url: https://search.example.org:9200
    index: products
    template: |
      {"query": {"multi_match": {"query": {{ query | tojson }}, "fields": ["title^{{ boost }}", "text"]}}}
    grid: {boost: [1, 2, 5]}
    tag: "title-{boost}"
    auth: {user: reader, password_env: SEARCH_PASSWORD}

Unknown keys are errors with the near ones, and so are keys that mean nothing for the kind. Secrets stay in the environment:
the file names the variables. docs/reference/engines.md has every key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qrelkit.core.errors import InputError
from qrelkit.core.yaml_files import known_keys, modelled, read_mapping

Kind = Literal["opensearch", "elasticsearch", "solr", "http", "postgres", "sqlite", "command"]
Value = str | int | float | bool
By = Literal["none", "offset", "page", "cursor", "after"]

BY_RANK = "rank"  # as `score`: the hits count in the order in which they come


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuthConfig(_Strict):
    """Who asks; the secrets are in the environment variables that are named here."""

    user: str = ""
    password_env: str = ""
    api_key_env: str = ""
    api_key_header: str = ""  # the header that the key stands in, where it is not `Authorization: ApiKey …`
    bearer_env: str = ""


class PagingConfig(_Strict):
    """How an engine is asked for more than comes at once."""

    by: By = "offset"
    size: int = Field(default=1000, ge=1, le=1_000_000)
    first: int = Field(default=1, ge=0, le=1)  # page: the number of the first one
    next: str = ""  # http by cursor: where the next one stands in an answer


class EngineConfig(_Strict):
    """The whole file; which keys a kind needs and knows is in `KEYS`."""

    kind: Kind
    name: str = ""
    tag: str = ""  # "hybrid-{alpha}": the name of each configuration's run
    version: str = ""  # of what is in the engine: say another one when that has changed
    url: str = ""
    index: str = ""
    database: str = ""
    file: str = ""
    argv: list[str] = []
    input: Literal["tsv", "jsonl"] = "tsv"
    method: Literal["GET", "POST"] | None = None
    template: str = ""
    params: dict[str, Value | list[Value]] = {}
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    hits: str = ""
    id: str = ""
    score: str = ""
    total: str = ""
    parent: str = ""
    incomplete: str = ""
    grid: dict[str, list[Value]] | list[dict[str, Value]] = {}
    where: str = ""
    paging: PagingConfig | None = None
    at_once: int = Field(default=4, ge=1, le=256)
    requests_per_second: float | None = Field(default=None, gt=0)
    pause_s: float = Field(default=0.0, ge=0)
    timeout_s: float = Field(default=30.0, gt=0)
    connect_timeout_s: float = Field(default=10.0, gt=0)
    retries: int = Field(default=3, ge=0, le=100)
    wait_s: float = Field(default=1.0, gt=0)  # before the first retry; twice as long before each further one
    wait_at_most_s: float = Field(default=60.0, gt=0)
    give_up_after: int = Field(default=10, ge=1)
    auth: AuthConfig = AuthConfig()
    ca_file: str = ""


_ALWAYS = ("kind", "name", "tag", "version", "params", "id", "score", "parent", "grid", "where")
_MANNERS = (
    "at_once", "requests_per_second", "pause_s", "timeout_s", "connect_timeout_s", "retries", "wait_s", "wait_at_most_s",
    "give_up_after",
)  # fmt: skip
_WEB = ("url", "headers", "paging", "auth", "ca_file")
_COMMAND = ("kind", "name", "tag", "version", "grid", "where", *(m for m in _MANNERS if m != "connect_timeout_s"))
NEEDS: Mapping[str, tuple[str, ...]] = {
    "opensearch": ("url", "index", "template"),
    "elasticsearch": ("url", "index", "template"),
    "solr": ("url", "index", "params"),
    "http": ("url", "hits", "id", "score"),
    "postgres": ("database", "template"),
    "sqlite": ("file", "template"),
    "command": ("argv",),
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "opensearch": (*_ALWAYS, *_MANNERS, *_WEB, "index", "template"),
    "elasticsearch": (*_ALWAYS, *_MANNERS, *_WEB, "index", "template"),
    "solr": (*_ALWAYS, *_MANNERS, *_WEB, "index"),
    "http": (*_ALWAYS, *_MANNERS, *_WEB, "template", "method", "content_type", "hits", "total", "incomplete"),
    "postgres": (*_ALWAYS, *_MANNERS, "database", "template", "auth"),
    "sqlite": (*_ALWAYS, *_MANNERS, "file", "template"),
    "command": (*_COMMAND, "argv", "input"),
}
_PAGED: Mapping[str, tuple[By, ...]] = {
    "opensearch": ("none", "offset", "after"),
    "elasticsearch": ("none", "offset", "after"),
    "solr": ("none", "offset", "cursor"),
    "http": ("none", "offset", "page", "cursor"),
}
_SECRET_HEADER = re.compile(r"authorization|cookie|api-?key|token|secret|password", re.IGNORECASE)
_SECRET_PARAM = re.compile(r"((api|access|auth|subscription)[-_]?)?(key|token)|password|passwd|secret|auth", re.IGNORECASE)


def read_engine_config(path: str | Path) -> EngineConfig:
    """Reads an engine's file; raises InputError with the file and the key that is wrong."""
    absent = "docs/reference/engines.md shows what an engine's file says"
    return engine_config(read_mapping(path, such_as="kind: opensearch", absent=absent), str(path))


def engine_config(value: Mapping[str, Any], where: str = "engine") -> EngineConfig:
    """An EngineConfig from a mapping; the first thing that is wrong is named with its place and, for a key, the near ones."""
    config = modelled(EngineConfig, value, where, lambda parents: known_keys(EngineConfig, parents, EngineConfig))
    _of_its_kind(config, where)
    _no_secret(config, where)
    return config


def _of_its_kind(config: EngineConfig, where: str) -> None:
    """Raises InputError for what the kind needs and has not, or has and does not know."""
    kind = config.kind
    for key in NEEDS[kind]:
        if not getattr(config, key):
            raise InputError(f"{where}: an engine of kind {kind} needs `{key}:`")
    for key in sorted(config.model_fields_set):
        if key not in KEYS[kind]:
            raise InputError(f"{where}: `{key}:` means nothing for the kind {kind}; what does: {', '.join(sorted(KEYS[kind]))}")
    paging = config.paging
    if paging is None:
        return
    if paging.by not in _PAGED[kind]:
        raise InputError(f"{where}: paging.by: {kind} has {', '.join(_PAGED[kind])}, not {paging.by!r}")
    if kind == "http" and (paging.by == "cursor") != bool(paging.next):
        raise InputError(f"{where}: paging.next says where the next cursor stands: needed by cursor, and by nothing else")


def _no_secret(config: EngineConfig, where: str) -> None:
    """Raises InputError for a header or parameter that holds a secret, for a secret without a user, and for two ways at once."""
    for name in config.headers:
        if _SECRET_HEADER.search(name):
            raise InputError(f"{where}: headers.{name}: secrets stay out of the file; use `auth:` and an environment variable")
    for name in config.params if "url" in KEYS[config.kind] else ():
        if _SECRET_PARAM.fullmatch(name):
            raise InputError(
                f"{where}: params.{name} may be a secret, and parameters are written down with every run; "
                "have it sent as a header, from the environment (`auth: {api_key_env: …, api_key_header: …}`)"
            )
    auth = config.auth
    ways = [key for key in ("password_env", "api_key_env", "bearer_env") if getattr(auth, key)]
    if len(ways) > 1:
        raise InputError(f"{where}: auth: {' and '.join(ways)} are two ways; say one")
    if auth.password_env and not auth.user:
        raise InputError(f"{where}: auth.password_env needs auth.user")
    if config.kind == "postgres" and (auth.api_key_env or auth.bearer_env):
        raise InputError(f"{where}: auth: PostgreSQL has a user and a password_env")
