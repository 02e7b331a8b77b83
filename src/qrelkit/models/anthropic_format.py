"""Anthropic's Messages format: requests written, replies and errors read. Pure functions, no sockets.

What is common to many requests ends in a cache mark, so that the provider may reuse it: the system text, shared by all, and
the first text of the first user message, the query with its guideline, shared by the pairs of a query. Marks change what is
paid and never what is said; a prefix shorter than the model's least (1,024 to 4,096 tokens) is not kept and costs nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import orjson

from qrelkit.core.errors import InputError, Unreachable
from qrelkit.core.wire import Part, Reply, Request, Text
from qrelkit.models.chat_problems import Problem, words_of
from qrelkit.models.counts import count, fields

MARK: Mapping[str, Any] = {"cache_control": {"type": "ephemeral"}}
MAX_TOKENS = 4096  # where the settings say nothing: the format demands a limit
GAP = "\n\n"  # between texts that follow each other

# field → how an error may name it, in the order in which they are given up: of `top_p` and `temperature`, which newer
# models will not have together, the temperature stays
REFUSABLE: Mapping[str, str] = {
    "output_config": r"output_config|output.?format|structured output|json_schema",
    "top_p": r"top_p",
    "temperature": r"temperature",
}
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_SPENT = re.compile(r"credit balance is too low|reached your specified .*usage limits", re.IGNORECASE)
_FILTERED = "content filtering policy"


# requests


def opening(model: str, request: Request, pictures: Mapping[str, orjson.Fragment], *, marks: bool) -> bytes:
    """The body as far as it depends on the pair: model, system text and turns, without the closing brace.

    `pictures` has the rendered block of every picture, by its digest. System messages become the one `system` text; messages
    of one role that follow each other become one turn. Blank texts, which the format forbids, are left out. Half a surrogate
    pair, which JSON cannot carry, becomes a question mark.
    """
    try:
        return orjson.dumps(_body(model, request, pictures, marks, str))[:-1]
    except TypeError:
        return orjson.dumps(_body(model, request, pictures, marks, _sound))[:-1]


def tail(request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> tuple[bytes, frozenset[str]]:
    """The rest of the body, from the comma after the messages, and the refusable fields in it; `extra` overrides.

    Seeds and token probabilities do not exist here and are not sent. Raises InputError for a temperature above 1.
    """
    s, schema = request.settings, request.schema
    if s.temperature is not None and not 0 <= s.temperature <= 1:
        raise InputError(f"temperature {s.temperature:g}: Anthropic's models take 0 to 1")
    wanted: dict[str, Any] = {
        "output_config": schema and {"format": {"type": "json_schema", "schema": schema.schema}},
        "top_p": s.top_p,
        "temperature": s.temperature,
    }
    fields = {name: value for name, value in wanted.items() if value is not None and name not in refused}
    sent = frozenset(fields.keys() - (extra.keys() - {"output_config"}))
    fields["max_tokens"] = MAX_TOKENS if s.max_tokens is None else s.max_tokens
    own = extra.get("output_config")
    both = {"output_config": fields["output_config"] | own} if isinstance(own, dict) and "output_config" in fields else {}
    return b"," + orjson.dumps(fields | dict(extra) | both)[1:], sent


def image_block(media_type: str, data: bytes) -> orjson.Fragment:
    """An image as a content block: rendered once, pasted into every body that shows it."""
    import base64

    return orjson.Fragment(
        b'{"type":"image","source":{"type":"base64","media_type":"%s","data":"%s"}}'
        % (media_type.encode(), base64.b64encode(data))
    )


def _body(
    model: str, request: Request, pictures: Mapping[str, orjson.Fragment], marks: bool, clean: Callable[[str], str]
) -> dict[str, Any]:
    turns: list[tuple[str, list[Part]]] = []
    system: list[str] = []
    for message in request.messages:
        parts = [part for part in message.parts if not isinstance(part, Text) or part.text.strip()]
        if message.role == "system":
            system += [part.text for part in parts if isinstance(part, Text)]
        elif turns and turns[-1][0] == message.role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((message.role, parts))
    said = [{"role": role, "content": _blocks(parts, pictures, marks and i == 0, clean)} for i, (role, parts) in enumerate(turns)]
    first = [{"type": "text", "text": clean(GAP.join(system)), **(MARK if marks else {})}]
    return {"model": model} | ({"system": first} if system else {}) | {"messages": said}


def _blocks(
    parts: Sequence[Part], pictures: Mapping[str, orjson.Fragment], mark: bool, clean: Callable[[str], str]
) -> list[dict[str, Any] | orjson.Fragment]:
    """Texts that follow each other are one block, a blank line between; a first text that is marked is a block of its own."""
    blocks: list[dict[str, Any] | orjson.Fragment] = []
    texts: list[str] = []

    def close(**more: Any) -> None:
        if texts:
            blocks.append({"type": "text", "text": clean(GAP.join(texts)), **more})
            texts.clear()

    for place, part in enumerate(parts):
        if not isinstance(part, Text):
            close()
            blocks.append(pictures[part.digest])
        elif mark and place == 0 and len(parts) > 1:  # a text that stands alone is nobody's prefix
            texts.append(part.text + (GAP if isinstance(parts[1], Text) else ""))
            close(**MARK)
        else:
            texts.append(part.text)
    close()
    return blocks


def _sound(said: str) -> str:
    return said.encode("utf-8", "replace").decode("utf-8")


# replies


def read_reply(data: Mapping[str, Any], latency_s: float | None = None) -> Reply:
    """A message as a Reply; raises Unreachable where it is none.

    Anthropic counts what was read from its cache and what was written to it apart from `input_tokens`; here `tokens_in` is
    all of it. Thinking is not part of the text.
    """
    content = data.get("content")
    if data.get("type") != "message" or not isinstance(content, list):
        raise Unreachable("the reply is no message")
    text = "".join(block["text"] for block in content if block.get("type") == "text")
    finish, usage = data.get("stop_reason") or "", fields(data.get("usage"))
    outcome = _outcome(finish)
    if outcome == "refused" and not text:
        text = (data.get("stop_details") or {}).get("explanation") or ""
    fresh, cached, written = (count(usage.get(f"{n}input_tokens")) for n in ("", "cache_read_", "cache_creation_"))
    return Reply(
        text=text,
        outcome=outcome,
        served=data.get("model") or "",
        finish=finish,
        tokens_in=None if fresh is None else count(fresh + (cached or 0) + (written or 0), least=1),
        tokens_written=written,
        tokens_out=count(usage.get("output_tokens")),
        tokens_cached=cached,
        tokens_reasoning=count(fields(usage.get("output_tokens_details")).get("thinking_tokens")),
        latency_s=latency_s,
    )


def _outcome(finish: str) -> Literal["answered", "truncated", "refused"]:
    if finish in ("max_tokens", "model_context_window_exceeded"):
        return "truncated"
    return "refused" if finish == "refusal" else "answered"


def read_problem(status: int, data: Any) -> Problem:
    """What the server says went wrong: `{"type": "error", "error": {"type": …, "message": …}}`; 200 takes the type's status.

    Money that is spent comes as 400, 402 or 429, told apart by its words or its `error_code`.
    """
    error = data.get("error") if isinstance(data, dict) else None
    detail: Mapping[str, Any] = error if isinstance(error, dict) else {}
    kind, said = str(detail.get("type") or ""), words_of(data)
    capped = str((detail.get("details") or {}).get("error_code")).endswith("spend_limit_reached")
    return Problem(
        STATUS.get(kind, 500) if status == 200 else status,
        said,
        "insufficient_quota" if capped or _SPENT.search(said) else kind,
        filtered=_FILTERED in said,
        refusable=REFUSABLE,
        key_variable="ANTHROPIC_API_KEY",
    )
