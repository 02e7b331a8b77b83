"""How a conversation is printed for a person: who said what, word for word, then the answer with what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def conversation_lines(asked: Mapping[str, Any]) -> Iterator[str]:
    """What is asked: `asked` as `Store.conversation` gives it."""
    yield f"model: {asked['model']}"
    yield f"settings: {_pairs(asked['settings']) or 'none'}; sample {asked['sample']}"
    if asked["schema"]:
        yield f"schema: {_schema(asked['schema'])}"
    for message in asked["messages"]:
        yield from ("", f"── {message['role']} ──")
        for part in message["parts"]:
            yield _part(part)


def answer_lines(answered: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What came back, as `answer_json` gives it, and the attempts that failed before."""
    served = f", by {answered['served']}" if answered["served"] else ""
    finish = f", finish {answered['finish']}" if answered["finish"] else ""
    yield from ("", f"── answer: {answered['outcome']}{finish}{served} ──", answered["text"], "")
    tokens = {name.removeprefix("tokens_"): n for name, n in answered.items() if name.startswith("tokens_") and n is not None}
    yield f"tokens: {_pairs(tokens) or 'not said by the server'}"
    price = answered["price"]
    told = f" by {_pairs(price)}" if price else ""
    cost = answered["cost_usd"]
    yield f"cost: {'unknown' if cost is None else f'${cost:.6f}'}{told}{', by batch' if answered['batch'] else ''}"
    latency = answered["latency_s"]
    yield f"latency: {'unknown' if latency is None else f'{latency:.2f} s'}; attempts: {answered['attempts']}"
    for row in attempts:
        yield f"before: {row['sent']}, session {row['session']}, failed after {row['seconds'] or 0:.2f} s: {row['error']}"


def answer_json(reply: Any) -> dict[str, Any]:
    """A stored reply as JSON: its price as an object, without the probabilities of its tokens."""
    import orjson

    names = ("text", "outcome", "served", "finish", "tokens_in", "tokens_cached", "tokens_image", "tokens_out")
    more = ("tokens_reasoning", "cost_usd", "batch", "latency_s", "attempts")
    price = orjson.loads(reply.price) if reply.price else None
    return {name: getattr(reply, name) for name in (*names, *more)} | {"price": price}


def _part(part: Mapping[str, Any]) -> str:
    if part["type"] == "text":
        return str(part["text"])
    if part["type"] == "image":
        form, side, quality = str(part["shrink"]).split(":")
        return f"[picture {part['digest']}: {form}, at most {side} px, quality {quality}]"
    return f"[{part['type']}]"


def _schema(schema: Mapping[str, Any]) -> str:
    import orjson

    return f"{schema['name']} {orjson.dumps(schema['schema']).decode()}" if "name" in schema else f"[{schema['type']}]"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in values.items())
