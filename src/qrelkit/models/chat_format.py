"""The chat-completions format that OpenAI began and most servers speak: requests written, replies read.

Pure functions, no sockets. What a server may refuse (`response_format`, `temperature`, …) is written in the tail of the
body, which depends on settings and schema alone, so that it is rendered once per judge and not once per pair.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import orjson

from qrelkit.core.errors import Unreachable
from qrelkit.core.wire import Message, Part, Reply, Request, Text
from qrelkit.models.chat_problems import words_of
from qrelkit.models.counts import count, fields

TOP = 20  # alternatives per token; OpenAI's own limit


# requests


def messages(request: Request, pictures: Mapping[str, orjson.Fragment]) -> bytes:
    """The messages as JSON; `pictures` has the rendered `image_url` part of every picture, by its digest.

    Texts that follow each other are one text with a blank line between; a message without pictures is a plain string.
    Half a surrogate pair, which JSON cannot carry, becomes a question mark.
    """
    value = [{"role": m.role, "content": _content(m, pictures)} for m in request.messages]
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps([{"role": m.role, "content": _content(_sound(m), pictures)} for m in request.messages])


def tail(request: Request, refused: Collection[str], extra: Mapping[str, Any]) -> tuple[bytes, frozenset[str]]:
    """The rest of the body, from the comma after the messages, and the refusable fields in it; `extra` overrides.

    A repeated sample of a request with a seed is asked with another seed: the same one would give the same answer.
    """
    s, schema = request.settings, request.schema
    wanted: dict[str, Any] = {
        "response_format": schema
        and {"type": "json_schema", "json_schema": {"name": schema.name, "schema": schema.schema, "strict": True}},
        "logprobs": s.token_probabilities or None,
        "temperature": s.temperature,
        "top_p": s.top_p,
        "seed": None if s.seed is None else s.seed + request.sample,
        "max_tokens": s.max_tokens,
    }
    fields = {name: value for name, value in wanted.items() if value is not None and name not in refused}
    sent = frozenset(fields.keys() - extra.keys())
    if "logprobs" in fields:
        fields["top_logprobs"] = TOP
    if "max_tokens" in refused and s.max_tokens is not None:
        fields["max_completion_tokens"] = s.max_tokens
    fields |= extra
    if "max_completion_tokens" in extra:
        fields.pop("max_tokens", None)
    return (b"," + orjson.dumps(fields)[1:] if fields else b"}"), sent


def image_part(media_type: str, data: bytes) -> orjson.Fragment:
    """An image as a content part, its bytes in a data URL: rendered once, pasted into every body that shows it."""
    import base64

    return orjson.Fragment(
        b'{"type":"image_url","image_url":{"url":"data:%s;base64,%s"}}' % (media_type.encode(), base64.b64encode(data))
    )


def _content(message: Message, pictures: Mapping[str, orjson.Fragment]) -> str | list[Any]:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    out: list[Any] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
            continue
        if texts:
            out.append({"type": "text", "text": "\n\n".join(texts)})
            texts = []
        out.append(pictures[part.digest])
    if not out:
        return "\n\n".join(texts)
    if texts:
        out.append({"type": "text", "text": "\n\n".join(texts)})
    return out


def _sound(message: Message) -> Message:
    def mend(part: Part) -> Part:
        return Text(part.text.encode("utf-8", "replace").decode("utf-8"), part.digest) if isinstance(part, Text) else part

    return Message(message.role, tuple(map(mend, message.parts)))


# replies


def read_reply(data: Mapping[str, Any], latency_s: float | None = None) -> Reply:
    """A chat completion as a Reply; raises Unreachable where it holds no choice."""
    choices = data.get("choices")
    if not choices or not isinstance(choices[0], dict):
        raise Unreachable("the reply holds no choice")
    choice = choices[0]
    message = choice.get("message") or {}
    finish = choice.get("finish_reason") or ""
    if finish == "error" or choice.get("error"):
        raise Unreachable(f"the reply broke off: {words_of(choice)}")
    text, refusal = _text(message.get("content")), message.get("refusal")
    usage = fields(data.get("usage"))
    details = fields(usage.get("prompt_tokens_details"))
    cached = count(details.get("cached_tokens", usage.get("prompt_cache_hit_tokens")))  # the second is DeepSeek's
    hidden = count(fields(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    logprobs = choice.get("logprobs")
    return Reply(
        text=refusal or text,
        outcome="refused" if refusal else _outcome(finish),
        served=data.get("model") or "",
        finish=finish,
        tokens_in=count(usage.get("prompt_tokens"), least=1),
        tokens_out=_out(usage, hidden, cached),
        tokens_cached=cached,
        tokens_reasoning=hidden,
        tokens_image=count(details.get("image_tokens")),
        latency_s=latency_s,
        token_probabilities=_probabilities(logprobs) if logprobs else None,
    )


def _out(usage: Mapping[str, Any], hidden: int | None, cached: int | None) -> int | None:
    """All tokens of the output; None where the server did not say.

    OpenAI counts what was not shown among `completion_tokens`. xAI counts it beside them, and some servers in the total
    alone; so what a total has over prompt and completion is output too, unless it is more than was said to be hidden, or is
    the part of the prompt that came from a cache.
    """
    said, total = count(usage.get("completion_tokens")), count(usage.get("total_tokens"))
    prompt = count(usage.get("prompt_tokens"), least=1)
    if hidden and said is not None and hidden > said:  # it cannot be among them
        return said + hidden
    if total is None or prompt is None or total < prompt:
        return said
    beside = total - prompt - (said or 0)
    if beside <= 0 or (beside > hidden if hidden else beside == cached):
        return said
    return (said or 0) + beside


def _outcome(finish: str) -> Literal["answered", "truncated", "refused"]:
    if finish == "length":
        return "truncated"
    return "refused" if finish == "content_filter" else "answered"


def _text(content: Any) -> str:
    """Some servers answer in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(p.get("text") or "") for p in content if isinstance(p, dict))
    return ""


def _probabilities(logprobs: Mapping[str, Any]) -> tuple[tuple[str, dict[str, float]], ...] | None:
    """Per token what it was and the log probabilities of the alternatives, itself included.

    Tokens that are bytes of one character may share a text; the likeliest of them counts.
    """
    tokens = logprobs.get("content")
    if not tokens:
        return None
    out = []
    for token in tokens:
        near: dict[str, float] = {}
        for one in (token, *(token.get("top_logprobs") or ())):
            near[one["token"]] = max(one["logprob"], near.get(one["token"], one["logprob"]))
        out.append((token["token"], near))
    return tuple(out)
