"""What others do with the same bodies: run by the Python that has them, called by driver.py.

    PEERS/bin/python benchmarks/clients.py KIND URL COUNT AT_ONCE < bodies.jsonl     # prints requests/s and the versions

KIND is `sdk` (OpenAI's own client), `umbrela` (a loop with it as umbrela's asynchronous judge makes one: a semaphore, a task
for each pair, the answer read with a regular expression, all results in a list; the judge itself is not on PyPI for this
Python, so this stands in for it) or `litellm`.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

VERDICT = re.compile(r"\"verdict\"\s*:\s*\"(\w+)\"")
Ask = Callable[[dict[str, Any]], Awaitable[Any]]


async def spread(bodies: Sequence[dict[str, Any]], ask: Ask, at_once: int) -> float:
    """Requests a second of so many workers."""
    todo = iter(bodies)

    async def work() -> None:
        for body in todo:
            await ask(body)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return len(bodies) / (time.perf_counter() - started)


async def all_at_once(bodies: Sequence[dict[str, Any]], ask: Ask, at_once: int) -> float:
    """Requests a second of a task for each pair behind a semaphore."""
    gate = asyncio.Semaphore(at_once)

    async def one(body: dict[str, Any]) -> str:
        async with gate:
            reply = await ask(body)
        found = VERDICT.search(reply.choices[0].message.content)
        return found.group(1) if found else ""

    started = time.perf_counter()
    await asyncio.gather(*map(one, bodies))
    return len(bodies) / (time.perf_counter() - started)


async def run(kind: str, url: str, bodies: Sequence[dict[str, Any]], at_once: int) -> float:
    if kind == "litellm":
        import litellm

        litellm.suppress_debug_info = True

        async def ask(body: dict[str, Any]) -> Any:
            return await litellm.acompletion(**{**body, "model": "openai/bench"}, api_base=url, api_key="none", num_retries=0)

        return await spread(bodies, ask, at_once)
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def chat(body: dict[str, Any]) -> Any:
            return await client.chat.completions.create(**body)

        return await (all_at_once if kind == "umbrela" else spread)(bodies, chat, at_once)


def main() -> None:
    kind, url, count, at_once = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    bodies = [json.loads(line) for line in sys.stdin.buffer.readlines()[:count]]
    try:
        import uvloop

        make = uvloop.new_event_loop
    except ImportError:
        make = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(run(kind, url, bodies[:50], at_once))  # the first calls load things
        rate = runner.run(run(kind, url, bodies, at_once))
    print(json.dumps({"rate": rate, "version": importlib.metadata.version("litellm" if kind == "litellm" else "openai")}))


if __name__ == "__main__":
    main()
