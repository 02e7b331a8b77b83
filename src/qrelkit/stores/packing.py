"""How single values lie in a column: texts as bytes, long ones deflated, digests without their hex."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import orjson

DEFLATED = b"x\x01"  # how zlib's level 1 begins
REQUEST_DIGEST = re.compile(r"r([1-9]|[12]\d|3[01]):([0-9a-f]{32})")
TokenProbabilities = tuple[tuple[str, dict[str, float]], ...]


def pack(data: bytes, longer_than: int) -> bytes:
    """`data` as it is, or deflated where it is long and gets shorter; what looks deflated always is, so `unpack` can tell."""
    if len(data) <= longer_than and not data.startswith(DEFLATED):
        return data
    deflated = zlib.compress(data, 1)
    return deflated if len(deflated) < len(data) or data.startswith(DEFLATED) else data


def unpack(data: bytes) -> bytes:
    """What `pack` was given."""
    return zlib.decompress(data) if data.startswith(DEFLATED) else data


def to_bytes(text: str) -> bytes:
    """UTF-8, lone surrogates included: a reply comes back exactly as it came."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def clean(text: str) -> str:
    """`text` with U+FFFD for NUL and lone surrogates, which neither every text column nor a frame can hold."""
    if "\0" not in text and text.isascii():
        return text
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text)


def request_blob(digest: str) -> bytes:
    """A request's digest in 17 bytes: the number of its recipe, then 128 bits. Any other text is kept as it is."""
    match = REQUEST_DIGEST.fullmatch(digest)
    return bytes((int(match[1]),)) + bytes.fromhex(match[2]) if match else to_bytes(digest)


def request_digest(blob: bytes) -> str:
    """What `request_blob` was given."""
    return f"r{blob[0]}:{blob[1:].hex()}" if len(blob) == 17 and blob[0] < 32 else to_text(blob)


def details_json(details: Mapping[str, Any] | None) -> str:
    """JSON, also for what a model wrote with lone surrogates; "" for nothing."""
    if not details:
        return ""
    try:
        return orjson.dumps(details, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return clean(json.dumps(details, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def probabilities_json(tokens: TokenProbabilities) -> bytes:
    """JSON, also for tokens that are half a character."""
    try:
        return orjson.dumps(tokens)
    except TypeError:
        return json.dumps(tokens).encode("ascii")


def read_probabilities(data: bytes) -> TokenProbabilities:
    """What `probabilities_json` was given; null stands for the logarithm of 0."""
    try:
        rows: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        rows = json.loads(data)
    return tuple((token, {k: -math.inf if v is None else v for k, v in near.items()}) for token, near in rows)
